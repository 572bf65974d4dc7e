//! Whatever happens to a process, the store stays valid.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use longshore_testkit::{Folder, Longshore, Requirement, SmallDisk, Stop, Suite, TestResult};
use rustix::process::{Pid, Signal, kill_process};

use crate::build::user_with_go;
use crate::run::{assert_snapshot, redactions, transcript, user};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("a_build_killed_at_any_moment_leaves_a_valid_store", &[], killed_builds)
        .test("a_copy_and_a_pruning_killed_at_any_moment_leave_a_valid_store", &[], killed_copies)
        .test("ctrl_c_stops_a_build_and_its_compiler", &[], interrupted)
        .test("a_second_ctrl_c_stops_at_once_and_leaves_no_compiler", &[], interrupted_twice)
        .test("a_read_only_store_is_named", &[Requirement::Root], read_only_store)
        .test("a_full_disk_is_named_and_nothing_half_written_stays", &[Requirement::Root], full_disk)
        .test(
            "a_step_that_fills_the_disk_is_told_and_leaves_nothing",
            &[Requirement::Root],
            full_disk_in_step,
        )
}

/// Moments at which a build is killed.
const BUILD_KILLS: u32 = 120;
/// Moments at which short commands are killed.
const SHORT_KILLS: u32 = 60;

fn start(user: &Longshore, arguments: &[&str]) -> Result<Child, Stop> {
    Ok(user.command(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// How long a command takes that runs to its end.
fn time(user: &Longshore, arguments: &[&str]) -> Result<Duration, Stop> {
    let begin = Instant::now();
    user.run(arguments)?.succeeded()?;
    Ok(begin.elapsed())
}

/// Kills a command at `count` moments spread over its time, and validates the store after each.
fn kill_at_moments(user: &Longshore, arguments: &[&str], count: u32) -> TestResult {
    let whole = time(user, arguments)?;
    for number in 0..count {
        let mut child = start(user, arguments)?;
        sleep(whole * number / count);
        // One that ended already was too quick to be killed.
        child.kill().or_else(|error| if child.try_wait()?.is_some() { Ok(()) } else { Err(error) })?;
        child.wait()?;
        let moment = format!("killed at {number} of {count}: {arguments:?}");
        let checked = user.run(["image", "validate"])?;
        assert_eq!(checked.status.code(), Some(0), "{moment}: {}{}", checked.stdout, checked.stderr);
        let listed = user.run(["image", "ls"])?;
        assert_eq!(listed.status.code(), Some(0), "{moment}: {}", listed.stderr);
    }
    user.run(arguments)?.succeeded()?;
    Ok(())
}

fn killed_builds() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path());
    // The first one compiles the standard library, which is Go's time and not ours.
    let digest = user.run(["build", "-t", "hello:dev"])?.succeeded()?.stdout;
    kill_at_moments(&user, &["build", "-t", "hello:dev", "--no-cache"], BUILD_KILLS)?;
    let again = user.run(["build", "-t", "hello:dev"])?.succeeded()?;
    assert_eq!(again.stdout, digest);
    // What the killed ones left is found and removed.
    user.run(["cache", "prune"])?.succeeded()?;
    let leases = std::fs::read_dir(user.store().join("leases"))?.count();
    let temporary = std::fs::read_dir(user.store().join("tmp"))?.count();
    assert_eq!((leases, temporary), (0, 0));
    user.run(["image", "validate", "hello:dev"])?.succeeded()?;
    Ok(())
}

fn killed_copies() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let builder = user_with_go()?.inside(folder.path());
    builder.run(["build", "-t", "hello:dev", "-o", "oci:out"])?.succeeded()?;
    let user = user()?.inside(folder.path());
    kill_at_moments(&user, &["image", "copy", "oci:out", "hello:copy"], SHORT_KILLS)?;
    builder.run(["image", "save", "hello:dev", "-o", "saved.tar"])?.succeeded()?;
    kill_at_moments(&user, &["image", "load", "-i", "saved.tar"], SHORT_KILLS)?;
    kill_at_moments(&user, &["cache", "prune", "--max-size", "0"], SHORT_KILLS)?;
    user.run(["image", "validate", "hello:copy"])?.succeeded()?;
    Ok(())
}

fn interrupted() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let cache = Folder::new()?;
    // An empty build cache makes the compiler run for long enough.
    let user = user_with_go()?.inside(folder.path()).env("GOCACHE", cache.path());
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = user.command(["build", "-t", "hello:dev", "--progress", "plain"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pid = Pid::from_child(&child);
        wait_for_child_of(&child)?;
        let begin = Instant::now();
        kill_process(pid, signal)?;
        let output = child.wait_with_output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.ends_with("interrupted\n"), "{stderr}");
        assert!(output.stdout.is_empty());
        assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    }
    assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout, "");
    assert_eq!(compilers_in(cache.path())?, 0);
    Ok(())
}

