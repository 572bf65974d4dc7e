use std::sync::Arc;

use longshore_events::Events;
use longshore_oci::media_type::{self, ImageFormat};
use longshore_oci::{Descriptor, History, Manifest, Platform};
use serde_json::{Value, json};

use super::*;
use crate::content::{BlobReader, Content, ContentError, ContentErrorKind};
use crate::layout::Layout;
use crate::mutate::{self, Draft};
use crate::samples::{self, Raw};
use crate::{Image, layer::Layer};

/// Blobs in memory.
#[derive(Clone, Default)]
struct Memory(std::collections::HashMap<Digest, Vec<u8>>);

impl Memory {
    fn put(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        self.0.insert(descriptor.digest.clone(), bytes.to_vec());
        descriptor
    }
}

impl Content for Memory {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        match self.0.get(&descriptor.digest) {
            Some(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
            None => Err(ContentError::new(descriptor, ContentErrorKind::NotFound)),
        }
    }
}

/// A change of a document, and the rules that it breaks.
type Change<'a> = (fn(&mut Value), &'a [&'a str]);

fn rules(violations: &[Violation]) -> Vec<String> {
    let path = |v: &Violation| v.path.as_ref().map_or(String::new(), |path| format!(" {}", path.display()));
    violations.iter().map(|violation| format!("{}{}", violation.rule, path(violation))).collect()
}

fn check(image: &Image) -> Vec<String> {
    rules(&validate(image, &Events::silent()).unwrap())
}

/// An image of one layer with these bytes; its documents may be changed before they are written.
fn image_of(
    layer: (&str, &[u8]),
    tar: &[u8],
    change_config: impl FnOnce(&mut Value),
    change_manifest: impl FnOnce(&mut Value),
) -> Image {
    let mut memory = Memory::default();
    let descriptor = memory.put(layer.0, layer.1);
    let mut draft = Draft::empty(&Platform::new("linux", "amd64", None));
    draft.append(&Layer { descriptor: descriptor.clone(), diff_id: Digest::of(tar) }, History::default());
    let mut config = serde_json::to_value(&draft.config).unwrap();
    change_config(&mut config);
    let config = memory.put(media_type::OCI_CONFIG, &serde_json::to_vec(&config).unwrap());
    let manifest = Manifest::new(ImageFormat::Oci, config, vec![descriptor]);
    let mut manifest = serde_json::to_value(manifest).unwrap();
    change_manifest(&mut manifest);
    let root = memory.put(media_type::OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    Image::new(root, Arc::new(memory))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = crate::layer::GzipWriter::new(Vec::new());
    std::io::Write::write_all(&mut writer, bytes).unwrap();
    writer.finish().unwrap()
}

fn tar() -> Vec<u8> {
    samples::tar(&[Raw("app", b'0', "", b"app")])
}

#[test]
fn a_good_image_and_a_good_layout_have_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, image) = samples::image(folder.path());
    layout.tag(Some("a"), image.descriptor()).unwrap();
    assert_eq!(check(&image), Vec::<String>::new());
    assert_eq!(rules(&validate_layout(folder.path(), &Events::silent()).unwrap()), Vec::<String>::new());
    let docker = mutate::convert(&image, ImageFormat::Docker).unwrap();
    assert_eq!(check(&docker.image(vec![Arc::clone(image.content())])), Vec::<String>::new());
    let index = mutate::index(&[docker], Default::default(), ImageFormat::Docker).unwrap();
    assert_eq!(check(&index.image(vec![Arc::clone(image.content())])), Vec::<String>::new());
}

#[test]
fn altered_cut_and_missing_blobs_are_all_told() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, image) = samples::image(folder.path());
    layout.tag(None, image.descriptor()).unwrap();
    let manifest = image.manifest().unwrap();
    let below = layout.blob_path(&manifest.layers[0].digest);
    let mut bytes = std::fs::read(&below).unwrap();
    bytes.truncate(bytes.len() - 4);
    longshore_files::write_atomic(&below, &bytes).unwrap();
    std::fs::remove_file(layout.blob_path(&manifest.layers[1].digest)).unwrap();
    longshore_files::write_atomic(&layout.blob_path(&manifest.config.digest), b"{").unwrap();
    let orphan = Descriptor::of("", b"right");
    longshore_files::write_atomic(&layout.blob_path(&orphan.digest), b"wrong").unwrap();
    longshore_files::write_atomic(&folder.path().join("blobs/sha256/stray"), b"").unwrap();
    let violations = validate_layout(folder.path(), &Events::silent()).unwrap();
    let mut found = rules(&violations);
    found.sort();
    let orphan_path = format!("layout-orphan blobs/sha256/{}", orphan.digest.encoded());
    assert_eq!(
        found,
        [
            "blob-digest",
            "blob-digest",
            "blob-digest",
            "blob-missing",
            "blob-size",
            "blob-size",
            "json",
            "layer-undecodable",
            &orphan_path,
            "layout-stray-file blobs/sha256/stray",
        ]
    );
    let missing = violations.iter().find(|violation| violation.rule == "blob-missing").unwrap();
    assert_eq!(missing.digest.as_ref(), Some(&manifest.layers[1].digest));
    assert_eq!(missing.severity, Severity::Error);
}

