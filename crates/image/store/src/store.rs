//! The store's images.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_files::{AtomicFile, FileError, create_folders};
use longshore_image::{Image, Layout, Sink, SinkError};
use longshore_oci::{Descriptor, Digest, Reference, annotation};

use crate::error::StoreError;
use crate::lease::Lease;

/// An image that the store lists.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// Name as it stands in the layout: `hello:dev`, or what another tool wrote there.
    pub name: Option<String>,
    /// The image.
    pub image: Image,
}

/// The local store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    layout: Layout,
}

impl Store {
    /// Opens the store in `root`, made first where there is none. Errors: the folder cannot be read, or made.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        // Steps and other programs that are told of places in it have working folders of their own.
        let root = std::path::absolute(root).map_err(FileError::of("find the folder", root))?;
        let (images, temporary) = (root.join("images"), root.join("tmp"));
        // A store that exists is opened without a write, so that one on a read-only disk can be read.
        let layout = match Layout::open(&images) {
            Ok(layout) => layout,
            Err(_) => {
                for folder in [&images, &temporary, &root.join("leases"), &root.join("cache")] {
                    create_folders(folder)?;
                }
                Layout::create(&images)?
            }
        };
        Ok(Store { root, layout: layout.with_temporary(temporary) })
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The image layout in the store.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Folder of what can be made or fetched again; each folder in it is one item of `cache ls`. Made on demand by its user.
    pub fn cache_folder(&self, kind: &str) -> PathBuf {
        self.root.join("cache").join(kind)
    }

    /// Folder for files that have no name yet, on the store's file system.
    pub fn temporary_folder(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Keeps what this process writes or names from being pruned while it works.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        let leases = self.root.join("leases");
        for folder in [&leases, &self.temporary_folder()] {
            if !folder.is_dir() {
                create_folders(folder)?;
            }
        }
        Ok(Lease::take(&leases, &self.prune_lock())?)
    }

    pub(crate) fn prune_lock(&self) -> PathBuf {
        self.root.join("prune.lock")
    }

    /// A sink into the store, under a lease of its own.
    pub fn writer(&self) -> Result<Writer, StoreError> {
        Ok(Writer { layout: self.layout.clone(), lease: Arc::new(self.lease()?) })
    }

    /// The images, in the order in which they were added.
    pub fn images(&self) -> Result<Vec<StoredImage>, StoreError> {
        let entries = self.layout.entries()?;
        let image = |descriptor: &Descriptor| self.layout.image(descriptor);
        Ok(entries
            .into_iter()
            .map(|entry| StoredImage { name: entry.name, image: image(&entry.descriptor) })
            .collect())
    }

    /// Gives an image of the store a name, which another image that had it loses. The tag defaults to `latest`.
    pub fn tag(&self, name: &Reference, descriptor: &Descriptor) -> Result<(), StoreError> {
        let name = name.clone().with_default_tag().familiar();
        Ok(self.layout.tag(Some(&name), descriptor)?)
    }

    /// Lists an image without a name, so that it stays until it is removed or pruned. One that has a name is left as it is.
    pub fn add(&self, descriptor: &Descriptor) -> Result<(), StoreError> {
        let listed = self.layout.entries()?.iter().any(|entry| entry.descriptor.digest == descriptor.digest);
        if listed { Ok(()) } else { Ok(self.layout.tag(None, descriptor)?) }
    }

    /// Removes one name. Returns whether there was one. Blobs stay until [`Store::collect_garbage`].
    pub fn untag(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.layout.update_index(|index| {
            let before = index.manifests.len();
            index.manifests.retain(|d| d.annotations.get(annotation::REF_NAME).is_none_or(|n| n != name));
            index.manifests.len() != before
        })?)
    }

    /// Takes an image off the list if it stands there without a name: it may have got one since somebody looked.
    pub(crate) fn remove_unnamed(&self, digest: &Digest) -> Result<(), StoreError> {
        Ok(self.layout.update_index(|index| {
            index
                .manifests
                .retain(|d| d.digest != *digest || d.annotations.contains_key(annotation::REF_NAME));
        })?)
    }

    /// Removes an image by all its names. Returns the names it had.
    pub fn remove(&self, digest: &Digest) -> Result<Vec<String>, StoreError> {
        Ok(self.layout.update_index(|index| {
            let (gone, kept) =
                std::mem::take(&mut index.manifests).into_iter().partition(|d| d.digest == *digest);
            index.manifests = kept;
            let gone: Vec<Descriptor> = gone;
            gone.iter().filter_map(|d| d.annotations.get(annotation::REF_NAME).cloned()).collect()
        })?)
    }
}

/// Writes blobs into the store; what it wrote or found there is kept from pruning until it is dropped. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    layout: Layout,
    lease: Arc<Lease>,
}

impl Writer {
    /// A file to write a blob to whose digest is not yet known; [`Writer::adopt`] gives it its name.
    pub fn blob(&self) -> Result<AtomicFile, StoreError> {
        Ok(self.layout.blob_writer()?)
    }

    /// Gives a written blob its name. The caller answers for the digest being that of the file's bytes.
    pub fn adopt(&self, file: AtomicFile, digest: &Digest) -> Result<(), StoreError> {
        self.lease.hold(digest)?;
        Ok(self.layout.adopt(file, digest)?)
    }

    /// Writes a small blob unless it is there, and returns its descriptor.
    pub fn bytes(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, SinkError> {
        let descriptor = Descriptor::of(media_type, bytes);
        self.lease.hold(&descriptor.digest)?;
        self.layout.write_bytes(&descriptor, bytes)?;
        Ok(descriptor)
    }
}

impl Sink for Writer {
    fn has(&self, descriptor: &Descriptor) -> Result<bool, SinkError> {
        self.lease.hold(&descriptor.digest)?;
        self.layout.has(descriptor)
    }

    fn write(&mut self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), SinkError> {
        self.lease.hold(&descriptor.digest)?;
        self.layout.write(descriptor, bytes)
    }
}
