//! Runs the binary in an environment of its own.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The binary, in an empty environment.
pub(crate) fn longshore() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.env_clear();
    command
}

/// What a run with these arguments did: exit code, standard output, standard error.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    transcript(longshore().args(arguments))
}

/// Runs a command and writes down all that a user would see of it.
pub(crate) fn transcript(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    let mut text = match output.status.code() {
        Some(code) => format!("exit {code}\n"),
        None => format!("{}\n", output.status),
    };
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            let stream = String::from_utf8_lossy(bytes);
            writeln!(text, "---- {name}\n{}", stream.trim_end_matches('\n')).expect("strings take all");
        }
    }
    text
}

/// Compares with a file under tests/it/snapshots; SNAPSHOTS=overwrite writes it.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots").join(name);
    let expected = snapbox::Data::read_from(&path, None);
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(text, expected.raw());
}
