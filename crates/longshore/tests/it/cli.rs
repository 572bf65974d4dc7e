//! Help, usage errors, and what is made of the flags' definitions.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use crate::run::{assert_snapshot, longshore, run, transcript};

#[test]
fn help_is_complete() {
    assert_snapshot("help.txt", &run(["--help"]));
    assert_snapshot("no-arguments.txt", &run::<&str>([]));
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_was_meant() {
    assert_snapshot("unknown-command.txt", &run(["biuld"]));
    assert_snapshot("unknown-flag.txt", &run(["man", "--outptu", "x"]));
    assert_snapshot("unknown-value.txt", &run(["man", "--progress", "fancy"]));
    assert_snapshot("unknown-shell.txt", &run(["completions", "cmd"]));
}

#[test]
fn every_shell_gets_a_script_that_names_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(["completions", shell]);
        assert!(script.starts_with("exit 0\n---- stdout\n"), "{shell}: {script}");
        assert!(script.contains("completions") && script.contains("progress"), "{shell}");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    assert_eq!(transcript(longshore().args(["man", "--output"]).arg(&pages)), "exit 0\n");
    let mut names: Vec<_> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_snapshot("man-pages.txt", &(names.join("\n") + "\n"));
    let page = std::fs::read_to_string(pages.join("longshore-completions.1")).unwrap();
    assert!(page.contains(".TH longshore-completions 1"), "{page}");
}

#[test]
fn the_reference_in_the_documentation_is_current() {
    let output = longshore().args(["man", "--markdown"]).output().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let expected = snapbox::Data::read_from(&path, None);
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(output.stdout, expected.raw());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = longshore()
        .args(["man", "--markdown"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(complaint, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_snapshot("full-output.txt", &transcript_to(full));
}

fn transcript_to(stdout: std::fs::File) -> String {
    transcript(longshore().args(["completions", "bash"]).stdout(stdout))
}