fn interrupted_twice() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let cache = Folder::new()?;
    let user = user_with_go()?.inside(folder.path()).env("GOCACHE", cache.path());
    let mut child = start(&user, &["build", "-t", "hello:dev"])?;
    wait_for_child_of(&child)?;
    kill_process(Pid::from_child(&child), Signal::INT)?;
    sleep(Duration::from_millis(20));
    // One that stopped at the first signal already is as good.
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let begin = Instant::now();
    assert_eq!(child.wait()?.code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(3), "it took {:?}", begin.elapsed());
    sleep(Duration::from_millis(500));
    assert_eq!(compilers_in(cache.path())?, 0);
    Ok(())
}

/// Waits until a process has started another.
fn wait_for_child_of(process: &Child) -> TestResult {
    let task = format!("/proc/{}/task", process.id());
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        for thread in std::fs::read_dir(&task)? {
            let children = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            if !children.trim().is_empty() {
                // The compiler itself comes a moment after `go`.
                sleep(Duration::from_millis(700));
                return Ok(());
            }
        }
        sleep(Duration::from_millis(2));
    }
    Err(Stop::failed("no compiler was started"))
}

/// How many processes have a build cache in their environment.
fn compilers_in(cache: &Path) -> Result<usize, Stop> {
    let wanted = format!("GOCACHE={}", cache.display());
    let mut count = 0;
    for entry in std::fs::read_dir("/proc")? {
        let environment = std::fs::read(entry?.path().join("environ")).unwrap_or_default();
        count += usize::from(environment.split(|byte| *byte == 0).any(|line| line == wanted.as_bytes()));
    }
    Ok(count)
}

fn read_only_store() -> TestResult {
    let disk = SmallDisk::mount("size=64m")?;
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path()).with_store(&disk.join("store"));
    user.run(["build", "-t", "hello:dev"])?.succeeded()?;
    disk.remount("ro")?;
    // What can be read still is.
    user.run(["image", "validate"])?.succeeded()?;
    user.run(["image", "show", "hello:dev"])?.succeeded()?;
    let ran = user.run(["build", "-t", "hello:dev", "--no-cache", "--progress", "quiet"])?;
    assert_snapshot("read-only-store", &transcript(&ran, &redactions(&user)));
    Ok(())
}

fn full_disk() -> TestResult {
    let folder = Folder::with_example("hello")?;
    // The smaller one is full when the program is linked, the larger one when its layer is written.
    for size in ["size=2m", "size=7m"] {
        let disk = SmallDisk::mount(size)?;
        let user = user_with_go()?.inside(folder.path()).with_store(&disk.join("store"));
        let ran = user.run(["build", "-t", "hello:dev", "--progress", "quiet"])?.expect_code(1)?;
        assert!(ran.stderr.to_lowercase().contains("no space left on device"), "{size}: {}", ran.stderr);
        user.run(["image", "validate"])?.succeeded()?;
        assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout, "");
    }
    Ok(())
}

/// Whether the step says so itself or not, what it left is thrown away, and what was done before it is kept.
fn full_disk_in_step() -> TestResult {
    let disk = SmallDisk::mount("size=20m")?;
    let folder = Folder::new()?;
    let store = disk.join("store");
    let user = user()?.inside(folder.path()).with_store(&store).env("LONGSHORE_OFFLINE", "1");
    let base = format!("busybox=oci-layout://{}:busybox", crate::conformance::bases()?.folder().display());
    let build = ["build", "-f", "Dockerfile", "--progress", "plain", "--build-context", &base];
    let filling = "dd if=/dev/zero of=/big bs=64k count=1000";
    for (command, expected) in [
        (filling.to_owned(), format!("hint: the disk of the store, {}, is full: ", store.display())),
        (format!("{filling} || true"), "hint: the disk is full: ".to_owned()),
    ] {
        folder.write("Dockerfile", format!("FROM busybox\nRUN echo first > /first\nRUN {command}\n"))?;
        let ran = user.run(build)?.expect_code(1)?;
        assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
        user.run(["image", "validate"])?.succeeded()?;
        assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout, "");
        assert_eq!(std::fs::read_dir(store.join("cache/drafts-root"))?.count(), 0);
    }
    folder.write("Dockerfile", "FROM busybox\nRUN echo first > /first\nRUN cat /first\n")?;
    let resumed = user.run(build)?.succeeded()?.stderr;
    assert!(resumed.contains("#1 [2/3] RUN echo first > /first\n#1 CACHED\n"), "{resumed}");
    Ok(())
}
