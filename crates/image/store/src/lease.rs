//! Leases: what a running build needs is not pruned.
//!
//! A lease is a file under `leases/` that its process keeps locked; the system drops the lock when the process dies, however it
//! dies. The file lists digests that the process found in the store and counts on. Blobs that are younger than the oldest live
//! lease are kept without being listed: they may be a running build's own.
//!
//! The order that makes this safe: a digest is listed, under the shared side of `prune.lock`, before it is looked for; and pruning
//! reads all leases and deletes under the exclusive side.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use longshore_files::{FileError, Lock};
use longshore_oci::Digest;

/// Keeps blobs from being pruned until dropped.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
    prune_lock: PathBuf,
}

impl Lease {
    pub(crate) fn take(folder: &Path, prune_lock: &Path) -> Result<Lease, FileError> {
        let _shared = Lock::shared(prune_lock)?;
        for attempt in 0_u32.. {
            let name = format!("{}-{attempt}", std::process::id());
            let path = folder.join(name);
            let mut options = File::options();
            match options.append(true).create_new(true).open(&path) {
                Ok(file) => {
                    file.lock().map_err(FileError::of("lock", &path))?;
                    return Ok(Lease { file, path, prune_lock: prune_lock.to_owned() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::of("create the lease", &path)(error)),
            }
        }
        Err(FileError::of("create a lease in", folder)(io::ErrorKind::AlreadyExists.into()))
    }

    /// Keeps the blob of `digest`, whether it is there yet or not. Ask whether it is there only afterwards.
    pub fn hold(&self, digest: &Digest) -> Result<(), FileError> {
        let _shared = Lock::shared(&self.prune_lock)?;
        // One write of one line to a file opened for appending: no reader sees half of it.
        (&self.file).write_all(format!("{digest}\n").as_bytes()).map_err(FileError::of("write", &self.path))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Failing leaves a file that nobody has locked, which the next pruning removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// What live leases keep.
#[derive(Debug, Default)]
pub(crate) struct Held {
    digests: HashSet<Digest>,
    oldest: Option<SystemTime>,
}

impl Held {
    /// Reads the leases in `folder` and removes those of dead processes. The caller holds `prune.lock` exclusively.
    pub(crate) fn read(folder: &Path) -> Result<Held, FileError> {
        let mut held = Held::default();
        for entry in fs::read_dir(folder).map_err(FileError::of("list", folder))? {
            let path = entry.map_err(FileError::of("list", folder))?.path();
            if Lock::try_exclusive(&path)?.is_some() {
                match fs::remove_file(&path) {
                    // Given up just now, after it was opened here.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed.map_err(FileError::of("remove", &path))?,
                }
                continue;
            }
            let (metadata, text) = match (fs::metadata(&path), fs::read_to_string(&path)) {
                // Given up just now: what it kept has a name already, or needs none.
                (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => continue,
                (metadata, text) => (
                    metadata.map_err(FileError::of("look at", &path))?,
                    text.map_err(FileError::of("read", &path))?,
                ),
            };
            let started = metadata
                .created()
                .or_else(|_| metadata.modified())
                .map_err(FileError::of("look at", &path))?;
            held.oldest = Some(held.oldest.map_or(started, |oldest| oldest.min(started)));
            held.digests.extend(text.lines().filter_map(|line| line.parse().ok()));
        }
        Ok(held)
    }

    /// Whether a blob last written at `modified` must stay.
    pub(crate) fn keeps(&self, digest: &Digest, modified: SystemTime) -> bool {
        self.digests.contains(digest) || self.oldest.is_some_and(|oldest| modified >= oldest)
    }

    /// Whether any process is at work.
    pub(crate) fn is_anyone_at_work(&self) -> bool {
        self.oldest.is_some()
    }
}
