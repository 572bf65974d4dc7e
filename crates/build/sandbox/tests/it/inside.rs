//! Going on inside a user namespace, as an ordinary user.
//!
//! The test binary starts itself as that user with a word that names a scenario; what the scenario finds, it prints.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Duration;

use longshore_sandbox::{
    Isolation, MountKind, Root, SecretBytes, User, choose, continue_inside, inside, read_owners, survey,
};
use longshore_testkit::{Requirement, Stop, Suite, TestResult, UNLENT_USER, lent_user};

use crate::escapes::{eventually, left};
use crate::root::{Fixture, allowed};

/// The first argument of a process that plays a scenario.
pub(crate) const SCENARIO: &str = "--scenario";
pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("a_step_in_a_single_user_namespace", ROOT, single_user)
        .test("a_single_users_changes_of_owner_are_recorded", ROOT, owners)
        .test("a_single_users_owners_are_shown", ROOT, owners_are_shown)
        .test("what_a_single_users_step_makes_is_its_users", ROOT, others)
        .test("a_single_users_mounts_have_owners", ROOT, owners_of_mounts)
        .test("a_single_users_process_becomes_another", ROOT, becoming_another)
        .test("a_step_in_a_user_namespace_with_lent_ids", ROOT, user_namespace)
        .test("signals_reach_the_process_inside", ROOT, signals)
        .test("the_process_inside_dies_with_its_parent", ROOT, dies_with_parent)
        .test("what_is_not_inside_cannot_be_entered", &[], not_inside)
        .test("a_survey_says_what_each_rung_gives", ROOT, survey_as_root)
}

/// Plays a scenario, if this process was started for one.
pub(crate) fn enter_if_asked() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first()? != SCENARIO {
        return None;
    }
    let isolation: Isolation = arguments.get(1)?.to_str()?.parse().ok()?;
    let code = if inside().is_some() || isolation == Isolation::InPlace {
        match step(isolation, arguments.get(2)?.to_str()?, arguments.get(3).and_then(|user| user.to_str())) {
            Ok(code) => code,
            Err(stop) => {
                say(&format!("{stop:?}"));
                99
            }
        }
    } else {
        continue_inside(isolation, &arguments).unwrap_or_else(|error| {
            say(&format!("{error}: {:?}", std::error::Error::source(&error)));
            98
        })
    };
    Some(ExitCode::from(u8::try_from(code).unwrap_or(97)))
}

/// Tells the test that plays the scenario.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn step(isolation: Isolation, script: &str, user: Option<&str>) -> Result<i32, Stop> {
    let mut fixture = Fixture::new(isolation, script)?;
    if let Some(user) = user {
        let ids = user.split(':').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        fixture.step.user = User { uid: ids[0], gid: ids[1], groups: ids[2..].to_vec() };
    }
    fixture.step.insecure = script.starts_with("# insecure");
    fixture.step.owners = Some(fixture.path("owners"));
    // This program too, for what no shell can be made to do.
    std::fs::copy(std::env::current_exe()?, fixture.path("lower").join("bin/hostile"))?;
    if isolation == Isolation::InPlace {
        fixture.step.root = Root::Folder("/".into());
        let bytes = SecretBytes::new(b"secret\n".to_vec());
        fixture.mount("/etc/mounted", MountKind::Content { bytes, mode: 0o400, uid: 0, gid: 0 });
    }
    let cache = fixture.path("cache");
    let table = fixture.path("cache-owners");
    if script.contains("/cache") {
        std::fs::create_dir(&cache)?;
        longshore_files::write_atomic(&cache.join("old"), b"")?;
        longshore_files::write_atomic(&table, b"5 6 /\x005 11 /old\0")?;
        fixture.mount("/cache", MountKind::Bind { source: cache.clone(), read_only: false });
        fixture.mount("/again", MountKind::Bind { source: cache, read_only: false });
        fixture.step.mount_owners = ["/cache", "/again"].map(|place| (place.into(), table.clone())).into();
        let bytes = SecretBytes::new(b"secret\n".to_vec());
        fixture.mount("/etc/mounted", MountKind::Content { bytes, mode: 0o400, uid: 9, gid: 10 });
    }
    let outcome = fixture.run()?;
    say(&format!("{}{}", outcome.stdout, outcome.stderr));
    for (path, (uid, gid)) in read_owners(&table)? {
        say(&format!("cached {} {uid} {gid}\n", path.display()));
    }
    for (path, (uid, gid)) in read_owners(&fixture.path("owners"))? {
        say(&format!("owner {} {uid} {gid}\n", path.display()));
    }
    Ok(outcome.ended.status.code())
}

