//! From start to end: output, health, restarts, signals, ends of all kinds.

use std::io::Write;
use std::process::Stdio;

use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use super::{IMAGE, Person, Who};

const ROOT: &[Requirement] = &[Requirement::Root];

pub(super) fn add(suite: Suite) -> Suite {
    suite
        .test("containers::life::output_input_and_exit_codes", ROOT, || for_all(streams))
        .test("containers::life::one_that_runs_is_listed_asked_and_stopped", ROOT, || for_all(whole))
        .test("containers::life::a_program_that_fails_is_started_again", ROOT, restarts)
        .test("containers::life::health_is_found_out", ROOT, health)
        .test("containers::life::a_health_check_may_write_much", ROOT, wordy_health)
        .test("containers::life::logs_are_kept_in_files_of_bounded_size", ROOT, logs)
        .test("containers::life::a_killed_monitor_takes_its_container_with_it", ROOT, || {
            for_all(monitor_killed)
        })
        .test("containers::life::a_restart_of_the_machine_is_told_from_a_killed_monitor", ROOT, rebooted)
        .test("containers::life::whoever_started_it_may_go", ROOT, client_killed)
        .test("containers::life::signals_of_the_caller_are_the_programs", ROOT, signals)
        .test("containers::life::many_run_at_once", ROOT, many)
        .test("containers::life::an_init_collects_orphans", ROOT, init)
        .test("containers::life::pruning_leaves_its_layers", ROOT, pruning)
        .test("containers::life::one_that_is_being_started_is_removed", ROOT, removed_early)
        .test("containers::life::one_that_removes_itself_may_be_removed_by_force", ROOT, removed_twice)
}

pub(super) fn for_all(check: fn(&Person) -> TestResult) -> TestResult {
    let mut skipped = None;
    for who in [Who::Root, Who::Lent, Who::Single] {
        match Person::new(who).and_then(|person| check(&person)) {
            Err(Stop::Skipped(reason)) => skipped = Some(reason),
            answer => answer?,
        }
    }
    skipped.map_or(Ok(()), |reason| Err(Stop::Skipped(reason)))
}

fn streams(person: &Person) -> TestResult {
    // The layers are unpacked once, and that is shown.
    person.contain(&["--rm", "--network", "none", IMAGE, "true"])?.succeeded()?;
    let ran = person.contain(&[
        "--rm",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "echo out; echo err >&2; exit 7",
    ])?;
    assert_eq!((ran.status.code(), ran.stdout.as_str(), ran.stderr.as_str()), (Some(7), "out\n", "err\n"));
    let ran = person.contain(&[
        "--rm",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "kill -TERM $$; sleep 1; kill -KILL $$",
    ])?;
    // Process 1 has no default for SIGTERM, and nothing inside can kill it.
    assert_eq!(ran.status.code(), Some(0), "{}", ran.stderr);

    let words = ["run", "--isolation", person.isolation, "-i", "--rm", "--network", "none", IMAGE, "cat"];
    let mut child = person.command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let long = "x".repeat(300_000);
    let given = long.clone();
    let mut input = child.stdin.take().ok_or_else(|| Stop::failed("there is no input"))?;
    let writer = std::thread::spawn(move || input.write_all(given.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| Stop::failed("the writer panicked"))??;
    assert!(output.status.success() && output.stdout == long.as_bytes(), "{} bytes", output.stdout.len());
    // A program that writes and does not read: its output comes all the same.
    let script = "head -c 300000 /dev/zero; sleep 1; wc -c";
    let words = [
        "run",
        "--isolation",
        person.isolation,
        "-i",
        "--rm",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        script,
    ];
    let mut child = person.command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| Stop::failed("there is no input"))?;
    let writer = std::thread::spawn(move || input.write_all(&vec![b'y'; 500_000]));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| Stop::failed("the writer panicked"))??;
    assert!(output.stdout.ends_with(b"500000\n"), "{} bytes", output.stdout.len());
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    Ok(())
}

