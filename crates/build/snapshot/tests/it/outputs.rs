//! Files of a tree for people: what stands in the folder or the tar afterwards, and what hostile trees and folders cannot do.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_image::layer::{TarKind, Timestamps, entries};
use longshore_snapshot::{Output, OutputError, TarOutput, View};
use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use crate::facts::{assert_same, of_folder, of_view, refusal};
use crate::hostile::Bench;
use crate::tars::{Raw, file, folder, hard_link, pax, symlink as link};

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("outputs::a_folder_holds_what_the_tree_holds", ROOT, whole_tree)
        .test("outputs::what_stands_beside_the_files_stays", ROOT, beside)
        .test("outputs::links_in_the_folder_lead_nowhere", ROOT, links)
        .test("outputs::a_folder_with_something_in_it_is_not_replaced_by_a_file", ROOT, in_the_way)
        .test("outputs::times_are_clamped", ROOT, times)
        .test("outputs::a_part_of_the_tree_may_be_meant", ROOT, parts)
        .test("outputs::a_tar_keeps_owners", ROOT, tars)
        .test("outputs::an_interrupt_leaves_no_half_file", ROOT, interrupts)
}

/// Something of every kind.
fn sample() -> Vec<Raw> {
    let special = |flag, name: &str| Raw { flag, mode: 0o640, ..file(name, b"") };
    vec![
        Raw { mode: 0o555, ..folder("closed") },
        file("closed/file", b"closed"),
        hard_link("closed/same", "closed/file"),
        folder("etc"),
        link("etc/absolute", "/outside"),
        pax(&[("SCHILY.xattr.user.note", "kept")]),
        file("etc/noted", b"note"),
        special(b'3', "etc/null"),
        special(b'6', "etc/pipe"),
        Raw { mode: 0o4755, ..file("etc/set-id", b"#!") },
        Raw { mode: 0o1777, ..folder("tmp") },
    ]
}

fn view(bench: &Bench, layers: &[Vec<Raw>]) -> Result<View, Stop> {
    Ok(bench.base(layers)?.view(&Events::silent())?)
}

fn write(view: &View, to: &Path) -> Result<Vec<PathBuf>, OutputError> {
    let (events, timestamps) = (Events::silent(), Timestamps::Keep);
    Output { view, source: Path::new(""), timestamps, events: &events }.write_folder(to)
}

fn whole_tree() -> TestResult {
    let bench = Bench::new()?;
    let view = view(&bench, &[sample(), vec![file("etc/.wh.noted", b""), file("etc/new", b"new")]])?;
    let to = bench.folder.join("a/b/out");
    let facts = of_view(&view)?;
    assert_eq!(facts.len(), 10, "{facts:?}");
    // The second time everything is there already.
    for _ in 0..2 {
        assert_eq!(write(&view, &to)?, Vec::<PathBuf>::new());
        assert_same("the folder", &of_folder(&to)?, &facts);
        assert_eq!(fs::metadata(to.join("closed"))?.mtime(), 1_700_000_000);
    }
    let nothing = view_of_nothing(&bench)?;
    assert_eq!(write(&nothing, &bench.folder.join("empty"))?, Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(bench.folder.join("empty"))?.count(), 0);
    Ok(())
}

fn view_of_nothing(bench: &Bench) -> Result<View, Stop> {
    Ok(bench.snapshots.scratch().view(&Events::silent())?)
}

