//! Layers on top of one another.

use std::path::PathBuf;
use std::sync::Arc;

use longshore_events::Events;

use crate::error::SnapshotError;
use crate::image::{ImageLayer, unpack_all};
use crate::shelf::TREE;
use crate::snapshots::Snapshot;
use crate::source::FolderSource;
use crate::view::{Source, View};

/// Layers of an image with differences on top: a tree. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    base: Arc<[Arc<ImageLayer>]>,
    snapshots: Vec<Snapshot>,
}

impl Chain {
    pub(crate) fn new(base: Vec<Arc<ImageLayer>>) -> Chain {
        Chain { base: base.into(), snapshots: Vec::new() }
    }

    /// Puts a difference on top.
    pub fn push(&mut self, snapshot: Snapshot) {
        self.snapshots.push(snapshot);
    }

    /// How many layers there are: those of the image and the differences.
    pub fn layers(&self) -> usize {
        self.base.len() + self.snapshots.len()
    }

    /// Whether there is no layer at all.
    pub fn is_scratch(&self) -> bool {
        self.layers() == 0
    }

    /// The differences on top of the image, the lowest first.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The tree, read-only. Nothing is unpacked: layers that are not yet are asked by the index of their tar.
    pub fn view(&self, events: &Events) -> Result<View, SnapshotError> {
        let snapshots =
            self.snapshots.iter().rev().map(|snapshot| Source::Disk(Arc::clone(&snapshot.source)));
        let mut sources: Vec<Source> = snapshots.collect();
        for layer in self.base.iter().rev() {
            sources.push(match layer.on_disk()? {
                Some(disk) => Source::Disk(disk),
                None => Source::Image(Arc::clone(layer)),
            });
        }
        Ok(View::new(sources, events))
    }

    /// Folders to mount as an overlay's lower ones, the top one first. Layers that are not yet unpacked are unpacked.
    pub fn folders(&self, events: &Events) -> Result<Vec<PathBuf>, SnapshotError> {
        let path = |source: &Arc<FolderSource>| source.tree.path().to_owned();
        unpack_all(&self.base, events)?;
        let mut folders: Vec<PathBuf> =
            self.snapshots.iter().rev().map(|snapshot| snapshot.folder().join(TREE)).collect();
        for layer in self.base.iter().rev() {
            folders.push(path(&layer.unpacked(events)?));
        }
        Ok(folders)
    }
}
