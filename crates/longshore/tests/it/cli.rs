//! Help, usage errors, streams, and what is made of the flags' definitions.

use std::io::Read;
use std::process::Stdio;

use longshore_testkit::{Folder, Suite, TestResult};

use crate::run::{assert_file, assert_snapshot, check, user};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("help_lists_commands_and_exit_codes", &[], help)
        .test("wrong_usage_ends_with_2_and_says_what_was_meant", &[], usage)
        .test("every_shell_gets_a_script_that_names_the_commands", &[], completions)
        .test("each_command_has_a_manual_page", &[], manual)
        .test("the_reference_in_the_documentation_is_current", &[], reference)
        .test("a_reader_that_goes_away_is_no_failure", &[], closed_pipe)
        .test("an_output_that_cannot_be_written_is_a_failure", &[], full_output)
        .test("colours_are_only_where_they_are_wanted", &[], colours)
        .test("without_a_home_the_store_must_be_named", &[], no_home)
        .test("doctor_reports_every_topic_and_never_fails", &[], doctor)
}

fn help() -> TestResult {
    check(&user()?, ["--help"], "help")?;
    check(&user()?, ["build", "-h"], "help-build")?;
    check(&user()?, ["image", "--help"], "help-image")?;
    check::<&str>(&user()?, [], "no-arguments")?;
    Ok(())
}

fn usage() -> TestResult {
    let user = user()?;
    check(&user, ["imgae"], "unknown-command")?;
    check(&user, ["man", "--outptu", "x"], "unknown-flag")?;
    check(&user, ["man", "--progress", "fancy"], "unknown-value")?;
    check(&user, ["completions", "cmd"], "unknown-shell")?;
    check(&user, ["image", "show", "./x"], "path-as-image")?;
    check(&user, ["image", "show", "Upper/Case"], "malformed-reference")?;
    check(&user, ["cache", "prune", "--older-than", "3x"], "malformed-age")?;
    Ok(())
}

fn completions() -> TestResult {
    let user = user()?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = user.run(["completions", shell])?.succeeded()?.stdout;
        assert!(script.contains("completions") && script.contains("progress"), "{shell}: {script}");
    }
    Ok(())
}

fn manual() -> TestResult {
    let folder = Folder::new()?;
    let ran = user()?.inside(folder.path()).run(["man", "--output", "man1"])?;
    assert_eq!((ran.status.code(), ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    assert_snapshot("man-pages", &(folder.listing()?.join("\n") + "\n"));
    let page = folder.read("man1/longshore-completions.1")?;
    assert!(page.contains(".TH longshore-completions 1"), "{page}");
    Ok(())
}

fn reference() -> TestResult {
    let ran = user()?.run(["man", "--markdown"])?.succeeded()?;
    assert_file("../../docs/cli.md", &ran.stdout);
    Ok(())
}

fn closed_pipe() -> TestResult {
    let user = user()?;
    let mut command = user.command(["man", "--markdown"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut complaint)?;
    }
    assert_eq!((child.wait()?.code(), complaint.as_str()), (Some(0), ""));
    Ok(())
}

fn full_output() -> TestResult {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let output = user()?.command(["completions", "bash"]).stdout(full).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let expected =
        "error: cannot write to standard output\n  caused by: No space left on device (os error 28)\n";
    assert_eq!((output.status.code(), &*complaint), (Some(1), expected));
    Ok(())
}

fn colours() -> TestResult {
    let show = ["image", "show", "nothing"];
    let plain = user()?.run(show)?.expect_code(1)?.stderr;
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let forced = user()?.run(show.iter().chain(&["--color", "always"]))?.stderr;
    assert!(forced.starts_with("\u{1b}[1m\u{1b}[31merror\u{1b}[0m: "), "{forced:?}");
    let refused = user()?.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").run(show)?.stderr;
    assert_eq!(refused, plain);
    Ok(())
}

fn no_home() -> TestResult {
    let output = user()?.command(["image", "ls"]).env_clear().output()?;
    let expected = "error: cannot tell where the image store is: neither XDG_DATA_HOME nor HOME is set to an absolute path\n\
                    hint: name a folder with --store, or set LONGSHORE_STORE\n";
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(1), expected));
    Ok(())
}

fn doctor() -> TestResult {
    let user = user()?.env("PATH", "/nonexistent").env("https_proxy", "http://me:secret@proxy:3128");
    let ran = user.run(["doctor"])?.succeeded()?;
    for topic in ["Go", "Image store", "Isolation", "Engines", "Registries", "Network"] {
        assert!(ran.stdout.lines().any(|line| line == topic), "{topic} is missing in {}", ran.stdout);
    }
    assert!(ran.stdout.contains("https_proxy=http://proxy:3128"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("secret"), "{}", ran.stdout);
    let folder = Folder::new()?;
    let auths = r#"{"auths":{"r.example.com":{"auth":"bWU6c2VjcmV0"}},"credsStore":"nowhere"}"#;
    folder.write("config.json", auths)?;
    let told = user.run(["doctor"])?.succeeded()?.stdout;
    assert!(told.contains("no file of credentials"), "{told}");
    let user = user.env("DOCKER_CONFIG", folder.path());
    let told = user.run(["doctor"])?.succeeded()?.stdout;
    assert!(
        told.contains("r.example.com") && told.contains("not in PATH: docker-credential-nowhere"),
        "{told}"
    );
    assert!(!told.contains("bWU6c2VjcmV0"), "{told}");
    crate::schema::check("doctor", &user.run(["doctor", "--format", "json"])?.succeeded()?.stdout)
}