#[test]
fn a_layout_without_its_files_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::silent();
    assert_eq!(rules(&validate_layout(folder.path(), &events).unwrap()), ["layout-marker oci-layout"]);
    Layout::create(folder.path()).unwrap();
    longshore_files::write_atomic(&folder.path().join("index.json"), b"[]").unwrap();
    assert_eq!(rules(&validate_layout(folder.path(), &events).unwrap()), ["layout-index index.json"]);
}

#[test]
fn layers_that_are_not_what_they_are_said_to_be() {
    let tar = tar();
    let zipped = gzip(&tar);
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    let two_members = [gzip(&tar[..512]), gzip(&tar[512..])].concat();
    let garbage = [&zipped[..], b"garbage"].concat();
    let other = samples::tar(&[Raw("other", b'0', "", b"")]);
    let tail = [&tar[..], b"tail"].concat();
    let (plain, gzip_type, zstd_type) =
        (media_type::OCI_LAYER, media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER_ZSTD);
    type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'a [&'a str]);
    let cases: [Case<'_>; 10] = [
        (plain, &tar, &tar, &[]),
        (gzip_type, &zipped, &tar, &[]),
        (zstd_type, &zstd, &tar, &[]),
        (gzip_type, &two_members, &tar, &[]),
        (gzip_type, &garbage, &tar, &["gzip-trailing-garbage"]),
        (gzip_type, &tar, &tar, &["layer-compression"]),
        (plain, &zstd, &tar, &["layer-compression"]),
        (gzip_type, &zipped, &other, &["diff-id"]),
        (plain, &tail, &tail, &["tar-trailing-garbage"]),
        ("application/x-own", &tar, &tar, &["layer-media-type layers[0].mediaType"]),
    ];
    for (number, (media_type, bytes, tar, expected)) in cases.into_iter().enumerate() {
        let image = image_of((media_type, bytes), tar, |_| {}, |_| {});
        assert_eq!(check(&image), expected, "case {number}");
    }
    let cut = &tar[..600];
    assert_eq!(check(&image_of((plain, cut), cut, |_| {}, |_| {})), ["tar-truncated"]);
    let text = [b'x'; 1024];
    assert_eq!(check(&image_of((plain, &text), &text, |_| {}, |_| {})), ["tar-malformed"]);
}

