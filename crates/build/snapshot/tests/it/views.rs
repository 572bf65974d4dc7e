//! What a view answers, and what a writer leaves.

use std::fs;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_snapshot::NodeKind;
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::facts::{Facts, of_folder, of_view, refusal};
use crate::hostile::Bench;
use crate::random::Mounted;
use crate::rules::{entries, id, plain};
use crate::tars::lower;

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("a_view_answers_inside_its_root", ROOT, view_answers)
        .test("a_copy_on_top_never_unpacks_the_base", ROOT, base_stays_packed)
        .test("writing_through_files_links_and_removed_folders", ROOT, writer_rules)
}

fn view_answers() -> TestResult {
    let bench = Bench::new()?;
    let chain = bench.base(&[lower()])?;
    for unpacked in [false, true] {
        if unpacked {
            chain.folders(&Events::silent())?;
        }
        let view = chain.view(&Events::silent())?;
        for (path, real) in [
            ("/bin/tool", "usr/bin/tool"),
            ("bin/../../etc/absolute/tool", "usr/bin/tool"),
            ("etc/out/passwd", "etc/passwd"),
            ("bin/missing/deep", "usr/bin/missing/deep"),
            ("missing/../bin", "usr/bin"),
            ("../../..", ""),
            ("etc/passwd/below", "etc/passwd/below"),
        ] {
            assert_eq!(view.resolve(Path::new(path))?, Path::new(real), "{path}, unpacked {unpacked}");
        }
        let kind = |path: &str| Ok::<_, Stop>(view.lookup(Path::new(path))?.map(|node| node.kind));
        assert_eq!(kind("bin")?, Some(NodeKind::Symlink("usr/bin".into())));
        assert_eq!(kind("bin/tool")?, Some(NodeKind::File { size: 10 }));
        assert_eq!(kind("bin/../passwd")?, None);
        assert_eq!(kind("etc/passwd/below")?, None);
        assert_eq!(kind("/")?, Some(NodeKind::Directory));
        for path in ["etc/loop/x", "etc/loop"] {
            let error = view.resolve(Path::new(path));
            assert_eq!(refusal(error)?, format!("too many symbolic links on the way to {path}"));
        }
        let names = |path: &str| -> Result<Vec<String>, Stop> {
            let list = view.list(Path::new(path))?;
            Ok(list.into_iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect())
        };
        assert_eq!(names("")?, ["bin", "closed", "etc", "usr"]);
        assert_eq!(names("bin")?, ["tool"]);
        assert_eq!(refusal(view.list(Path::new("nowhere")))?, "there is no nowhere");
        assert_eq!(refusal(view.list(Path::new("bin/tool")))?, "bin/tool is not a folder");
        let small = |path: &str, limit| view.read_small(Path::new(path), limit);
        assert_eq!(small("etc/out/passwd", 100)?.as_deref(), Some(&b"root:x:0:0::/:/bin/sh\n"[..]));
        assert_eq!(small("bin/tool", 10)?.as_deref(), Some(&b"#!/bin/sh\n"[..]));
        assert_eq!(small("bin/missing", 10)?, None);
        assert_eq!(refusal(small("bin/tool", 9))?, "cannot read bin/tool: file too large");
        assert_eq!(refusal(small("bin", 9))?, "bin is not a regular file");
        let inode = |path: &str| Ok::<_, Stop>(view.lookup(Path::new(path))?.and_then(|node| node.inode));
        assert!(inode("closed/file")?.is_some() && inode("closed/file")? == inode("closed/same")?);
        assert_eq!(inode("bin/tool")?, None);
    }
    Ok(())
}

fn unpacked(bench: &Bench) -> Result<usize, Stop> {
    let names = fs::read_dir(bench.store.cache_folder("snapshots-root"))?;
    let names: Result<Vec<_>, _> = names.map(|entry| entry.map(|entry| entry.file_name())).collect();
    Ok(names?.iter().filter(|name| name.to_string_lossy().starts_with("sha256-")).count())
}