fn whole(person: &Person) -> TestResult {
    let program = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let id = person
        .contain(&["-d", "--name", "life", "-e", "A=b", "--network", "none", IMAGE, "sh", "-c", program])?
        .succeeded()?
        .stdout;
    assert_eq!(id.trim().len(), 64, "{id}");
    person.until("the program", || Ok(person.run(&["logs", "life"])?.stdout == "ready\n"))?;
    let listed = person.run(&["ps"])?.succeeded()?.stdout;
    assert!(listed.lines().count() == 2 && listed.contains("life") && listed.contains("  Up "), "{listed}");

    let exec = person.run(&["exec", "-e", "C=d", "-w", "/tmp", "life", "sh", "-c", "echo $A$C; pwd; exit 4"]);
    let exec = exec?;
    assert_eq!((exec.status.code(), exec.stdout.as_str()), (Some(4), "bd\n/tmp\n"), "{}", exec.stderr);
    let exec = person.run(&["exec", "life", "nothing"])?;
    assert_eq!(exec.status.code(), Some(127), "{}", exec.stderr);
    let top = person.run(&["top", "life"])?.succeeded()?.stdout;
    assert!(top.contains(" 1 ") && top.contains("sh -c trap"), "{top}");
    let stats = person.run(&["stats", "life"])?.succeeded()?.stdout;
    assert!(stats.lines().count() == 2 && stats.contains("life"), "{stats}");
    for (schema, words) in [
        ("ps", ["ps", "-a", "--format", "json"].as_slice()),
        ("stats", &["stats", "life", "--format", "json"]),
        ("inspect", &["inspect", "life"]),
    ] {
        crate::schema::check(schema, &person.run(words)?.succeeded()?.stdout)?;
    }
    let refused = person.run(&["rm", "life"])?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("it runs"), "{}", refused.stderr);

    assert_eq!(person.run(&["stop", "-t", "20", "life"])?.succeeded()?.stdout, "life\n");
    assert_eq!(person.run(&["logs", &id[..12]])?.succeeded()?.stdout, "ready\nbye\n");
    assert_eq!(person.run(&["wait", "life"])?.succeeded()?.stdout, "3\n");
    let state = &person.inspect("life")?["state"];
    assert_eq!((&state["status"], &state["exit"]["code"]), (&"exited".into(), &3.into()), "{state}");
    let exec = person.run(&["exec", "life", "true"])?;
    assert!(exec.status.code() == Some(1) && exec.stderr.contains("it does not run"), "{}", exec.stderr);
    person.run(&["rm", "life"])?.succeeded()?;
    // As another user of the image's, too, whose id is nobody's outside.
    person
        .contain(&["-d", "--name", "other", "-u", "1234:1234", "--network", "none", IMAGE, "sleep", "600"])?
        .succeeded()?;
    person.run(&["exec", "other", "true"])?.succeeded()?;
    person.run(&["rm", "-f", "other"])?.succeeded()?;
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    Ok(())
}

fn restarts() -> TestResult {
    let person = Person::new(Who::Root)?;
    let words = [
        "-d",
        "--name",
        "again",
        "--restart",
        "on-failure:2",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "echo run; exit 5",
    ];
    person.contain(&words)?.succeeded()?;
    assert_eq!(person.run(&["wait", "again"])?.succeeded()?.stdout, "5\n");
    assert_eq!(person.run(&["logs", "again"])?.stdout, "run\nrun\nrun\n");
    assert_eq!(person.inspect("again")?["state"]["restarts"], 2);

    let words =
        ["-d", "--name", "ever", "--restart", "always", "--network", "none", IMAGE, "sh", "-c", "echo run"];
    person.contain(&words)?.succeeded()?;
    person.until("three runs", || Ok(person.run(&["logs", "ever"])?.stdout.lines().count() >= 3))?;
    person.run(&["stop", "ever"])?.succeeded()?;
    assert_eq!(person.inspect("ever")?["state"]["status"], "exited");
    let runs = person.run(&["logs", "ever"])?.stdout;
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(person.run(&["logs", "ever"])?.stdout, runs);
    Ok(())
}