#[test]
fn tars_that_engines_must_not_trust() {
    let image = |entries: &[Raw<'_>]| {
        let tar = samples::tar(entries);
        check(&image_of((media_type::OCI_LAYER, &tar), &tar, |_| {}, |_| {}))
    };
    let cases: [(&[Raw<'_>], &[&str]); 14] = [
        (&[Raw("../x", b'0', "", b"")], &["tar-path-dots ../x", "tar-path-escapes ../x"]),
        (&[Raw("a/../b", b'0', "", b"")], &["tar-path-dots a/../b"]),
        (&[Raw("/abs", b'0', "", b"")], &["tar-path-absolute /abs"]),
        (&[Raw("", b'0', "", b"")], &["tar-path-empty"]),
        (&[Raw("null", b'3', "", b"")], &["tar-device null"]),
        (&[Raw("odd", b'Z', "", b"")], &["tar-entry-type odd"]),
        (&[Raw("a", b'1', "../b", b"")], &["tar-link-escapes a"]),
        (&[Raw("a", b'1', "b", b""), Raw("b", b'0', "", b"")], &["tar-link-target a"]),
        (&[Raw("b", b'0', "", b""), Raw("a", b'1', "b", b"")], &[]),
        (
            &[Raw("d/", b'5', "", b""), Raw("d", b'5', "", b""), Raw("a", b'1', "d", b"")],
            &["tar-link-target a"],
        ),
        (&[Raw("a", b'0', "", b""), Raw("./a", b'0', "", b"")], &["tar-duplicate ./a"]),
        (
            &[Raw(".wh.", b'0', "", b""), Raw("a/.wh...", b'0', "", b"")],
            &["whiteout-name .wh.", "whiteout-name a/.wh..."],
        ),
        (
            &[Raw(".wh.a", b'5', "", b""), Raw(".wh.b", b'0', "", b"x")],
            &["whiteout-content .wh.a", "whiteout-content .wh.b"],
        ),
        (
            &[Raw(".wh..wh..opq", b'0', "", b""), Raw(".wh..wh.aufs", b'0', "", b"")],
            &["whiteout-reserved .wh..wh.aufs"],
        ),
    ];
    for (entries, expected) in cases {
        assert_eq!(image(entries), expected);
    }
    let many: Vec<_> = (0..250).map(|_| Raw("../x", b'0', "", b"")).collect();
    let tar = samples::tar(&many);
    let image = image_of((media_type::OCI_LAYER, &tar), &tar, |_| {}, |_| {});
    let violations = validate(&image, &Events::silent()).unwrap();
    assert_eq!(violations.len(), 200);
    assert!(violations[199].message.ends_with("and 150 more like this"), "{}", violations[199].message);
}

#[test]
fn configs_that_disagree_or_have_the_wrong_shape() {
    let tar = tar();
    let with_config =
        |change: fn(&mut Value)| check(&image_of((media_type::OCI_LAYER, &tar), &tar, change, |_| {}));
    let cases: [Change<'_>; 12] = [
        (|config| config["created"] = json!("yesterday"), &["config-date created"]),
        (|config| config["history"][0]["created"] = json!(""), &["config-date history[0].created"]),
        (
            |config| config["config"]["Env"] = json!(["A=", "B", "=c"]),
            &["config-env config.Env[1]", "config-env config.Env[2]"],
        ),
        (
            |config| config["config"]["ExposedPorts"] = json!({"80/tcp": {}, "http": {}}),
            &["config-port config.ExposedPorts"],
        ),
        (|config| config["config"]["User"] = json!("a:b:c"), &["config-user config.User"]),
        (|config| config["config"]["WorkingDir"] = json!("app"), &["config-working-dir config.WorkingDir"]),
        (
            |config| config["config"]["StopSignal"] = json!("please"),
            &["config-stop-signal config.StopSignal"],
        ),
        (|config| config["rootfs"]["type"] = json!("folders"), &["config-rootfs-type rootfs.type"]),
        (|config| config["os"] = json!(""), &["config-platform os"]),
        (|config| config["history"] = json!([{"empty_layer": true}]), &["history-count history"]),
        (
            |config| config["rootfs"]["diff_ids"] = json!([]),
            &["layer-count rootfs.diff_ids", "history-count history"],
        ),
        (|config| config["config"] = json!([]), &["json"]),
    ];
    for (change, expected) in cases {
        assert_eq!(with_config(change), expected);
    }
}

#[test]
fn manifests_and_indexes_that_lie() {
    let tar = tar();
    let with_manifest =
        |change: fn(&mut Value)| check(&image_of((media_type::OCI_LAYER, &tar), &tar, |_| {}, change));
    let cases: [Change<'_>; 5] = [
        (|manifest| manifest["schemaVersion"] = json!(1), &["schema-version schemaVersion"]),
        (|manifest| manifest["mediaType"] = json!("text/plain"), &["media-type-mismatch mediaType"]),
        (
            |manifest| *manifest = json!({"schemaVersion": 2, "manifests": []}),
            &["media-type-content", "json"],
        ),
        (
            |manifest| *manifest = json!({"schemaVersion": 1, "fsLayers": []}),
            &["schema-version schemaVersion", "media-type-content", "json"],
        ),
        (|manifest| manifest["layers"][0]["size"] = json!(1), &["blob-size"]),
    ];
    for (change, expected) in cases {
        assert_eq!(with_manifest(change), expected);
    }
    let good = image_of((media_type::OCI_LAYER, &tar), &tar, |_| {}, |_| {});
    let mut unknown = good.descriptor().clone();
    unknown.media_type = media_type::DOCKER_MANIFEST_V1.to_owned();
    assert_eq!(check(&good.child(unknown)), ["descriptor-media-type"]);
    let mut wrong = good.descriptor().clone();
    wrong.platform = Some(Platform::new("linux", "arm64", None));
    assert_eq!(check(&good.child(wrong.clone())), ["platform-mismatch architecture"]);
    let assembled = |root: &Descriptor| mutate::Assembled {
        root: root.clone(),
        documents: Vec::new(),
        dropped: Vec::new(),
    };
    let index = mutate::index(
        &[assembled(&wrong), assembled(&wrong), assembled(good.descriptor())],
        Default::default(),
        ImageFormat::Oci,
    );
    let image = index.unwrap().image(vec![Arc::clone(good.content())]);
    assert_eq!(
        check(&image),
        [
            "index-platform-duplicate manifests[1]",
            "index-platform-missing manifests[2]",
            "platform-mismatch architecture"
        ]
    );
}

#[test]
fn work_that_was_stopped_is_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (_, image) = samples::image(folder.path());
    let events = Events::silent();
    events.cancel();
    assert!(validate(&image, &events).is_err());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8.., 0..3000), kind in 0_usize..4) {
        let media_type = [media_type::OCI_LAYER, media_type::OCI_LAYER_GZIP, media_type::OCI_MANIFEST, media_type::OCI_INDEX][kind];
        let mut memory = Memory::default();
        let descriptor = memory.put(media_type, &bytes);
        let image = if kind < 2 {
            image_of((media_type, &bytes), &bytes, |_| {}, |_| {})
        } else {
            Image::new(descriptor, Arc::new(memory))
        };
        let _ = validate(&image, &Events::silent()).unwrap();
    }
}
