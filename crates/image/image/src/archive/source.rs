//! An archive as a source of images.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_events::Events;
use longshore_oci::media_type::{self, Compression};
use longshore_oci::{Descriptor, Digest, Index, annotation};

use crate::archive::docker::{self, DockerImage};
use crate::archive::members::Members;
use crate::archive::{ArchiveError, ArchiveErrorKind, spool};
use crate::content::{BlobReader, Content, ContentError, ContentErrorKind};
use crate::handle::Image;

/// An archive of images, indexed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    path: PathBuf,
    members: Arc<Members>,
    entries: Vec<ArchiveEntry>,
}

/// An image of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its names as the archive writes them; those of an OCI layout may be a tag alone. May be empty.
    pub names: Vec<String>,
    root: Root,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    Oci(Box<Descriptor>),
    Docker(DockerImage),
}

impl Archive {
    /// Opens the archive at `path`. `temporary` is the folder that it is decompressed in where it is compressed.
    ///
    /// Errors: it cannot be read, is no archive of images, or has entries that none has: names or links that leave it, devices,
    /// two of one name, sizes that lie.
    pub fn open(path: &Path, temporary: &Path, events: &Events) -> Result<Archive, ArchiveError> {
        let wrong = |kind| ArchiveError { path: path.to_owned(), kind };
        let open = || -> Result<Archive, ArchiveErrorKind> {
            let file = File::open(path)?;
            if !file.metadata()?.is_file() {
                return Archive::index(path, spool::spool(file, temporary, events)?);
            }
            let mut start = [0; 8];
            let count = file.read_at(&mut start, 0)?;
            let plain = spool::compression(&start[..count])? == Compression::None;
            Archive::index(path, if plain { file } else { spool::spool(file, temporary, events)? })
        };
        open().map_err(wrong)
    }

    /// Reads an archive from a stream, by way of a temporary file in `temporary`. Errors: as [`Archive::open`].
    pub fn read(
        stream: impl Read + Send + 'static,
        temporary: &Path,
        events: &Events,
    ) -> Result<Archive, ArchiveError> {
        let path = Path::new("-");
        let read = || Archive::index(path, spool::spool(stream, temporary, events)?);
        read().map_err(|kind| ArchiveError { path: path.to_owned(), kind })
    }

    fn index(path: &Path, mut file: File) -> Result<Archive, ArchiveErrorKind> {
        file.rewind()?;
        let members = Arc::new(Members::index(file)?);
        let mut entries = Vec::new();
        if members.find(Path::new("oci-layout")).is_some()
            && let Some(bytes) = members.read(Path::new("index.json"))?
        {
            let index: Index = serde_json::from_slice(&bytes)
                .map_err(|source| ArchiveErrorKind::Json { file: "index.json".to_owned(), source })?;
            entries = oci_entries(index, &members);
        }
        if entries.is_empty() {
            let Some(bytes) = members.read(Path::new("manifest.json"))? else {
                return Err(ArchiveErrorKind::NoImage);
            };
            let image = |image: DockerImage| ArchiveEntry {
                names: image.names().to_vec(),
                root: Root::Docker(image),
            };
            entries = docker::images(&bytes)?.into_iter().map(image).collect();
        }
        Ok(Archive { path: path.to_owned(), members, entries })
    }

    /// The images, in the archive's order. May be empty.
    pub fn entries(&self) -> &[ArchiveEntry] {
        &self.entries
    }

    /// One of the archive's images. One from Docker's side of an archive is read once here, whole, to find its layers' digests.
    ///
    /// Errors: Docker's side names files that are not there or do not have the digests that the config says.
    pub fn image(&self, entry: &ArchiveEntry, events: &Events) -> Result<Image, ArchiveError> {
        match &entry.root {
            Root::Oci(descriptor) => {
                let content = OciContent { members: Arc::clone(&self.members) };
                Ok(Image::new((**descriptor).clone(), Arc::new(content)))
            }
            Root::Docker(image) => docker::open(image, &self.members, events)
                .map_err(|kind| ArchiveError { path: self.path.clone(), kind }),
        }
    }
}

struct OciContent {
    members: Arc<Members>,
}

impl Content for OciContent {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        match self.members.find(&blob_path(&descriptor.digest)) {
            Some(member) => Ok(Box::new(self.members.open(member))),
            None => Err(ContentError::new(descriptor, ContentErrorKind::NotFound)),
        }
    }
}

fn blob_path(digest: &Digest) -> PathBuf {
    ["blobs", digest.algorithm().name(), digest.encoded()].iter().collect()
}

/// The roots of index.json, those of the same image together.
fn oci_entries(index: Index, members: &Arc<Members>) -> Vec<ArchiveEntry> {
    let mut entries: Vec<ArchiveEntry> = Vec::new();
    let mut places: HashMap<Digest, usize> = HashMap::new();
    for mut descriptor in index.manifests {
        let annotation = |key| descriptor.annotations.get(key).cloned();
        let name = annotation(annotation::CONTAINERD_NAME).or_else(|| annotation(annotation::REF_NAME));
        let place = *places.entry(descriptor.digest.clone()).or_insert(entries.len());
        if let Some(entry) = entries.get_mut(place) {
            entry.names.extend(name);
            continue;
        }
        // Names belong to this archive, not to the image.
        descriptor.annotations.shift_remove(annotation::CONTAINERD_NAME);
        descriptor.annotations.shift_remove(annotation::REF_NAME);
        let root = Root::Oci(Box::new(whole(descriptor, members)));
        entries.push(ArchiveEntry { names: name.into_iter().collect(), root });
    }
    entries
}

/// An engine that pulled one platform of several saves the whole index with that platform's blobs alone. Then the image is
/// the one that is there.
fn whole(descriptor: Descriptor, members: &Arc<Members>) -> Descriptor {
    if !media_type::is_index(&descriptor.media_type) {
        return descriptor;
    }
    let content = Arc::new(OciContent { members: Arc::clone(members) });
    let image = Image::new(descriptor.clone(), content);
    // What is wrong with an index is said by whoever reads it.
    let (Ok(index), Ok(images)) = (image.index(), image.images()) else { return descriptor };
    let there = |descriptor: &Descriptor| members.find(&blob_path(&descriptor.digest)).is_some();
    if index.manifests.iter().all(there) {
        return descriptor;
    }
    let complete = |image: &Image| {
        image.manifest().is_ok_and(|manifest| there(&manifest.config) && manifest.layers.iter().all(there))
    };
    let mut present = images.into_iter().filter(complete);
    match (present.next(), present.next()) {
        (Some(only), None) => only.descriptor().clone(),
        _ => descriptor,
    }
}