fn health() -> TestResult {
    let person = Person::new(Who::Root)?;
    let words = [
        "-d",
        "--name",
        "well",
        "--network",
        "none",
        "--health-cmd",
        "echo asked; test -e /well",
        "--health-interval",
        "50ms",
        "--health-retries",
        "2",
        IMAGE,
        "sleep",
        "600",
    ];
    person.contain(&words)?.succeeded()?;
    let is = |status: &str| Ok(person.inspect("well")?["state"]["health"]["status"] == status);
    person.until("failing checks", || is("unhealthy"))?;
    person.run(&["exec", "well", "touch", "/well"])?.succeeded()?;
    person.until("good ones", || is("healthy"))?;
    let health = person.inspect("well")?["state"]["health"].clone();
    assert_eq!((&health["last_code"], &health["last_output"]), (&0.into(), &"asked\n".into()), "{health}");
    assert!(person.run(&["ps"])?.stdout.contains("(healthy)"));
    Ok(())
}

/// More than a pipe holds.
fn wordy_health() -> TestResult {
    let person = Person::new(Who::Root)?;
    let check = "head -c 200000 /dev/zero | tr '\\0' x";
    let mut words = vec!["-d", "--name", "wordy", "--network", "none", "--health-cmd", check];
    words.extend(["--health-interval", "50ms", "--health-timeout", "20s", IMAGE, "sleep", "600"]);
    person.contain(&words)?.succeeded()?;
    person
        .until("a good check", || Ok(person.inspect("wordy")?["state"]["health"]["status"] == "healthy"))?;
    let health = person.inspect("wordy")?["state"]["health"].clone();
    assert_eq!(health["last_output"], "x".repeat(4096) + "...");
    Ok(())
}

fn logs() -> TestResult {
    let person = Person::new(Who::Root)?;
    let words = [
        "-d",
        "--name",
        "wordy",
        "--network",
        "none",
        "--log-opt",
        "max-size=10k",
        "--log-opt",
        "max-file=2",
        IMAGE,
        "sh",
        "-c",
        "i=0; while test $i -lt 1000; do echo line $i; i=$((i+1)); done",
    ];
    person.contain(&words)?.succeeded()?;
    assert_eq!(person.run(&["wait", "wordy"])?.stdout, "0\n");
    let kept = person.run(&["logs", "wordy"])?.succeeded()?.stdout;
    let count = kept.lines().count();
    assert!(kept.ends_with("line 999\n") && (50..300).contains(&count), "{count} lines");
    assert_eq!(person.run(&["logs", "--tail", "2", "wordy"])?.stdout, "line 998\nline 999\n");
    assert_eq!(person.run(&["logs", "--since", "0s", "wordy"])?.stdout, "");
    let timed = person.run(&["logs", "-t", "-n", "1", "wordy"])?.stdout;
    assert!(timed.starts_with("20") && timed.ends_with("Z line 999\n"), "{timed}");

    let words = [
        "-d",
        "--name",
        "slow",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; sleep 0.2; done",
    ];
    person.contain(&words)?.succeeded()?;
    assert_eq!(person.run(&["logs", "-f", "slow"])?.succeeded()?.stdout, "1\n2\n3\n");
    Ok(())
}

/// The parent of a container's process 1.
fn monitor_of(person: &Person, name: &str) -> Result<(i32, i32), Stop> {
    let process =
        person.inspect(name)?["state"]["process"].as_i64().ok_or_else(|| Stop::failed("it does not run"))?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .ok_or_else(|| Stop::failed("it has no parent"))?;
    Ok((i32::try_from(process)?, parent.trim().parse()?))
}

