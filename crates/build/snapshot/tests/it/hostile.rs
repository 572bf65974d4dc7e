//! Layers of strangers.

use std::fs;
use std::path::Path;

use longshore_events::Events;
use longshore_image::Layout;
use longshore_snapshot::{Chain, Ownership, Snapshots};
use longshore_store::Store;
use longshore_testkit::{Folder, Requirement, Stop, Suite, TestResult};

use crate::facts::{Facts, assert_same, of_folder, of_view, refusal};
use crate::tars::{Raw, file, folder, hard_link, image, pax, symlink, tar};

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("hostile_entries_stay_inside_or_are_refused", ROOT, hostile_entries)
        .test("what_stands_over_each_other_is_one_tree_by_index_and_unpacked", ROOT, over_each_other)
        .test("layers_without_their_folders_take_them_from_below", ROOT, incomplete_layers)
        .test("a_layer_that_claims_anothers_name_is_refused", ROOT, lying_layer)
        .test("a_full_disk_is_told_and_leaves_nothing", ROOT, full_disk)
}

pub(crate) struct Bench {
    pub(crate) folder: Folder,
    pub(crate) store: Store,
    pub(crate) snapshots: Snapshots,
}

impl Bench {
    pub(crate) fn new() -> Result<Bench, Stop> {
        let folder = Folder::new()?;
        let store = Store::open(&folder.join("store"))?;
        let snapshots = Snapshots::open(&store, Ownership::Root, true)?;
        Ok(Bench { folder, store, snapshots })
    }

    pub(crate) fn base(&self, layers: &[Vec<Raw>]) -> Result<Chain, Stop> {
        let tars: Vec<_> = layers.iter().map(|entries| tar(entries)).collect();
        Ok(self.snapshots.base(&image(self.store.layout(), &tars, false)?)?)
    }

