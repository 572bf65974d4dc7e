//! What a difference holds, and what becomes of drafts.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use longshore_events::Events;
use longshore_snapshot::{Chain, Metadata, Ownership, SnapshotId, Snapshots};
use longshore_store::PruneOptions;
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::facts::{of_folder, of_view};
use crate::hostile::Bench;
use crate::operations::let_time_pass;
use crate::random::Mounted;
use crate::tars::{Raw, file, folder, lower};

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("what_did_not_change_is_not_in_the_difference", ROOT, minimal)
        .test("the_first_of_two_equal_drafts_stays", ROOT, equal_drafts)
        .test("drafts_leave_nothing_whether_dropped_or_killed", ROOT, drafts_leave_nothing)
        .test("nothing_is_pruned_while_snapshots_are_open", ROOT, pruning)
        .test("owners_that_cannot_stand_on_disk_are_recorded", ROOT, recorded_owners)
        .test("what_a_writer_made_before_a_step_stays", ROOT, writer_before_step)
}

pub(crate) fn id(number: u32) -> Result<SnapshotId, Stop> {
    Ok(format!("{number:08x}").parse()?)
}

pub(crate) fn plain(mode: u32) -> Metadata {
    Metadata { mode, mtime: (1_700_000_000, 0), ..Metadata::default() }
}

/// Runs changes in a step's root: an overlay where `snapshots` mounts them, otherwise a copy.
fn step(
    bench: &Bench,
    snapshots: &Snapshots,
    chain: &Chain,
    number: u32,
    changes: impl Fn(&Path) -> TestResult,
) -> Result<longshore_snapshot::Snapshot, Stop> {
    let mut draft = snapshots.draft(chain)?;
    match draft.root(&Events::silent())? {
        longshore_sandbox::Root::Folder(root) => {
            let_time_pass();
            changes(&root)?;
        }
        overlay => {
            let root = bench.folder.join("mounted");
            let _mounted = Mounted::new(&overlay, &root)?;
            changes(&root)?;
        }
    }
    Ok(draft.commit(&id(number)?)?)
}

pub(crate) fn entries(snapshot: &longshore_snapshot::Snapshot) -> Result<Vec<String>, Stop> {
    let facts = of_folder(&snapshot.folder().join("tree"))?;
    Ok(facts.keys().map(|path| path.display().to_string()).collect())
}

