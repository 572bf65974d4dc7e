//! Mounts of each kind, and what is left of them.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_files::write_atomic;
use longshore_sandbox::{Isolation, MountKind, Root, SecretBytes};
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::root::{Fixture, make_root};

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("what_was_made_for_mounts_is_removed", ROOT, stubs)
        .test("what_the_step_put_there_stays", ROOT, kept)
        .test("binds_and_overlays", ROOT, binds)
        .test("secrets_and_memory", ROOT, secrets)
        .test("targets_are_found_within_the_root", ROOT, targets)
        .test("changes_land_in_the_upper_folder", ROOT, changes)
        .test("a_folder_is_a_root_too", ROOT, folder)
        .test("many_layers", ROOT, many_layers)
        .test("devices_of_the_kernel", ROOT, devices)
}

fn namespaces(script: &str) -> Result<Fixture, Stop> {
    Fixture::new(Isolation::Namespaces, script)
}

/// The files below a folder, by their paths.
pub(crate) fn tree(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            found.insert(path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned());
            if path.symlink_metadata()?.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

pub(crate) fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(String::from).into()
}

/// A folder with one file in it.
pub(crate) fn source(fixture: &Fixture, name: &str) -> Result<PathBuf, Stop> {
    let source = fixture.path(name);
    std::fs::create_dir(&source)?;
    write_atomic(&source.join("file"), b"content\n")?;
    Ok(source)
}

fn secret(text: &str) -> MountKind {
    let bytes = SecretBytes::new(text.as_bytes().to_vec());
    MountKind::Content { bytes, mode: 0o400, uid: 0, gid: 0 }
}

fn stubs() -> TestResult {
    let mut fixture = namespaces("cat /var/cache/deep/file /etc/key /var/one; ls /var/kept")?;
    let before = std::fs::metadata(fixture.path("lower/etc"))?;
    let folder = source(&fixture, "source")?;
    fixture.mount("/var/cache/deep", MountKind::Bind { source: folder.clone(), read_only: true });
    fixture.mount("/var/one", MountKind::Bind { source: folder.join("file"), read_only: true });
    fixture.mount("/etc/key", secret("secret\n"));
    fixture.mount("/var/kept/inner", MountKind::Tmpfs { size: Some(4096), mode: 0o755, programs: true });
    let outcome = fixture.run()?;
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("content\nsecret\ncontent\ninner\n", ""));
    // /etc was copied up, which no mount can do without; its times are as they were.
    assert_eq!(tree(&fixture.path("upper"))?, names(["etc"]));
    let after = std::fs::metadata(fixture.path("upper/etc"))?;
    let times = |about: &std::fs::Metadata| (about.mtime(), about.mtime_nsec());
    assert_eq!(times(&after), times(&before));
    Ok(())
}

fn kept() -> TestResult {
    let mut fixture = namespaces("echo new > /var/kept/mine; touch /etc/other")?;
    let before = std::fs::metadata(fixture.path("lower/etc"))?;
    fixture.mount("/var/kept/inner", MountKind::Tmpfs { size: None, mode: 0o755, programs: true });
    fixture.run()?;
    assert_eq!(
        tree(&fixture.path("upper"))?,
        names(["etc", "etc/other", "var", "var/kept", "var/kept/mine"])
    );
    // The step changed the folder, and that is its time.
    assert!(std::fs::metadata(fixture.path("upper/etc"))?.mtime_nsec() != before.mtime_nsec());
    Ok(())
}

fn binds() -> TestResult {
    let script = "echo a > /rw/new && cat /rw/new; echo b 2>/dev/null > /ro/new || echo read-only; \
        echo c > /over/new && rm /over/file && ls /over; mknod /rw/null c 1 3; cat /rw/null 2>&1";
    let mut fixture = namespaces(script)?;
    let [rw, ro, over] = ["rw", "ro", "over"].map(|name| source(&fixture, name));
    let (rw, ro, over) = (rw?, ro?, over?);
    for name in ["changes", "scratch"] {
        std::fs::create_dir(fixture.path(name))?;
    }
    fixture.mount("/rw", MountKind::Bind { source: rw.clone(), read_only: false });
    fixture.mount("/ro", MountKind::Bind { source: ro.clone(), read_only: true });
    let (upper, work) = (fixture.path("changes"), fixture.path("scratch"));
    fixture.mount("/over", MountKind::Overlay { lower: vec![over.clone()], upper, work, read_only: false });
    let outcome = fixture.run()?;
    let expected = "a\nread-only\nnew\ncat: can't open '/rw/null': Permission denied\n";
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""));
    assert_eq!(tree(&rw)?, names(["file", "new", "null"]));
    assert_eq!(tree(&ro)?, names(["file"]));
    assert_eq!(tree(&over)?, names(["file"]));
    assert_eq!(tree(&fixture.path("upper"))?, names(["etc"]));
    Ok(())
}

