//! Steps in another root folder without namespaces.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_files::write_atomic;
use longshore_sandbox::{Isolation, MountKind, Network, Root, SandboxError, SecretBytes, Status, User};
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::escapes::left;
use crate::inside::SCENARIO;
use crate::mounts::{names, source, tree};
use crate::root::{Fixture, make_root};

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("chroot_runs_a_step_and_leaves_nothing", ROOT, step)
        .test("chroot_serves_mounts_by_moving_and_copying", ROOT, mounts)
        .test("chroot_covers_what_was_there_and_puts_it_back", ROOT, covers)
        .test("chroot_ends_all_processes", ROOT, processes)
        .test("in_place_changes_the_root_it_runs_in", ROOT, in_place)
        .test("chroot_refuses_what_it_cannot_give", ROOT, refusals)
}

fn chroot(script: &str) -> Result<Fixture, Stop> {
    let mut fixture = Fixture::new(Isolation::Chroot, script)?;
    let root = fixture.path("root");
    make_root(&root)?;
    fixture.step.root = Root::Folder(root);
    Ok(fixture)
}

fn step() -> TestResult {
    let script = "id -u; pwd; ls / | tr '\\n' ' '; echo; ls /proc; echo x > /dev/null; head -c 2 /dev/zero | wc -c; \
        cat /etc/hosts; cat; touch /new; chown 5:6 /new; exit 9";
    let mut fixture = chroot(script)?;
    fixture.step.input = Some(b"typed\n".to_vec());
    fixture.step.folder = "/etc".into();
    let before = tree(&fixture.path("root"))?;
    let outcome = fixture.run()?;
    let expected = "0\n/etc\nbin dev etc proc root sys tmp \n2\n127.0.0.1\tlocalhost buildkitsandbox\n\
        ::1\tlocalhost ip6-localhost ip6-loopback\ntyped\n";
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""));
    assert_eq!(outcome.ended.status, Status::Exited(9));
    let mut after = tree(&fixture.path("root"))?;
    assert!(after.remove("new"));
    assert_eq!(after, before);
    let about = std::fs::metadata(fixture.path("root/new"))?;
    assert_eq!((about.uid(), about.gid()), (5, 6));

    fixture.step.user = User { uid: 1000, gid: 1000, groups: vec![7] };
    fixture.step.arguments = ["sh", "-c", "id -u; id -G; touch /etc/no 2>&1"].map(Into::into).to_vec();
    assert_eq!(fixture.run()?.stdout, "1000\n1000 7\ntouch: /etc/no: Permission denied\n");
    Ok(())
}

fn mounts() -> TestResult {
    let script = "cat /ro/file; echo changed > /ro/file; echo more > /cache/new; rm /cache/file; cat /run/secrets/key; \
        stat -c '%a %u' /run/secrets/key; echo t > /tmpfs/t; cat /over/file; echo o > /over/file; ls /one";
    let mut fixture = chroot(script)?;
    let [ro, cache, over] = ["ro", "cache", "over"].map(|name| source(&fixture, name));
    let (ro, cache, over) = (ro?, cache?, over?);
    fixture.mount("/ro", MountKind::Bind { source: ro.clone(), read_only: true });
    fixture.mount("/cache", MountKind::Bind { source: cache.clone(), read_only: false });
    fixture.mount("/one", MountKind::Bind { source: ro.join("file"), read_only: true });
    let bytes = SecretBytes::new(b"hunter2\n".to_vec());
    fixture.mount("/run/secrets/key", MountKind::Content { bytes, mode: 0o400, uid: 3, gid: 3 });
    fixture.mount("/tmpfs", MountKind::Tmpfs { size: None, mode: 0o700, programs: true });
    let (upper, work) = (fixture.path("unused"), fixture.path("unused-too"));
    fixture.mount("/over", MountKind::Overlay { lower: vec![over.clone()], upper, work, read_only: false });
    let before = tree(&fixture.path("root"))?;
    let outcome = fixture.run()?;
    assert_eq!(outcome.stdout, "content\nhunter2\n400 3\ncontent\n/one\n", "{}", outcome.stderr);
    assert_eq!(tree(&fixture.path("root"))?, before);
    assert_eq!(tree(&cache)?, names(["new"]));
    for folder in [ro, over] {
        assert_eq!(std::fs::read_to_string(folder.join("file"))?, "content\n");
    }
    Ok(())
}

