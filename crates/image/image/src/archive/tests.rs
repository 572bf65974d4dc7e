use std::error::Error as _;
use std::io::Write as _;
use std::path::Path;

use longshore_events::Events;
use longshore_oci::Platform;
use longshore_oci::media_type::ImageFormat;

use super::*;
use crate::copy::copy;
use crate::layout::Layout;
use crate::mutate;
use crate::samples::{self, Raw};

fn platform() -> Platform {
    Platform::new("linux", "amd64", None)
}

fn open(path: &Path) -> Result<Archive, ArchiveError> {
    Archive::open(path, path.parent().unwrap(), &Events::silent())
}

fn open_bytes(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    longshore_files::write_atomic(&path, bytes).unwrap();
    open(&path)
}

/// Everything that can go wrong with the archive and all its images, as text.
fn trouble(bytes: &[u8]) -> Option<String> {
    let read = || -> Result<(), ArchiveError> {
        let archive = open_bytes(bytes)?;
        for entry in archive.entries() {
            archive.image(entry, &Events::silent())?;
        }
        Ok(())
    };
    let error = read().err()?;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    Some(text)
}

#[test]
fn what_is_saved_comes_back_and_the_bytes_depend_on_the_images_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = samples::image(&folder.path().join("layout"));
    let names = vec!["app:1".parse().unwrap(), "localhost:5000/me/app:2".parse().unwrap()];
    let saved = [SavedImage { image: image.clone(), names }];
    let (first, second) = (folder.path().join("1.tar"), folder.path().join("2.tar"));
    for path in [&first, &second] {
        save_archive(&saved, &platform(), path, &Events::silent()).unwrap();
    }
    let bytes = std::fs::read(&first).unwrap();
    assert!(bytes == std::fs::read(&second).unwrap());
    assert_eq!(ArchiveBytes::new(&saved, &platform()).unwrap().size(), bytes.len() as u64);
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "sha256:5394705bf02a3d0bccfa7d3d9acf39ad7cae6376cd76712f44d2ee7b4fae9539"
    );

    let archive = open(&first).unwrap();
    let [entry] = archive.entries() else { panic!("{:?}", archive.entries()) };
    assert_eq!(entry.names, ["docker.io/library/app:1", "localhost:5000/me/app:2"]);
    let back = archive.image(entry, &Events::silent()).unwrap();
    assert_eq!(back.digest(), image.digest());
    let mut sink = Layout::create(&folder.path().join("copy")).unwrap();
    assert_eq!(copy(&back, &mut sink, &Events::silent()).unwrap().len(), 4);
}

#[test]
fn compressed_archives_and_streams_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = samples::image(&folder.path().join("layout"));
    let mut plain = Vec::new();
    let saved = [SavedImage { image: image.clone(), names: Vec::new() }];
    write_archive(&saved, &platform(), &mut plain, &Events::silent()).unwrap();
    let mut gzip = crate::layer::GzipWriter::new(Vec::new());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for bytes in [&plain, &gzip, &zstd] {
        let from_file = open_bytes(bytes).unwrap();
        let stream = io::Cursor::new(bytes.clone());
        let from_stream = Archive::read(stream, folder.path(), &Events::silent()).unwrap();
        for archive in [from_file, from_stream] {
            let found = archive.image(&archive.entries()[0], &Events::silent()).unwrap();
            assert_eq!(found.digest(), image.digest());
            assert!(archive.entries()[0].names.is_empty());
        }
    }
    let xz = io::Cursor::new(b"\xfd7zXZ\0\0\0".to_vec());
    let error = Archive::read(xz, folder.path(), &Events::silent()).unwrap_err();
    assert!(matches!(error.kind, ArchiveErrorKind::Compression("xz")), "{error:?}");
    // Nothing but the layout: the temporary files had no names.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Docker's side of an archive, its layers named as given.
