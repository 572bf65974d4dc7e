//! An OCI image layout in a folder, as source and sink.
//!
//! OCI image-spec 1.1, image-layout.md. Blobs are written to a temporary name, synced and renamed; index.json is replaced under
//! a lock on the `oci-layout` file, which never changes. A kill at any moment leaves a valid layout.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_files::{AtomicFile, FileError, Lock, create_folders, write_atomic};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Descriptor, Digest, Index, annotation};

use crate::content::{BlobReader, Content, ContentError, ContentErrorKind};
use crate::copy::{Sink, SinkError};
use crate::handle::Image;
use crate::{MAX_DOCUMENT, VerifyingReader};

/// A layout that cannot be used as one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// There is no `oci-layout` file.
    #[error("{} is not an OCI image layout: it has no oci-layout file", .0.display())]
    Missing(PathBuf),
    /// The layout's version is not 1.x.
    #[error("{} is an OCI image layout of version `{version}`, and only 1.x is known", path.display())]
    Version {
        /// The layout's folder.
        path: PathBuf,
        /// The version found.
        version: String,
    },
    /// A file of the layout is not the JSON it must be.
    #[error("{} is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A file of the layout is larger than it may be.
    #[error("{} has more than {MAX_DOCUMENT} bytes", .0.display())]
    TooLarge(PathBuf),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl LayoutError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LayoutError::File(error) => error.hint(),
            _ => None,
        }
    }
}

/// A named or unnamed root of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutEntry {
    /// The `org.opencontainers.image.ref.name` annotation, as it stands there.
    pub name: Option<String>,
    /// The manifest or index, annotations included.
    pub descriptor: Descriptor,
}

/// An image layout in a folder. Cheap to clone; nothing is cached.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: PathBuf,
    temporary: PathBuf,
}

impl Layout {
    /// Opens a layout that exists. Errors: there is none, or it is of an unknown version.
    pub fn open(folder: &Path) -> Result<Layout, LayoutError> {
        let marker = folder.join("oci-layout");
        let bytes = match read_bounded(&marker) {
            Err(LayoutError::File(error)) if error.source.kind() == io::ErrorKind::NotFound => {
                return Err(LayoutError::Missing(folder.to_owned()));
            }
            Err(LayoutError::File(error)) if error.source.kind() == io::ErrorKind::NotADirectory => {
                return Err(LayoutError::Missing(folder.to_owned()));
            }
            other => other?,
        };
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Marker {
            image_layout_version: String,
        }
        let marker: Marker =
            serde_json::from_slice(&bytes).map_err(|source| LayoutError::Json { path: marker, source })?;
        if !marker.image_layout_version.starts_with("1.") {
            return Err(LayoutError::Version {
                path: folder.to_owned(),
                version: marker.image_layout_version,
            });
        }
        let temporary = folder.join("blobs").join("sha256");
        Ok(Layout { folder: folder.to_owned(), temporary })
    }

    /// Opens a layout, made first where there is none. A folder with other files in it is taken as it is.
    pub fn create(folder: &Path) -> Result<Layout, LayoutError> {
        if !folder.join("oci-layout").exists() {
            create_folders(&folder.join("blobs").join("sha256"))?;
            if !folder.join("index.json").exists() {
                write_index(folder, &Index::new(ImageFormat::Oci, Vec::new()))?;
            }
            // Last: what has this file is complete.
            create_marker(folder)?;
        }
        Layout::open(folder)
    }

    /// The same layout, its temporary files made in `temporary`, which must be on the same file system.
    #[must_use]
    pub fn with_temporary(self, temporary: PathBuf) -> Layout {
        Layout { temporary, ..self }
    }