/// Plays a scenario as an ordinary user.
fn play(user: u32, isolation: Isolation, script: &str) -> Result<Output, Stop> {
    play_as(user, isolation, "0:0", script)
}

/// The same, with a step that runs as somebody: user, group, further groups.
pub(crate) fn play_as(user: u32, isolation: Isolation, who: &str, script: &str) -> Result<Output, Stop> {
    allowed(isolation)?;
    let folder = tempfile::tempdir()?;
    std::os::unix::fs::chown(folder.path(), Some(user), Some(user))?;
    // A copy that the user can get at.
    let program = folder.path().join("it");
    std::fs::copy(std::env::current_exe()?, &program)?;
    let mut command = Command::new(&program);
    command
        .args([SCENARIO, isolation.name(), script, who])
        .env("TMPDIR", folder.path())
        .uid(user)
        .gid(user)
        .stdin(Stdio::null());
    loop {
        match command.output() {
            // Another thread has forked while the copy was written, and not yet let go of it.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            answer => return Ok(answer?),
        }
    }
}

fn single_user() -> TestResult {
    let output = play(UNLENT_USER, Isolation::SingleUser, "id -u; cat /proc/self/uid_map; hostname; exit 3")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "54321", "1", "buildkitsandbox"], "{output:?}");
    assert_eq!(output.status.code(), Some(3));
    Ok(())
}

