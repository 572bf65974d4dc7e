//! Writing archives that every engine reads: an OCI layout with Docker's manifest.json beside its index.json.
//!
//! Both sides point at the same blobs. The bytes depend on the images and their names alone: entries are sorted, times are
//! zero, everything belongs to root.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use longshore_events::{Cancelled, Events, TaskKind};
use longshore_files::{AtomicFile, FileError};
use longshore_oci::media_type::{self, ImageFormat};
use longshore_oci::{Descriptor, Digest, Index, Manifest, Platform, Reference, annotation};
use tar::{EntryType, Header};

use crate::content::{BlobReader, ContentError, ContentErrorKind};
use crate::handle::Image;

/// Bytes of a block of a tar.
const BLOCK: usize = 512;

/// An image to be saved, and the names that it has in the archive. Names without a tag are not written.
#[derive(Debug, Clone)]
pub struct SavedImage {
    /// The image, or an index of images.
    pub image: Image,
    /// Its names.
    pub names: Vec<Reference>,
}

/// An archive that was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// An image could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The archive could not be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// The archive's file could not be made or named.
    #[error(transparent)]
    File(#[from] FileError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl SaveError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SaveError::Content(error) => error.hint(),
            SaveError::File(error) => error.hint(),
            _ => None,
        }
    }
}

/// Writes an archive to a file, whole or not at all. Errors: as [`write_archive`]; then `path` is as it was before.
pub fn save_archive(
    images: &[SavedImage],
    platform: &Platform,
    path: &Path,
    events: &Events,
) -> Result<(), SaveError> {
    let path = &longshore_files::output_target(path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = AtomicFile::create_in(folder)?;
    write_archive(images, platform, &mut file, events).map_err(|error| match error {
        SaveError::Write(source) => SaveError::File(FileError::of("write", path)(source)),
        other => other,
    })?;
    Ok(file.commit(path)?)
}

/// Writes an archive to `writer`, in one pass; its bytes are those of [`ArchiveBytes`].
///
/// Errors: an image cannot be read or is not what its descriptors say, or the writer fails.
pub fn write_archive(
    images: &[SavedImage],
    platform: &Platform,
    mut writer: impl Write,
    events: &Events,
) -> Result<(), SaveError> {
    let archive = ArchiveBytes::new(images, platform)?;
    let task = events.task(TaskKind::Work, "write the archive");
    let mut reader = archive.read();
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    loop {
        events.check()?;
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(error.downcast::<ContentError>().map_or_else(SaveError::Write, Into::into));
            }
        };
        writer.write_all(&buffer[..count]).map_err(SaveError::Write)?;
        done += count as u64;
        task.progress(done, Some(archive.size()));
    }
    writer.flush().map_err(SaveError::Write)?;
    task.done("");
    Ok(())
}

/// The bytes of an archive, whose number is known before any layer is read: for writers that must announce it.
#[derive(Debug, Clone)]
pub struct ArchiveBytes {
    parts: Vec<Part>,
    size: u64,
}

#[derive(Debug, Clone)]
enum Part {
    Bytes(Vec<u8>),
    Blob(Box<(Descriptor, Image)>),
}

impl ArchiveBytes {
    /// Plans an archive of `images`. Docker's side of it holds one image of an index: that for `platform`, or the first where
    /// there is none for it; the OCI side holds all.
    ///
    /// Errors: a manifest or index cannot be read. Layers are not opened.
    pub fn new(images: &[SavedImage], platform: &Platform) -> Result<ArchiveBytes, ContentError> {
        let mut blobs = BTreeMap::new();
        let mut roots = Vec::new();
        let mut docker = Vec::new();
        for saved in images {
            for blob in saved.image.blobs()? {
                let key = (blob.digest.algorithm().name(), blob.digest.encoded().to_owned());
                blobs.insert(key, (blob, &saved.image));
            }
            roots.extend(named_roots(saved));
            docker.extend(docker_image(saved, platform)?);
        }
        let mut archive = ArchiveBytes { parts: Vec::new(), size: 0 };
        archive.header("blobs/", EntryType::Directory, 0);
        let mut algorithm = "";
        for ((name, encoded), (descriptor, image)) in blobs {
            if name != algorithm {
                algorithm = name;
                archive.header(&format!("blobs/{name}/"), EntryType::Directory, 0);
            }
            let size = descriptor.size;
            archive.header(&format!("blobs/{name}/{encoded}"), EntryType::Regular, size);
            archive.parts.push(Part::Blob(Box::new((descriptor, image.clone()))));
            archive.size += size;
            archive.pad(size);
        }
        let index = Index::new(ImageFormat::Oci, roots);
        let json = |error| unwritable(images, error);
        archive.file("index.json", serde_json::to_vec(&index).map_err(json)?);
        archive.file("manifest.json", serde_json::to_vec(&docker).map_err(json)?);
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        archive.bytes(vec![0; 2 * BLOCK]);
        Ok(archive)
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads them from the first. A source that cannot be read is an [`io::Error`] with a [`ContentError`] in it.
    pub fn read(&self) -> impl Read + Send + 'static + use<> {
        Bytes { parts: self.parts.clone().into_iter(), current: None }
    }

