//! What was hashed before: contents of files by their size, times and inode.
//!
//! A file whose stat did not change has the content it had. Files that changed so shortly before they were hashed that the
//! clock could not tell another change apart are hashed again, as git does with its index ("racily clean"). The record of a context
//! is one file, replaced whole; a damaged or missing one costs time and nothing else.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use longshore_files::{AtomicFile, FileError, create_folders};

/// First bytes of a record; raised with its form.
const MAGIC: &[u8; 8] = b"lshash1\n";

/// Changes less than this apart may have the same time: kernels stamp files with the time of their last tick.
const GRANULARITY: Duration = Duration::from_millis(20);

/// The same for file systems that keep whole seconds, which show by times without a fraction.
const COARSE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    size: u64,
    mtime: i128,
    ctime: i128,
    inode: u64,
    device: u64,
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Stat {
            size: metadata.len(),
            mtime: time(metadata.mtime(), metadata.mtime_nsec()),
            ctime: time(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Whether another change would have shown, had it come after `now`.
    fn is_settled(&self, now: i128) -> bool {
        let coarse = self.mtime % 1_000_000_000 == 0 && self.ctime % 1_000_000_000 == 0;
        let margin = if coarse { COARSE } else { GRANULARITY };
        self.mtime.max(self.ctime) + i128::try_from(margin.as_nanos()).unwrap_or(i128::MAX) < now
    }
}

#[derive(Debug, Default)]
struct Entries {
    known: HashMap<PathBuf, (Stat, [u8; 32])>,
    used: HashMap<PathBuf, (Stat, [u8; 32])>,
    changed: bool,
}

/// Hashes of the files below one folder.
#[derive(Debug)]
pub(crate) struct HashMemory {
    file: PathBuf,
    entries: Mutex<Entries>,
}

impl HashMemory {
    /// What is remembered in `file`; nothing where it is absent or damaged.
    pub(crate) fn open(file: PathBuf) -> HashMemory {
        let known = std::fs::read(&file).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default();
        HashMemory { file, entries: Mutex::new(Entries { known, ..Entries::default() }) }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        // A thread that panicked with the lock left a map that is whole.
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The hash of a file that is as it was.
    pub(crate) fn recall(&self, path: &Path, metadata: &Metadata) -> Option<[u8; 32]> {
        let stat = Stat::of(metadata);
        let mut entries = self.entries();
        if let Some((known, hash)) = entries.used.get(path).filter(|(known, _)| *known == stat) {
            debug_assert_eq!(*known, stat);
            return Some(*hash);
        }
        let found = entries.known.get(path).filter(|(known, _)| *known == stat).copied()?;
        entries.used.insert(path.to_owned(), found);
        Some(found.1)
    }

    /// Notes what was hashed. `metadata` is from before the file was read.
    pub(crate) fn note(&self, path: &Path, metadata: &Metadata, hash: [u8; 32]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stat = Stat::of(metadata);
        if stat.is_settled(i128::try_from(now.as_nanos()).unwrap_or(i128::MAX)) {
            let mut entries = self.entries();
            entries.used.insert(path.to_owned(), (stat, hash));
            entries.changed = true;
        }
    }

    /// Writes what was used this time, if anything is new.
    pub(crate) fn save(&self) -> Result<(), FileError> {
        let entries = self.entries();
        if !entries.changed {
            return Ok(());
        }
        let Some(folder) = self.file.parent() else { return Ok(()) };
        create_folders(folder)?;
        // What this build did not look at may be what the next one needs: another target, another Dockerfile.
        let rest = entries.known.iter().filter(|(path, _)| !entries.used.contains_key(*path));
        let bytes = encode(entries.used.iter().chain(rest));
        let mut file = AtomicFile::create_in(folder)?;
        io::Write::write_all(&mut file, &bytes).map_err(FileError::of("write", &self.file))?;
        file.commit_unsynced(&self.file)
    }
}

fn encode<'e>(entries: impl Iterator<Item = (&'e PathBuf, &'e (Stat, [u8; 32]))>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (path, (stat, hash)) in entries {
        let name = path.as_os_str().as_bytes();
        let Ok(length) = u32::try_from(name.len()) else { continue };
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&stat.size.to_le_bytes());
        bytes.extend_from_slice(&stat.mtime.to_le_bytes());
        bytes.extend_from_slice(&stat.ctime.to_le_bytes());
        bytes.extend_from_slice(&stat.inode.to_le_bytes());
        bytes.extend_from_slice(&stat.device.to_le_bytes());
        bytes.extend_from_slice(hash);
    }
    let sum = *blake3::hash(&bytes).as_bytes();
    bytes.extend_from_slice(&sum);
    bytes
}

fn decode(bytes: &[u8]) -> Option<HashMap<PathBuf, (Stat, [u8; 32])>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let mut entries = HashMap::new();
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let stat = Stat {
            size: u64::from_le_bytes(take(&mut rest)?),
            mtime: i128::from_le_bytes(take(&mut rest)?),
            ctime: i128::from_le_bytes(take(&mut rest)?),
            inode: u64::from_le_bytes(take(&mut rest)?),
            device: u64::from_le_bytes(take(&mut rest)?),
        };
        let path = PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()));
        entries.insert(path, (stat, take(&mut rest)?));
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (start, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_file_is_recalled_until_it_changes_and_damage_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let (file, record) = (folder.path().join("a"), folder.path().join("memory/record"));
        longshore_files::write_atomic(&file, b"one").unwrap();
        let past = SystemTime::now() - Duration::from_secs(3600);
        File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
        std::thread::sleep(GRANULARITY * 2);
        let memory = HashMemory::open(record.clone());
        let stat = fs::metadata(&file).unwrap();
        assert_eq!(memory.recall(Path::new("a"), &stat), None);
        memory.note(Path::new("a"), &stat, [7; 32]);
        memory.save().unwrap();

        let again = HashMemory::open(record.clone());
        assert_eq!(again.recall(Path::new("a"), &stat), Some([7; 32]));
        assert_eq!(again.recall(Path::new("b"), &stat), None);
        longshore_files::write_atomic(&file, b"two").unwrap();
        assert_eq!(again.recall(Path::new("a"), &fs::metadata(&file).unwrap()), None);

        let mut bytes = fs::read(&record).unwrap();
        bytes[20] ^= 1;
        longshore_files::write_atomic(&record, &bytes).unwrap();
        assert_eq!(HashMemory::open(record).recall(Path::new("a"), &stat), None);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        longshore_files::write_atomic(&file, b"one").unwrap();
        let memory = HashMemory::open(folder.path().join("record"));
        let stat = fs::metadata(&file).unwrap();
        memory.note(Path::new("a"), &stat, [7; 32]);
        assert_eq!(memory.recall(Path::new("a"), &stat), None);
    }
}
