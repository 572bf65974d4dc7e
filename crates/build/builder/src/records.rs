//! What earlier builds found out and cannot be read off the snapshots: the content of what a COPY took from a stage, which
//! generation of a step counts after `--no-cache`.
//!
//! A record is a small file named by a key. It can be made again, so it is not synced; a damaged one counts as absent, since each
//! holds a checksum. Each kind of snapshots has records of its own: a step that was done twice, once for each, need not have left the
//! same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_events::{Cancelled, Events};
use longshore_files::{FileError, Lock, create_folders, write_unsynced};
use longshore_oci::{Descriptor, Digest};
use longshore_store::Store;
use serde::{Deserialize, Serialize};

use crate::error::BuildError;
use crate::key::Key;

/// Pause between two looks at a lock that another build holds.
const PAUSE: Duration = Duration::from_millis(15);

/// The records of a store for one kind of its snapshots. Locks and hashes are the same for all.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    folder: PathBuf,
    kind: String,
}

/// A step's lock could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<LockError> for BuildError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::File(error) => error.into(),
            LockError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// A layer in the store that is a step's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLayer {
    pub(crate) descriptor: Descriptor,
    /// Digest of its tar.
    pub(crate) diff_id: Digest,
    /// When the step was done.
    pub(crate) created: jiff::Timestamp,
    /// The latest time in it, where later ones were cut to that.
    pub(crate) clamp: Option<i64>,
}

impl Records {
    pub(crate) fn of(store: &Store, kind: &str) -> Records {
        Records { folder: store.cache_folder("dockerfile"), kind: kind.to_owned() }
    }

    /// The file in which the hashes of a context's files are remembered.
    pub(crate) fn hashes(&self, key: &Key) -> PathBuf {
        self.folder.join("contexts").join(key.hex())
    }

    fn path(&self, key: &Key) -> PathBuf {
        let name = key.hex();
        self.folder.join("records").join(&self.kind).join(&name[..2]).join(&name[2..])
    }

    /// What is recorded under a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Key> {
        let bytes = fs::read(self.path(key)).ok()?;
        let (value, sum) = bytes.split_first_chunk::<32>()?;
        let expected = blake3::hash(value);
        (sum == &expected.as_bytes()[..8]).then(|| Key::from_bytes(*value))
    }

    /// Records a value under a key.
    pub(crate) fn put(&self, key: &Key, value: &Key) -> Result<(), FileError> {
        let sum = blake3::hash(value.bytes());
        write(&self.path(key), &[value.bytes(), &sum.as_bytes()[..8]].concat())
    }

    /// The same for all kinds: results that come as layers have names of their own.
    fn layer_path(&self, result: &Key) -> PathBuf {
        let name = result.hex();
        self.folder.join("layers").join(&name[..2]).join(&name[2..])
    }

    /// The layer that a result is, where it came as one and was found to be what it should be.
    pub(crate) fn layer(&self, result: &Key) -> Option<StoredLayer> {
        serde_json::from_slice(&fs::read(self.layer_path(result)).ok()?).ok()
    }

    /// Records the layer that a result is.
    pub(crate) fn put_layer(&self, result: &Key, layer: &StoredLayer) -> Result<(), FileError> {
        let path = self.layer_path(result);
        let bytes = serde_json::to_vec(layer).map_err(std::io::Error::from);
        write(&path, &bytes.map_err(FileError::of("write", &path))?)
    }

    /// Forgets the layer that a result is.
    pub(crate) fn remove_layer(&self, result: &Key) -> Result<(), FileError> {
        let path = self.layer_path(result);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::of("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Waits until no other build is at the step with this key, and keeps others waiting until dropped. Lock files stay: one that
    /// is removed while somebody waits for it would be held twice.
    pub(crate) fn lock(&self, name: &str, events: &Events) -> Result<Lock, LockError> {
        let folder = self.folder.join("locks");
        create_folders(&folder)?;
        let path = folder.join(name);
        loop {
            events.check()?;
            if let Some(lock) = Lock::try_exclusive(&path)? {
                return Ok(lock);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Like [`Records::lock`], but gives up at once if another build is there.
    pub(crate) fn try_lock(&self, name: &str) -> Result<Option<Lock>, FileError> {
        let folder = self.folder.join("locks");
        create_folders(&folder)?;
        let path = folder.join(name);
        Lock::try_exclusive(&path)
    }
}

/// Writes a record, and makes the folder that it is in.
fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    if let Some(folder) = path.parent() {
        create_folders(folder)?;
    }
    write_unsynced(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyWriter;

    #[test]
    fn a_record_is_read_back_and_a_damaged_one_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let records = Records::of(&store, "root");
        let key = |name: &str| KeyWriter::new(name).finish();
        assert_eq!(records.get(&key("a")), None);
        records.put(&key("a"), &key("b")).unwrap();
        assert_eq!(records.get(&key("a")), Some(key("b")));
        assert_eq!(Records::of(&store, "user").get(&key("a")), None);
        longshore_files::write_atomic(&records.path(&key("a")), &[1; 40]).unwrap();
        assert_eq!(records.get(&key("a")), None);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::of(&Store::open(folder.path()).unwrap(), "root");
        let held = records.lock("x", &Events::silent()).unwrap();
        assert!(records.try_lock("x").unwrap().is_none());
        let cancelled = Events::silent();
        cancelled.cancel();
        assert!(matches!(records.lock("x", &cancelled), Err(LockError::Cancelled(_))));
        drop(held);
        assert!(records.try_lock("x").unwrap().is_some());
    }
}