fn owners() -> TestResult {
    let script = "set -e
        touch /tmp/new; chown 100:101 /tmp/new; mv /tmp/new /etc/renamed
        chown 5:6 /etc/passwd
        mkdir -p /srv/a/b; touch /srv/a/b/c; chown -R 7:8 /srv/a
        touch /gone; chown 9:9 /gone; rm /gone; touch /gone
        ln -s /nowhere /link; chown -h 10:10 /link
        touch /one; ln /one /two; chown 11:11 /one
        touch /run-me; chmod 6755 /run-me; chown 12:12 /run-me; stat -c %a /run-me
        cd /srv; chown 13:13 a/b/c
        mkdir -p /jail/bin /jail/d; cp /bin/busybox /jail/bin/chown; chroot /jail /bin/chown 14:14 /d
        mknod /device b 8 0; mknod /pipe p; stat -c %F /pipe
        chown 15:15 /tmp/missing 2>/dev/null || echo missing";
    let output = play(UNLENT_USER, Isolation::SingleUser, script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = "755\nfifo\nmissing\n\
        owner /etc/passwd 5 6\nowner /etc/renamed 100 101\nowner /jail/d 14 14\nowner /link 10 10\n\
        owner /one 11 11\nowner /run-me 12 12\nowner /srv/a 7 8\nowner /srv/a/b 7 8\nowner /srv/a/b/c 13 13\n\
        owner /two 11 11\n";
    assert_eq!(text, expected, "{output:?}");
    Ok(())
}

/// What a program sees of owners, and what it keeps of them, is what was noted.
fn owners_are_shown() -> TestResult {
    let script = "set -e
        touch /f; chown 5:6 /f; stat -c '%u %g' /f; chown :7 /f; chown 8 /f; stat -c '%u %g' /f
        cp -p /f /copied; chmod 640 /copied; stat -c '%u %g %a' /copied
        # As passwd's tools do: a new file gets the old one's owner, then its name.
        touch /new; chown $(stat -c %u:%g /copied) /new; mv /new /copied; stat -c '%u %g' /copied
        rm /copied; touch /copied; stat -c '%u %g' /copied
        mkdir /shared; chown 1:20 /shared; chmod g+s /shared
        touch /shared/f; mkdir /shared/d; stat -c '%u %g %a' /shared/f /shared/d
        touch /shared/gone; chown 30:30 /shared/gone; mv /shared /moved; rm /moved/gone; ln -s x /moved/link
        exec 3</f; stat -L -c '%u %g' /proc/self/fd/3 | sed s/^/by-descriptor:/";
    let output = play(UNLENT_USER, Isolation::SingleUser, script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = "5 6\n8 7\n8 7 640\n8 7\n0 0\n0 20 644\n0 20 2755\nby-descriptor:8 7\n\
        owner /f 8 7\nowner /moved 1 20\nowner /moved/d 0 20\nowner /moved/f 0 20\nowner /moved/link 0 20\n";
    assert_eq!(text, expected, "{output:?}");
    Ok(())
}

/// Who a process takes itself for, in the step's own process, in what it starts, and in what becomes another.
fn others() -> TestResult {
    let script = "set -e
        umask 027; id -u; id -g; id -G
        echo text > /tmp/file; mkdir /tmp/folder; ln -s file /tmp/link; mkfifo /tmp/pipe; (umask 0; echo > /tmp/open)
        echo > /tmp/dangling-file; ln -s made-through-link /tmp/dangling; echo > /tmp/dangling; echo more >> /tmp/file
        chown 0 /tmp/file 2>/dev/null || echo not-given-away
        chown :50 /tmp/file; chown :51 /tmp/file 2>/dev/null || echo not-into-another-group
        cp /bin/busybox /tmp/elevated; chown 5 /tmp/elevated
        (sh -c 'sh -c \"sleep 0.3; echo > /tmp/orphan\" &'); sleep 1
        cat /tmp/file; stat -c '%a %u %g' /tmp/file /tmp/folder /tmp/open /tmp/orphan";
    let output = play_as(UNLENT_USER, Isolation::SingleUser, "5:6:50", script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = "5\n6\n6 50\nnot-given-away\nnot-into-another-group\ntext\nmore\n\
        640 5 50\n750 5 6\n666 5 6\n640 5 6\n\
        owner /tmp/dangling 5 6\nowner /tmp/dangling-file 5 6\nowner /tmp/elevated 5 6\nowner /tmp/file 5 50\n\
        owner /tmp/folder 5 6\nowner /tmp/link 5 6\nowner /tmp/made-through-link 5 6\nowner /tmp/open 5 6\n\
        owner /tmp/orphan 5 6\nowner /tmp/pipe 5 6\n";
    assert_eq!(text, expected, "{output:?}");
    Ok(())
}

/// Owners on what is mounted: a secret's as it was asked for, a cache's from one step to the next.
fn owners_of_mounts() -> TestResult {
    let script = "stat -c '%n %u %g' /etc/mounted /cache /cache/old
        touch /cache/new; chown 7:8 /cache/new 2>/dev/null; mv /cache/old /cache/older; stat -c '%n %u %g' /cache/older
        chown :6 /again/new; stat -c '%n %u %g' /again /again/new /again/older";
    let output = play_as(UNLENT_USER, Isolation::SingleUser, "5:6", script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = "/etc/mounted 9 10\n/cache 5 6\n/cache/old 5 11\n/cache/older 5 11\n\
        /again 5 6\n/again/new 5 6\n/again/older 5 11\ncached / 5 6\ncached /new 5 6\ncached /older 5 11\n";
    assert_eq!(text, expected, "{output:?}");
    Ok(())
}

/// A process that becomes another, and comes back by a set-user-id program.
fn becoming_another() -> TestResult {
    let script = "set -e
        echo 'other:x:5:6::/:/bin/sh' >> /etc/passwd; chmod 4755 /bin/busybox
        /bin/busybox su other -c 'id -u; id -ru; touch /tmp/as-other; mkdir /tmp/in-other' || echo failed
        touch /tmp/as-root; id -u
        touch /tmp/s; chown 7:8 /tmp/s; /bin/busybox su other -c 'touch /tmp/x; cat /proc/self/uid_map > /dev/null; id -un'";
    let output = play(UNLENT_USER, Isolation::SingleUser, script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // busybox gives the rights of its file up for what does not need them: id is what its real user is.
    let expected = "5\n5\n0\nother\nowner /tmp/as-other 5 6\nowner /tmp/in-other 5 6\nowner /tmp/s 7 8\nowner /tmp/x 5 6\n";
    assert_eq!(text, expected, "{output:?}");
    Ok(())
}

fn user_namespace() -> TestResult {
    let script = "touch a; chown 1000:100 a; stat -c '%u %g' a; id -u; stat -c %t:%T /dev/null; sed -n 2p /proc/self/uid_map";
    let output = play(lent_user()?, Isolation::UserNamespace, script)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words.get(..5), Some(&["1000", "100", "0", "1:3", "1"][..]), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
    Ok(())
}

/// A process that sleeps inside, and the mark in its environment and in that of all that come of it.
fn sleeper(mark: &str) -> Result<std::process::Child, Stop> {
    allowed(Isolation::SingleUser)?;
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.args([SCENARIO, "single-user", "sleep 100; sleep 100"]).env("MARK", mark).spawn()?;
    // The one outside and the one inside; then the keeper and its kind, whose environment is empty, and the step.
    eventually(Duration::from_secs(10), || Ok(left(mark)?.len() >= 2))?;
    let below = format!("/proc/{0}/task/{0}/children", child.id());
    eventually(Duration::from_secs(10), || {
        let inside = std::fs::read_to_string(&below)?;
        let inside = inside.trim();
        Ok(std::fs::read_to_string(format!("/proc/{inside}/task/{inside}/children"))
            .is_ok_and(|below| !below.is_empty()))
    })?;
    Ok(child)
}

fn signals() -> TestResult {
    let mark = "mark-of-signals-761";
    let mut child = sleeper(mark)?;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    // The one inside had no handler, so it ended by the signal; the one outside tells that as its exit code.
    assert_eq!(child.wait()?.code(), Some(128 + 15));
    eventually(Duration::from_secs(2), || Ok(left(mark)?.is_empty()))
}

fn dies_with_parent() -> TestResult {
    let mark = "mark-of-parent-762";
    let mut child = sleeper(mark)?;
    let inside = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id()))?;
    let keeper = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", inside.trim()))?;
    let keeper = std::path::PathBuf::from(format!("/proc/{}", keeper.trim()));
    assert!(keeper.exists());
    child.kill()?;
    child.wait()?;
    eventually(Duration::from_secs(2), || Ok(left(mark)?.is_empty() && !keeper.exists()))
}

fn not_inside() -> TestResult {
    let error = continue_inside(Isolation::Chroot, &[]).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("isolation chroot cannot be entered: it has no user namespace"));
    assert_eq!(inside(), None);
    Ok(())
}

fn survey_as_root() -> TestResult {
    let rungs = survey();
    let names: Vec<Isolation> = rungs.iter().map(|rung| rung.isolation).collect();
    assert_eq!(names, Isolation::ALL);
    for rung in &rungs {
        assert!(!rung.why.is_empty(), "{rung:?}");
    }
    let contained = std::fs::read_link("/proc/self/ns/pid")?.as_os_str() != "pid:[4026531836]";
    assert_eq!(rungs[4].works, contained, "{:?}", rungs[4]);
    let best = rungs[..4].iter().find(|rung| rung.works).map(|rung| rung.isolation);
    assert_eq!(choose(None).ok(), best);
    for rung in &rungs {
        assert_eq!(choose(Some(rung.isolation)).is_ok(), rung.works, "{rung:?}");
    }
    Ok(())
}
