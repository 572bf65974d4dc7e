//! Ways out of a sandbox, tried and refused; and ways for a step to outlive its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_sandbox::{Isolation, SandboxError, Status};
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::root::Fixture;

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("escapes_are_refused", ROOT, escapes)
        .test("nothing_is_left_after_success", ROOT, left_after_success)
        .test("nothing_is_left_after_an_interrupt", ROOT, left_after_interrupt)
        .test("nothing_is_left_after_the_parent_is_killed", ROOT, left_after_kill)
        .test("a_step_that_forks_without_end_is_ended", ROOT, forks)
        .test("a_killed_init_is_an_error", ROOT, killed_init)
}

fn namespaces(script: &str) -> Result<Fixture, Stop> {
    Fixture::new(Isolation::Namespaces, script)
}

fn escapes() -> TestResult {
    let cases = [
        (
            "echo 1 > /proc/sys/kernel/panic",
            "sh: can't create /proc/sys/kernel/panic: Read-only file system\n",
        ),
        (
            "echo x > /sys/kernel/uevent_helper",
            "sh: can't create /sys/kernel/uevent_helper: Read-only file system\n",
        ),
        ("mount -t tmpfs none /tmp", "mount: permission denied (are you root?)\n"),
        ("mount -o remount,rw /proc/sys", "mount: permission denied (are you root?)\n"),
        ("umount /proc/sys", "umount: can't unmount /proc/sys: Operation not permitted\n"),
        ("unshare -U true", "unshare: unshare(0x10000000): Operation not permitted\n"),
        ("unshare -m true", "unshare: unshare(0x20000): Operation not permitted\n"),
        ("nsenter -t 1 -m true", "nsenter: can't open '/proc/1/ns/mnt': Permission denied\n"),
        ("mknod /disk b 254 0 && cat /disk", "cat: can't open '/disk': Permission denied\n"),
        ("mknod /dev/disk b 254 0 && cat /dev/disk", "cat: can't open '/dev/disk': Permission denied\n"),
        (
            "mknod /dev/shm/disk b 254 0 && cat /dev/shm/disk",
            "cat: can't open '/dev/shm/disk': Permission denied\n",
        ),
        ("mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem", "head: /tmp/mem: Permission denied\n"),
        ("cat /proc/keys /proc/interrupts 2>/dev/null", ""),
        ("ls /proc/acpi /sys/firmware/ | grep -v : | tr -d '\\n'", ""),
        ("kill -9 1; echo alive", "alive\n"),
        ("ls /proc/1/root", "ls: /proc/1/root: Permission denied\n"),
        (
            "cat /proc/1/environ /proc/1/mem",
            "cat: can't open '/proc/1/environ': Permission denied\ncat: can't open '/proc/1/mem': Permission denied\n",
        ),
        (
            "mkdir /jail && chroot /jail /bin/sh; ls /../../../.. | tr '\\n' ' '",
            "chroot: can't execute '/bin/sh': No such file or directory\nbin dev etc jail proc root sys tmp ",
        ),
        ("test $(ls -d /proc/[1-9]* | wc -l) -lt 8 && echo few", "few\n"),
        ("echo x > /proc/self/exe", "sh: can't create /proc/self/exe: Text file busy\n"),
        ("hostname other", "hostname: sethostname: Operation not permitted\n"),
        ("date -s 2000-01-01 >/dev/null", "date: can't set date: Operation not permitted\n"),
        ("dmesg -c >/dev/null", "dmesg: klogctl: Operation not permitted\n"),
    ];
    let mut wrong = Vec::new();
    for (script, expected) in cases {
        let outcome = namespaces(&format!("({script}) 2>&1"))?.run()?;
        if outcome.stdout != expected {
            wrong.push((script, outcome.stdout));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Processes whose environment names a mark, and mounts below a folder.
pub(crate) fn left(mark: &str) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        // What has ended in the meantime has nothing to read.
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        if environment.windows(mark.len()).any(|window| window == mark.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

fn mounts_below(folder: &str) -> Result<usize, Stop> {
    Ok(std::fs::read_to_string("/proc/self/mountinfo")?.lines().filter(|line| line.contains(folder)).count())
}

/// A step whose processes can be found.
fn marked(script: &str, mark: &str) -> Result<Fixture, Stop> {
    let mut fixture = namespaces(script)?;
    fixture.step.environment.push(("MARK".into(), mark.into()));
    Ok(fixture)
}

/// Waits until something holds.
pub(crate) fn eventually(limit: Duration, mut holds: impl FnMut() -> Result<bool, Stop>) -> TestResult {
    let deadline = Instant::now() + limit;
    while !holds()? {
        if Instant::now() > deadline {
            return Err(Stop::failed("it does not come to pass"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn left_after_success() -> TestResult {
    let mark = "mark-of-success-731";
    let fixture = marked("sleep 100 & (setsid sleep 100 &) ; trap '' TERM HUP; exit 3", mark)?;
    let started = Instant::now();
    let outcome = fixture.run()?;
    assert_eq!(outcome.ended.status, Status::Exited(3));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(left(mark)?, Vec::<String>::new());
    assert_eq!(mounts_below(&fixture.path("").to_string_lossy())?, 0);
    Ok(())
}

fn left_after_interrupt() -> TestResult {
    let mark = "mark-of-interrupt-732";
    let fixture = marked("trap '' TERM INT HUP; (setsid sleep 100 &); sleep 100; sleep 100", mark)?;
    let events = Events::silent();
    let canceller = events.clone();
    let running = std::thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(10);
        while left(mark).is_ok_and(|left| left.len() < 3) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        canceller.cancel();
        Instant::now()
    });
    let answer = fixture.run_with(&events);
    let cancelled = running.join().map_err(|_| Stop::failed("the canceller panicked"))?;
    assert!(matches!(answer, Err(SandboxError::Cancelled(_))));
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    assert_eq!(left(mark)?, Vec::<String>::new());
    Ok(())
}

/// The first argument of a process that runs a step until it is killed.
const VICTIM: &str = "--victim";

/// Runs a step, if this process was started for that.
pub(crate) fn enter_if_victim() -> Option<std::process::ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first()? != VICTIM {
        return None;
    }
    let fixture = marked("(setsid sleep 100 &); sleep 100", arguments.get(1)?).ok()?;
    let _ = fixture.run();
    Some(std::process::ExitCode::SUCCESS)
}

fn left_after_kill() -> TestResult {
    for (number, victim) in ["parent", "keeper"].iter().enumerate() {
        let mark = format!("mark-of-kill-74{number}");
        let mut child = std::process::Command::new(std::env::current_exe()?).args([VICTIM, &mark]).spawn()?;
        eventually(Duration::from_secs(10), || Ok(left(&mark)?.len() >= 2))?;
        if *victim == "parent" {
            child.kill()?;
        } else {
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            for keeper in std::fs::read_to_string(children)?.split_whitespace() {
                let pid = rustix::process::Pid::from_raw(keeper.parse()?);
                let pid = pid.ok_or_else(|| Stop::failed("no keeper"))?;
                rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
            }
        }
        eventually(Duration::from_secs(2), || Ok(left(&mark)?.is_empty()))?;
        child.wait()?;
    }
    Ok(())
}

fn forks() -> TestResult {
    let mark = "mark-of-forks-733";
    // Bounded by a limit of the kernel on this user's processes, so that the machine survives a failure of this test.
    // At the limit its shells give up; what they became stays.
    let mut fixture = marked("f() { f & f & exec sleep 60; }; f", mark)?;
    fixture.step.user = longshore_sandbox::User { uid: 54_322, gid: 54_322, groups: Vec::new() };
    fixture.step.limits.ulimits =
        vec![longshore_sandbox::Ulimit { name: "nproc".into(), soft: 300, hard: 300 }];
    let events = Events::silent();
    let canceller = events.clone();
    let running = std::thread::spawn(move || {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut alive = 0;
        while alive <= 20 && Instant::now() < deadline {
            alive = left(mark).map_or(0, |left| left.len());
        }
        canceller.cancel();
        (alive, Instant::now())
    });
    let answer = fixture.run_with(&events);
    let (alive, cancelled) = running.join().map_err(|_| Stop::failed("the canceller panicked"))?;
    assert!(alive > 20, "{alive} processes");
    assert!(matches!(answer, Err(SandboxError::Cancelled(_))), "{}", answer.is_ok());
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    assert_eq!(left(mark)?, Vec::<String>::new());
    Ok(())
}

fn killed_init() -> TestResult {
    let mark = "mark-of-init-734";
    let fixture = Arc::new(marked("sleep 100", mark)?);
    let running = std::thread::spawn({
        let fixture = Arc::clone(&fixture);
        move || fixture.run().err()
    });
    eventually(Duration::from_secs(10), || Ok(!left(mark)?.is_empty()))?;
    // The shell became the sleep or started it; its parent or grandparent is the init.
    let shell = PathBuf::from(&left(mark)?[0]);
    let status = std::fs::read_to_string(shell.join("status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or("0").trim().parse()?;
    let pid = rustix::process::Pid::from_raw(parent).ok_or_else(|| Stop::failed("no init"))?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let error = running.join().map_err(|_| Stop::failed("the step panicked"))?;
    assert!(matches!(error, Some(SandboxError::Lost { signal: Some(9) })), "{error:?}");
    assert_eq!(left(mark)?, Vec::<String>::new());
    Ok(())
}