fn secrets() -> TestResult {
    let script = "stat -c '%a %u:%g %s' /run/key; cat /run/key; echo x 2>/dev/null > /run/key || echo kept; \
        stat -c %a /cache; dd if=/dev/zero of=/cache/big bs=4096 count=3 2>/dev/null || echo full; \
        cp /bin/busybox /mem/ 2>/dev/null && /mem/busybox true && echo runs";
    let mut fixture = namespaces(script)?;
    let bytes = SecretBytes::new(b"hunter2\n".to_vec());
    fixture.mount("/run/key", MountKind::Content { bytes, mode: 0o440, uid: 7, gid: 8 });
    fixture.mount("/cache", MountKind::Tmpfs { size: Some(8192), mode: 0o1777, programs: true });
    fixture.mount("/mem", MountKind::Tmpfs { size: None, mode: 0o700, programs: true });
    let outcome = fixture.run()?;
    assert_eq!(outcome.stdout, "440 7:8 8\nhunter2\nkept\n1777\nfull\nruns\n", "{}", outcome.stderr);
    assert_eq!(tree(&fixture.path("upper"))?, names(["etc"]));
    Ok(())
}

fn targets() -> TestResult {
    let mut fixture = namespaces("cat /run/lock/file; ls /outside 2>&1")?;
    let lower = fixture.path("lower");
    std::fs::create_dir_all(lower.join("run/lock"))?;
    std::fs::create_dir(lower.join("var"))?;
    // Absolute, as distributions have it; and one that would lead out of the root.
    std::os::unix::fs::symlink("/run", lower.join("var/run"))?;
    std::os::unix::fs::symlink("../../../..", lower.join("up"))?;
    let folder = source(&fixture, "source")?;
    fixture.mount("/var/run/lock", MountKind::Bind { source: folder.clone(), read_only: true });
    fixture.mount("/up/outside", MountKind::Bind { source: folder, read_only: true });
    let outcome = fixture.run()?;
    assert_eq!(outcome.stdout, "content\nfile\n", "{}", outcome.stderr);
    assert!(!Path::new("/outside").exists());

    for target in ["/", "/a/../b", ""] {
        let mut fixture = namespaces("true")?;
        fixture.mount(target, MountKind::Tmpfs { size: None, mode: 0o755, programs: true });
        let error = fixture.run().err().map(|error| error.to_string());
        assert_eq!(error, Some(format!("cannot mount at {target} for the step")));
    }
    Ok(())
}

fn changes() -> TestResult {
    let fixture = namespaces("echo x > /new; rm /etc/passwd; chown 5:6 /tmp; chmod 700 /root")?;
    let outcome = fixture.run()?;
    assert_eq!(outcome.stderr, "");
    assert_eq!(tree(&fixture.path("upper"))?, names(["etc", "etc/passwd", "new", "root", "tmp"]));
    let whiteout = std::fs::metadata(fixture.path("upper/etc/passwd"))?;
    assert_eq!((whiteout.mode() & 0o170_000, whiteout.rdev()), (0o020_000, 0));
    let tmp = std::fs::metadata(fixture.path("upper/tmp"))?;
    assert_eq!((tmp.uid(), tmp.gid()), (5, 6));
    assert!(fixture.path("lower/etc/passwd").exists());
    Ok(())
}

fn folder() -> TestResult {
    let mut fixture = namespaces("echo x > /new; ls /")?;
    let root = fixture.path("whole");
    make_root(&root)?;
    std::fs::remove_dir(root.join("sys"))?;
    fixture.step.root = Root::Folder(root.clone());
    let outcome = fixture.run()?;
    assert_eq!(outcome.stdout, "bin\ndev\netc\nnew\nproc\nroot\nsys\ntmp\n");
    assert!(root.join("new").exists() && !root.join("sys").exists() && !root.join("etc/hosts").exists());
    Ok(())
}

fn many_layers() -> TestResult {
    let mut fixture = namespaces("cat /layer/* | wc -l; cat /top")?;
    let mut lower = Vec::new();
    for number in 0..120 {
        // Longer together than the 4 KiB that option strings have, with characters that options are split at.
        let path = fixture.path(&format!("a,layer:with=a long name, number {number}"));
        std::fs::create_dir_all(path.join("layer"))?;
        write_atomic(&path.join(format!("layer/{number}")), b"one\n")?;
        write_atomic(&path.join("top"), format!("{number}\n").as_bytes())?;
        lower.push(path);
    }
    lower.push(fixture.path("lower"));
    if let Root::Overlay { lower: below, .. } = &mut fixture.step.root {
        *below = lower;
    }
    let outcome = fixture.run()?;
    assert_eq!(outcome.stdout, "120\n0\n", "{}", outcome.stderr);
    Ok(())
}

fn devices() -> TestResult {
    let script = "ls /dev | tr '\\n' ' '; echo; echo x > /dev/null; head -c 3 /dev/zero | wc -c; \
        head -c 4 /dev/urandom | wc -c; echo x 2>/dev/null > /dev/full || echo full; readlink /dev/ptmx; \
        stat -c %a /dev/shm; sed -n 's/^[^ ]* \\([^ ]*\\) .*/\\1/p' /proc/mounts | grep -v '^/proc\\|^/sys/' | sort | tr '\\n' ' '";
    let outcome = namespaces(script)?.run()?;
    let expected = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \n3\n4\nfull\n\
        pts/ptmx\n1777\n/ /dev /dev/full /dev/mqueue /dev/null /dev/pts /dev/random /dev/shm /dev/tty /dev/urandom \
        /dev/zero /etc/hosts /etc/resolv.conf /sys ";
    assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
    Ok(())
}
