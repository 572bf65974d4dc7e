//! Writing archives that every engine reads: an OCI layout with Docker's manifest.json beside its index.json.
//!
//! Both sides point at the same blobs. The bytes depend on the images and their names alone: entries are sorted, times are
//! zero, everything belongs to root.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use longshore_events::{Cancelled, Events, Task, TaskKind};
use longshore_files::{AtomicFile, FileError};
use longshore_oci::media_type::{self, ImageFormat};
use longshore_oci::{Descriptor, Digest, Index, Manifest, Platform, Reference, annotation};
use tar::{EntryType, Header};

use crate::content::ContentError;
use crate::handle::Image;

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

/// Writes an archive to `writer`, in one pass. Docker's side of it holds one image of an index: that for `platform`, or the
/// first where there is none for it; the OCI side holds all.
///
/// Errors: an image cannot be read or is not what its descriptors say, or the writer fails.
pub fn write_archive(
    images: &[SavedImage],
    platform: &Platform,
    writer: impl Write,
    events: &Events,
) -> Result<(), SaveError> {
    let mut blobs = BTreeMap::new();
    let mut roots = Vec::new();
    let mut docker = Vec::new();
    for saved in images {
        for descriptor in saved.image.blobs()? {
            let digest = &descriptor.digest;
            blobs
                .insert((digest.algorithm().name(), digest.encoded().to_owned()), (descriptor, &saved.image));
        }
        roots.extend(named_roots(saved));
        docker.extend(docker_image(saved, platform)?);
    }
    let task = events.task(TaskKind::Work, "write the archive");
    let total = blobs.values().map(|(descriptor, _)| descriptor.size).sum();
    let mut output = Output { tar: tar::Builder::new(writer), task, done: 0, total };
    output.folder("blobs/")?;
    let mut algorithm = "";
    for ((name, encoded), (descriptor, image)) in &blobs {
        if *name != algorithm {
            algorithm = name;
            output.folder(&format!("blobs/{name}/"))?;
        }
        output.blob(&format!("blobs/{name}/{encoded}"), descriptor, image, events)?;
    }
    output.document("index.json", &Index::new(ImageFormat::Oci, roots))?;
    output.document("manifest.json", &docker)?;
    output.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    output.tar.finish().map_err(SaveError::Write)?;
    output.tar.get_mut().flush().map_err(SaveError::Write)?;
    output.task.done("");
    Ok(())
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

struct Output<W: Write> {
    tar: tar::Builder<W>,
    task: Task,
    done: u64,
    total: u64,
}

impl<W: Write> Output<W> {
    fn folder(&mut self, name: &str) -> Result<(), SaveError> {
        let header = header(name, EntryType::Directory, 0o755, 0).map_err(SaveError::Write)?;
        self.tar.append(&header, io::empty()).map_err(SaveError::Write)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        let size = bytes.len() as u64;
        let header = header(name, EntryType::Regular, 0o644, size).map_err(SaveError::Write)?;
        self.tar.append(&header, bytes).map_err(SaveError::Write)
    }

    fn document(&mut self, name: &str, value: &impl serde::Serialize) -> Result<(), SaveError> {
        let bytes = serde_json::to_vec(value).map_err(|error| SaveError::Write(error.into()))?;
        self.file(name, &bytes)
    }

    fn blob(
        &mut self,
        name: &str,
        descriptor: &Descriptor,
        image: &Image,
        events: &Events,
    ) -> Result<(), SaveError> {
        let header = header(name, EntryType::Regular, 0o644, descriptor.size).map_err(SaveError::Write)?;
        let mut source = Source { inner: image.open(descriptor)?, events, error: None, count: 0 };
        let written = self.tar.append(&header, &mut source);
        events.check()?;
        if let Some(error) = source.error {
            return Err(ContentError::new(descriptor, error).into());
        }
        self.done += source.count;
        self.task.progress(self.done, Some(self.total));
        written.map_err(SaveError::Write)
    }
}

/// Tells a source that cannot be read from a writer that cannot write.
struct Source<'a, R> {
    inner: R,
    events: &'a Events,
    error: Option<io::Error>,
    count: u64,
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.events.check().map_err(io::Error::other)?;
        match self.inner.read(buffer) {
            Ok(count) => {
                self.count += count as u64;
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                if kind != io::ErrorKind::Interrupted {
                    self.error = Some(error);
                }
                Err(kind.into())
            }
        }
    }
}

fn header(name: &str, kind: EntryType, mode: u32, size: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}