fn base_stays_packed() -> TestResult {
    let bench = Bench::new()?;
    let events = Events::silent();
    let mut chain = bench.base(&[lower()])?;
    let mut draft = bench.snapshots.draft(&chain)?;
    let mut writer = draft.writer(chain.view(&events)?)?;
    let target = writer.view()?.resolve(Path::new("/bin/new"))?;
    writer.file(&target, &plain(0o755), &mut &b"new"[..])?;
    // As big as the one below, and as old.
    writer.file(Path::new("usr/bin/tool"), &plain(0o755), &mut &b"0123456789"[..])?;
    let snapshot = draft.commit(&id(1)?)?;
    assert_eq!(entries(&snapshot)?, ["usr", "usr/bin", "usr/bin/new", "usr/bin/tool"]);
    chain.push(snapshot);
    let facts = of_view(&bench.base(&[lower()])?.view(&events)?)?.len();
    assert_eq!(facts, 12);
    // Reading contents for that comparison unpacked it; writing did not.
    assert_eq!(unpacked(&bench)?, 1);
    let bench = Bench::new()?;
    let chain = bench.base(&[lower()])?;
    let mut draft = bench.snapshots.draft(&chain)?;
    let mut writer = draft.writer(chain.view(&events)?)?;
    assert_eq!(
        writer.create_folders(Path::new("bin/a/b"), 0o750, 1, 2, (5, 0))?,
        [PathBuf::from("usr/bin/a"), PathBuf::from("usr/bin/a/b")]
    );
    draft.commit(&id(1)?)?;
    assert_eq!(unpacked(&bench)?, 0);
    Ok(())
}

fn writer_rules() -> TestResult {
    let bench = Bench::new()?;
    let events = Events::silent();
    let base = bench.base(&[lower()])?;
    let mut draft = bench.snapshots.draft(&base)?;
    let mut writer = draft.writer(base.view(&events)?)?;
    let path = |path: &'static str| Path::new(path);
    for (error, expected) in [
        (writer.file(path("bin/x"), &plain(0o644), &mut &b""[..]), "bin is not a folder"),
        (writer.file(path("none/x"), &plain(0o644), &mut &b""[..]), "there is no none"),
        (writer.file(path("etc/passwd/x"), &plain(0o644), &mut &b""[..]), "etc/passwd is not a folder"),
        (writer.hard_link(path("x"), path("none")), "there is no none"),
        (writer.hard_link(path("x"), path("etc")), "etc is not a regular file"),
        (
            writer.file(path("etc/.wh.x"), &plain(0o644), &mut &b""[..]),
            "etc/.wh.x cannot stand in a layer: names that begin with `.wh.` are marks of what was removed",
        ),
    ] {
        assert_eq!(refusal(error)?, expected);
    }
    assert!(writer.remove(path("etc"))?);
    assert!(!writer.remove(path("etc"))?);
    assert!(!writer.remove(path("nowhere/at/all"))?);
    assert_eq!(refusal(writer.file(path("etc/x"), &plain(0o644), &mut &b""[..]))?, "there is no etc");
    writer.folder(path("etc"), &plain(0o755))?;
    writer.file(path("etc/hosts"), &plain(0o644), &mut &b"1"[..])?;
    writer.file(path("usr/bin/tool"), &plain(0o4755), &mut &b"2"[..])?;
    writer.hard_link(path("usr/bin/again"), path("usr/bin/tool"))?;
    writer.hard_link(path("usr/bin/far"), path("closed/file"))?;
    writer.node(path("usr/null"), &NodeKind::CharacterDevice(1, 3), &plain(0o666))?;
    writer.symlink(path("closed"), path("usr"), &plain(0o777))?;
    let seen = of_view(&writer.view()?)?;
    base_names(
        &seen,
        &[
            "bin",
            "closed",
            "etc",
            "etc/hosts",
            "usr",
            "usr/bin",
            "usr/bin/again",
            "usr/bin/far",
            "usr/bin/tool",
            "usr/null",
        ],
    );
    let mut chain = base;
    chain.push(draft.commit(&id(1)?)?);
    assert_eq!(of_view(&chain.view(&events)?)?, seen);
    let tool = &seen[Path::new("usr/bin/tool")];
    assert!(tool.starts_with("file 4755 0:0 ") && tool.ends_with(" linked"), "{tool}");
    assert_eq!(seen[Path::new("usr/null")], "character 1:3 666 0:0 at 1700000000");
    // The kernel sees the same.
    let mut draft = bench.snapshots.draft(&chain)?;
    let root = bench.folder.join("mounted");
    let _mounted = Mounted::new(&draft.root(&events)?, &root)?;
    assert_eq!(of_folder(&root)?, seen);
    Ok(())
}

fn base_names(facts: &Facts, expected: &[&str]) {
    let names: Vec<_> = facts.keys().map(|path| path.display().to_string()).collect();
    assert_eq!(names, expected);
}
