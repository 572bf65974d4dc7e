use longshore_oci::StringMap;
use longshore_oci::media_type::ImageFormat;
use serde_json::json;

use super::*;
use crate::layer::Entry;
use crate::layout::Layout;
use crate::samples::{self, Raw, file};

/// Opens nothing: proves that no layer was read.
fn without_layers(image: &Image, layout: &Layout) -> Image {
    for layer in image.manifest().unwrap().layers {
        std::fs::remove_file(layout.blob_path(&layer.digest)).unwrap();
    }
    image.clone()
}

#[test]
fn files_fields_and_layers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let base = [file("etc/base", b"base"), file("etc/gone", b"gone"), file("reverted", b"same")];
    let old = [
        file("changed", b"one"),
        (Entry::file("mode", 0o644, 0), &b""[..]),
        (Entry::symlink("link", "a"), b""),
        file("kind", b""),
        file("reverted", b"same"),
    ];
    let new = [
        file("changed", b"two"),
        (Entry::file("mode", 0o755, 0).owned_by(1, 1), &b""[..]),
        (Entry::symlink("link", "b"), b""),
        (Entry::directory("kind", 0o644), b""),
        file("etc/.wh.gone", b""),
        file("added", b"added"),
    ];
    let a =
        samples::store(&layout, &samples::draft(&layout, &[&base, &old]).finish(ImageFormat::Oci).unwrap());
    let mut draft = samples::draft(&layout, &[&base, &new]);
    draft.config.config.env.push("B=1".to_owned());
    draft.config.config.user = "1".to_owned();
    draft.annotations = StringMap::from_iter([("k".to_owned(), "v".to_owned())]);
    let b = samples::store(&layout, &draft.finish(ImageFormat::Oci).unwrap());

    let found = diff(&a, &b, &Events::silent()).unwrap();
    let files: Vec<_> = found
        .files
        .iter()
        .map(|file| (file.path.to_str().unwrap(), file.a.is_some(), file.b.is_some(), file.fields.clone()))
        .collect();
    use FileField as Field;
    assert_eq!(
        files,
        [
            ("added", false, true, vec![]),
            ("changed", true, true, vec![Field::Content]),
            ("etc/gone", true, false, vec![]),
            ("kind", true, true, vec![Field::Kind, Field::Content]),
            ("link", true, true, vec![Field::Link]),
            ("mode", true, true, vec![Field::Mode, Field::Owner]),
        ]
    );
    let mut config: Vec<_> = found.config.iter().map(|field| field.path.as_str()).collect();
    config.sort_unstable();
    assert_eq!(config, ["config.Env[1]", "config.User", "rootfs.diff_ids[1]"]);
    assert_eq!(
        found.manifest,
        [ValueDifference { path: "annotations".into(), a: None, b: Some(json!({"k": "v"})) }]
    );
    let layers: Vec<_> = found.layers.iter().map(|layer| (layer.number, layer.same_tar)).collect();
    assert_eq!(layers, [(1, false)]);
    assert!(serde_json::to_string(&found).unwrap().contains(r#""fields":["mode","owner"]"#));
}

#[test]
fn the_same_layers_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, image) = samples::image(folder.path());
    let image = without_layers(&image, &layout);
    assert!(diff(&image, &image, &Events::silent()).unwrap().is_empty());
    let mut draft = crate::mutate::Draft::on(&image).unwrap();
    draft.config.config.user = "1".to_owned();
    let other = samples::store(&layout, &draft.finish(ImageFormat::Docker).unwrap());
    let found = diff(&image, &other, &Events::silent()).unwrap();
    assert!(found.files.is_empty() && found.layers.iter().all(|layer| layer.same_tar));
    assert_eq!(found.config.len(), 1);
}

fn first(a: &[u8], b: &[u8]) -> Option<(String, &'static str, u64, Option<u64>)> {
    let found = first_difference(a, b).unwrap()?;
    Some((found.path.display().to_string(), found.field, found.offset, found.content_offset))
}

#[test]
fn the_first_difference_of_two_tars_has_its_place() {
    let big = vec![1; 100_000];
    let mut altered = big.clone();
    altered[70_000] = 2;
    let tar = |entries: &[Raw<'_>]| samples::tar(entries);
    let same = Raw("a", b'0', "", b"abc");
    let Raw(name, flag, link, content) = same;
    let start = || Raw(name, flag, link, content);
    let a = tar(&[start(), Raw("b", b'0', "", &big)]);
    assert_eq!(first(&a, &a), None);
    let at = |path: &str, field, offset, content| Some((path.to_owned(), field, offset, content));
    assert_eq!(
        first(&a, &tar(&[start(), Raw("b", b'0', "", &altered)])),
        at("b", "content", 1536 + 70_000, Some(70_000))
    );
    assert_eq!(first(&a, &tar(&[start(), Raw("b", b'0', "", &big[1..])])), at("b", "size", 1024, None));
    assert_eq!(first(&a, &tar(&[start(), Raw("c", b'0', "", &big)])), at("b", "entry", 1024, None));
    assert_eq!(first(&a, &tar(&[start()])), at("b", "entry", 1024, None));
    assert_eq!(first(&tar(&[start()]), &a), at("b", "entry", 1024, None));
    assert_eq!(first(&a, &tar(&[start(), Raw("b", b'2', "x", b"")])), at("b", "kind", 1024, None));
    let longer = [&a[..], &[0; 512]].concat();
    assert_eq!(first(&a, &longer), at("", "end", a.len() as u64, None));
    let old_form = tar(&[Raw("a", 0, "", b"abc"), Raw("b", b'0', "", &big)]);
    assert_eq!(first(&a, &old_form), at("a", "header", 0, None));

    let error = first_difference(&a[..], &a[..2000]).unwrap_err();
    assert_eq!((error.side, error.to_string().as_str()), (Side::B, "cannot read the second layer"));
    let found = first_difference(&a[..], &tar(&[Raw("a", b'0', "", b"abd")])[..]).unwrap().unwrap();
    assert_eq!(found.to_string(), "a: content at byte 514 (byte 2 of the file): 63 and 64");
}

#[test]
fn values_are_compared_by_path() {
    let a = json!({"x": [1, {"y": null}], "same": {"z": 1}, "gone": 1});
    let b = json!({"x": [1, {"y": 2}, 3], "same": {"z": 1}, "new": []});
    let found: Vec<_> = compare_values(&a, &b).into_iter().map(|d| (d.path, d.a, d.b)).collect();
    assert_eq!(
        found,
        [
            ("x[1].y".to_owned(), Some(json!(null)), Some(json!(2))),
            ("x[2]".to_owned(), None, Some(json!(3))),
            ("gone".to_owned(), Some(json!(1)), None),
            ("new".to_owned(), None, Some(json!([]))),
        ]
    );
}
