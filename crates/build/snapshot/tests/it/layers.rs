//! Differences as layers: entry by entry, and what comes back when they are unpacked.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_events::Events;
use longshore_image::layer::{TarEntry, TarKind, Timestamps, entries};
use longshore_image::mutate::Draft;
use longshore_oci::History;
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_snapshot::{LayerOptions, Metadata, NodeKind, Ownership, Snapshot, Snapshots};
use longshore_store::Store;
use longshore_testkit::{Folder, Requirement, Stop, Suite, TestResult, program, run};

use crate::facts::{of_view, refusal};
use crate::hostile::Bench;
use crate::rules::{id, plain};
use crate::tars::{finish, lower, platform};

const ROOT: &[Requirement] = &[Requirement::Root];
const TAR: &[Requirement] = &[Requirement::Root, Requirement::Program("tar")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("entries_stand_in_order_with_their_folders_and_marks", ROOT, order)
        .test("everything_that_a_layer_can_hold_comes_back", ROOT, everything)
        .test("files_that_gnu_tar_stored_without_their_holes_come_back", TAR, holes_of_gnu_tar)
        .test("times_follow_the_policy_and_formats_have_their_types", ROOT, options)
        .test("what_was_removed_from_the_store_is_written_again", ROOT, written_again)
}

const OPTIONS: LayerOptions =
    LayerOptions { timestamps: Timestamps::Keep, format: ImageFormat::Oci, compression: Compression::None };

/// The entries of a difference's layer.
fn tar(bench: &Bench, snapshot: &Snapshot) -> Result<Vec<TarEntry>, Stop> {
    let layer = snapshot.layer(&bench.store.writer()?, &OPTIONS, &Events::silent())?;
    assert_eq!(layer.descriptor.digest, layer.diff_id, "not compressed");
    let mut reader = entries(File::open(bench.store.layout().blob_path(&layer.diff_id))?);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        found.push(entry);
    }
    Ok(found)
}

fn order() -> TestResult {
    let bench = Bench::new()?;
    let base = bench.base(&[lower()])?;
    let mut draft = bench.snapshots.draft(&base)?;
    let mut writer = draft.writer(base.view(&Events::silent())?)?;
    writer.file(Path::new("usr/bin/b"), &plain(0o644), &mut &b"1"[..])?;
    writer.hard_link(Path::new("usr/bin/a"), Path::new("usr/bin/b"))?;
    writer.remove(Path::new("usr/bin/tool"))?;
    writer.remove(Path::new("closed"))?;
    writer.folder(Path::new("closed"), &plain(0o755))?;
    writer.file(Path::new("closed/new"), &plain(0o600), &mut &b""[..])?;
    writer.file(Path::new("bin-x"), &plain(0o600), &mut &b""[..])?;
    let found = tar(&bench, &draft.commit(&id(1)?)?)?;
    let lines: Vec<_> =
        found.iter().map(|entry| format!("{} {:?}", entry.path.display(), entry.kind)).collect();
    assert_eq!(
        lines,
        [
            "bin-x File",
            "closed/ Directory",
            "closed/.wh..wh..opq File",
            "closed/new File",
            "usr/ Directory",
            "usr/bin/ Directory",
            "usr/bin/a File",
            "usr/bin/b Hardlink(\"usr/bin/a\")",
            "usr/bin/.wh.tool File",
        ]
    );
    Ok(())
}