fn kill(process: i32, signal: &str) -> TestResult {
    assert!(std::process::Command::new("kill").args([signal, &process.to_string()]).status()?.success());
    Ok(())
}

fn monitor_killed(person: &Person) -> TestResult {
    // As another user, too: a change of ids makes the kernel forget to end it with its parent.
    for user in ["0", "1234"] {
        person
            .contain(&["-d", "--name", "lost", "-u", user, "--network", "none", IMAGE, "sleep", "600"])?
            .succeeded()?;
        let (process, monitor) = monitor_of(person, "lost")?;
        kill(monitor, "-KILL")?;
        person.until("its end", || Ok(!std::path::Path::new(&format!("/proc/{process}")).exists()))?;
        let state = person.inspect("lost")?["state"].clone();
        assert_eq!((&state["status"], &state["exit"]["code"]), (&"exited".into(), &137.into()), "{state}");
        assert_eq!(state["exit"]["reason"], "its monitor was killed, and it with it");
        person.run(&["rm", "lost"])?.succeeded()?;
    }
    Ok(())
}

/// What a restart of the machine leaves: a state in which it runs, since before the machine was started, and whose process is somebody else's
/// by now.
fn rebooted() -> TestResult {
    let person = Person::new(Who::Root)?;
    person.contain(&["-d", "--name", "before", "--network", "none", IMAGE, "sleep", "600"])?.succeeded()?;
    let id = person.inspect("before")?["state"]["id"].as_str().unwrap_or_default().to_owned();
    let (process, monitor) = monitor_of(&person, "before")?;
    kill(monitor, "-KILL")?;
    person.until("its end", || Ok(!std::path::Path::new(&format!("/proc/{process}")).exists()))?;
    let path = person.user.store().join("containers").join(&id).join("state");
    let mut known: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let mut other = std::process::Command::new("sleep").arg("600").spawn()?;
    known["state"]["started"] = "2020-01-01T00:00:00Z".into();
    known["state"]["process"] = other.id().into();
    assert_eq!(known["state"]["status"], "running");
    std::fs::File::create(&path)?.write_all(&serde_json::to_vec(&known)?)?;
    let state = person.inspect("before")?["state"].clone();
    let alive = other.try_wait()?.is_none();
    other.kill()?;
    other.wait()?;
    assert!(alive, "a process of somebody else was ended");
    assert_eq!((&state["status"], &state["exit"]["code"]), (&"exited".into(), &137.into()), "{state}");
    assert_eq!(state["exit"]["reason"], "the machine was started anew");
    person.run(&["start", "before"])?.succeeded()?;
    assert_eq!(person.inspect("before")?["state"]["status"], "running");
    person.run(&["rm", "-f", "before"])?.succeeded()?;
    Ok(())
}

fn client_killed() -> TestResult {
    let person = Person::new(Who::Root)?;
    let words = [
        "run",
        "--name",
        "alone",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "echo on; while :; do sleep 0.05; echo still; done",
    ];
    let mut child = person.command(&words).stdout(Stdio::piped()).spawn()?;
    person.until("the program", || Ok(person.run(&["logs", "alone"])?.stdout.contains("on\n")))?;
    child.kill()?;
    child.wait()?;
    let lines = person.run(&["logs", "alone"])?.stdout.lines().count();
    person.until("more output", || Ok(person.run(&["logs", "alone"])?.stdout.lines().count() > lines + 2))?;
    assert_eq!(person.inspect("alone")?["state"]["status"], "running");
    Ok(())
}

fn signals() -> TestResult {
    let person = Person::new(Who::Root)?;
    let program = "trap 'exit 9' INT; trap 'exit 11' TERM; echo ready; while :; do sleep 0.05; done";
    for (signal, code) in [("-INT", 9), ("-TERM", 11)] {
        let words = ["run", "--name", "told", "--network", "none", IMAGE, "sh", "-c", program];
        let mut child = person.command(&words).stdout(Stdio::null()).spawn()?;
        person.until("the program", || Ok(person.run(&["logs", "told"])?.stdout == "ready\n"))?;
        kill(i32::try_from(child.id())?, signal)?;
        assert_eq!(child.wait()?.code(), Some(code), "{signal}");
        person.run(&["rm", "told"])?.succeeded()?;
    }
    Ok(())
}

