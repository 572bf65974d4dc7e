//! What is kept of a container's output, and who gets it.

use longshore_testkit::{Requirement, SmallDisk, Stop, Suite, TestResult};

use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("containers::logs::a_follower_sees_every_line_once", ROOT, followed)
        .test("containers::logs::a_span_of_time_and_a_tail_are_chosen_as_with_docker", ROOT, chosen)
        .test("containers::logs::a_full_disk_hides_no_exit_code", ROOT, full_disk)
}

/// While files change every few milliseconds.
fn followed() -> TestResult {
    let person = Person::new(Who::Root)?;
    let program = "sleep 0.3; i=0; while test $i -lt 3000; do echo line $i; i=$((i+1)); test $((i % 50)) != 0 || usleep 5000; done";
    let mut words = vec!["-d", "--name", "wordy", "--network", "none", "--log-opt", "max-size=4k"];
    words.extend(["--log-opt", "max-file=40", IMAGE, "sh", "-c", program]);
    person.contain(&words)?.succeeded()?;
    let followed = person.run(&["logs", "-f", "wordy"])?.succeeded()?;
    let expected: String = (0..3000).map(|number| format!("line {number}\n")).collect();
    assert!(followed.stdout == expected, "{} lines", followed.stdout.lines().count());
    assert_eq!(followed.stderr, "");
    // Of what is kept now the beginning is gone.
    let kept = person.run(&["logs", "wordy"])?.succeeded()?.stdout;
    assert!(expected.ends_with(&kept) && kept.len() < expected.len(), "{} lines", kept.lines().count());
    Ok(())
}

fn chosen() -> TestResult {
    let person = Person::new(Who::Root)?;
    // With a terminal and in the background at once: lines end as a terminal ends them.
    let program = "test -t 1 && echo one; sleep 1.1; echo two";
    person
        .contain(&["-dt", "--name", "timed", "--network", "none", IMAGE, "sh", "-c", program])?
        .succeeded()?;
    person.run(&["wait", "timed"])?.succeeded()?;
    let timed = person.run(&["logs", "-t", "timed"])?.succeeded()?.stdout;
    let times: Vec<&str> = timed.lines().filter_map(|line| line.split(' ').next()).collect();
    let [first, second] = times[..] else { return Err(Stop::failed(timed)) };
    // To the second, without a zone, in the zone of TZ.
    let local = second.split('.').next().unwrap_or_default();
    let cases: &[(&[&str], &str)] = &[
        (&["--tail", "all"], "one\r\ntwo\r\n"),
        (&["--tail", "-1"], "one\r\ntwo\r\n"),
        (&["-n", "1"], "two\r\n"),
        (&["-n", "0"], ""),
        (&["--since", first], "one\r\ntwo\r\n"),
        (&["--since", second], "two\r\n"),
        (&["--since", local], "two\r\n"),
        (&["--until", first], "one\r\n"),
        (&["--since", "2020-01-01", "--until", local], "one\r\n"),
        (&["--since", "1577836800.5", "-n", "1"], "two\r\n"),
        (&["--since", "1h", "--until", "59m"], ""),
    ];
    for (words, expected) in cases {
        let words = [&["logs"], *words, &["timed"]].concat();
        let ran =
            longshore_testkit::run(person.command(&words).env("TZ", "UTC"), super::LIMIT)?.succeeded()?;
        assert_eq!(ran.stdout, *expected, "{words:?}");
    }
    // Three hours east that is three hours earlier.
    let words = ["logs", "--until", local, "timed"];
    let east =
        longshore_testkit::run(person.command(&words).env("TZ", "XYZ-3"), super::LIMIT)?.succeeded()?;
    assert_eq!(east.stdout, "");
    let refused = person.run(&["logs", "--since", "yesterday", "timed"])?;
    assert!(
        refused.status.code() == Some(2) && refused.stderr.contains("expected a duration"),
        "{}",
        refused.stderr
    );

    let taken = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = format!("{}:80", taken.local_addr()?.port());
    for network in ["host", "none"] {
        let ran = person.contain(&["--rm", "--network", network, "-p", &port, IMAGE, "echo", "ran"])?;
        let warned = format!("published ports are discarded with --network {network}");
        assert!(ran.stderr.contains(&warned), "{}", ran.stderr);
        assert_eq!(ran.succeeded()?.stdout, "ran\n");
    }
    Ok(())
}

