//! `start` and `restart`: what has ended goes on as what it was.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use super::life::for_all;
use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("containers::starts::it_goes_on_over_what_it_changed", ROOT, || for_all(again))
        .test("containers::starts::it_is_ended_and_started_anew", ROOT, || for_all(restart))
        .test("containers::starts::a_terminal_is_the_console", ROOT, || for_all(console))
        .test("containers::starts::ports_and_policies_hold_again", ROOT, settings)
        .test("containers::starts::what_cannot_be_started_stays_as_it_was", ROOT, mistakes)
}

fn process(person: &Person, name: &str) -> Result<u64, Stop> {
    let state = person.inspect(name)?;
    state["state"]["process"].as_u64().ok_or_else(|| Stop::failed(format!("{name} does not run: {state}")))
}

fn again(person: &Person) -> TestResult {
    let script = "echo run >> /count; echo kept >> /volume/file; ls /memory; touch /memory/x; wc -l < /count; cat; exit 7";
    let flags =
        ["--name", "box", "-i", "--network", "none", "-v", "/volume", "--tmpfs", "/memory", "-e", "A=b"];
    let mut words = flags.to_vec();
    words.extend([IMAGE, "sh", "-c", script]);
    assert_eq!(person.contain(&words)?.status.code(), Some(7));
    // Attached: its output, its exit code, and no input unless that is asked for.
    let ran = person.run(&["start", "-a", "box"])?;
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(7), "2\n"), "{}", ran.stderr);
    let mut child = person
        .command(&["start", "--attach", "--interactive", "box"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| Stop::failed("there is no input"))?;
    input.write_all(b"typed\n")?;
    drop(input);
    let output = child.wait_with_output()?;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"3\ntyped\n"[..]));
    // On its own: then, as under Docker, its input stays open.
    let ran = person.run(&["start", "box"])?.succeeded()?;
    assert_eq!(ran.stdout, "box\n");
    person.until("its output", || Ok(person.run(&["logs", "box"])?.stdout == "1\n2\n3\ntyped\n4\n"))?;
    person.run(&["stop", "-t", "0", "box"])?.succeeded()?;
    let ran = person.run(&["cp", "box:/volume/file", "-"])?.succeeded()?;
    assert_eq!(ran.stdout.matches("kept\n").count(), 4);
    let state = person.inspect("box")?;
    assert_eq!(
        (state["state"]["status"].as_str(), state["state"]["exit"]["code"].as_i64()),
        (Some("exited"), Some(137))
    );
    person.run(&["rm", "box"])?.succeeded()?;
    Ok(())
}

fn restart(person: &Person) -> TestResult {
    for name in ["one", "two"] {
        let script = "trap 'echo asked; exit 0' TERM; echo up; while true; do sleep 0.05; done";
        person
            .contain(&["-d", "--name", name, "--network", "none", IMAGE, "sh", "-c", script])?
            .succeeded()?;
        person.until("the program", || Ok(person.run(&["logs", name])?.stdout.contains("up")))?;
    }
    let before = process(person, "one")?;
    // One that runs is left as it is.
    let ran = person.run(&["start", "one"])?.succeeded()?;
    assert_eq!((ran.stdout.as_str(), process(person, "one")?), ("one\n", before));
    let ran = person.run(&["restart", "one", "two"])?.succeeded()?;
    assert_eq!(ran.stdout, "one\ntwo\n");
    assert_ne!(process(person, "one")?, before);
    for name in ["one", "two"] {
        person.until("the second start", || Ok(person.run(&["logs", name])?.stdout == "up\nasked\nup\n"))?;
    }
    // One that has ended is started.
    person.run(&["stop", "one"])?.succeeded()?;
    person.run(&["restart", "-t", "0", "one"])?.succeeded()?;
    process(person, "one")?;
    // Whose monitor was killed, too.
    let state = person.inspect("two")?;
    let program = process(person, "two")?;
    let status = std::fs::read_to_string(format!("/proc/{program}/status"))?;
    let monitor =
        status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default().trim().to_owned();
    longshore_testkit::run(std::process::Command::new("kill").args(["-KILL", &monitor]), super::LIMIT)?
        .succeeded()?;
    person.until("the end", || Ok(person.inspect("two")?["state"]["status"] == "exited"))?;
    person.run(&["start", "two"])?.succeeded()?;
    assert_eq!(person.inspect("two")?["state"]["created"], state["state"]["created"]);
    assert_ne!(process(person, "two")?, program);
    Ok(())
}

