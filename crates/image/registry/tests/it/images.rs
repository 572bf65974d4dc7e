//! Images to push, a store to pull into, and the settings that all tests share.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use longshore_events::Events;
use longshore_http::HttpSettings;
use longshore_image::{BlobReader, Content, ContentError, ContentErrorKind, Image};
use longshore_oci::media_type::{ImageFormat, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use longshore_oci::{Descriptor, Digest, Index, Manifest, Platform, Reference};
use longshore_registry::{Platforms, Pulled, Registries, RegistryError, RegistrySettings};
use longshore_store::Store;
use longshore_testkit::{Folder, Stop};

/// Blobs in memory, to make images of.
#[derive(Default, Clone)]
pub(crate) struct Blobs(BTreeMap<Digest, Vec<u8>>);

impl Blobs {
    pub(crate) fn add(&mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.0.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    pub(crate) fn image(&self, root: &Descriptor) -> Image {
        Image::new(root.clone(), Arc::new(self.clone()))
    }

    /// An image for one platform with these layers (bytes that are a tar for nobody who looks).
    pub(crate) fn add_image(&mut self, platform: &str, layers: &[Vec<u8>]) -> Descriptor {
        let platform: Platform = platform.parse().expect("a platform");
        let layers: Vec<_> = layers.iter().map(|layer| self.add(OCI_LAYER, layer.clone())).collect();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.to_string()).collect();
        let config = serde_json::json!({
            "architecture": platform.architecture, "os": platform.os, "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.add(OCI_CONFIG, config.to_string());
        let manifest = Manifest::new(ImageFormat::Oci, config, layers);
        let mut root = self.add(OCI_MANIFEST, serde_json::to_vec(&manifest).expect("JSON"));
        root.platform = Some(platform);
        root
    }

    pub(crate) fn add_index(&mut self, manifests: Vec<Descriptor>) -> Descriptor {
        let index = Index::new(ImageFormat::Oci, manifests);
        self.add(OCI_INDEX, serde_json::to_vec(&index).expect("JSON"))
    }
}

impl Content for Blobs {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        match self.0.get(&descriptor.digest) {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            None => Err(ContentError::new(descriptor, ContentErrorKind::NotFound)),
        }
    }
}

/// `size` bytes that no compressor shortens, told apart by `seed`.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(size.div_ceil(8)).flatten().collect();
    bytes.truncate(size);
    bytes
}

/// A layer that other tools can read: a tar with one file of noise.
pub(crate) fn tar(seed: u64, size: usize) -> Vec<u8> {
    let body = noise(seed, size);
    let mut header = [0_u8; 512];
    let name = format!("file-{seed}");
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (at, text) in [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0"), (136, "00000000000\0")] {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(&body);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// Settings whose retries and time limits are short.
pub(crate) fn settings() -> RegistrySettings {
    let http = HttpSettings {
        stall_timeout: Duration::from_secs(2),
        backoff: Duration::from_millis(5),
        attempts: 3,
        ..HttpSettings::default()
    };
    RegistrySettings { http, ..RegistrySettings::default() }
}

pub(crate) fn registries() -> Registries {
    Registries::new(settings())
}

pub(crate) fn reference(name: &str) -> Result<Reference, Stop> {
    Ok(name.parse()?)
}

/// A store in a folder of its own.
pub(crate) struct TestStore {
    folder: Folder,
    pub(crate) store: Store,
}

impl TestStore {
    pub(crate) fn new() -> Result<TestStore, Stop> {
        let folder = Folder::new()?;
        let store = Store::open(folder.path())?;
        Ok(TestStore { folder, store })
    }

    pub(crate) fn pull(
        &self,
        registries: &Registries,
        name: &str,
        platforms: &Platforms,
    ) -> Result<Pulled, RegistryError> {
        let name = name.parse().expect("a reference");
        let writer = self.store.writer().expect("a writer");
        registries.pull(&name, platforms, &self.store, &writer, &Events::silent())
    }

    /// Digests of all blobs, sorted.
    pub(crate) fn blobs(&self) -> Result<Vec<String>, Stop> {
        let folder: PathBuf = self.folder.join("images/blobs/sha256");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// Bytes of everything that an image reaches, proved; in a fixed order.
pub(crate) fn bytes_of(image: &Image) -> Result<Vec<(String, u64)>, Stop> {
    let mut seen = Vec::new();
    for descriptor in image.blobs()? {
        let size = std::io::copy(&mut image.open(&descriptor)?, &mut std::io::sink())?;
        seen.push((descriptor.digest.to_string(), size));
    }
    Ok(seen)
}
