//! Whoever started a container in the foreground, and is slow, or has had enough.

use std::io::Read;
use std::process::Stdio;

use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite.test("containers::attached::one_who_does_not_read_holds_the_program_up_alone", ROOT, slow).test(
        "containers::attached::an_interrupt_between_two_runs_ends_it",
        ROOT,
        interrupted,
    )
}

/// Health, exec and stop go on; no output is lost, neither for the reader nor in the log.
fn slow() -> TestResult {
    let person = Person::new(Who::Root)?;
    let line = "x".repeat(990);
    let program = format!("i=1000; while test $i -lt 5000; do echo $i {line}; i=$((i+1)); done; exit 3");
    let run = |name: &str, program: &str| {
        let words = ["run", "--name", name, "--network", "none", "--health-cmd", "true"];
        let words = [&words[..], &["--health-interval", "2s", IMAGE, "sh", "-c", program]].concat();
        person.command(&words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let mut child = run("held", &program)?;
    // By the first check the program waits for its reader.
    person.until("a check", || {
        let listed = person.run(&["ps", "-a"])?.stdout;
        Ok(listed.contains("held") && person.inspect("held")?["state"]["health"]["status"] == "healthy")
    })?;
    assert_eq!(person.inspect("held")?["state"]["status"], "running");
    person.run(&["exec", "held", "true"])?.succeeded()?;
    let mut shown = String::new();
    child.stdout.take().ok_or_else(|| Stop::failed("no output"))?.read_to_string(&mut shown)?;
    assert_eq!(child.wait()?.code(), Some(3));
    let whole: String = (1000..5000).map(|number| format!("{number} {line}\n")).collect();
    assert!(shown == whole, "{} of {} bytes", shown.len(), whole.len());
    let kept = person.run(&["logs", "held"])?.succeeded()?.stdout;
    assert!(kept == whole, "{} of {} bytes", kept.len(), whole.len());

    let mut child = run("stopped", &format!("trap 'exit 4' TERM; {program}"))?;
    // It is held up when its log grows no more.
    let mut before = 0;
    person.until("much output", || {
        if !person.run(&["ps", "-a"])?.stdout.contains("stopped") {
            return Ok(false);
        }
        let length = person.run(&["logs", "stopped"])?.stdout.len();
        let rests = length > 1_000_000 && length == std::mem::replace(&mut before, length);
        std::thread::sleep(std::time::Duration::from_millis(300));
        Ok(rests)
    })?;
    // The shell is held up in a write, and is killed.
    person.run(&["stop", "-t", "1", "stopped"])?.succeeded()?;
    let state = person.inspect("stopped")?["state"].clone();
    assert_eq!((&state["status"], &state["exit"]["code"]), (&"exited".into(), &137.into()), "{state}");
    let kept = person.run(&["logs", "stopped"])?.succeeded()?.stdout;
    let mut shown = String::new();
    child.stdout.take().ok_or_else(|| Stop::failed("no output"))?.read_to_string(&mut shown)?;
    assert!(shown == kept && whole.starts_with(&kept), "{} and {} bytes", shown.len(), kept.len());
    assert_eq!(child.wait()?.code(), Some(137));
    Ok(())
}

fn interrupted() -> TestResult {
    let person = Person::new(Who::Root)?;
    let words = ["run", "--name", "again", "--restart", "always", "--network", "none", IMAGE];
    let words = [&words[..], &["sh", "-c", "echo run; exit 6"]].concat();
    let mut child = person.command(&words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    // The fifth pause is 1.6 seconds long.
    person.until("a long pause", || {
        let is_there = person.run(&["ps", "-a"])?.stdout.contains("again");
        let state = if is_there { person.inspect("again")?["state"].clone() } else { return Ok(false) };
        Ok(state["status"] == "restarting" && state["restarts"].as_u64() >= Some(4))
    })?;
    let began = std::time::Instant::now();
    let process = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &process]).status()?.success());
    let mut shown = String::new();
    child.stdout.take().ok_or_else(|| Stop::failed("no output"))?.read_to_string(&mut shown)?;
    assert_eq!(child.wait()?.code(), Some(6));
    assert!(began.elapsed().as_secs() < 10);
    let state = person.inspect("again")?["state"].clone();
    assert_eq!(state["status"], "exited", "{state}");
    assert_eq!(state["restarts"].as_u64(), Some(shown.lines().count() as u64 - 1));
    Ok(())
}