fn covers() -> TestResult {
    let mut fixture = chroot("ls /etc | tr '\\n' ' '; rm -rf /etc/file; mkdir /var/x")?;
    let root = fixture.path("root");
    write_atomic(&root.join("etc/resolv.conf"), b"of the image\n")?;
    std::fs::create_dir(root.join("var"))?;
    let folder = source(&fixture, "folder")?;
    fixture.mount("/etc", MountKind::Bind { source: folder, read_only: true });
    let outcome = fixture.run()?;
    assert_eq!(outcome.stdout, "file ");
    assert_eq!(std::fs::read_to_string(root.join("etc/resolv.conf"))?, "of the image\n");
    assert!(
        root.join("etc/passwd").exists() && root.join("var/x").exists() && !root.join("etc/file").exists()
    );
    Ok(())
}

fn processes() -> TestResult {
    let mark = "mark-of-chroot-751";
    let script =
        "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM; sleep 100; sleep 100' &); sleep 100 & ";
    for interrupt in [false, true] {
        let script = if interrupt { format!("{script} sleep 100; sleep 100") } else { script.to_owned() };
        let mut fixture = chroot(&script)?;
        fixture.step.environment.push(("MARK".into(), mark.into()));
        let events = Events::silent();
        let canceller = events.clone();
        let waiting = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(10);
            while interrupt && left(mark).is_ok_and(|left| left.len() < 4) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            if interrupt {
                canceller.cancel();
            }
            Instant::now()
        });
        let answer = fixture.run_with(&events);
        let cancelled = waiting.join().map_err(|_| Stop::failed("the canceller panicked"))?;
        assert_eq!(matches!(answer, Err(SandboxError::Cancelled(_))), interrupt);
        assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
        assert_eq!(left(mark)?, Vec::<String>::new());
        assert!(!fixture.path("root/dev/null").exists());
    }
    Ok(())
}

fn refusals() -> TestResult {
    let text = |fixture: &Fixture| fixture.run().err().map(|error| error.to_string()).unwrap_or_default();
    let mut fixture = chroot("true")?;
    fixture.step.network = Network::Own;
    assert_eq!(text(&fixture), "isolation chroot cannot give a step a network of its own");
    fixture.step.network = Network::Host;
    fixture.step.insecure = true;
    assert_eq!(text(&fixture), "isolation chroot cannot give a step more than this process has itself");
    let overlay = Fixture::new(Isolation::Chroot, "true")?;
    assert_eq!(text(&overlay), "isolation chroot cannot mount an overlay as the root folder");
    fixture.step.insecure = false;
    fixture.step.isolation = Isolation::InPlace;
    // Where this is a container it would not be refused.
    if std::fs::read_link("/proc/self/ns/pid")?.as_os_str() == "pid:[4026531836]" {
        let expected = "isolation in-place cannot change the machine's own root folder: it is for containers that are thrown away";
        assert_eq!(text(&fixture), expected);
    }
    Ok(())
}

/// A step in place, within a step whose root folder it may change: a container to be thrown away.
fn in_place() -> TestResult {
    let mut fixture = Fixture::new(Isolation::Namespaces, "")?;
    std::fs::copy(std::env::current_exe()?, fixture.path("lower/bin/it"))?;
    let script = "echo made > /made; cat /etc/mounted; ls /dev/null; (setsid sleep 100 &); exit 4";
    fixture.step.arguments = ["/bin/it", SCENARIO, "in-place", script].map(Into::into).to_vec();
    let outcome = fixture.run()?;
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("secret\n/dev/null\n", ""));
    assert_eq!(outcome.ended.status, Status::Exited(4));
    let changed = tree(&fixture.path("upper"))?;
    assert!(changed.contains("made") && !changed.iter().any(|path| path.contains("mounted")), "{changed:?}");
    Ok(())
}