/// Name, what is done in the root, and what is then in the difference.
type Minimal = (&'static str, fn(&Path) -> TestResult, &'static [&'static str]);

fn minimal() -> TestResult {
    let cases: &[Minimal] = &[
        ("nothing", |_| Ok(()), &[]),
        (
            "the same owner and mode again",
            |root| {
                for path in ["etc", "etc/passwd", "usr/bin/tool", "closed"] {
                    let path = root.join(path);
                    let mode = fs::metadata(&path)?.permissions();
                    std::os::unix::fs::chown(&path, Some(0), Some(0))?;
                    fs::set_permissions(&path, mode)?;
                }
                Ok(())
            },
            &[],
        ),
        (
            "written with the same bytes and time",
            |root| {
                let path = root.join("usr/bin/tool");
                let time = fs::metadata(&path)?.modified()?;
                let mut file = File::options().write(true).open(&path)?;
                file.write_all(b"#!")?;
                Ok(file.set_modified(time)?)
            },
            &[],
        ),
        (
            "other bytes, the same size and time",
            |root| {
                let path = root.join("usr/bin/tool");
                let time = fs::metadata(&path)?.modified()?;
                let mut file = File::options().write(true).open(&path)?;
                file.write_all(b"##")?;
                Ok(file.set_modified(time)?)
            },
            &["usr", "usr/bin", "usr/bin/tool"],
        ),
        (
            "made and removed, the folder's time put back",
            |root| {
                let path = root.join("etc");
                let time = fs::metadata(&path)?.modified()?;
                File::create(path.join("new"))?;
                fs::remove_file(path.join("new"))?;
                Ok(File::open(&path)?.set_modified(time)?)
            },
            &[],
        ),
        (
            "a mode",
            |root| Ok(fs::set_permissions(root.join("usr/bin"), fs::Permissions::from_mode(0o700))?),
            &["usr", "usr/bin"],
        ),
        (
            "a socket",
            |root| {
                let path = root.join("usr");
                let time = fs::metadata(&path)?.modified()?;
                drop(UnixListener::bind(path.join("socket"))?);
                Ok(File::open(&path)?.set_modified(time)?)
            },
            &[],
        ),
        (
            "a new folder with a file",
            |root| {
                fs::create_dir(root.join("usr/new"))?;
                Ok(File::create(root.join("usr/new/file")).map(drop)?)
            },
            &["usr", "usr/new", "usr/new/file"],
        ),
    ];
    let bench = Bench::new()?;
    let copies = Snapshots::open(&bench.store, Ownership::Root, false)?;
    let base = bench.base(&[lower()])?;
    let base_of_copies = {
        let tars = [crate::tars::tar(&lower())];
        copies.base(&crate::tars::image(bench.store.layout(), &tars, false)?)?
    };
    for (number, (name, changes, expected)) in (1..).zip(cases) {
        for (snapshots, base) in [(&bench.snapshots, &base), (&copies, &base_of_copies)] {
            let snapshot = step(&bench, snapshots, base, number, changes)?;
            assert_eq!(entries(&snapshot)?, *expected, "{name}");
            assert_eq!(snapshot.is_empty()?, expected.is_empty(), "{name}");
        }
    }
    // The kernel makes a new folder opaque where it may; with nothing below, that says nothing.
    let view = |snapshot| {
        let mut chain = base.clone();
        chain.push(snapshot);
        chain.folders(&Events::silent())
    };
    let last = bench.snapshots.get(&id(8)?)?.ok_or_else(|| Stop::failed("not there"))?;
    let new = view(last)?[0].join("usr/new");
    let mut names = [0_u8; 256];
    assert_eq!(rustix::fs::llistxattr(&new, &mut names[..])?, 0, "{names:?}");
    Ok(())
}

fn equal_drafts() -> TestResult {
    let bench = Bench::new()?;
    let scratch = bench.snapshots.scratch();
    let make = |content: &[u8]| -> Result<longshore_snapshot::Draft, Stop> {
        let mut draft = bench.snapshots.draft(&scratch)?;
        let mut writer = draft.writer(scratch.view(&Events::silent())?)?;
        writer.file(Path::new("a"), &plain(0o644), &mut &content[..])?;
        Ok(draft)
    };
    let (first, second) = (make(b"first")?, make(b"second")?);
    let first = first.commit(&id(1)?)?;
    let second = second.commit(&id(1)?)?;
    assert_eq!(first.folder(), second.folder());
    assert_eq!(fs::read(second.folder().join("tree/a"))?, b"first");
    assert_eq!(fs::read_dir(bench.store.cache_folder("drafts-root"))?.count(), 0);
    Ok(())
}

fn drafts_leave_nothing() -> TestResult {
    let bench = Bench::new()?;
    let drafts = bench.store.cache_folder("drafts-root");
    let base = bench.base(&[lower()])?;
    let mut draft = bench.snapshots.draft(&base)?;
    draft.root(&Events::silent())?;
    // The kernel leaves a folder there that nobody may enter.
    fs::create_dir(
        drafts
            .join(fs::read_dir(&drafts)?.next().ok_or_else(|| Stop::failed("no draft"))??.file_name())
            .join("work/work"),
    )?;
    drop(draft);
    assert_eq!(fs::read_dir(&drafts)?.count(), 0);
    // One of a process that was killed: its lock is free.
    let dead = drafts.join("1-0");
    fs::create_dir_all(dead.join("tree/a"))?;
    File::create(dead.join("lock"))?;
    let alive = bench.snapshots.draft(&base)?;
    let again = Snapshots::open(&bench.store, Ownership::Root, true)?;
    assert!(!dead.exists());
    assert_eq!(fs::read_dir(&drafts)?.count(), 1, "one is being made");
    assert!(again.get(&id(9)?)?.is_none());
    drop(alive);
    // What is not complete is not there, nor what a power failure cut short; both give way.
    let half = bench.store.cache_folder("snapshots-root").join(id(9)?.as_str());
    fs::create_dir_all(half.join("tree"))?;
    for _ in 0..2 {
        assert!(again.get(&id(9)?)?.is_none());
        let scratch = again.scratch();
        let mut draft = again.draft(&scratch)?;
        let mut writer = draft.writer(scratch.view(&Events::silent())?)?;
        writer.file(Path::new("a"), &plain(0o644), &mut &b"content"[..])?;
        draft.commit(&id(9)?)?;
        assert_eq!(fs::read(half.join("tree/a"))?, b"content");
        assert!(again.get(&id(9)?)?.is_some());
        assert_eq!(
            fs::read_to_string(half.join("checked"))?.split_once(' ').map(|(_, rest)| rest),
            Some("1 7\n")
        );
        File::create(half.join("tree/a"))?;
        File::create(half.join("checked"))?.write_all(b"another-boot 1 7\n")?;
    }
    assert!(again.get(&id(9)?)?.is_none());
    assert_eq!(fs::read_dir(&drafts)?.count(), 0);
    Ok(())
}

fn pruning() -> TestResult {
    let bench = Bench::new()?;
    let scratch = bench.snapshots.scratch();
    bench.snapshots.draft(&scratch)?.commit(&id(1)?)?;
    let path = bench.store.cache_folder("snapshots-root").join(id(1)?.as_str());
    let items = bench.store.cache()?;
    let names: Vec<_> = items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["00000001"]);
    let all = PruneOptions {
        max_size: Some(0),
        older_than: Some(std::time::Duration::ZERO),
        ..PruneOptions::default()
    };
    bench.store.prune(&all)?;
    assert!(path.exists(), "snapshots are open");
    let store = bench.store.clone();
    drop((scratch, bench.snapshots));
    store.prune(&all)?;
    assert!(!path.exists());
    Ok(())
}

fn recorded_owners() -> TestResult {
    for overlay in [true, false] {
        let bench = Bench::new()?;
        let events = Events::silent();
        let snapshots = Snapshots::open(&bench.store, Ownership::Recorded, overlay)?;
        let tars = [crate::tars::tar(&[
            Raw { uid: 33, ..folder("var") },
            Raw { uid: 33, ..file("var/data", b"1") },
            Raw { uid: 65_534, ..file("other", b"2") },
        ])];
        let mut chain = snapshots.base(&crate::tars::image(bench.store.layout(), &tars, false)?)?;
        let owner = |chain: &Chain, path: &str| -> Result<(u32, u32), Stop> {
            let node = chain.view(&Events::silent())?.lookup(Path::new(path))?;
            let node = node.ok_or_else(|| Stop::failed(format!("no {path}")))?;
            Ok((node.uid, node.gid))
        };
        let folders = chain.folders(&events)?;
        assert_eq!(fs::symlink_metadata(folders[0].join("var/data"))?.uid(), 0, "never on disk");
        assert_eq!((owner(&chain, "var")?, owner(&chain, "other")?), ((33, 0), (65_534, 0)));

        let mut draft = snapshots.draft(&chain)?;
        let mut writer = draft.writer(chain.view(&events)?)?;
        writer.file(Path::new("var/copied"), &Metadata { uid: 5, gid: 6, ..plain(0o600) }, &mut &b"3"[..])?;
        writer.hard_link(Path::new("var/linked"), Path::new("other"))?;
        chain.push(draft.commit(&id(1)?)?);
        for (path, expected) in [("var", (33, 0)), ("var/copied", (5, 6)), ("var/linked", (65_534, 0))] {
            assert_eq!(owner(&chain, path)?, expected, "{path}");
        }

        let mut draft = snapshots.draft(&chain)?;
        let table = draft.owners_table().ok_or_else(|| Stop::failed("no table of owners"))?;
        let changes = |root: &Path| -> TestResult {
            let mut data = File::options().append(true).open(root.join("var/data"))?;
            data.write_all(b"more")?;
            File::create(root.join("var/new"))?;
            Ok(File::create(root.join("var/mine")).map(drop)?)
        };
        match draft.root(&events)? {
            longshore_sandbox::Root::Folder(root) => {
                let_time_pass();
                changes(&root)?;
            }
            _ => {
                // A mount with `userxattr` needs a user namespace; what it would leave in the upper folder is this.
                let drafts = bench.store.cache_folder("drafts-single");
                let name = fs::read_dir(&drafts)?.next().ok_or_else(|| Stop::failed("no draft"))??;
                let upper = name.path().join("tree");
                fs::create_dir(upper.join("var"))?;
                File::create(upper.join("var/data"))?.write_all(b"1more")?;
                changes(&upper)?;
            }
        }
        let found = fs::read(&table)?;
        let expected =
            b"65534 0 other\x0033 0 var\x005 6 var/copied\x0033 0 var/data\x0065534 0 var/linked\0";
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected));
        let mut left = File::options().append(true).open(&table)?;
        left.write_all(b"7 8 /var/new\x009 9 /var/gone\x001 1 /var/mine\x000 0 /var/mine\0")?;
        chain.push(draft.commit(&id(2)?)?);
        for (path, expected) in [
            ("var", (33, 0)),
            ("var/data", (33, 0)),
            ("var/new", (7, 8)),
            ("var/mine", (0, 0)),
            ("other", (65_534, 0)),
        ] {
            assert_eq!(owner(&chain, path)?, expected, "{path}, overlay {overlay}");
        }
    }
    Ok(())
}

