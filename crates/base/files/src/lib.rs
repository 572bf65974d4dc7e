//! Files that are written whole or not at all, locks, opens that cannot leave a folder, and whether a file is the one it was.
//!
//! Everything that another process may read while it changes, or that must survive a kill at any moment, is written here:
//! into a temporary file in the same folder, synced, then renamed over its name.

mod atomic;
mod lock;
mod reach;
mod root;
mod stat;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

pub use atomic::{AtomicFile, create_folders, output_target, write_atomic, write_output, write_unsynced};
pub use lock::Lock;
pub use reach::Reach;
pub use root::Root;
pub use stat::{FileInstant, Stat};
pub use tree::{foreign_file, remove_tree, tree_size};

/// A file-system operation that failed, with what was being done and to what.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was being done: "write", "lock".
    pub action: &'static str,
    /// The path it was done to.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// An adapter for `map_err`: `FileError::of("read", path)`.
    pub fn of(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> FileError {
        move |source| FileError { action, path: path.as_ref().to_owned(), source }
    }

    /// What a person can do about it, where the system's answer tells.
    pub fn hint(&self) -> Option<String> {
        let hint = match self.source.kind() {
            io::ErrorKind::StorageFull => {
                "the disk is full: free some space (`longshore cache prune` helps) and try again"
            }
            io::ErrorKind::QuotaExceeded => "the disk quota is used up: free some space and try again",
            io::ErrorKind::ReadOnlyFilesystem => {
                "the file system is read-only: choose another folder, for the store with --store"
            }
            io::ErrorKind::PermissionDenied => {
                "you may not do this here: check the owner and the mode of the folder"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