fn beside() -> TestResult {
    let bench = Bench::new()?;
    let view = view(&bench, &[vec![folder("etc"), file("etc/new", b"new"), link("tool", "etc/new")]])?;
    let to = bench.folder.join("out");
    fs::create_dir_all(to.join("etc"))?;
    for name in ["etc/old", "etc/new", "tool", "mine", ".tmp-1-1"] {
        bench.folder.write(Path::new("out").join(name), "mine")?;
    }
    fs::set_permissions(&to, Permissions::from_mode(0o710))?;
    write(&view, &to)?;
    let read = |name: &str| fs::read_to_string(to.join(name));
    assert_eq!(
        (read("etc/old")?, read("mine")?, read(".tmp-1-1")?),
        ("mine".into(), "mine".into(), "mine".into())
    );
    assert_eq!((read("etc/new")?, fs::read_link(to.join("tool"))?), ("new".into(), PathBuf::from("etc/new")));
    // The folder itself is the user's own.
    assert_eq!(fs::metadata(&to)?.mode() & 0o7777, 0o710);
    assert_eq!((fs::read_dir(&to)?.count(), fs::read_dir(to.join("etc"))?.count()), (4, 2));
    Ok(())
}

fn links() -> TestResult {
    let bench = Bench::new()?;
    let (outside, to) = (bench.folder.join("outside"), bench.folder.join("out"));
    bench.folder.write("outside/file", "outside")?;
    // The tree writes through a link of its own in one layer, the folder has links where the tree has folders and files.
    let below = vec![link("a", outside.to_str().unwrap_or_default()), folder("b"), file("b/file", b"b")];
    let above = vec![folder("a"), file("a/file", b"a"), file("c", b"c")];
    let view = view(&bench, &[below, above])?;
    fs::create_dir(&to)?;
    symlink(&outside, to.join("a"))?;
    symlink(&outside, to.join("b"))?;
    symlink(outside.join("file"), to.join("c"))?;
    write(&view, &to)?;
    assert_same("the folder", &of_folder(&to)?, &of_view(&view)?);
    assert_eq!(fs::read_to_string(outside.join("file"))?, "outside");
    assert_eq!(fs::read_dir(&outside)?.count(), 1);
    // A link that a person names is meant.
    symlink(&to, bench.folder.join("named"))?;
    write(&view, &bench.folder.join("named"))?;
    assert!(bench.folder.join("named").is_symlink());
    assert_same("the folder", &of_folder(&to)?, &of_view(&view)?);
    Ok(())
}

fn in_the_way() -> TestResult {
    let bench = Bench::new()?;
    let view = view(&bench, &[vec![file("data", b"data"), link("empty", "data")]])?;
    let to = bench.folder.join("out");
    bench.folder.write("out/data/precious", "mine")?;
    fs::create_dir(to.join("empty"))?;
    let expected = format!(
        "cannot replace the folder {}/data by a file: there is something in it",
        fs::canonicalize(&to)?.display()
    );
    assert_eq!(refusal(write(&view, &to))?, expected);
    assert_eq!(fs::read_to_string(to.join("data/precious"))?, "mine");
    fs::remove_file(to.join("data/precious"))?;
    write(&view, &to)?;
    assert_same("the folder", &of_folder(&to)?, &of_view(&view)?);
    let file = bench.folder.join("out/data");
    let expected = format!("cannot create the folder {}: File exists (os error 17)", file.display());
    assert_eq!(refusal(write(&view, &file))?, expected);
    Ok(())
}

fn times() -> TestResult {
    let bench = Bench::new()?;
    let view = view(&bench, &[vec![folder("etc"), file("etc/a", b"a"), link("l", "etc")]])?;
    let events = Events::silent();
    for (timestamps, expected) in [
        (Timestamps::Keep, 1_700_000_000),
        (Timestamps::Clamp(1_600_000_000), 1_600_000_000),
        (Timestamps::Clamp(1_800_000_000), 1_700_000_000),
    ] {
        let output = Output { view: &view, source: Path::new(""), timestamps, events: &events };
        let to = bench.folder.join("out");
        output.write_folder(&to)?;
        let mut tar = TarOutput::new(Vec::new(), timestamps)?;
        tar.append(&output, Path::new(""))?;
        let bytes = tar.finish()?;
        let mut read = entries(&bytes[..]);
        let mut count = 0;
        while let Some(entry) = read.next_entry()? {
            assert_eq!(entry.mtime, expected, "{}", entry.path.display());
            assert_eq!(fs::symlink_metadata(to.join(&entry.path))?.mtime(), expected);
            count += 1;
        }
        assert_eq!(count, 3);
    }
    Ok(())
}

