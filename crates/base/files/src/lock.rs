//! Advisory locks between processes, by `flock` on a file that stays.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::FileError;

/// A lock that is held until dropped; the system releases it when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock at `path`, then holds it alone.
    pub fn exclusive(path: &Path) -> Result<Lock, FileError> {
        let file = open(path)?;
        file.lock().map_err(FileError::of("lock", path))?;
        Ok(Lock { _file: file })
    }

    /// Waits until nobody holds the lock at `path` alone, then holds it together with others.
    pub fn shared(path: &Path) -> Result<Lock, FileError> {
        let file = open(path)?;
        file.lock_shared().map_err(FileError::of("lock", path))?;
        Ok(Lock { _file: file })
    }

    /// Holds the lock at `path` alone if nobody else holds it now; `None` otherwise.
    pub fn try_exclusive(path: &Path) -> Result<Option<Lock>, FileError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(FileError::of("lock", path)(error)),
        }
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(FileError::of("open the lock", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_not_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::exclusive(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(Lock::try_exclusive(&path).unwrap().is_some());
        let shared = Lock::shared(&path).unwrap();
        let _also = Lock::shared(&path).unwrap();
        assert!(Lock::try_exclusive(&path).unwrap().is_none());
        drop(shared);
    }
}