fn docker_archive(image: &crate::Image, layer_names: [&str; 2], manifest: &str, more: &[Raw<'_>]) -> Vec<u8> {
    let document = image.manifest().unwrap();
    let mut config = Vec::new();
    io::Read::read_to_end(&mut image.open(&document.config).unwrap(), &mut config).unwrap();
    let mut tars = Vec::new();
    for layer in &document.layers {
        let mut tar = Vec::new();
        io::Read::read_to_end(&mut image.open_layer(layer).unwrap(), &mut tar).unwrap();
        tars.push(tar);
    }
    let config_name = format!("{}.json", document.config.digest.encoded());
    let manifest = manifest.replace("CONFIG", &config_name);
    let mut entries = vec![
        Raw(&config_name, b'0', "", &config),
        Raw(layer_names[0], b'0', "", &tars[0]),
        Raw(layer_names[1], b'0', "", &tars[1]),
        Raw("manifest.json", b'0', "", manifest.as_bytes()),
    ];
    entries.extend(more.iter().map(|Raw(name, flag, link, content)| Raw(name, *flag, link, content)));
    samples::tar(&entries)
}

#[test]
fn dockers_side_alone_keeps_the_image_id_and_follows_links() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = samples::image(&folder.path().join("layout"));
    let config = image.manifest().unwrap().config.digest;
    let bytes = docker_archive(
        &image,
        ["aa/layer.tar", "./bb/layer.tar"],
        r#"[{"Config":"CONFIG","RepoTags":["app:1"],"Layers":["link/layer.tar","bb/layer.tar"]},
            {"Config":"CONFIG","RepoTags":null,"Layers":["hard.tar","bb/layer.tar"]}]"#,
        &[Raw("link/layer.tar", b'2', "../aa/layer.tar", b""), Raw("hard.tar", b'1', "aa/layer.tar", b"")],
    );
    let archive = open_bytes(&bytes).unwrap();
    assert_eq!(archive.entries()[0].names, ["app:1"]);
    assert_eq!(archive.entries().len(), 2);
    for entry in archive.entries() {
        let found = archive.image(entry, &Events::silent()).unwrap();
        assert_eq!(found.manifest().unwrap().config.digest, config);
        let mut sink = Layout::create(&folder.path().join("copy")).unwrap();
        copy(&found, &mut sink, &Events::silent()).unwrap();
        let diff_ids: Vec<_> =
            found.manifest().unwrap().layers.into_iter().map(|layer| layer.digest).collect();
        assert_eq!(diff_ids, image.config().unwrap().rootfs.diff_ids);
    }
}

