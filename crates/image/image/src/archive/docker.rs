//! Docker's side of an archive: manifest.json, configs and layers, made into an image with a manifest.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_events::{Events, TaskKind};
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_oci::{Algorithm, Descriptor, Digest, Digester, ImageConfig, Manifest};

use crate::archive::ArchiveErrorKind;
use crate::archive::members::{Member, MemberReader, Members};
use crate::archive::spool::compression;
use crate::content::{BlobReader, Content, ContentError, ContentErrorKind};
use crate::handle::Image;
use crate::layer::{decompress, inside};

/// An element of manifest.json.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl DockerImage {
    pub(super) fn names(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

/// The images of manifest.json.
pub(super) fn images(manifest: &[u8]) -> Result<Vec<DockerImage>, ArchiveErrorKind> {
    serde_json::from_slice(manifest)
        .map_err(|source| ArchiveErrorKind::Json { file: "manifest.json".to_owned(), source })
}

/// Reads an image's config and layers, and makes the manifest that the archive does not have.
pub(super) fn open(
    image: &DockerImage,
    members: &Arc<Members>,
    events: &Events,
) -> Result<Image, ArchiveErrorKind> {
    let missing = |name: &str| ArchiveErrorKind::Missing { file: "manifest.json", missing: name.to_owned() };
    let config_path = inside(Path::new(&image.config)).ok_or_else(|| missing(&image.config))?;
    let config_bytes = members.read(&config_path)?.ok_or_else(|| missing(&image.config))?;
    check_name(&image.config, &config_bytes)?;
    let config: ImageConfig = serde_json::from_slice(&config_bytes)
        .map_err(|source| ArchiveErrorKind::Json { file: image.config.clone(), source })?;
    let diff_ids = &config.rootfs.diff_ids;
    if image.layers().len() != diff_ids.len() {
        let (layers, diff_ids) = (image.layers().len(), diff_ids.len());
        return Err(ArchiveErrorKind::LayerCount { layers, diff_ids });
    }
    let format = ImageFormat::Docker;
    let mut blobs = HashMap::new();
    let mut measured: HashMap<Member, Measured> = HashMap::new();
    let mut layers = Vec::new();
    for (name, expected) in image.layers().iter().zip(diff_ids) {
        let path = inside(Path::new(name)).ok_or_else(|| missing(name))?;
        let member = members.find(&path).ok_or_else(|| missing(name))?;
        let facts = match measured.get(&member) {
            Some(facts) if facts.diff_id.algorithm() == expected.algorithm() => facts.clone(),
            _ => measure(members.open(member), member.size, expected.algorithm(), events)?,
        };
        if facts.diff_id != *expected {
            let (file, expected, actual) = (name.clone(), expected.clone(), facts.diff_id);
            return Err(ArchiveErrorKind::DiffId { file, expected, actual });
        }
        blobs.insert(facts.digest.clone(), member);
        layers.push(Descriptor::new(format.layer(facts.compression), facts.digest.clone(), member.size));
        measured.insert(member, facts);
    }
    let config = Descriptor::of(format.config(), &config_bytes);
    let manifest = Manifest::new(format, config.clone(), layers);
    let manifest_bytes = serde_json::to_vec(&manifest)
        .map_err(|source| ArchiveErrorKind::Json { file: "manifest.json".to_owned(), source })?;
    let root = Descriptor::of(format.manifest(), &manifest_bytes);
    let documents = HashMap::from([(config.digest, config_bytes), (root.digest.clone(), manifest_bytes)]);
    let content = DockerContent { members: Arc::clone(members), blobs, documents };
    Ok(Image::new(root, Arc::new(content)))
}

/// Most writers name a config after its digest. Where a name is one, it must be the right one.
fn check_name(name: &str, bytes: &[u8]) -> Result<(), ArchiveErrorKind> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    let stem = stem.strip_prefix("sha256:").unwrap_or(stem);
    let Ok(claimed) = format!("sha256:{stem}").parse::<Digest>() else { return Ok(()) };
    let actual = Digest::of(bytes);
    if claimed == actual { Ok(()) } else { Err(ArchiveErrorKind::Digest { file: name.to_owned(), actual }) }
}

struct DockerContent {
    members: Arc<Members>,
    blobs: HashMap<Digest, Member>,
    documents: HashMap<Digest, Vec<u8>>,
}

impl Content for DockerContent {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        if let Some(member) = self.blobs.get(&descriptor.digest) {
            return Ok(Box::new(self.members.open(*member)));
        }
        match self.documents.get(&descriptor.digest) {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => Err(ContentError::new(descriptor, ContentErrorKind::NotFound)),
        }
    }
}

/// What a layer's bytes are.
#[derive(Clone)]
struct Measured {
    compression: Compression,
    digest: Digest,
    diff_id: Digest,
}

/// Reads a layer once, and finds the digests of its bytes as they stand and of its tar.
fn measure(
    mut reader: MemberReader,
    size: u64,
    algorithm: Algorithm,
    events: &Events,
) -> Result<Measured, ArchiveErrorKind> {
    let task = events.task(TaskKind::Work, "check a layer of the archive");
    let mut start = Vec::new();
    (&mut reader).take(8).read_to_end(&mut start)?;
    let compression = compression(&start)?;
    let stored = Arc::new(Mutex::new(Digester::new(Algorithm::Sha256)));
    let whole = io::Cursor::new(start).chain(reader);
    let mut tar = decompress(Hashing { inner: whole, digester: Arc::clone(&stored) }, compression)?;
    let mut digester = Digester::new(algorithm);
    let mut buffer = vec![0; 128 * 1024];
    let mut done = 0;
    loop {
        events.check()?;
        let count = match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        digester.update(&buffer[..count]);
        done += count as u64;
        task.progress(done, (compression == Compression::None).then_some(size));
    }
    let stored = stored.lock().unwrap_or_else(PoisonError::into_inner).clone();
    task.done("");
    Ok(Measured { compression, digest: stored.finish(), diff_id: digester.finish() })
}

struct Hashing<R> {
    inner: R,
    digester: Arc<Mutex<Digester>>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digester.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..count]);
        Ok(count)
    }
}
