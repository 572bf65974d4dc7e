//! What was hashed before: contents of files by their stat.
//!
//! A file whose stat did not change has the content it had, unless the stat is racy ([`Stat::is_racy`]). The record of a context is
//! one file, replaced whole; a damaged or missing one costs time and nothing else. It is read on every build, so nothing is made of its
//! entries: they stand in order, and are looked up where they are.
//!
//! ```text
//! magic, then for each file by the bytes of its path: length of the path u32, path, stat, hash; a BLAKE3 sum of it all
//! ```

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_files::{FileError, FileInstant, Stat, create_folders, write_unsynced};

use crate::solve::held;

/// First bytes of a record; raised with its form.
const MAGIC: &[u8; 8] = b"lshash2\n";

/// Bytes of a stat in a record.
const STAT: usize = 44;

/// Bytes of an entry behind its path.
const FIXED: usize = STAT + 32;

/// Entries that a build did not look at are kept for the next one, which may have another target or Dockerfile, as long as
/// they are at most this many times as many as those it looked at.
const UNUSED: usize = 4;

/// This many of them are kept in any case.
const FEW: usize = 10_000;

/// What was hashed by this build: by path, in the order of the record.
type Noted = BTreeMap<Vec<u8>, (Stat, [u8; 32])>;

/// Hashes of the files below one folder.
#[derive(Debug)]
pub(crate) struct HashMemory {
    file: PathBuf,
    known: Known,
    noted: Mutex<Noted>,
}

impl HashMemory {
    /// What is remembered in `file`; nothing where it is absent or damaged.
    pub(crate) fn open(file: PathBuf) -> HashMemory {
        let known = std::fs::read(&file).ok().and_then(Known::read).unwrap_or_default();
        HashMemory { file, known, noted: Mutex::default() }
    }

    /// The hash of a file that is as it was.
    pub(crate) fn recall(&self, path: &Path, stat: &Stat) -> Option<[u8; 32]> {
        let path = path.as_os_str().as_bytes();
        if let Some(index) = self.known.find(path) {
            let (known, hash) = self.known.value(index)?;
            if known == *stat {
                self.known.used.get(index)?.store(true, Ordering::Relaxed);
                return Some(hash);
            }
        }
        held(&self.noted).get(path).filter(|(known, _)| known == stat).map(|(_, hash)| *hash)
    }

    /// Notes what was hashed, unless another change could hide behind the stat. `taken` is from before the file was read.
    pub(crate) fn note(&self, path: &Path, stat: &Stat, taken: FileInstant, hash: [u8; 32]) {
        if !stat.is_racy(taken) {
            held(&self.noted).insert(path.as_os_str().as_bytes().to_vec(), (*stat, hash));
        }
    }

    /// Writes what is known now, if anything is new.
    pub(crate) fn save(&self) -> Result<(), FileError> {
        let noted = held(&self.noted);
        let Some(folder) = self.file.parent().filter(|_| !noted.is_empty()) else { return Ok(()) };
        create_folders(folder)?;
        write_unsynced(&self.file, &self.known.with(&noted))
    }
}

/// A record as it was read.
#[derive(Debug, Default)]
struct Known {
    bytes: Vec<u8>,
    /// Where each entry begins.
    starts: Vec<usize>,
    /// Whether this build looked at it.
    used: Vec<AtomicBool>,
}

impl Known {
    /// Errors, as nothing: it is no record, or a damaged one.
    fn read(bytes: Vec<u8>) -> Option<Known> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if blake3::hash(body).as_bytes() != sum {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?;
        let mut starts = Vec::new();
        while !rest.is_empty() {
            starts.push(body.len() - rest.len());
            let (length, after) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            rest = after.get(length.checked_add(FIXED)?..)?;
        }
        let used = starts.iter().map(|_| AtomicBool::new(false)).collect();
        let known = Known { bytes, starts, used };
        let in_order = (1..known.starts.len()).all(|index| known.path(index - 1) < known.path(index));
        in_order.then_some(known)
    }

    /// The whole entry.
    fn entry(&self, index: usize) -> &[u8] {
        let end = self.bytes.len().saturating_sub(32);
        let (start, next) = (self.starts.get(index).copied().unwrap_or(end), self.starts.get(index + 1));
        self.bytes.get(start..next.copied().unwrap_or(end)).unwrap_or_default()
    }

    fn path(&self, index: usize) -> &[u8] {
        let entry = self.entry(index);
        entry.get(4..entry.len().saturating_sub(FIXED)).unwrap_or_default()
    }