fn parts() -> TestResult {
    let bench = Bench::new()?;
    let layer = vec![folder("app"), file("app/server", b"server"), file("other", b""), link("way", "/app")];
    let view = view(&bench, &[layer])?;
    let events = Events::silent();
    let output = |source: &'static str| Output {
        view: &view,
        source: Path::new(source),
        timestamps: Timestamps::Keep,
        events: &events,
    };
    for source in ["/app", "way/", "/app/../app/."] {
        let to = bench.folder.join(source.replace('/', "_"));
        output(source).write_folder(&to)?;
        assert_eq!(fs::read_to_string(to.join("server"))?, "server");
        assert_eq!(fs::read_dir(&to)?.count(), 1);
    }
    for source in ["/nowhere", "/other"] {
        let written = output(source).write_folder(&bench.folder.join("none"));
        assert_eq!(refusal(written)?, format!("there is no folder {source} among the files"));
    }
    assert!(!bench.folder.join("none").exists());
    Ok(())
}

fn tars() -> TestResult {
    let bench = Bench::new()?;
    let mut layer = sample();
    layer.push(Raw { uid: 1234, ..file("owned", b"by 1234") });
    let view = view(&bench, &[layer])?;
    let events = Events::silent();
    let output = Output { view: &view, source: Path::new(""), timestamps: Timestamps::Keep, events: &events };
    let mut tar = TarOutput::new(Vec::new(), Timestamps::Keep)?;
    tar.append(&output, Path::new(""))?;
    tar.append(&output, Path::new("linux_arm64"))?;
    let bytes = tar.finish()?;
    let mut seen = Vec::new();
    let mut read = entries(&bytes[..]);
    while let Some(entry) = read.next_entry()? {
        let kind = match &entry.kind {
            TarKind::Hardlink(target) => format!("= {}", target.display()),
            TarKind::Symlink(target) => format!("-> {}", target.display()),
            TarKind::Directory => "folder".to_owned(),
            TarKind::File => String::from_utf8(io::read_to_string(read.content())?.into())?,
            other => format!("{other:?}"),
        };
        let noted = entry.xattrs.get("user.note").map(|_| " noted").unwrap_or_default();
        seen.push(format!("{} {:o} {} {kind}{noted}", entry.path.display(), entry.mode, entry.uid));
    }
    let expected = [
        "closed/ 555 0 folder",
        "closed/file 644 0 closed",
        "closed/same 644 0 = closed/file",
        "etc/ 755 0 folder",
        "etc/absolute 777 0 -> /outside",
        "etc/noted 644 0 note noted",
        "etc/null 640 0 CharacterDevice(0, 0)",
        "etc/pipe 640 0 Fifo",
        "etc/set-id 4755 0 #!",
        "owned 644 1234 by 1234",
        "tmp/ 1777 0 folder",
    ];
    assert_eq!(seen[..11], expected);
    assert_eq!(seen[11], "linux_arm64/ 755 0 folder");
    let below: Vec<String> = expected
        .iter()
        .map(|line| format!("linux_arm64/{line}").replace("= closed", "= linux_arm64/closed"))
        .collect();
    assert_eq!(seen[12..], below);
    Ok(())
}

fn interrupts() -> TestResult {
    let bench = Bench::new()?;
    let view = view(&bench, &[sample()])?;
    let events = Events::silent();
    events.cancel();
    let output = Output { view: &view, source: Path::new(""), timestamps: Timestamps::Keep, events: &events };
    let to = bench.folder.join("out");
    assert!(output.write_folder(&to).is_err_and(|error| error.is_cancelled()));
    assert_eq!(fs::read_dir(&to)?.count(), 0);
    let mut tar = TarOutput::new(Vec::new(), Timestamps::Keep)?;
    assert!(tar.append(&output, Path::new("")).is_err_and(|error| error.is_cancelled()));
    Ok(())
}