    fn header(&mut self, name: &str, kind: EntryType, size: u64) {
        let mut header = Header::new_ustar();
        // Names here are `blobs/`, an algorithm and a digest: always short enough, as are the names of the three documents.
        let bytes = name.as_bytes();
        let field = &mut header.as_old_mut().name;
        let length = bytes.len().min(field.len());
        field[..length].copy_from_slice(&bytes[..length]);
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.bytes(header.as_bytes().to_vec());
    }

    fn file(&mut self, name: &str, bytes: Vec<u8>) {
        let size = bytes.len() as u64;
        self.header(name, EntryType::Regular, size);
        self.bytes(bytes);
        self.pad(size);
    }

    fn pad(&mut self, size: u64) {
        let used = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        self.bytes(vec![0; (BLOCK - used) % BLOCK]);
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        self.size += bytes.len() as u64;
        match self.parts.last_mut() {
            Some(Part::Bytes(last)) => last.extend(bytes),
            _ => self.parts.push(Part::Bytes(bytes)),
        }
    }
}

/// Descriptors and strings are always JSON; if not, the first image's own document is what cannot be written.
fn unwritable(images: &[SavedImage], error: serde_json::Error) -> ContentError {
    let nothing = Descriptor::of(media_type::OCI_INDEX, b"");
    let root = images.first().map_or(&nothing, |saved| saved.image.descriptor());
    ContentError::new(root, ContentErrorKind::Json("index", error))
}

struct Bytes {
    parts: std::vec::IntoIter<Part>,
    current: Option<(Option<Descriptor>, BlobReader)>,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some((descriptor, reader)) = &mut self.current {
                match (reader.read(buffer), descriptor) {
                    (Ok(0), _) => self.current = None,
                    (Err(error), Some(descriptor)) if error.kind() != io::ErrorKind::Interrupted => {
                        return Err(io::Error::new(error.kind(), ContentError::new(descriptor, error)));
                    }
                    (other, _) => return other,
                }
                continue;
            }
            self.current = match self.parts.next() {
                None => return Ok(0),
                Some(Part::Bytes(bytes)) => Some((None, Box::new(io::Cursor::new(bytes)))),
                Some(Part::Blob(blob)) => {
                    let (descriptor, image) = *blob;
                    let reader = image.open(&descriptor).map_err(io::Error::other)?;
                    Some((Some(descriptor), Box::new(reader)))
                }
            };
        }
    }
}

/// A root for each name, as Docker and BuildKit write them; one without a name where there is none.
fn named_roots(saved: &SavedImage) -> Vec<Descriptor> {
    let tagged: Vec<_> = saved.names.iter().filter_map(|name| Some((name, name.tag()?))).collect();
    if tagged.is_empty() {
        return vec![saved.image.descriptor().clone()];
    }
    let root = |(name, tag): &(&Reference, &str)| {
        let mut descriptor = saved.image.descriptor().clone();
        descriptor.annotations.insert(annotation::CONTAINERD_NAME.to_owned(), full_name(name, tag));
        descriptor.annotations.insert(annotation::REF_NAME.to_owned(), (*tag).to_owned());
        descriptor
    };
    tagged.iter().map(root).collect()
}

/// Registry, repository and tag, without a digest.
fn full_name(name: &Reference, tag: &str) -> String {
    format!("{}/{}:{tag}", name.registry(), name.repository())
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The image's element of manifest.json; `None` for what is no image that Docker could load.
fn docker_image(saved: &SavedImage, platform: &Platform) -> Result<Option<DockerImage>, ContentError> {
    let chosen = match saved.image.select(platform) {
        Ok(image) => Some(image),
        Err(_) => saved.image.images()?.into_iter().next(),
    };
    let Some(chosen) = chosen else { return Ok(None) };
    let manifest: Manifest = chosen.manifest()?;
    let is_layer = |layer: &Descriptor| media_type::layer_compression(&layer.media_type).is_some();
    if !media_type::is_config(&manifest.config.media_type) || !manifest.layers.iter().all(is_layer) {
        return Ok(None);
    }
    let path = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm().name(), digest.encoded());
    let tags: Vec<_> = saved
        .names
        .iter()
        .filter_map(|name| name.with_tag(name.tag()?).ok())
        .map(|name| name.familiar())
        .collect();
    Ok(Some(DockerImage {
        config: path(&manifest.config.digest),
        repo_tags: (!tags.is_empty()).then_some(tags),
        layers: manifest.layers.iter().map(|layer| path(&layer.digest)).collect(),
    }))
}
