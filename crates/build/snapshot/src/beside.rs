//! What steps need beside the layers they stand on: places of the tree on disk to mount, caches that outlive builds, folders that are
//! gone when the step is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use longshore_events::Events;

use crate::draft::Draft;
use crate::error::SnapshotError;
use crate::shelf::{DraftFolder, Shelf, TREE};
use crate::snapshots::{Ownership, Snapshot, Snapshots};
use crate::view::{Place, Source, View};

/// A folder of somebody's own. Dropped, it is removed.
#[derive(Debug)]
pub struct Scratch(DraftFolder);

impl Scratch {
    /// The folder; empty when it is made.
    pub fn path(&self) -> PathBuf {
        self.0.tree()
    }
}

impl Snapshots {
    /// A new folder on the file system of the snapshots.
    pub fn temporary(&self) -> Result<Scratch, SnapshotError> {
        self.0.draft().map(Scratch)
    }

    /// The item of the store's cache called `name` in which steps of this kind of ownership keep what outlives a build. Made by whoever
    /// fills it.
    pub fn cache_mount(&self, name: &str) -> PathBuf {
        let kind = match self.0.ownership {
            Ownership::Root => "mounts-root",
            Ownership::UserNamespace => "mounts-user",
            Ownership::Recorded => "mounts-single",
        };
        self.0.store.cache_folder(kind).join(name)
    }

    /// Notes that an item of the cache is in use.
    pub fn mark_used(&self, item: &Path) -> Result<(), SnapshotError> {
        self.0.mark_used(item)
    }
}

impl Snapshot {
    /// The folder of its files: marks of what is gone are in it, where something stood below.
    pub fn tree(&self) -> PathBuf {
        self.folder().join(TREE)
    }

    /// When it was made.
    pub fn created(&self) -> Result<SystemTime, SnapshotError> {
        let mark = Shelf::completion(self.folder());
        fs::metadata(&mark).and_then(|about| about.modified()).map_err(SnapshotError::of("look at", mark))
    }
}

impl View {
    /// Where what stands at `path` is on disk, to be mounted: a folder's parts in the layers, the top one first, or the one file. Layers
    /// that are not unpacked are. Nothing where nothing stands there.
    pub fn on_disk(&self, path: &Path, events: &Events) -> Result<Vec<PathBuf>, SnapshotError> {
        let (real, place) = self.walk(path, true)?;
        let layers = match &place {
            Place::Folder(parts) => parts.to_vec(),
            Place::Other(layer) => vec![*layer],
            Place::Foreign(layer, target) => return self.below(*layer).on_disk(target, events),
            Place::Missing | Place::Symlink(_) => Vec::new(),
        };
        let mut found = Vec::new();
        for layer in layers {
            let disk = match &self.sources()[layer] {
                Source::Disk(disk) => Arc::clone(disk),
                Source::Image(image) => image.unpacked(events)?,
            };
            found.push(disk.tree.path().join(&real));
        }
        Ok(found)
    }
}

impl Draft {
    /// Gives up the difference and moves its files to `place`, on the same file system, where nothing may stand. For a draft on nothing:
    /// marks of what is gone would come with it.
    pub fn release(mut self, place: &Path) -> Result<(), SnapshotError> {
        self.settle()?;
        fs::rename(self.tree_folder(), place).map_err(SnapshotError::of("move to", place))
    }
}
