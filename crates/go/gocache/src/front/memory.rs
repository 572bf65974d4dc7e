//! Which files were hashed before, so that they are not read again.
//!
//! A file is taken for the one that was hashed while its size, times and inode are the same. The time of change decides: nobody can set
//! it. A file that changed a moment ago might change again within the clock's granularity, so it is remembered only by a later look.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use longshore_files::{FileError, write_unsynced};

/// How long a file must have been left alone to be remembered, in nanoseconds.
const SETTLED: i128 = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: i128,
    changed: i128,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Stamp {
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// A function that hashes a file, for [`Memory::digest`].
pub(crate) type Hash = fn(&mut File) -> io::Result<String>;

/// Digests by path.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    known: HashMap<String, (Stamp, String)>,
    kept: HashMap<String, (Stamp, String)>,
}

impl Memory {
    /// The memory that was written to `path`; an empty one if there is none, or if it is damaged.
    pub(crate) fn read(path: &Path) -> Result<Memory, FileError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Memory { known: parse(&text).unwrap_or_default(), kept: HashMap::new() }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                Ok(Memory::default())
            }
            Err(error) => Err(FileError::of("read", path)(error)),
        }
    }

    /// The digest of a file, remembered or made by `hash`, which must always be the same function for one memory.
    pub(crate) fn digest(&mut self, name: &str, path: &Path, hash: Hash) -> Result<String, FileError> {
        let metadata = std::fs::metadata(path).map_err(FileError::of("look at", path))?;
        let stamp = Stamp::of(&metadata);
        if let Some((known, digest)) = self.known.get(name)
            && *known == stamp
        {
            let digest = digest.clone();
            self.kept.insert(name.to_owned(), (stamp, digest.clone()));
            return Ok(digest);
        }
        let mut file = File::open(path).map_err(FileError::of("open", path))?;
        let digest = hash(&mut file).map_err(FileError::of("read", path))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let settled = i128::try_from(now).is_ok_and(|now| now - stamp.changed > SETTLED);
        let after = Stamp::of(&file.metadata().map_err(FileError::of("look at", path))?);
        if settled && after == stamp && !name.contains('\n') {
            self.kept.insert(name.to_owned(), (stamp, digest.clone()));
        }
        Ok(digest)
    }

    /// Writes what was asked for since the memory was read, and forgets the rest. Does nothing where that is what is written already.
    pub(crate) fn write(&self, path: &Path) -> Result<(), FileError> {
        if self.kept == self.known {
            return Ok(());
        }
        let mut lines = String::new();
        for (name, (stamp, digest)) in &self.kept {
            let Stamp { size, modified, changed, inode } = stamp;
            lines.push_str(&format!("{digest} {size} {modified} {changed} {inode} {name}\n"));
        }
        let text = format!("{}\n{lines}", blake3::hash(lines.as_bytes()).to_hex());
        // A memory that a power cut tears is noticed by its first line, and costs one more look at the files.
        write_unsynced(path, text.as_bytes())
    }
}

fn parse(text: &str) -> Option<HashMap<String, (Stamp, String)>> {
    let (hash, lines) = text.split_once('\n')?;
    if blake3::hash(lines.as_bytes()).to_hex().as_str() != hash {
        return None;
    }
    lines.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(String, (Stamp, String))> {
    let mut words = line.splitn(6, ' ');
    let digest = words.next()?.to_owned();
    let stamp = Stamp {
        size: words.next()?.parse().ok()?,
        modified: words.next()?.parse().ok()?,
        changed: words.next()?.parse().ok()?,
        inode: words.next()?.parse().ok()?,
    };
    Some((words.next()?.to_owned(), (stamp, digest)))
}

/// SHA-256 in hexadecimal digits, the way Go's cache names its files.
pub(crate) fn sha256(file: &mut File) -> io::Result<String> {
    use sha2::Digest as _;

    let mut hasher = sha2::Sha256::new();
    read_all(file, |bytes| hasher.update(bytes))?;
    Ok(hex::encode(hasher.finalize()))
}

/// BLAKE3 in hexadecimal digits.
pub(crate) fn blake3(file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    read_all(file, |bytes| {
        hasher.update(bytes);
    })?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn read_all(file: &mut File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    const LIE: Hash = |_| Ok("read again".to_owned());

    fn look(memory: &Path, file: &Path, hash: Hash) -> String {
        let mut known = Memory::read(memory).unwrap();
        let digest = known.digest("file", file, hash).unwrap();
        known.write(memory).unwrap();
        digest
    }

    #[test]
    fn a_file_is_read_again_when_it_changed_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, file) = (folder.path().join("memory"), folder.path().join("file"));
        longshore_files::write_atomic(&file, b"abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(look(&memory, &file, sha256), abc);
        assert_eq!(look(&memory, &file, LIE), "read again", "it changed a moment ago");
        sleep(Duration::from_millis(1100));
        assert_eq!(look(&memory, &file, sha256), abc);
        assert_eq!(look(&memory, &file, LIE), abc, "it is remembered");

        let times = std::fs::metadata(&file).unwrap().modified().unwrap();
        let mut open = File::options().write(true).open(&file).unwrap();
        open.write_all(b"abd").unwrap();
        open.set_modified(times).unwrap();
        assert_eq!(look(&memory, &file, LIE), "read again", "same size, same time of modification");
    }

    #[test]
    fn a_damaged_memory_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, file) = (folder.path().join("memory"), folder.path().join("file"));
        longshore_files::write_atomic(&file, b"abc").unwrap();
        sleep(Duration::from_millis(1100));
        look(&memory, &file, sha256);
        let text = std::fs::read_to_string(&memory).unwrap();
        assert_eq!(text.lines().count(), 2, "a checksum and a file");
        longshore_files::write_atomic(&memory, text.replace("ba7816bf", "00000000").as_bytes()).unwrap();
        assert_eq!(look(&memory, &file, LIE), "read again");
        longshore_files::write_atomic(&memory, &[0xff, 0]).unwrap();
        assert_eq!(look(&memory, &file, LIE), "read again");
    }

    #[test]
    fn blake3_is_that_of_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = vec![7; 600_000];
        longshore_files::write_atomic(&path, &bytes).unwrap();
        let digest = blake3(&mut File::open(&path).unwrap()).unwrap();
        assert_eq!(digest, blake3::hash(&bytes).to_hex().as_str());
    }
}
