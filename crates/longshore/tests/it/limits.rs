//! `build --memory`, `--cpus`, `--ulimit`, `--cgroup-parent`.

use longshore_testkit::{Folder, Requirement, Skip, Stop, Suite, TestResult, UNLENT_USER};

use crate::conformance::bases;
use crate::run::user;
use crate::rungs::{copy_program, make_readable, open_folder};

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("limits::what_is_asked_for_is_kept", ROOT, kept)
        .test("limits::what_cannot_be_kept_is_refused", ROOT, refused)
        .test("limits::values_that_mean_nothing_are_refused", &[], values)
}

fn base() -> Result<String, Stop> {
    Ok(format!("busybox=oci-layout://{}:busybox", bases()?.folder().display()))
}

fn kept() -> TestResult {
    if !std::path::Path::new("/sys/fs/cgroup/memory/tasks").exists() {
        return Err(Skip("memory has no control groups of the first version here".into()).into());
    }
    let folder = Folder::new()?;
    folder.write(
        "Dockerfile",
        "FROM busybox\nRUN ulimit -n && cat /proc/self/cgroup\nRUN yes | tr -d '\\n' | sort\n",
    )?;
    let user = user()?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
    let limits = ["--memory", "16m", "--cpus", "0.5", "--ulimit", "nofile=321:321"];
    let build = ["build", "-f", "Dockerfile", "--progress", "plain", "--build-context", &base()?];
    let said = user.run(build.iter().chain(&limits))?.expect_code(1)?.stderr;
    assert!(said.lines().any(|line| line.starts_with("#1 ") && line.ends_with(" 321")), "{said}");
    for controller in ["memory", "cpu", "pids"] {
        let own = |line: &str| line.contains(&format!(":{controller}:")) && line.contains("/longshore-");
        assert!(said.lines().any(own), "{controller}: {said}");
    }
    assert!(said.contains("caused by: its command ended with exit code 137\n"), "{said}");
    assert!(
        said.contains("hint: the step needed more memory than its control group may have: see `--memory`"),
        "{said}"
    );
    Ok(())
}

/// An ordinary user to whom no control group was delegated is told so, and builds where no limit is asked for.
fn refused() -> TestResult {
    use std::os::unix::process::CommandExt;
    let folder = open_folder()?;
    folder.write("Dockerfile", "FROM busybox\nRUN true\n")?;
    let program = copy_program(&folder)?;
    let root = longshore_testkit::Longshore::at(&program)?;
    let copied = folder.join("base");
    let from = format!("oci:{}:busybox", bases()?.folder().display());
    root.run(["image", "copy", &from, &format!("oci:{}:base", copied.display())])?.succeeded()?;
    make_readable(&copied)?;
    let base = format!("busybox=oci-layout://{}:base", copied.display());
    let user =
        longshore_testkit::Longshore::at(&program)?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
    std::os::unix::fs::chown(user.home(), Some(UNLENT_USER), Some(UNLENT_USER))?;
    let build = |limits: &[&str]| -> Result<(Option<i32>, String), Stop> {
        let mut command = user.command(["build", "-f", "Dockerfile", "--build-context", &base]);
        command.args(limits).uid(UNLENT_USER).gid(UNLENT_USER).env("TMPDIR", user.home());
        let output = command.output()?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let (code, said) = build(&["--memory", "1g"])?;
    if said.contains("does not work here") {
        return Err(Skip(said).into());
    }
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("caused by: cannot limit the memory of the step by a control group\n"), "{said}");
    assert!(said.contains("hint: control groups can be made by root of the machine"), "{said}");
    let (code, said) = build(&[])?;
    assert_eq!(code, Some(0), "{said}");
    Ok(())
}

fn values() -> TestResult {
    let folder = Folder::new()?;
    folder.write("Dockerfile", "FROM busybox\n")?;
    let user = user()?.inside(folder.path());
    for (flag, value, words) in [
        ("--memory", "lots", "lots"),
        ("--cpus", "0", "`0` is no number of processors, such as 2 or 0.5"),
        ("--ulimit", "files=1", "unknown limit `files`: it is one of as, core, cpu"),
        ("--ulimit", "nofile=2:1", "the soft limit of `nofile=2:1` is above the hard one"),
    ] {
        let ran = user.run(["build", "-f", "Dockerfile", flag, value])?.expect_code(2)?;
        assert!(ran.stderr.contains(words), "{flag} {value}: {}", ran.stderr);
    }
    Ok(())
}