fn many() -> TestResult {
    let person = Person::new(Who::Root)?;
    let names: Vec<String> = (0..40).map(|number| format!("many-{number}")).collect();
    for name in &names {
        person.contain(&["-d", "--name", name, "--network", "none", IMAGE, "sleep", "600"])?.succeeded()?;
    }
    assert_eq!(person.run(&["ps", "-q"])?.stdout.lines().count(), names.len());
    let mut words = vec!["rm", "-f"];
    words.extend(names.iter().map(String::as_str));
    assert_eq!(person.run(&words)?.succeeded()?.stdout.lines().count(), names.len());
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    Ok(())
}

fn init() -> TestResult {
    let person = Person::new(Who::Root)?;
    let words = [
        "-d",
        "--init",
        "--name",
        "first",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "(sleep 0.1 &) ; sleep 600",
    ];
    person.contain(&words)?.succeeded()?;
    person.until("the end of the orphan", || {
        let listed = person.run(&["top", "first"])?.stdout;
        assert!(listed.contains("/sbin/longshore-init init -- sh -c"), "{listed}");
        // Neither running nor waiting to be collected, when it is shown by its name alone.
        Ok(!listed.lines().any(|line| line.ends_with("  sleep 0.1") || line.ends_with("  sleep")))
    })?;
    Ok(())
}

fn pruning() -> TestResult {
    let person = Person::new(Who::Root)?;
    person.contain(&["-d", "--name", "stands", "--network", "none", IMAGE, "sleep", "600"])?.succeeded()?;
    let layers = || -> Result<usize, Stop> {
        Ok(std::fs::read_dir(person.user.store().join("cache/snapshots-root"))?
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()))
            .count())
    };
    let before = layers()?;
    assert!(before > 0);
    let prune = ["cache", "prune", "--older-than", "0s", "--named"];
    person.run(&prune)?.succeeded()?;
    assert_eq!(layers()?, before);
    // Not read before, so not in the kernel's memory.
    person.run(&["exec", "stands", "sh", "-c", "cat /bin/busybox > /dev/null"])?.succeeded()?;
    person.run(&["rm", "-f", "stands"])?.succeeded()?;
    person.run(&prune)?.succeeded()?;
    assert_eq!(layers()?, 0);
    Ok(())
}

/// Removed at whatever moment of its beginning, nothing of it goes on.
fn removed_early() -> TestResult {
    let person = Person::new(Who::Root)?;
    let mark = format!("60{}", std::process::id());
    for _ in 0..15 {
        let words = ["run", "-d", "--name", "same", "--network", "none", IMAGE, "sleep", &mark];
        let mut starting = person.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while !person.run(&["rm", "-f", "same"])?.status.success() && starting.try_wait()?.is_none() {}
        starting.wait()?;
        // It may have come too late for this one.
        person.run(&["rm", "-f", "same"])?;
    }
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    let running = std::process::Command::new("pgrep").args(["-fx", &format!("sleep {mark}")]).output()?;
    assert_eq!(String::from_utf8_lossy(&running.stdout), "");
    Ok(())
}

/// Its monitor removes it at its end, while whoever ended it does.
fn removed_twice() -> TestResult {
    let person = Person::new(Who::Root)?;
    for _ in 0..20 {
        person
            .contain(&["-d", "--rm", "--name", "twice", "--network", "none", IMAGE, "sleep", "100"])?
            .succeeded()?;
        person.run(&["rm", "-f", "twice"])?.succeeded()?;
    }
    assert_eq!(person.run(&["ps", "-a", "--quiet"])?.succeeded()?.stdout, "");
    Ok(())
}