    fn find(&self, path: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.path(middle).cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    fn value(&self, index: usize) -> Option<(Stat, [u8; 32])> {
        let entry = self.entry(index);
        let (_, fixed) = entry.split_last_chunk::<FIXED>()?;
        let (stat, hash) = fixed.split_first_chunk::<STAT>()?;
        Some((decode(stat)?, hash.try_into().ok()?))
    }

    /// A record of these entries and those that were noted, which replace entries of the same path.
    fn with(&self, noted: &Noted) -> Vec<u8> {
        let is_used = |index: &usize| self.used.get(*index).is_some_and(|used| used.load(Ordering::Relaxed));
        let used = (0..self.starts.len()).filter(is_used).count() + noted.len();
        let keeps_unused = self.starts.len() <= used.saturating_mul(UNUSED).max(FEW);
        let mut bytes = MAGIC.to_vec();
        let mut noted = noted.iter().peekable();
        for index in 0..self.starts.len() {
            let path = self.path(index);
            let mut is_replaced = false;
            while let Some((next, value)) = noted.next_if(|(next, _)| next.as_slice() <= path) {
                is_replaced = next.as_slice() == path;
                encode(next, value, &mut bytes);
            }
            if !is_replaced && (keeps_unused || is_used(&index)) {
                bytes.extend_from_slice(self.entry(index));
            }
        }
        for (path, value) in noted {
            encode(path, value, &mut bytes);
        }
        let sum = *blake3::hash(&bytes).as_bytes();
        bytes.extend_from_slice(&sum);
        bytes
    }
}

fn encode(path: &[u8], (stat, hash): &(Stat, [u8; 32]), bytes: &mut Vec<u8>) {
    let Ok(length) = u32::try_from(path.len()) else { return };
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(path);
    for number in [stat.device, stat.inode, stat.size] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for time in [stat.modified, stat.changed] {
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes.extend_from_slice(&stat.mode.to_le_bytes());
    bytes.extend_from_slice(hash);
}

fn decode(mut bytes: &[u8]) -> Option<Stat> {
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (start, after) = rest.split_first_chunk::<N>()?;
        *rest = after;
        Some(*start)
    }
    let rest = &mut bytes;
    Some(Stat {
        device: u64::from_le_bytes(take(rest)?),
        inode: u64::from_le_bytes(take(rest)?),
        size: u64::from_le_bytes(take(rest)?),
        modified: i64::from_le_bytes(take(rest)?),
        changed: i64::from_le_bytes(take(rest)?),
        mode: u32::from_le_bytes(take(rest)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    /// A stat that nothing can hide behind, told apart by its size.
    fn stat(size: u64) -> Stat {
        Stat { device: 1, inode: 2, size, mode: 0o100_644, modified: 5, changed: 7 }
    }

    #[test]
    fn a_file_is_recalled_until_it_changes_and_damage_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("memory/record");
        let memory = HashMemory::open(record.clone());
        let (now, path) = (FileInstant::now(), Path::new("a"));
        assert_eq!(memory.recall(path, &stat(1)), None);
        memory.note(path, &stat(1), now, [7; 32]);
        assert_eq!(memory.recall(path, &stat(1)), Some([7; 32]));
        memory.save().unwrap();

        let again = HashMemory::open(record.clone());
        assert_eq!(again.recall(path, &stat(1)), Some([7; 32]));
        assert_eq!(again.recall(Path::new("b"), &stat(1)), None);
        assert_eq!(again.recall(path, &stat(2)), None);

        let whole = std::fs::read(&record).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            assert!(Known::read(bytes).is_none(), "{place}");
            assert!(Known::read(whole[..place].to_vec()).is_none(), "{place}");
        }
    }

    #[test]
    fn what_is_noted_is_put_in_order_among_what_was_known() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        let now = FileInstant::now();
        for (round, paths) in [["d", "b/c", "b"], ["a", "b", "e"], ["b-c", "b/c", "b/d"]].iter().enumerate() {
            let memory = HashMemory::open(record.clone());
            for path in paths {
                let round = u8::try_from(round).unwrap();
                memory.note(Path::new(path), &stat(round.into()), now, [round; 32]);
            }
            memory.save().unwrap();
        }
        let memory = HashMemory::open(record);
        let round = |path: &str| {
            (0..3u8)
                .find(|round| memory.recall(Path::new(path), &stat((*round).into())) == Some([*round; 32]))
        };
        let found = ["a", "b", "b-c", "b/c", "b/d", "c", "d", "e"].map(round);
        assert_eq!(found, [Some(1), Some(1), Some(2), Some(2), Some(2), None, Some(0), Some(1)]);
    }

    #[test]
    fn files_that_are_gone_for_long_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        let memory = HashMemory::open(record.clone());
        let now = FileInstant::now();
        for number in 0..=FEW {
            memory.note(Path::new(&number.to_string()), &stat(1), now, [1; 32]);
        }
        memory.save().unwrap();
        let memory = HashMemory::open(record.clone());
        assert!(memory.recall(Path::new("17"), &stat(1)).is_some());
        memory.note(Path::new("new"), &stat(1), now, [1; 32]);
        memory.save().unwrap();
        let memory = HashMemory::open(record);
        let known = ["17", "18", "new"].map(|path| memory.recall(Path::new(path), &stat(1)).is_some());
        assert_eq!(known, [true, false, true]);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        longshore_files::write_atomic(&file, b"one").unwrap();
        let memory = HashMemory::open(folder.path().join("record"));
        let fresh = Stat::of(&file).unwrap();
        memory.note(Path::new("a"), &fresh, FileInstant::now(), [7; 32]);
        assert_eq!(memory.recall(Path::new("a"), &fresh), None);

        let past = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
        std::thread::sleep(Duration::from_millis(60));
        let settled = Stat::of(&file).unwrap();
        memory.note(Path::new("a"), &settled, FileInstant::now(), [7; 32]);
        assert_eq!(memory.recall(Path::new("a"), &settled), Some([7; 32]));
    }
}
