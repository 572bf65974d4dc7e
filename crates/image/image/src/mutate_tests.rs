use longshore_oci::Healthcheck;
use longshore_oci::media_type;

use super::*;
use crate::layout::Layout;
use crate::samples;

#[test]
fn layers_on_a_base_follow_its_own_and_history_keeps_step() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, base) = samples::image(folder.path());
    let mut draft = Draft::on(&base).unwrap();
    assert_eq!(draft.layers().len(), 2);
    draft.note(History { created_by: Some("ENV".to_owned()), ..History::default() });
    let layer = samples::layer(&layout, &[samples::file("new", b"new")]);
    draft.append(&layer, History::default());
    draft.config.config.user = "65532".to_owned();
    let image = samples::store(&layout, &draft.finish(ImageFormat::Oci).unwrap());
    let (manifest, config) = (image.manifest().unwrap(), image.config().unwrap());
    assert_eq!(manifest.layers[2], layer.descriptor);
    assert_eq!(config.rootfs.diff_ids[2], layer.diff_id);
    let empty: Vec<_> = config.history.iter().map(|history| history.empty_layer).collect();
    assert_eq!(empty, [false, false, true, false]);
    assert_eq!(config.config.user, "65532");
    assert_eq!(config.config.env, ["PATH=/bin"]);
}

#[test]
fn a_base_without_history_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let mut draft = samples::draft(&layout, &[&[samples::file("a", b"a")]]);
    draft.config.history.clear();
    let base = samples::store(&layout, &draft.finish(ImageFormat::Oci).unwrap());
    assert_eq!(Draft::on(&base).unwrap().config.history, [History::default()]);
}

#[test]
fn a_health_check_needs_dockers_format_and_annotations_need_ocis() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let mut draft = samples::draft(&layout, &[&[samples::file("a", b"a")]]);
    draft.config.config.healthcheck =
        Some(Healthcheck { test: vec!["CMD".to_owned(), "/app".to_owned()], ..Healthcheck::default() });
    draft.annotations.insert("k".to_owned(), "v".to_owned());

    let docker = draft.clone().finish(ImageFormat::Docker).unwrap();
    assert_eq!(docker.dropped, ["annotations"]);
    let image = samples::store(&layout, &docker);
    assert_eq!(image.descriptor().media_type, media_type::DOCKER_MANIFEST);
    let manifest = image.manifest().unwrap();
    assert_eq!(manifest.config.media_type, media_type::DOCKER_CONFIG);
    assert_eq!(manifest.layers[0].media_type, media_type::DOCKER_LAYER_GZIP);
    assert!(image.config().unwrap().config.healthcheck.is_some());

    let oci = convert(&image, ImageFormat::Oci).unwrap();
    assert_eq!(oci.dropped, ["healthcheck"]);
    let converted = oci.image(vec![Arc::clone(image.content())]);
    assert_eq!(converted.manifest().unwrap().layers[0].media_type, media_type::OCI_LAYER_GZIP);
    assert_eq!(converted.blobs().unwrap().len(), 3);
    for blob in converted.blobs().unwrap() {
        io::copy(&mut converted.open(&blob).unwrap(), &mut io::sink()).unwrap();
    }
    assert_eq!(draft.finish(ImageFormat::Oci).unwrap().dropped, ["healthcheck"]);
}

#[test]
fn indexes_of_indexes_end_somewhere_and_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, image) = samples::image(folder.path());
    let of = |root: &Descriptor| Assembled { root: root.clone(), documents: Vec::new(), dropped: Vec::new() };
    let mut root = image.descriptor().clone();
    for level in 1..=5 {
        // Each lists the one below sixty times: read one by one, they would be some hundred million.
        let assembled = index(&vec![of(&root); 60], StringMap::new(), ImageFormat::Oci).unwrap();
        let nested = samples::store(&layout, &assembled);
        root = assembled.root;
        let converted = convert(&nested, ImageFormat::Docker);
        assert_eq!(nested.images().is_ok(), level <= 4, "{level} levels");
        assert_eq!(converted.is_ok(), level <= 4, "{level} levels");
    }
}

#[test]
fn an_index_is_chosen_from_by_platform_and_converted_whole() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let images: Vec<_> = ["amd64", "arm64"]
        .map(|architecture| {
            let mut draft = samples::draft(&layout, &[&[samples::file("a", b"a")]]);
            draft.config.architecture = architecture.to_owned();
            draft.finish(ImageFormat::Oci).unwrap()
        })
        .into();
    let assembled = index(&images, StringMap::new(), ImageFormat::Oci).unwrap();
    let image = samples::store(&layout, &assembled);
    let arm = Platform::new("linux", "arm64", None);
    assert_eq!(image.select(&arm).unwrap().digest(), &images[1].root.digest);
    let docker = convert(&image, ImageFormat::Docker).unwrap().image(vec![Arc::clone(image.content())]);
    assert_eq!(docker.descriptor().media_type, media_type::DOCKER_INDEX);
    assert_eq!(docker.select(&arm).unwrap().config().unwrap().architecture, "arm64");
    assert_eq!(docker.select(&arm).unwrap().descriptor().media_type, media_type::DOCKER_MANIFEST);
}
