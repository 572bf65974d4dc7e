//! The store as its users see it: names, leases, garbage, pruning.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail where they stand")]

use std::time::Duration;

use longshore_image::Sink;
use longshore_oci::media_type::{ImageFormat, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST};
use longshore_oci::{Descriptor, ImageConfig, Index, Manifest, Platform, Reference};
use longshore_store::{CacheKind, PruneOptions, ResolveError, Store, Writer};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

/// An image whose one layer holds `content`.
fn image(writer: &Writer, content: &str) -> Descriptor {
    let layer = writer.bytes(OCI_LAYER, content.as_bytes()).unwrap();
    let config = ImageConfig::new(&Platform::new("linux", "amd64", None));
    let mut config = serde_json::to_value(&config).unwrap();
    config["author"] = content.into();
    let config = writer.bytes(OCI_CONFIG, config.to_string().as_bytes()).unwrap();
    let manifest = Manifest::new(ImageFormat::Oci, config, vec![layer]);
    writer.bytes(OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap()
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn blobs(store: &Store) -> usize {
    std::fs::read_dir(store.layout().folder().join("blobs/sha256")).unwrap().count()
}

#[test]
fn an_image_is_found_by_name_reference_digest_and_prefix() {
    let (_folder, store) = store();
    let writer = store.writer().unwrap();
    let (first, second) = (image(&writer, "one"), image(&writer, "two"));
    store.tag(&name("hello"), &first).unwrap();
    store.tag(&name("localhost:5000/hello:dev"), &second).unwrap();
    let config = store.resolve("hello").unwrap().manifest().unwrap().config.digest;
    for known in [
        "hello",
        "hello:latest",
        "docker.io/library/hello:latest",
        &first.digest.to_string(),
        &first.digest.encoded()[..12],
        &config.encoded()[..12],
        &config.to_string(),
    ] {
        assert_eq!(store.resolve(known).unwrap().digest(), &first.digest, "{known}");
    }
    assert_eq!(store.resolve("localhost:5000/hello:dev").unwrap().digest(), &second.digest);
    for unknown in ["hello:dev", "helo", "sha256:", &first.digest.encoded()[..3], ""] {
        assert!(matches!(store.resolve(unknown), Err(ResolveError::NotFound { .. })), "{unknown}");
    }
    let hint = store.resolve("hello:latst").unwrap_err().hint().unwrap();
    assert_eq!(hint, "did you mean `hello:latest`?");
}

#[test]
fn a_name_moves_and_what_lost_it_is_garbage() {
    let (_folder, store) = store();
    let writer = store.writer().unwrap();
    let (first, second) = (image(&writer, "one"), image(&writer, "two"));
    store.tag(&name("hello"), &first).unwrap();
    store.tag(&name("hello"), &second).unwrap();
    assert_eq!(store.images().unwrap().len(), 1);
    assert_eq!(store.resolve("hello").unwrap().digest(), &second.digest);
    assert_eq!(blobs(&store), 6);
    store.collect_garbage().unwrap();
    assert_eq!(blobs(&store), 6, "a live lease keeps what it wrote");
    drop(writer);
    assert!(store.collect_garbage().unwrap() > 0);
    assert_eq!(blobs(&store), 3);
    assert_eq!(store.resolve("hello").unwrap().blobs().unwrap().len(), 3);
}

#[test]
fn a_lease_keeps_an_old_blob_that_a_build_found() {
    let (_folder, store) = store();
    let old = image(&store.writer().unwrap(), "one");
    std::thread::sleep(Duration::from_millis(20));
    let builder = store.writer().unwrap();
    assert!(builder.has(&old).unwrap());
    store.collect_garbage().unwrap();
    assert!(builder.has(&old).unwrap(), "held by its digest");
    assert_eq!(blobs(&store), 1);
    drop(builder);
    store.collect_garbage().unwrap();
    assert_eq!(blobs(&store), 0);
}

#[test]
fn an_index_with_platforms_that_are_not_there_keeps_those_that_are() {
    let (_folder, store) = store();
    let writer = store.writer().unwrap();
    let (mut here, mut absent) = (image(&writer, "one"), Descriptor::of(OCI_MANIFEST, b"absent"));
    here.platform = Some(Platform::new("linux", "amd64", None));
    absent.platform = Some(Platform::new("linux", "arm64", None));
    let index = Index::new(ImageFormat::Oci, vec![absent, here.clone()]);
    let root = writer.bytes(ImageFormat::Oci.index(), &serde_json::to_vec(&index).unwrap()).unwrap();
    store.tag(&name("both"), &root).unwrap();
    drop(writer);
    store.collect_garbage().unwrap();
    assert_eq!(blobs(&store), 4);
    let amd64 = store.resolve("both").unwrap().select(&"linux/amd64".parse().unwrap()).unwrap();
    assert_eq!(amd64.digest(), &here.digest);
}

#[test]
fn an_altered_manifest_stops_garbage_collection_before_anything_goes() {
    let (_folder, store) = store();
    let root = image(&store.writer().unwrap(), "one");
    store.tag(&name("hello"), &root).unwrap();
    longshore_files::write_atomic(&store.layout().blob_path(&root.digest), b"{}").unwrap();
    let error = store.collect_garbage().unwrap_err();
    assert!(error.to_string().starts_with("cannot read manifest sha256:"), "{error}");
    assert_eq!(blobs(&store), 3);
}

#[test]
fn pruning_goes_by_age_and_size_and_spares_names() {
    let (_folder, store) = store();
    let writer = store.writer().unwrap();
    store.tag(&name("named"), &image(&writer, "one")).unwrap();
    store.add(&image(&writer, "two")).unwrap();
    image(&writer, "three");
    drop(writer);
    for kept in ["go1.1", "go1.2"] {
        let folder = store.cache_folder("toolchains").join(kept);
        std::fs::create_dir_all(&folder).unwrap();
        longshore_files::write_atomic(&folder.join("big"), &[0; 100_000]).unwrap();
    }
    let head = store.cache_folder("sumdb").join("sum.golang.org");
    std::fs::create_dir_all(&head).unwrap();
    let kinds = |removed: Vec<longshore_store::CacheItem>| {
        let mut kinds: Vec<_> = removed.into_iter().map(|item| item.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    let dry = PruneOptions { older_than: Some(Duration::ZERO), dry_run: true, ..PruneOptions::default() };
    let folder = CacheKind::Folder("toolchains".into());
    let report = store.prune(&dry).unwrap();
    assert_eq!(kinds(report.removed), [CacheKind::UnnamedImage, CacheKind::Blob, folder]);
    assert_eq!(blobs(&store), 9, "a dry run changes nothing");

    let year = PruneOptions { older_than: Some(Duration::from_secs(31_536_000)), ..PruneOptions::default() };
    assert_eq!(kinds(store.prune(&year).unwrap().removed), [CacheKind::Blob]);
    assert_eq!(blobs(&store), 6);

    let report = store.prune(&PruneOptions { max_size: Some(150_000), ..PruneOptions::default() }).unwrap();
    assert!(report.remaining <= 150_000 && report.freed >= 100_000, "{report:?}");
    let report = store.prune(&PruneOptions { max_size: Some(0), ..PruneOptions::default() }).unwrap();
    assert!(report.remaining > 0, "named images stay");
    store.resolve("named").unwrap().blobs().unwrap();
    let report =
        store.prune(&PruneOptions { max_size: Some(0), named: true, ..PruneOptions::default() }).unwrap();
    assert_eq!((report.remaining, blobs(&store)), (0, 0));
    assert!(head.is_dir(), "tree heads are no cache");
}

#[test]
fn pruning_beside_a_build_minds_no_folder_that_comes_and_goes() {
    let (_folder, store) = store();
    let folder = store.cache_folder("drafts-root");
    std::fs::create_dir_all(store.cache_folder("snapshots-root")).unwrap();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            for number in 0..500 {
                let draft = folder.join(number.to_string());
                std::fs::create_dir_all(draft.join("tree")).unwrap();
                // By a name, as a build does.
                let finished = store.cache_folder("snapshots-root").join("finished");
                std::fs::rename(&draft, &finished).unwrap();
                std::fs::remove_dir_all(&finished).unwrap();
            }
        });
        let nothing = PruneOptions { max_size: Some(u64::MAX), ..PruneOptions::default() };
        while !work.is_finished() {
            store.prune(&nothing).unwrap();
        }
    });
}

