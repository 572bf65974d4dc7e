//! What a writer remembers from one call to the next, and a draft from one writer to the next.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::beneath::{self, Beneath};
use crate::error::SnapshotError;
use crate::node::Metadata;
use crate::owners::Owners;

/// What was written so far; it stays with the draft.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Folders that are in the difference, with the layers below that show through them.
    pub(crate) folders: HashMap<PathBuf, Vec<usize>>,
    /// The times that folders get at the end.
    pub(crate) times: BTreeMap<PathBuf, (i64, u32)>,
    /// Where owners cannot stand on disk.
    pub(crate) owners: Option<Owners>,
}

impl Written {
    pub(crate) fn with_owners(owners: Option<Owners>) -> Written {
        Written { owners, ..Written::default() }
    }

    /// Sets the times of folders.
    pub(crate) fn set_times(&mut self, tree: &Beneath) -> Result<(), SnapshotError> {
        for (path, time) in std::mem::take(&mut self.times) {
            let set = |folder: OwnedFd| Ok(rustix::fs::futimens(folder, &beneath::times(time))?);
            tree.listed(&path).and_then(set).map_err(SnapshotError::of("set the time of", &path))?;
        }
        Ok(())
    }

    /// Forgets a path and all below it.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.folders.retain(|folder, _| !folder.starts_with(path));
        self.times.retain(|folder, _| !folder.starts_with(path));
        if let Some(owners) = &mut self.owners {
            owners.remove(path);
        }
    }

    /// Notes an owner. Returns the one to set on disk, where owners stand there.
    pub(crate) fn set_owner(&mut self, path: &Path, metadata: &Metadata) -> Option<(u32, u32)> {
        let owner = (metadata.uid, metadata.gid);
        match &mut self.owners {
            Some(owners) => {
                owners.set(path, owner);
                None
            }
            None => Some(owner),
        }
    }
}