fn writer_before_step() -> TestResult {
    let bench = Bench::new()?;
    let copies = Snapshots::open(&bench.store, Ownership::Root, false)?;
    for snapshots in [&bench.snapshots, &copies] {
        let events = Events::silent();
        let tars = [crate::tars::tar(&lower())];
        let base = snapshots.base(&crate::tars::image(bench.store.layout(), &tars, false)?)?;
        let mut draft = snapshots.draft(&base)?;
        let mut writer = draft.writer(base.view(&events)?)?;
        writer.create_folders(Path::new("app/src"), 0o711, 3, 4, (1_600_000_000, 0))?;
        writer.file(Path::new("etc/passwd"), &plain(0o600), &mut &b"other"[..])?;
        writer.remove(Path::new("usr/bin/tool"))?;
        let run = |root: &Path| -> TestResult {
            assert_eq!(fs::read(root.join("etc/passwd"))?, b"other");
            assert!(!root.join("usr/bin/tool").exists());
            let about = fs::metadata(root.join("app/src"))?;
            assert_eq!(
                (about.mode() & 0o7777, about.uid(), about.gid(), about.mtime()),
                (0o711, 3, 4, 1_600_000_000)
            );
            std::os::unix::fs::symlink("src", root.join("app/link"))?;
            assert!(!fs::symlink_metadata(root.join("app/link"))?.file_type().is_fifo());
            Ok(())
        };
        match draft.root(&events)? {
            longshore_sandbox::Root::Folder(root) => {
                let_time_pass();
                run(&root)?;
            }
            overlay => {
                let root = bench.folder.join("mounted");
                let _mounted = Mounted::new(&overlay, &root)?;
                run(&root)?;
            }
        }
        let mut chain = base.clone();
        chain.push(draft.commit(&id(1)?)?);
        let facts = of_view(&chain.view(&events)?)?;
        let names: Vec<_> = facts
            .keys()
            .map(|path| path.display().to_string())
            .filter(|path| path.starts_with("app") || path.starts_with("usr"))
            .collect();
        assert_eq!(names, ["app", "app/link", "app/src", "usr", "usr/bin"]);
        assert_eq!(facts[Path::new("app/src")], "folder 711 3:4");
        assert!(facts[Path::new("etc/passwd")].starts_with("file 600 0:0 "));
    }
    Ok(())
}