    /// The layout's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.algorithm().name()).join(digest.encoded())
    }

    /// The index of roots.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.folder.join("index.json");
        serde_json::from_slice(&read_bounded(&path)?).map_err(|source| LayoutError::Json { path, source })
    }

    /// The layout's roots, as index.json lists them.
    pub fn entries(&self) -> Result<Vec<LayoutEntry>, LayoutError> {
        let entry = |descriptor: Descriptor| LayoutEntry {
            name: descriptor.annotations.get(annotation::REF_NAME).cloned(),
            descriptor,
        };
        Ok(self.index()?.manifests.into_iter().map(entry).collect())
    }

    /// Changes index.json while nobody else does.
    ///
    /// Errors: `change` is not called when the layout cannot be locked or read; what it did is lost if writing fails.
    pub fn update_index<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, LayoutError> {
        let _lock = Lock::exclusive(&self.folder.join("oci-layout"))?;
        let before = self.index()?;
        let mut index = before.clone();
        let result = change(&mut index);
        if index != before {
            write_index(&self.folder, &index)?;
        }
        Ok(result)
    }

    /// Makes `descriptor` a root, by `name` where one is given: what had the name loses it and stays as an unnamed root only
    /// if it is not also this one.
    pub fn tag(&self, name: Option<&str>, descriptor: &Descriptor) -> Result<(), LayoutError> {
        self.update_index(|index| {
            let named = |d: &Descriptor| d.annotations.get(annotation::REF_NAME).map(String::as_str) == name;
            let unnamed = |d: &Descriptor| !d.annotations.contains_key(annotation::REF_NAME);
            index.manifests.retain(|d| {
                let replaced = if unnamed(d) { d.digest == descriptor.digest } else { named(d) };
                !replaced
            });
            let mut entry = descriptor.clone();
            match name {
                Some(name) => entry.annotations.insert(annotation::REF_NAME.to_owned(), name.to_owned()),
                None => entry.annotations.shift_remove(annotation::REF_NAME),
            };
            index.manifests.push(entry);
        })
    }

    /// The image at a root.
    pub fn image(&self, descriptor: &Descriptor) -> Image {
        Image::new(descriptor.clone(), Arc::new(self.clone()))
    }

    /// A file to write a blob to whose digest is not yet known; [`Layout::adopt`] gives it its name.
    pub fn blob_writer(&self) -> Result<AtomicFile, FileError> {
        AtomicFile::create_in(&self.temporary)
    }

    /// Gives a written blob its name. The caller answers for `digest`.
    pub fn adopt(&self, file: AtomicFile, digest: &Digest) -> Result<(), FileError> {
        let path = self.blob_path(digest);
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            create_folders(folder)?;
        }
        file.commit(&path)
    }

    /// Writes a small blob unless it is there.
    pub fn write_bytes(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), SinkError> {
        let mut sink = self.clone();
        if sink.has(descriptor)? {
            return Ok(());
        }
        sink.write(descriptor, &mut VerifyingReader::new(bytes, descriptor))
    }
}

impl Content for Layout {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        match open_regular(&self.blob_path(&descriptor.digest)) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ContentError::new(descriptor, ContentErrorKind::NotFound))
            }
            Err(error) => Err(ContentError::new(descriptor, error)),
        }
    }
}

impl Sink for Layout {
    /// A blob of another size is not there: it is written anew over what an unclean shutdown may have left.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, SinkError> {
        let path = self.blob_path(&descriptor.digest);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == descriptor.size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(FileError::of("look at", path)(error).into()),
        }
    }

    fn write(&mut self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), SinkError> {
        let mut file = self.blob_writer()?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SinkError::Source(error)),
            };
            file.write_all(&buffer[..count])
                .map_err(FileError::of("write", self.blob_path(&descriptor.digest)))?;
        }
        Ok(self.adopt(file, &descriptor.digest)?)
    }
}

fn create_marker(folder: &Path) -> Result<(), FileError> {
    let path = folder.join("oci-layout");
    let mut file = AtomicFile::create_in(folder)?;
    file.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(FileError::of("write", &path))?;
    // Another process that made it a moment ago made the same one; its lock must stay on that file, so it is not replaced.
    match std::fs::hard_link(file.path(), &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(FileError::of("write", &path)(error))
        }
        _ => Ok(()),
    }
}

fn write_index(folder: &Path, index: &Index) -> Result<(), LayoutError> {
    let path = folder.join("index.json");
    let bytes =
        serde_json::to_vec(index).map_err(|source| LayoutError::Json { path: path.clone(), source })?;
    Ok(write_atomic(&path, &bytes)?)
}

/// Opens a file that others may have put there: a pipe would be waited for, and a device has no end.
fn open_regular(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, LayoutError> {
    let file = open_regular(path).map_err(FileError::of("read", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(FileError::of("read", path))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(LayoutError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}
