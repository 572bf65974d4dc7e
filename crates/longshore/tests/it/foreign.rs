//! RUN steps for another platform: what is said where nothing runs its programs, and that they run where an emulator is registered.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_testkit::{
    Folder, Longshore, Requirement, Skip, Stop, Suite, TestResult, UNLENT_USER, program,
};

use crate::rungs::{copy_program, entry, open_folder, read_layers};

const NEEDS: &[Requirement] =
    &[Requirement::Root, Requirement::Go, Requirement::Program("qemu-aarch64-static")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("foreign::a_step_runs_by_an_emulator_and_is_refused_by_name_without", NEEDS, emulated)
}

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Programs of 64-bit ARM: the start of their ELF header, and which bits of it count.
const MAGIC: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
const MASK: &str = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";

/// An emulator of 64-bit ARM, registered as long as this lives.
struct Registered(PathBuf);

impl Registered {
    fn new(flags: &str) -> Result<Registered, Stop> {
        let name = format!("longshore-test-{}", std::process::id());
        let emulator = program("qemu-aarch64-static")?;
        let line = format!(":{name}:M::{MAGIC}:{MASK}:{}:{flags}", emulator.display());
        let register = std::fs::OpenOptions::new().write(true).open(Path::new(BINFMT).join("register"));
        let unable = |error| Skip(format!("no emulator can be registered here: {error}"));
        register.and_then(|mut file| file.write_all(line.as_bytes())).map_err(unable)?;
        Ok(Registered(Path::new(BINFMT).join(name)))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let entry = std::fs::OpenOptions::new().write(true).open(&self.0);
        // If it cannot be removed, later runs find it and say so.
        let _ = entry.and_then(|mut file| file.write_all(b"-1"));
    }
}

const PROGRAM: &str = r#"package main

import (
	"os"
	"runtime"
)

func main() {
	if err := os.WriteFile("/made", []byte(runtime.GOARCH+"\n"), 0o600); err != nil {
		panic(err)
	}
	if err := os.Chown("/made", 5, 6); err != nil {
		panic(err)
	}
}
"#;

fn build(
    context: &Folder,
    program: &Path,
    uid: u32,
) -> Result<(std::process::Output, PathBuf, Longshore), Stop> {
    let user = Longshore::at(program)?.inside(context.path()).env("LONGSHORE_OFFLINE", "1");
    std::os::unix::fs::chown(user.home(), Some(uid), Some(uid))?;
    let out = user.home().join("out");
    let mut command = user.command(["build", "-f", "Dockerfile", "--platform", "linux/arm64", "--output"]);
    command.arg(format!("oci:{}", out.display()));
    let output = command.uid(uid).gid(uid).env("TMPDIR", user.home()).output()?;
    Ok((output, out, user))
}

fn emulated() -> TestResult {
    if cfg!(target_arch = "aarch64") {
        return Err(Skip("this machine is one of 64-bit ARM itself".into()).into());
    }
    if !Path::new(BINFMT).join("register").exists() {
        return Err(Skip(format!("binfmt_misc is not mounted at {BINFMT}")).into());
    }
    let known = std::fs::read_dir(BINFMT)?.flatten().any(|entry| {
        std::fs::read_to_string(entry.path())
            .is_ok_and(|text| text.contains("\nmagic 7f454c460201010000000000000000000200b7"))
    });
    if known {
        return Err(Skip("an emulator of linux/arm64 is registered already".into()).into());
    }
    let context = open_folder()?;
    context.write("main.go", PROGRAM)?;
    context.write("Dockerfile", "FROM scratch\nCOPY program /bin/program\nRUN [\"program\"]\n")?;
    let mut go = Command::new(program("go")?);
    go.args(["build", "-o", "program", "main.go"]).envs([("CGO_ENABLED", "0"), ("GOARCH", "arm64")]);
    assert!(go.current_dir(context.path()).status()?.success());
    let longshore = copy_program(&context)?;
    context.write(".dockerignore", "longshore\n")?;

    let refused = |words: [&str; 2]| -> TestResult {
        let (output, _, _user) = build(&context, &longshore, 0)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
        Ok(())
    };
    let hint = "register qemu-aarch64 with flag F of binfmt_misc";
    refused(["caused by: this machine cannot run linux/arm64 programs\n", hint])?;
    let elsewhere = Registered::new("")?;
    refused(["the emulator that this machine runs linux/arm64 programs with is not in the image\n", hint])?;
    drop(elsewhere);
    let _everywhere = Registered::new("F")?;
    for uid in [0, UNLENT_USER] {
        let (output, out, user) = build(&context, &longshore, uid)?;
        assert!(output.status.success(), "{uid}: {}", String::from_utf8_lossy(&output.stderr));
        let made = entry(&read_layers(&out)?, "made")?;
        assert!(made.starts_with("File 600 5:6 "), "{uid}: {made}");
        assert!(made.ends_with(&longshore_oci::Digest::of(b"arm64\n").to_string()), "{uid}: {made}");
        let doctor = user.run(["doctor"])?.succeeded()?.stdout;
        assert!(
            doctor.lines().any(|line| line.contains("foreign platforms") && line.contains("linux/arm64"))
        );
    }
    Ok(())
}