/// What a program ended with is told; what it wrote is not kept, and that is counted.
fn full_disk() -> TestResult {
    const WAITS: &str =
        "trap go=1 USR1; trap 'exit 7' TERM; echo begun; while test -z $go; do sleep 0.02; done";
    let disk = SmallDisk::mount("size=32m")?;
    let person = Person::with_store(Who::Root, Some(&disk.join("store")))?;
    let writes = format!("{WAITS}; i=0; while test $i -lt 2000; do echo line $i; i=$((i+1)); done; exit 5");
    let fails = format!("{WAITS}; exit 6");
    for (name, restart, program) in
        [("writes", "no", &writes), ("again", "always", &writes), ("health", "no", &fails)]
    {
        let words = ["-d", "--name", name, "--restart", restart, "--network", "none"];
        let check = ["--health-cmd", "head -c 5000 /dev/zero", "--health-interval", "50ms"];
        let health: &[&str] = if name == "health" { &check } else { &[] };
        let image = [IMAGE, "sh", "-c", program];
        person.contain(&[&words, health, &image].concat())?.succeeded()?;
        person.until("the program", || Ok(person.run(&["logs", name])?.stdout == "begun\n"))?;
    }
    let state = |name: &str| Ok::<_, Stop>(person.inspect(name)?["state"].clone());
    person.until("a check", || Ok(state("health")?["health"]["status"] == "healthy"))?;
    disk.fill("full")?;

    person.run(&["kill", "-s", "USR1", "writes"])?.succeeded()?;
    assert_eq!(person.run(&["wait", "writes"])?.succeeded()?.stdout, "5\n");
    let ended = state("writes")?;
    assert_eq!(
        (&ended["status"], &ended["exit"]["code"], &ended["exit"]["reason"]),
        (&"exited".into(), &5.into(), &serde_json::Value::Null)
    );
    let kept = person.run(&["logs", "writes"])?.succeeded()?;
    let whole: String = (0..2000).map(|number| format!("line {number}\n")).collect();
    let whole = format!("begun\n{whole}");
    let lost: usize = kept
        .stderr
        .split_whitespace()
        .zip(kept.stderr.split_whitespace().skip(1))
        .find_map(|(count, unit)| if unit == "bytes" { count.parse().ok() } else { None })
        .ok_or_else(|| Stop::failed(kept.stderr.clone()))?;
    assert!(lost > 0 && kept.stdout.len() + lost == whole.len(), "{lost} of {}", whole.len());
    assert!(kept.stdout.lines().all(|line| whole.lines().any(|written| written == line)), "{}", kept.stdout);

    // One that is started again, again and again, is stopped for good.
    for restarts in 1..4 {
        person.run(&["kill", "-s", "USR1", "again"])?.succeeded()?;
        person.until("a restart", || {
            let state = state("again")?;
            Ok(state["restarts"] == restarts && state["status"] == "running")
        })?;
    }
    person.run(&["stop", "again"])?.succeeded()?;
    assert_eq!(state("again")?["exit"]["code"], 7);

    person.run(&["kill", "-s", "USR1", "health"])?.succeeded()?;
    assert_eq!(person.run(&["wait", "health"])?.succeeded()?.stdout, "6\n");

    let refused = person.contain(&["-d", "--name", "more", "--network", "none", IMAGE, "true"])?;
    assert_eq!(refused.status.code(), Some(125), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: the disk is full"), "{}", refused.stderr);
    std::fs::remove_file(disk.join("full"))?;
    person.contain(&["--rm", "--network", "none", IMAGE, "true"])?.succeeded()?;
    Ok(())
}
