//! The store's snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_image::Image;
use longshore_store::Store;

use crate::chain::Chain;
use crate::draft::Draft;
use crate::error::SnapshotError;
use crate::id::SnapshotId;
use crate::image::ImageLayer;
use crate::shelf::Shelf;
use crate::source::FolderSource;

/// How owners of files stand on disk. What was made in one way is of no use in another, so each has folders of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// As they are: the process is root.
    Root,
    /// Shifted by a user namespace of many ids, in which the process is root.
    UserNamespace,
    /// Not at all: the user namespace has a single id, and a table beside each snapshot names the owners.
    Recorded,
}

/// The store's snapshots of one kind of ownership. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshots(pub(crate) Arc<Shelf>);

impl Snapshots {
    /// Opens the snapshots of a store. `overlay` says whether overlays can be mounted here; snapshots that were made where they
    /// cannot be have a form of their own.
    ///
    /// As long as these, or anything made from them, are alive, nothing of the store's cache is pruned. Drafts of processes that died
    /// are removed. Errors: the store cannot be written.
    pub fn open(store: &Store, ownership: Ownership, overlay: bool) -> Result<Snapshots, SnapshotError> {
        Ok(Snapshots(Arc::new(Shelf::open(store, ownership, overlay)?)))
    }

    /// What tells these snapshots apart from those that other ways to keep owners and marks made in the same store.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Whether owners stand in tables, since they cannot stand on disk.
    pub fn records_owners(&self) -> bool {
        !self.0.keeps_owners()
    }

    /// The layers of an image for a single platform. Its manifest and config are read, and nothing else.
    ///
    /// Errors: they cannot be read, or the config names another number of layers than the manifest.
    pub fn base(&self, image: &Image) -> Result<Chain, SnapshotError> {
        let layers = image.manifest()?.layers;
        let diff_ids = image.config()?.rootfs.diff_ids;
        if layers.len() != diff_ids.len() {
            return Err(SnapshotError::LayerCount {
                image: image.digest().clone(),
                layers: layers.len(),
                diff_ids: diff_ids.len(),
            });
        }
        let mut chain: Vec<Arc<ImageLayer>> = Vec::new();
        for (descriptor, diff_id) in layers.into_iter().zip(diff_ids) {
            let below = chain.last().cloned();
            chain.push(Arc::new(ImageLayer::new(&self.0, image, descriptor, diff_id, below)));
        }
        Ok(Chain::new(chain))
    }

    /// The empty tree.
    pub fn scratch(&self) -> Chain {
        Chain::new(Vec::new())
    }

    /// A finished snapshot; `None` where there is none. Marks it as used.
    pub fn get(&self, id: &SnapshotId) -> Result<Option<Snapshot>, SnapshotError> {
        match self.0.find(id.as_str())? {
            Some(folder) => Snapshot::new(&self.0, id, &folder).map(Some),
            None => Ok(None),
        }
    }

    /// A difference to be made on top of `parent`.
    pub fn draft(&self, parent: &Chain) -> Result<Draft, SnapshotError> {
        Draft::new(&self.0, parent)
    }
}

/// A finished difference. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    id: SnapshotId,
    folder: PathBuf,
    pub(crate) source: Arc<FolderSource>,
}

impl Snapshot {
    pub(crate) fn new(shelf: &Shelf, id: &SnapshotId, folder: &Path) -> Result<Snapshot, SnapshotError> {
        let source = Arc::new(shelf.source(folder)?);
        Ok(Snapshot { id: id.clone(), folder: folder.to_owned(), source })
    }

    /// Its name.
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// The item of the store's cache that holds it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