#[test]
fn pruning_minds_no_lease_that_is_given_up_meanwhile() {
    let (_folder, store) = store();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| (0..8000).for_each(|_| drop(store.lease().unwrap())));
        while !work.is_finished() {
            store.collect_garbage().unwrap();
        }
    });
    assert_eq!(std::fs::read_dir(store.root().join("leases")).unwrap().count(), 0);
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let (_folder, store) = store();
    let root = image(&store.writer().unwrap(), "one");
    store.tag(&name("hello"), &root).unwrap();
    let again = Store::open(store.root()).unwrap();
    assert_eq!(again.images().unwrap()[0].name.as_deref(), Some("hello:latest"));
    let file = store.root().join("file");
    longshore_files::write_atomic(&file, b"").unwrap();
    let error = Store::open(&file.join("store")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create the folder"), "{error}");
}

#[test]
fn processes_that_tag_at_once_lose_no_name() {
    let (_folder, store) = store();
    let root = image(&store.writer().unwrap(), "one");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, root) = (store.clone(), root.clone());
            scope.spawn(move || {
                for number in 0..10 {
                    store.tag(&name(&format!("hello:{thread}-{number}")), &root).unwrap();
                }
            });
        }
    });
    assert_eq!(store.images().unwrap().len(), 40);
}
