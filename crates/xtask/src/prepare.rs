//! Installs the programs that the tests meet: Debian's packages, as root, and only what is missing.

use crate::command::{Result, command, find, output, run};

/// A program or another file, the package that brings it (the first that this release of Debian knows), and what it is for.
const PROGRAMS: &[(&str, &[&str], &str)] = &[
    ("skopeo", &["skopeo"], "reads and copies what longshore writes"),
    ("umoci", &["umoci"], "unpacks what longshore writes"),
    ("podman", &["podman"], "pulls what longshore pushes"),
    ("docker-registry", &["docker-registry"], "takes pushes, gives pulls"),
    ("htpasswd", &["apache2-utils"], "makes the registry's passwords"),
    ("dockerd", &["docker.io"], "loads and runs images"),
    ("docker", &["docker-cli", "docker.io"], "speaks to dockerd"),
    ("runc", &["runc"], "starts dockerd's containers"),
    ("openssl", &["openssl"], "makes the registry's certificates"),
    ("gcc", &["gcc"], "compiles cgo packages"),
    ("git", &["git"], "makes the commits that versions are stamped from"),
    ("curl", &["curl"], "asks services for their health"),
    ("tmux", &["tmux"], "is a terminal for progress bars"),
    ("qemu-img", &["qemu-utils"], "reads the disk image that Alpine comes in"),
    ("debugfs", &["e2fsprogs"], "reads the file system in it"),
    ("busybox", &["busybox-static"], "is the base of the conformance suite's images"),
    ("dumb-init", &["dumb-init"], "is what the probe's init is compared with"),
    ("tini", &["tini"], "is what the probe's init is compared with"),
    ("qemu-aarch64-static", &["qemu-user-static"], "runs the probe for arm64"),
    (
        "/usr/include/seccomp.h",
        &["libseccomp-dev"],
        "makes filters of system calls that ours are compared with",
    ),
    ("strace", &["strace"], "counts what a build that has nothing to do does"),
];

/// Installs what is missing and can be installed; says what it does. Tests skip, with a reason, what stays missing.
pub(crate) fn prepare() -> Result<()> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _, _)| find(program).is_none()).collect();
    if missing.is_empty() {
        println!("Every program that the tests use is installed.");
        return Ok(());
    }
    println!("These programs that the tests use are missing:");
    for (program, packages, purpose) in &missing {
        println!("  {program} ({purpose}), of Debian's package {}", packages.join(" or "));
    }
    if !rustix::process::geteuid().is_root() || find("apt-get").is_none() {
        println!("They are installed by root on Debian only; tests that need them will be skipped.");
        return Ok(());
    }
    println!("Installing them with apt-get.");
    if !run(command("apt-get").args(["update", "-qq"]))? {
        println!("apt-get update failed; what is missing may not be found.");
    }
    let packages: Vec<&str> = missing
        .iter()
        .filter_map(|(_, packages, _)| packages.iter().copied().find(|name| is_known(name)))
        .collect();
    let mut install = command("apt-get");
    install
        .args(["install", "-qq", "--yes", "--no-install-recommends"])
        .args(&packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Installed for their programs: neither Docker nor the registry is to run as a service (invoke-rc.d(8)).
        .env("RUNLEVEL", "1");
    if !run(&mut install)? {
        println!("apt-get install failed; tests that need what is missing will be skipped.");
    }
    Ok(())
}

fn is_known(package: &str) -> bool {
    output(command("apt-cache").args(["show", "--no-all-versions", package]))
        .is_ok_and(|text| !text.is_empty())
}

/// Adds rustfmt and clippy to a minimal Rust.
pub(crate) fn prepare_rust() -> Result<()> {
    for (program, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let works = output(crate::command::cargo().args([program, "--version"])).is_ok();
        if !works {
            println!("cargo {program} is missing: adding {component} with rustup.");
            if !run(command("rustup").args(["component", "add", component]))? {
                return Err(format!("cargo {program} is missing, and rustup could not add it"));
            }
        }
    }
    Ok(())
}