#[test]
fn dockers_side_is_checked_against_its_config() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = samples::image(folder.path());
    for (manifest, expected) in [
        (r#"[{"Config":"CONFIG","Layers":["b","a"]}]"#, "layer `b` has the diff id sha256:"),
        (r#"[{"Config":"CONFIG","Layers":["a"]}]"#, "manifest.json lists 1 layers and the config 2 diff ids"),
        (r#"[{"Config":"CONFIG","Layers":["a","c"]}]"#, "manifest.json names `c`, which is not there"),
        (r#"[{"Config":"../x","Layers":[]}]"#, "manifest.json names `../x`, which is not there"),
        (r#"[{"Config":"a","Layers":[]}]"#, "a is not valid: "),
        (r#"[{"Config":"evil","Layers":[]}]"#, "evil is not valid: "),
        (r#"{"Config":"CONFIG"}"#, "manifest.json is not valid: "),
        ("[", "manifest.json is not valid: "),
    ] {
        let bytes = docker_archive(&image, ["a", "b"], manifest, &[Raw("evil", b'0', "", b"{}")]);
        let text = trouble(&bytes).unwrap();
        assert!(text.contains(expected), "{manifest}: {text}");
    }
    let lying = "0".repeat(64) + ".json";
    let manifest = format!(r#"[{{"Config":"{lying}","Layers":[]}}]"#);
    let bytes = docker_archive(&image, ["a", "b"], &manifest, &[Raw(&lying, b'0', "", b"{}")]);
    assert!(trouble(&bytes).unwrap().contains("and its name says another"));
}

#[test]
fn hostile_entries_are_refused_by_name() {
    let index = Raw("manifest.json", b'0', "", b"[]");
    for (entry, expected) in [
        (Raw("../evil", b'0', "", b""), "`../evil` has a name that is absolute or has `..` in it"),
        (Raw("/etc/passwd", b'0', "", b""), "`/etc/passwd` has a name that is absolute"),
        (Raw("a", b'2', "../../x", b""), "`a` is a link that leaves the archive"),
        (Raw("a", b'2', "/etc/passwd", b""), "`a` is a link that leaves the archive"),
        (Raw("a", b'1', "../x", b""), "`a` is a link that leaves the archive"),
        (Raw("a", b'3', "", b""), "`a` is a device or a pipe"),
        (Raw("a", b'4', "", b""), "`a` is a device or a pipe"),
        (Raw("a", b'6', "", b""), "`a` is a device or a pipe"),
        (Raw("a", b'Z', "", b""), "`a` is of an unknown type"),
        (Raw("a", b'S', "", b""), "`a` is stored with holes"),
        (Raw("./manifest.json", b'0', "", b"[]"), "`./manifest.json` stands there twice"),
        (Raw("manifest.json", b'2', "x", b""), "`manifest.json` stands there twice"),
    ] {
        let Raw(name, flag, link, content) = index;
        let text = trouble(&samples::tar(&[Raw(name, flag, link, content), entry])).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn what_is_no_archive_is_said() {
    let xz = [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 0];
    let mut cut = samples::tar(&[Raw("manifest.json", b'0', "", b"[]"), Raw("big", b'0', "", &[1; 4000])]);
    cut.truncate(3000);
    let mut lying = samples::header("manifest.json", b'0', "", 0o77_777_777_777).to_vec();
    lying.resize(2048, 0);
    let ring = samples::tar(&[Raw("manifest.json", b'2', "b", b""), Raw("b", b'2', "manifest.json", b"")]);
    for (bytes, expected) in [
        (&b""[..], "it holds no image"),
        (&[b'x'; 2000], "cannot read the tar at byte 0: its checksum is wrong"),
        (&xz, "it is compressed with xz"),
        (b"BZh91AY&", "it is compressed with bzip2"),
        (b"\x1f\x8b\x08\0garbage", "cannot read the archive"),
        (&cut, "`big` is cut short"),
        (&lying, "`manifest.json` is cut short"),
        (&ring, "it holds no image"),
    ] {
        let text = trouble(bytes).unwrap();
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(trouble(&samples::tar(&[Raw("manifest.json", b'0', "", b"[]")])).is_none());
}

#[test]
fn too_many_entries_are_refused() {
    let header = samples::header("d/", b'5', "", 0);
    let bytes = header.repeat(65_537);
    assert!(trouble(&bytes).unwrap().ends_with("it has more than 65536 entries"));
}

#[test]
fn a_bomb_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    struct Zeros(u64);
    impl io::Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(usize::try_from(self.0).unwrap());
            buffer[..count].fill(0);
            self.0 -= count as u64;
            Ok(count)
        }
    }
    let bomb = zstd::encode_all(Zeros(3 << 30), 1).unwrap();
    let error = Archive::read(io::Cursor::new(bomb), folder.path(), &Events::silent()).unwrap_err();
    assert!(matches!(error.kind, ArchiveErrorKind::Bomb { size, .. } if size < 2 << 30), "{error:?}");
}

#[test]
fn an_index_of_which_one_platform_was_pulled_is_that_image() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    let images: Vec<_> = ["amd64", "arm64"]
        .map(|architecture| {
            let mut draft = samples::draft(&layout, &[&[samples::file("a", b"a")]]);
            draft.config.architecture = architecture.to_owned();
            draft.finish(ImageFormat::Oci).unwrap()
        })
        .into();
    let index = mutate::index(&images, Default::default(), ImageFormat::Oci).unwrap();
    let image = samples::store(&layout, &index);
    let path = folder.path().join("a.tar");
    let saved = [SavedImage { image, names: vec!["app:1".parse().unwrap()] }];
    save_archive(&saved, &platform(), &path, &Events::silent()).unwrap();
    let archive = open(&path).unwrap();
    let whole = archive.image(&archive.entries()[0], &Events::silent()).unwrap();
    assert_eq!(whole.digest(), &index.root.digest);

    // The same archive without the second image's manifest.
    let mut kept = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(&std::fs::read(&path).unwrap()[..]).entries().unwrap() {
        let entry = entry.unwrap();
        if !entry.path().unwrap().ends_with(images[1].root.digest.encoded()) {
            kept.append(&entry.header().clone(), entry).unwrap();
        }
    }
    let archive = open_bytes(&kept.into_inner().unwrap()).unwrap();
    let only = archive.image(&archive.entries()[0], &Events::silent()).unwrap();
    assert_eq!(only.digest(), &images[0].root.digest);
    assert_eq!(archive.entries()[0].names, ["docker.io/library/app:1"]);
}

#[test]
fn an_image_that_cannot_be_read_leaves_no_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, image) = samples::image(&folder.path().join("layout"));
    let layer = image.manifest().unwrap().layers[0].clone();
    let path = folder.path().join("a.tar");
    let saved = [SavedImage { image, names: Vec::new() }];
    longshore_files::write_atomic(&layout.blob_path(&layer.digest), b"altered").unwrap();
    let error = save_archive(&saved, &platform(), &path, &Events::silent()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read layer {}", layer.digest));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