/// Each time it is started, and for programs that join as the program's own.
fn console(person: &Person) -> TestResult {
    let script = "test -c /dev/console && echo written > /dev/console && test -t 0 && exit 5";
    let ran = person.contain(&[
        "-t",
        "--name",
        "box",
        "--network",
        "none",
        "--user",
        "77",
        IMAGE,
        "sh",
        "-c",
        script,
    ])?;
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(5), "written\r\n"), "{}", ran.stderr);
    let ran = person.run(&["start", "-a", "box"])?;
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(5), "written\r\n"), "{}", ran.stderr);
    person.run(&["start", "box"])?.succeeded()?;
    person.run(&["wait", "box"])?.succeeded()?;
    assert_eq!(person.run(&["logs", "box"])?.stdout, "written\r\n".repeat(3));
    // Without a terminal there is none.
    let ran = person.contain(&["--rm", "--network", "none", IMAGE, "test", "-e", "/dev/console"])?;
    assert_eq!(ran.status.code(), Some(1));
    Ok(())
}

fn settings() -> TestResult {
    let person = Person::new(Who::Root)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let publish = format!("127.0.0.1:{port}:80");
    let serve = "while true; do echo hello | nc -l -p 80; done";
    person.contain(&["-d", "--name", "served", "-p", &publish, IMAGE, "sh", "-c", serve])?.succeeded()?;
    let answers = || -> Result<bool, Stop> {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Ok(false) };
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        Ok(text == "hello\n")
    };
    person.until("the answer", answers)?;
    person.run(&["stop", "-t", "0", "served"])?.succeeded()?;
    // Somebody else has the port meanwhile.
    let taken = TcpListener::bind(("127.0.0.1", port))?;
    let ran = person.run(&["start", "served"])?;
    assert!(ran.status.code() == Some(1) && ran.stderr.contains("is taken by process"), "{}", ran.stderr);
    assert_eq!(person.inspect("served")?["state"]["exit"]["code"], 137);
    drop(taken);
    person.run(&["start", "served"])?.succeeded()?;
    person.until("the answer", answers)?;

    // A wish to end for good is for the run that it was said of.
    let flags = [
        "-d",
        "--name",
        "failing",
        "--network",
        "none",
        "--restart",
        "always",
        IMAGE,
        "sh",
        "-c",
        "sleep 0.2; exit 3",
    ];
    person.contain(&flags)?.succeeded()?;
    let restarts = || Ok(person.inspect("failing")?["state"]["restarts"].as_u64().unwrap_or(0) > 0);
    person.until("a restart", restarts)?;
    person.run(&["stop", "-t", "0", "failing"])?.succeeded()?;
    person.run(&["start", "failing"])?.succeeded()?;
    assert_eq!(person.inspect("failing")?["state"]["status"], "running");
    person.until("a restart", restarts)?;
    Ok(())
}

fn mistakes() -> TestResult {
    let person = Person::new(Who::Root)?;
    person
        .contain(&["-d", "--rm", "--name", "once", "--network", "none", IMAGE, "sleep", "600"])?
        .succeeded()?;
    let machine = person.user.home().join("mounted");
    std::fs::create_dir(&machine)?;
    let mount = format!("{}:/m", machine.display());
    person.contain(&["--name", "mounting", "-v", &mount, "--network", "none", IMAGE, "false"])?;
    std::fs::remove_dir(&machine)?;
    person.contain(&["--name", "changed", "--network", "none", IMAGE, "sh", "-c", "rm /bin/sh; exit 4"])?;
    let before = process(&person, "once")?;
    for (words, code, said) in [
        (&["start", "nobody"][..], 1, "there is no such container"),
        (&["restart", "nobody"], 1, "there is no such container"),
        (&["start", "-a", "once", "mounting"], 2, "you cannot start and attach multiple containers at once"),
        (&["start", "-a", "once"], 1, "`once` runs already, and cannot be attached to"),
        (&["restart", "once"], 1, "it was started with --rm, and ends once"),
        (&["start", "mounting"], 1, "cannot open the source of a mount "),
        (&["start", "changed"], 1, "cannot run sh"),
    ] {
        let ran = person.run(words)?;
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
    }
    assert_eq!(process(&person, "once")?, before);
    for (name, code) in [("mounting", 1), ("changed", 4)] {
        let state = person.inspect(name)?;
        assert_eq!(
            (state["state"]["status"].as_str(), state["state"]["exit"]["code"].as_i64()),
            (Some("exited"), Some(code))
        );
    }
    // One that works is started although another is not.
    let ran = person.run(&["start", "nobody", "once"])?;
    assert_eq!((ran.status.code(), ran.stdout.as_str()), (Some(1), "once\n"));
    Ok(())
}
