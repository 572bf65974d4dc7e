//! The conformance suite as an ordinary user: what BuildKit's root made of steps, files, users and mounts comes out without root, too.
//!
//! This very program is started as that user. What is different by nature is listed, and must be different: a list that is
//! too long says that something was mended, and that it should be shorter.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use longshore_testkit::{Folder, Requirement, Skip, Stop, Suite, TestResult, UNLENT_USER, lent_user};

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("ordinary::a_single_users_builds_are_buildkits", ROOT, || conforms(UNLENT_USER, &SINGLE_USER))
        .test("ordinary::builds_with_lent_ids_are_buildkits", ROOT, || conforms(lent_user()?, &LENT))
}

/// The cases that have steps, owners and mounts in them, by how their names begin.
const CASES: [&str; 4] = ["run-", "files-", "user-", "mount-"];

/// Device nodes are pretended, nothing is refused on the ground of an owner, and nobody loses capabilities.
const SINGLE_USER: [&str; 5] = [
    "files-device",
    "mount-secret-of-user",
    "run-capabilities-of-user",
    "run-mknod-and-mount",
    "user-cannot-write",
];

/// The kernel refuses device nodes, and ids that were not lent.
const LENT: [&str; 3] = ["files-chown-large-ids", "files-device", "run-mknod-and-mount"];

fn conforms(user: u32, expected: &[&str]) -> TestResult {
    let home = Folder::new()?;
    std::os::unix::fs::chown(home.path(), Some(user), Some(user))?;
    let mut passed = 0;
    let mut different = BTreeSet::new();
    for cases in CASES {
        let text = run_as(user, &home, &format!("conformance::{cases}"))?;
        for line in text.lines().filter_map(|line| line.strip_prefix("test conformance::")) {
            let (name, outcome) = line.split_once(" ... ").unwrap_or((line, ""));
            match outcome {
                "ok" => passed += 1,
                "FAILED" => drop(different.insert(name.trim().to_owned())),
                other => return Err(Skip(format!("{name}: {other}")).into()),
            }
        }
    }
    assert_eq!(different, expected.iter().map(|name| (*name).to_owned()).collect());
    assert!(passed > 100, "{passed} cases");
    Ok(())
}

/// What this program says of some of its tests when that user runs it.
fn run_as(user: u32, home: &Folder, filter: &str) -> Result<String, Stop> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(filter)
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("XDG_CACHE_HOME", home.path());
    command.uid(user).gid(user).stdin(Stdio::null());
    let output = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(Skip("this program lies where ordinary users cannot start it".into()).into());
        }
        output => output?,
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("test result: "), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}
