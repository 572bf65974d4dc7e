//! What earlier work was made of, so that it need not be done again.
//!
//! A [`Record`] is a value together with everything that it was computed from: files with their content, folders with their
//! entries, and paths where something was looked for and not found. [`Memory::recall`] gives the value back only if all of it is
//! as it was. Most of the time the stats decide; where a stat differs, the content does, so that `touch` and a fresh checkout cost
//! a hash and not a build.
//!
//! Two rules keep a wrong answer out. A file that was modified so shortly before it was looked at that another change could
//! leave the same stat is hashed each time, as git does with its "racily clean" entries. And a record is not made at all if
//! one of its files was modified after the work began: nobody can tell which content the work saw.
//!
//! Records are files of their own beside the store's layout, not rows of its index: reading one takes no lock and costs one
//! open, and a build that was killed leaves nothing but a temporary file.

mod codec;
mod header;
mod listing;
mod record;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use listing::Filter;
pub(crate) use record::{Record, Verdict};
pub(crate) use watch::Watch;

/// Records beyond this are removed, the longest unused first.
const MOST_RECORDS: usize = 512;

/// A folder of records.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    folder: PathBuf,
}

/// What is remembered under a key.
pub(crate) enum Recalled {
    /// The value, everything that it was computed from being as it was.
    Valid(Vec<u8>),
    /// The inputs are the same files as before, and some Go files differ below their imports. The record, and what differs.
    Edited(Record, String),
    /// Nothing that holds, and why.
    Nothing(String),
}

impl Memory {
    /// The records in `folder`, which need not exist yet.
    pub(crate) fn new(folder: PathBuf) -> Memory {
        Memory { folder }
    }

    /// The value remembered under `key`, if everything that it was computed from is as it was.
    pub(crate) fn recall(&self, key: &Key) -> Recalled {
        let path = self.path(key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Recalled::Nothing("it was not built before with these settings".to_owned());
            }
            Err(error) => return Recalled::Nothing(format!("{} cannot be read: {error}", path.display())),
        };
        let Some(record) = Record::decode(&bytes) else {
            return Recalled::Nothing(format!("{} is damaged", path.display()));
        };
        match record.verify() {
            Verdict::Same => Recalled::Valid(record.into_value()),
            Verdict::Refreshed(fresh) => {
                // Should this fail, the next build hashes the same files once more.
                let _ = write(&path, &fresh);
                Recalled::Valid(fresh.into_value())
            }
            Verdict::Edited(what) => Recalled::Edited(record, what),
            Verdict::Changed(what) => Recalled::Nothing(what),
        }
    }

    /// Keeps a record under `key`. Errors: the folder cannot be written.
    pub(crate) fn remember(&self, key: &Key, record: &Record) -> Result<(), longshore_files::FileError> {
        longshore_files::create_folders(&self.folder)?;
        write(&self.path(key), record)?;
        self.prune();
        Ok(())
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.0.to_hex().as_str())
    }

    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let aged = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
        let mut records: Vec<_> = entries.flatten().filter_map(aged).collect();
        if records.len() <= MOST_RECORDS {
            return;
        }
        records.sort();
        for (_, path) in records.iter().take(records.len() - MOST_RECORDS / 2) {
            // One that vanished, or cannot be removed, is no loss.
            let _ = fs::remove_file(path);
        }
    }
}

/// What a record is found by: a hash of everything that is known before looking at files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(blake3::Hash);

impl Key {
    /// A key of parts, none of which runs into the next.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Key(hasher.finalize())
    }
}

/// Writes a record. One that a crash cuts short fails its checksum and is not used: no sync is needed.
fn write(path: &Path, record: &Record) -> Result<(), longshore_files::FileError> {
    longshore_files::write_unsynced(path, &record.encode())
}

#[cfg(test)]
mod tests;