    /// Names of folders that hold snapshots, finished or not.
    pub(crate) fn leftovers(&self) -> Result<Vec<String>, Stop> {
        let mut names = Vec::new();
        for kind in ["snapshots-root", "drafts-root"] {
            for entry in fs::read_dir(self.store.cache_folder(kind))? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    names.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        Ok(names)
    }
}

fn hostile_entries() -> TestResult {
    let outside = Folder::new()?;
    let victim = outside.path().display().to_string();
    let cases: Vec<(&str, Vec<Raw>, &str)> = vec![
        ("above the root", vec![file("../../escape", b"x")], "leads out of the image"),
        ("above in the middle", vec![file("a/../../escape", b"x")], "leads out of the image"),
        ("hard link above", vec![hard_link("a", "../../etc/passwd")], "which is no file"),
        ("hard link to a folder", vec![folder("d"), hard_link("a", "d")], "which is no file"),
        ("hard link to nothing", vec![hard_link("a", "etc/passwd")], "which is no file"),
        (
            "links in a circle",
            vec![symlink("a", "b"), symlink("b", "a"), file("a/x", b"")],
            "too many symbolic",
        ),
        ("an owner of all bits", vec![pax(&[("uid", "4294967295")]), file("a", b"")], "is 4294967295"),
        ("an owner of more bits", vec![pax(&[("gid", "4294967296")]), file("a", b"")], "is 4294967296"),
    ];
    for (name, entries, expected) in cases {
        let bench = Bench::new()?;
        let error = bench.base(std::slice::from_ref(&entries))?.folders(&Events::silent());
        let text = refusal(error)?;
        assert!(text.contains(expected), "{name}: {text}");
        let left = bench.leftovers()?;
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    // Links out of the tree lead back into it.
    let bench = Bench::new()?;
    let entries = vec![
        symlink("absolute", &victim),
        file("absolute/inside", b"1"),
        symlink("up", "../../../../../../../../../../../../../../../.."),
        file("up/also", b"2"),
        symlink("self", "."),
        file("self/too", b"3"),
        file("/leading", b"4"),
        file("./dotted", b"5"),
    ];
    let chain = bench.base(&[entries])?;
    chain.folders(&Events::silent())?;
    assert_eq!(fs::read_dir(outside.path())?.count(), 0);
    let view = chain.view(&Events::silent())?;
    let inside = format!("{victim}/inside");
    for (path, content) in
        [(inside.as_str(), "1"), ("also", "2"), ("too", "3"), ("leading", "4"), ("dotted", "5")]
    {
        let read = view.read_small(Path::new(path), 10)?;
        assert_eq!(read.as_deref(), Some(content.as_bytes()), "{path}");
    }
    assert_eq!(view.resolve(Path::new("/up/../absolute/inside"))?, Path::new(&inside[1..]));
    Ok(())
}

/// The tree by index, then unpacked.
fn both(chain: &Chain, what: &str) -> Result<Facts, Stop> {
    let events = Events::silent();
    let by_index = chain.view(&events)?;
    // Which names there are, before anything is unpacked; contents come from disk either way.
    let facts = of_view(&by_index)?;
    chain.folders(&events)?;
    assert_same(what, &of_view(&chain.view(&events)?)?, &facts);
    Ok(facts)
}

fn paths(facts: &Facts) -> Vec<String> {
    facts.keys().map(|path| path.display().to_string()).collect()
}

fn over_each_other() -> TestResult {
    let lower = vec![folder("d"), file("d/low", b"1"), folder("e"), file("e/low", b"1"), file("f", b"low")];
    let cases: Vec<(&str, Vec<Raw>, &[&str])> = vec![
        ("a file twice", vec![file("x", b"1"), file("x", b"22")], &["d", "d/low", "e", "e/low", "f", "x"]),
        (
            "a file over a folder",
            vec![folder("d"), file("d/x", b""), file("d", b"")],
            &["d", "e", "e/low", "f"],
        ),
        (
            "a folder over a file",
            vec![file("d", b""), folder("d"), file("d/x", b"")],
            &["d", "d/x", "e", "e/low", "f"],
        ),
        ("a file below a file", vec![file("d", b""), file("d/x", b"")], &["d", "d/x", "e", "e/low", "f"]),
        ("whiteout", vec![folder("d"), file("d/.wh.low", b"")], &["d", "e", "e/low", "f"]),
        ("whiteout of a folder", vec![file(".wh.d", b"")], &["e", "e/low", "f"]),
        (
            "whiteout, then the name",
            vec![file(".wh.d", b""), folder("d"), file("d/x", b"")],
            &["d", "d/x", "e", "e/low", "f"],
        ),
        (
            "the name, then whiteout",
            vec![folder("d"), file("d/x", b""), file(".wh.d", b"")],
            &["d", "d/x", "e", "e/low", "f"],
        ),
        (
            "the file, then whiteout",
            vec![file("f", b"new"), file(".wh.f", b"")],
            &["d", "d/low", "e", "e/low", "f"],
        ),
        (
            "opaque",
            vec![folder("d"), file("d/.wh..wh..opq", b""), file("d/x", b"")],
            &["d", "d/x", "e", "e/low", "f"],
        ),
        (
            "opaque last",
            vec![folder("d"), file("d/x", b""), file("d/.wh..wh..opq", b"")],
            &["d", "d/x", "e", "e/low", "f"],
        ),
        ("opaque root", vec![file("x", b""), file(".wh..wh..opq", b"")], &["x"]),
        (
            "marks of AUFS",
            vec![file(".wh..wh.plnk", b""), file(".wh..", b""), file(".wh.", b"")],
            &["d", "d/low", "e", "e/low", "f"],
        ),
        (
            "a hard link over its file",
            vec![file("x", b"1"), hard_link("x", "x")],
            &["d", "d/low", "e", "e/low", "f", "x"],
        ),
        (
            "a hard link through a link",
            vec![symlink("s", "d"), folder("d"), file("d/x", b"1"), hard_link("y", "s/x")],
            &["d", "d/low", "d/x", "e", "e/low", "f", "s", "y"],
        ),
        (
            "a pipe over a link",
            vec![symlink("f", "d"), Raw { flag: b'6', ..file("f", b"") }],
            &["d", "d/low", "e", "e/low", "f"],
        ),
    ];
    for (name, entries, expected) in cases {
        let bench = Bench::new()?;
        let facts = both(&bench.base(&[lower.clone(), entries])?, name)?;
        assert_eq!(paths(&facts), expected, "{name}");
    }
    // What engines would have put into the image by a link of a layer below stands where it says: the link is replaced.
    let bench = Bench::new()?;
    let usr = vec![folder("usr"), folder("usr/bin"), file("usr/bin/sh", b"sh"), symlink("bin", "usr/bin")];
    let facts = both(&bench.base(&[usr, vec![folder("bin"), file("bin/x", b"")]])?, "over a link")?;
    assert_eq!(paths(&facts), ["bin", "bin/x", "usr", "usr/bin", "usr/bin/sh"]);
    Ok(())
}

fn incomplete_layers() -> TestResult {
    let bench = Bench::new()?;
    let tmp = Raw { mode: 0o1777, uid: 7, ..folder("tmp") };
    let shared = Raw { mode: 0o4755, uid: 9, ..file("tool", b"#!") };
    let below = vec![tmp, shared, pax(&[("SCHILY.xattr.user.a", "b")]), folder("var")];
    let above = vec![file("tmp/deep/x", b"1"), hard_link("var/also", "tool"), file("new/y", b"2")];
    let chain = bench.base(&[below, above.clone(), vec![file("tmp/deep/z", b"3")]])?;
    let facts = both(&chain, "incomplete")?;
    let fact = |path: &str| facts.get(Path::new(path)).map(String::as_str).unwrap_or_default().to_owned();
    assert_eq!(fact("tmp"), "folder 1777 7:0");
    assert_eq!(fact("tmp/deep"), "folder 755 0:0");
    assert_eq!(fact("var"), "folder 755 0:0 user.a=b");
    assert_eq!(fact("var/also"), fact("tool"));
    assert!(fact("tool").starts_with("file 4755 9:0 "), "{}", fact("tool"));
    assert_eq!(facts.len(), 9, "{facts:#?}");
    // The same layer on other ones has other folders.
    let other = vec![Raw { mode: 0o700, ..folder("tmp") }, file("tool", b"other"), folder("var")];
    let facts = both(&bench.base(&[other, above])?, "on others")?;
    assert_eq!(facts[Path::new("tmp")], "folder 700 0:0");
    assert_eq!(facts[Path::new("var/also")], facts[Path::new("tool")]);
    Ok(())
}

fn lying_layer() -> TestResult {
    let bench = Bench::new()?;
    let lie = image(bench.store.layout(), &[tar(&[file("a", b"evil")])], true)?;
    let chain = bench.snapshots.base(&lie)?;
    let events = Events::silent();
    let unpacked = refusal(chain.folders(&events))?;
    let looked_up = refusal(chain.view(&events)?.lookup(Path::new("a")))?;
    for text in [unpacked, looked_up] {
        assert!(text.contains("and the config says sha256:"), "{text}");
    }
    assert!(bench.leftovers()?.is_empty());
    assert!(!bench.store.cache_folder("layer-index").exists());
    Ok(())
}

fn full_disk() -> TestResult {
    let disk = Folder::new()?;
    let at = disk.join("small");
    fs::create_dir(&at)?;
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at);
    let time = std::time::Duration::from_secs(20);
    if let Err(error) = longshore_testkit::run(&mut mount, time)?.succeeded() {
        return Err(longshore_testkit::Skip(format!("nothing can be mounted here: {error}")).into());
    }
    let check = || -> TestResult {
        let store = Store::open(&at.join("store"))?;
        let snapshots = Snapshots::open(&store, Ownership::Root, true)?;
        // The image is elsewhere: its layer fits nowhere on this disk.
        let layout = Layout::create(&disk.join("layout"))?;
        let big: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let chain =
            snapshots.base(&image(&layout, &[tar(&[file("small", b"1"), file("big", &big)])], false)?)?;
        let result = chain.folders(&Events::silent());
        let hint =
            result.as_ref().err().and_then(longshore_snapshot::SnapshotError::hint).unwrap_or_default();
        let text = refusal(result)?;
        assert!(text.contains("cannot write big") && text.contains("No space left"), "{text}");
        assert!(hint.contains("the disk is full"), "{hint}");
        let left = of_folder(&store.cache_folder("drafts-root"))?;
        assert_eq!(left, Facts::new());
        // What needs less still works.
        let chain = snapshots.base(&image(&layout, &[tar(&[file("small", b"1")])], false)?)?;
        assert_eq!(chain.folders(&Events::silent())?.len(), 1);
        Ok(())
    };
    let result = check();
    let mut umount = std::process::Command::new("umount");
    longshore_testkit::run(umount.arg(&at), time)?.succeeded()?;
    result
}
