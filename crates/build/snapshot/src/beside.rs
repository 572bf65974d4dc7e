//! What steps need beside the layers they stand on: places of the tree on disk to mount, caches that outlive builds, folders that are
//! gone when the step is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use longshore_events::Events;

use crate::beneath::{below_root, split};
use crate::error::SnapshotError;
use crate::shelf::{DraftFolder, Shelf, TREE};
use crate::snapshots::{Ownership, Snapshot, Snapshots};
use crate::view::{Place, Source, View};
use crate::writer::Writer;

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

/// What stands at a path, as far as it decides whether something else may be put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupant {
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

impl Writer<'_> {
    /// What stands at a path that has no link on the way to it, what was written included.
    pub fn occupant(&mut self, path: &Path) -> Result<Option<Occupant>, SnapshotError> {
        let path = below_root(path);
        if path.as_os_str().is_empty() {
            return Ok(Some(Occupant::Folder));
        }
        if let Some(written) = self.written_at(&path)? {
            return Ok(written);
        }
        let (above, _) = split(&path);
        Ok(match self.parts(above)? {
            None => None,
            Some(parts) if parts.is_empty() => None,
            Some(parts) => match self.below().step(&parts, &path)? {
                Place::Missing => None,
                Place::Folder(_) => Some(Occupant::Folder),
                _ => Some(Occupant::Other),
            },
        })
    }

    /// Where a path leads when all links are followed, whether or not something is there.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, SnapshotError> {
        self.view()?.resolve(path)
    }
}