fn everything() -> TestResult {
    let bench = Bench::new()?;
    let events = Events::silent();
    let scratch = bench.snapshots.scratch();
    let mut draft = bench.snapshots.draft(&scratch)?;
    let mut writer = draft.writer(scratch.view(&events)?)?;
    let long: PathBuf = (0..5).map(|number| format!("{number}").repeat(90)).collect();
    writer.create_folders(&long, 0o755, 0, 0, (7, 0))?;
    let name = "n".repeat(255);
    writer.file(&long.join(&name), &plain(0o644), &mut &b"long"[..])?;
    writer.symlink(&long.join("link"), Path::new(&"t".repeat(300)), &plain(0o777))?;
    let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"not \xff\xfe utf-8\n"));
    writer.file(&odd, &plain(0o644), &mut &b"odd"[..])?;
    let owned = Metadata { uid: 4_000_000_000, gid: 3_000_000, ..plain(0o6711) };
    writer.file(Path::new("owned"), &owned, &mut &b"1"[..])?;
    let mut capable = plain(0o755);
    // cap_net_bind_service=ep, revision 2.
    let value = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    capable.xattrs.insert("security.capability".into(), value.clone());
    capable.xattrs.insert("user.text".into(), b"a=b\nc".to_vec());
    capable.xattrs.insert("user.overlay.opaque".into(), b"y".to_vec());
    capable.xattrs.insert("trusted.overlay.redirect".into(), b"/etc".to_vec());
    writer.file(Path::new("capable"), &capable, &mut &b"1"[..])?;
    for (name, kind) in [
        ("null", NodeKind::CharacterDevice(1, 3)),
        ("disk", NodeKind::BlockDevice(254, 70_000)),
        ("pipe", NodeKind::Fifo),
    ] {
        writer.node(Path::new(name), &kind, &plain(0o660))?;
    }
    let sparse = Folder::new()?;
    let mut hole = File::create_new(sparse.join("sparse"))?;
    hole.seek(SeekFrom::Start(8 << 20))?;
    hole.write_all(b"end")?;
    writer.file_from(Path::new("sparse"), &plain(0o644), &File::open(sparse.join("sparse"))?)?;
    let mut chain = scratch;
    chain.push(draft.commit(&id(1)?)?);
    let seen = of_view(&chain.view(&events)?)?;
    assert_eq!(seen.len(), 5 + 2 + 7);

    let layer = chain.snapshots()[0].layer(&bench.store.writer()?, &OPTIONS, &events)?;
    let mut image = Draft::empty(&platform()?);
    image.append(&layer, History::default());
    let image = finish(bench.store.layout(), image)?;
    let other = Folder::new()?;
    let again = Snapshots::open(&Store::open(&other.join("store"))?, Ownership::Root, true)?.base(&image)?;
    assert_eq!(of_view(&again.view(&events)?)?, seen);
    let folder = again.folders(&events)?.remove(0);
    let view = again.view(&events)?;
    assert_eq!(of_view(&view)?, seen);
    let about = fs::metadata(folder.join("sparse"))?;
    assert_eq!(about.len(), (8 << 20) + 3);
    assert!(about.blocks() * 512 < 1 << 20, "{} blocks", about.blocks());
    let node = view.lookup(Path::new("capable"))?.ok_or_else(|| Stop::failed("not there"))?;
    let kept: Vec<_> = node.xattrs.keys().map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(kept, ["security.capability", "user.text"]);
    assert_eq!(node.xattrs.values().next(), Some(&value));
    let mut content = String::new();
    view.open(&long.join(&name))?.read_to_string(&mut content)?;
    assert_eq!(content, "long");
    assert_eq!(refusal(view.open(Path::new("pipe")))?, "pipe is not a regular file");
    Ok(())
}

