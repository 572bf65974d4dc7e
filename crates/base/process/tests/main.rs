//! Real children: /bin/sh and what it starts.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use longshore_events::{Events, TaskKind};
use longshore_process::{Command, Environment, ProcessErrorKind, Secret, Status, Stream, find_program};

fn environment() -> Environment {
    Environment::empty().with("PATH", "/usr/bin:/bin")
}

fn shell(script: &str) -> Command {
    Command::new("/bin/sh", environment()).argument("-c").argument(script)
}

fn is_alive(pid: &str) -> bool {
    // A zombie that nobody reaped yet does not count.
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_status_is_the_exact_code_or_signal() {
    let cases = [
        ("exit 0", Status::Code(0)),
        ("exit 3", Status::Code(3)),
        ("exit 255", Status::Code(255)),
        ("kill -15 $$", Status::Signal(15)),
        ("kill -9 $$", Status::Signal(9)),
    ];
    for (script, expected) in cases {
        assert_eq!(shell(script).run(&Events::silent()).unwrap().status, expected, "{script}");
    }
}

#[test]
fn lines_of_both_outputs_arrive_as_they_are_written_and_are_kept() {
    let mut lines = Vec::new();
    let finished = shell("echo one; sleep 0.2; echo two >&2; sleep 0.2; printf three")
        .run_with(&Events::silent(), &mut |stream, line| lines.push((stream, line.to_owned())))
        .unwrap();
    let expected = [(Stream::Out, "one"), (Stream::Err, "two"), (Stream::Out, "three")];
    assert_eq!(lines, expected.map(|(stream, line)| (stream, line.to_owned())));
    assert_eq!(finished.stderr.text(), "two\n");
    assert!(finished.elapsed >= Duration::from_millis(400));
    assert_eq!(finished.into_stdout().unwrap(), b"one\nthree");
}

#[test]
fn much_output_on_both_pipes_and_a_large_input_do_not_block_each_other() {
    let input = "0123456789abcdef".repeat(256 * 1024);
    let finished = shell("tee /dev/stderr; head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero")
        .input(input.as_str())
        .capture(Stream::Out, 16 << 20)
        .run(&Events::silent())
        .unwrap();
    assert_eq!(finished.stderr.written(), input.len() as u64 + 3_000_000);
    let stdout = finished.into_stdout().unwrap();
    assert_eq!(stdout.len(), input.len() + 3_000_000);
    assert!(stdout.starts_with(input.as_bytes()));
}

#[test]
fn an_input_that_nobody_reads_is_no_error_and_none_is_empty() {
    let input = "x".repeat(1 << 20);
    assert_eq!(shell("exit 4").input(input.as_str()).run(&Events::silent()).unwrap().status, Status::Code(4));
    assert_eq!(shell("cat").run(&Events::silent()).unwrap().stdout.text(), "");
}

#[test]
fn output_over_the_limit_is_an_error_where_all_of_it_is_needed() {
    let command = shell("head -c 5000 /dev/zero").capture(Stream::Out, 1000);
    let error = command.run(&Events::silent()).unwrap().into_stdout().unwrap_err();
    assert!(
        matches!(error.kind, ProcessErrorKind::TooMuchOutput { written: 5000, limit: 1000, .. }),
        "{:?}",
        error.kind
    );
}

#[test]
fn the_environment_is_what_was_asked_for_and_the_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let asked =
        environment().with("A", "1").with("B", "2").without("B").with_secret("C", Secret::new("three"));
    let command = Command::new("env", asked).folder(folder.path());
    let mut text: Vec<_> =
        command.run(&Events::silent()).unwrap().stdout.text().lines().map(str::to_owned).collect();
    text.sort();
    assert_eq!(text, ["A=1", "C=three", "PATH=/usr/bin:/bin"]);
    let inherited = Command::new("/usr/bin/env", Environment::inherited().without("PATH"));
    let text = inherited.run(&Events::silent()).unwrap().stdout.text();
    assert!(text.contains("CARGO_MANIFEST_DIR=") && !text.contains("\nPATH="), "{text}");
    let here = shell("pwd -P").folder(folder.path()).run(&Events::silent()).unwrap().stdout.text();
    assert_eq!(here.trim_end(), folder.path().canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn secrets_are_masked_in_lines_and_errors_and_kept_in_the_captured_bytes() {
    let secret = environment().with_secret("TOKEN", Secret::new("hunter2222"));
    let command =
        Command::new("/bin/sh", secret).arguments(["-c", "echo token $TOKEN >&2; echo $TOKEN; exit 1"]);
    assert!(!format!("{command:?}").contains("hunter"));
    let mut lines = Vec::new();
    let finished = command.run_with(&Events::silent(), &mut |_, line| lines.push(line.to_owned())).unwrap();
    lines.sort();
    assert_eq!(lines, ["[secret]", "token [secret]"]);
    assert_eq!(finished.stdout.text(), "hunter2222\n");
    let error = finished.success().unwrap_err();
    assert!(matches!(&error.kind, ProcessErrorKind::Failed { output, .. } if output == "token [secret]"));
}

#[test]
fn a_failure_names_program_status_and_last_words() {
    let error = shell("echo broken >&2; exit 2").run(&Events::silent()).unwrap().success().unwrap_err();
    assert_eq!(error.to_string(), "cannot run /bin/sh");
    assert_eq!(error.kind.to_string(), "it ended with exit code 2:\nbroken");
}

#[test]
fn what_cannot_start_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let run = |command: Command| command.run(&Events::silent()).unwrap_err();

    let error = run(Command::new("no-such-program-here", environment()).argument("list"));
    assert_eq!(error.to_string(), "cannot run no-such-program-here list");
    assert!(matches!(error.kind, ProcessErrorKind::NotFound));
    assert!(error.hint().unwrap().contains("PATH"));
    let error = run(Command::new("no-such-program-here", environment()).hint_if_missing("apt install it"));
    assert_eq!(error.hint().unwrap(), "apt install it");

    let script = file("script", "#!/no/such/interpreter\n", 0o755);
    assert!(matches!(run(Command::new(script, environment())).kind, ProcessErrorKind::NoInterpreter));
    let plain = file("plain", "text", 0o644);
    assert!(matches!(run(Command::new(plain, environment())).kind, ProcessErrorKind::NotExecutable));
    let gone = folder.path().join("gone");
    let error = run(shell("true").folder(&gone));
    assert!(matches!(&error.kind, ProcessErrorKind::NoFolder(path) if *path == gone), "{:?}", error.kind);
}

#[test]
fn cancelling_ends_the_whole_group_even_where_it_ignores_sigterm() {
    for (trap, least) in [("", Duration::ZERO), ("trap '' TERM;", Duration::from_millis(300))] {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::silent();
        let script = format!("{trap} sleep 60 & echo $! > pid; wait; sleep 60");
        let command = shell(&script).folder(folder.path()).grace(Duration::from_millis(300));
        let (canceller, pid) = (events.clone(), folder.path().join("pid"));
        let seen = pid.clone();
        let thread = std::thread::spawn(move || {
            wait_until("the child's child", || {
                std::fs::read_to_string(&seen).is_ok_and(|text| text.ends_with('\n'))
            });
            canceller.cancel();
        });
        let started = Instant::now();
        let error = command.run(&events).unwrap_err();
        thread.join().unwrap();
        assert!(error.is_cancelled(), "{:?}", error.kind);
        assert!(
            started.elapsed() >= least && started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
        let pid = std::fs::read_to_string(pid).unwrap();
        wait_until("the end of the child's child", || !is_alive(&pid));
    }
}

#[test]
fn a_cancelled_handle_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::silent();
    events.cancel();
    assert!(shell("touch there").folder(folder.path()).run(&events).unwrap_err().is_cancelled());
    assert!(!folder.path().join("there").exists());
}

#[test]
fn a_child_that_takes_too_long_is_ended_and_what_outlives_it_is_not_awaited() {
    let started = Instant::now();
    let error = shell("sleep 60").timeout(Duration::from_millis(200)).run(&Events::silent()).unwrap_err();
    assert!(matches!(error.kind, ProcessErrorKind::TimedOut(limit) if limit == Duration::from_millis(200)));
    assert_eq!(error.kind.to_string(), "it did not end within 0.2 s");
    let finished = shell("sleep 5 & echo started").run(&Events::silent()).unwrap();
    assert_eq!((finished.status, finished.stdout.text().as_str()), (Status::Code(0), "started\n"));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_panic_in_the_callback_ends_the_child() {
    let mut pid = String::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        shell("echo $$; sleep 60").run_with(&Events::silent(), &mut |_, line| {
            pid = line.to_owned();
            panic!("the listener fails");
        })
    }));
    assert!(result.is_err());
    assert!(!pid.is_empty() && !is_alive(&pid));
}

#[test]
fn processor_time_is_counted_with_that_of_children() {
    let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'";
    let finished = shell(script).run(&Events::silent()).unwrap();
    assert!(finished.processor_time.unwrap() >= Duration::from_millis(20), "{:?}", finished.processor_time);
}

#[test]
fn lines_reach_a_task() {
    let events = Events::silent();
    let task = events.task(TaskKind::Compile, "say");
    assert_eq!(shell("echo said").run_in(&task).unwrap().stdout.text(), "said\n");
    task.done("");
}

#[test]
fn programs_are_found_in_absolute_folders_only() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("tool");
    std::fs::File::create(&tool).unwrap();
    let path = std::ffi::OsString::from(format!(".:relative:{}", folder.path().display()));
    assert_eq!(find_program("tool", &path), None, "not executable");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(find_program("tool", &path), Some(tool));
    assert_eq!(find_program("tool", ".".as_ref()), None);
}