fn holes_of_gnu_tar() -> TestResult {
    let folder = Folder::new()?;
    let tree = folder.join("tree/etc");
    fs::create_dir_all(&tree)?;
    let mut file = File::create_new(tree.join("passwd"))?;
    for number in 0..30 {
        file.seek(SeekFrom::Start(number * 65_536 + 4_096))?;
        file.write_all(b"piece")?;
    }
    file.set_len(30 * 65_536)?;
    let original = fs::read(tree.join("passwd"))?;
    for form in ["--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0", "--format=oldgnu"] {
        let path = folder.join("sparse.tar");
        let mut tar = Command::new(program("tar")?);
        let posix = if form.starts_with("--sparse") { "--format=posix" } else { "--sparse" };
        tar.args([posix, form, "--sparse", "-C"]).arg(folder.join("tree")).arg("-cf").arg(&path).arg("etc");
        run(&mut tar, Duration::from_secs(20))?.succeeded()?;
        assert!(fs::metadata(&path)?.len() < 1 << 19, "{form} stored the holes");
        let bench = Bench::new()?;
        let image = crate::tars::image(bench.store.layout(), &[fs::read(&path)?], false)?;
        let chain = bench.snapshots.base(&image)?;
        let view = chain.view(&Events::silent())?;
        let small = view.read_small(Path::new("etc/passwd"), 1 << 22)?;
        assert!(small.as_deref() == Some(&original[..]), "{form}");
        let unpacked = chain.folders(&Events::silent())?.remove(0).join("etc/passwd");
        assert!(fs::read(&unpacked)? == original, "{form}");
        assert!(fs::metadata(&unpacked)?.blocks() * 512 < 1 << 19, "{form} lost the holes");
    }
    Ok(())
}

fn options() -> TestResult {
    let bench = Bench::new()?;
    let scratch = bench.snapshots.scratch();
    let mut draft = bench.snapshots.draft(&scratch)?;
    let mut writer = draft.writer(scratch.view(&Events::silent())?)?;
    writer.file(Path::new("new"), &Metadata { mtime: (2_000, 999), ..plain(0o644) }, &mut &b"1"[..])?;
    writer.file(Path::new("old"), &Metadata { mtime: (500, 0), ..plain(0o644) }, &mut &b"1"[..])?;
    let snapshot = draft.commit(&id(1)?)?;
    let into = bench.store.writer()?;
    for (timestamps, expected) in [
        (Timestamps::Keep, [2_000, 500]),
        (Timestamps::Clamp(1_000), [1_000, 500]),
        (Timestamps::Fixed(7), [7, 7]),
    ] {
        let layer = snapshot.layer(&into, &LayerOptions { timestamps, ..OPTIONS }, &Events::silent())?;
        let mut reader = entries(File::open(bench.store.layout().blob_path(&layer.diff_id))?);
        let mut times = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            times.push((entry.mtime, entry.mtime_nanos));
        }
        assert_eq!(times, expected.map(|time| (time, 0)), "{timestamps:?}");
    }
    let mut diff_ids = Vec::new();
    for (format, compression, media_type) in [
        (ImageFormat::Oci, Compression::Gzip, "application/vnd.oci.image.layer.v1.tar+gzip"),
        (ImageFormat::Oci, Compression::Zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
        (ImageFormat::Docker, Compression::Gzip, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        (ImageFormat::Oci, Compression::None, "application/vnd.oci.image.layer.v1.tar"),
    ] {
        let options = LayerOptions { format, compression, ..OPTIONS };
        let layer = snapshot.layer(&into, &options, &Events::silent())?;
        assert_eq!(layer.descriptor.media_type, media_type);
        diff_ids.push(layer.diff_id);
    }
    diff_ids.dedup();
    assert_eq!(diff_ids.len(), 1);
    assert!(matches!(tar(&bench, &snapshot)?[0].kind, TarKind::File));
    Ok(())
}

fn written_again() -> TestResult {
    let bench = Bench::new()?;
    let scratch = bench.snapshots.scratch();
    let snapshot = bench.snapshots.draft(&scratch)?.commit(&id(1)?)?;
    let into = bench.store.writer()?;
    let layer = snapshot.layer(&into, &OPTIONS, &Events::silent())?;
    let blob = bench.store.layout().blob_path(&layer.descriptor.digest);
    fs::remove_file(&blob)?;
    assert_eq!(snapshot.layer(&into, &OPTIONS, &Events::silent())?, layer);
    assert!(blob.exists());
    Ok(())
}
