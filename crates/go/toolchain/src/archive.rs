//! A module's zip: read with suspicion, hashed and unpacked in one pass.
//!
//! The file comes from the network and is unpacked before its hash is known, into a folder that nobody uses until the hash proved
//! right; so every entry is held to the rules of module zips first (<https://go.dev/ref/mod#zip-files>): below the module's own
//! prefix, no links, no `..`, no two names that some file system takes for one, bounded sizes. Nothing is ever held in memory but
//! the list of names. Entries are unpacked by as many threads as there are processors, since inflating takes most of the time.
//!
//! The hash is go.sum's `h1:` (`golang.org/x/mod/sumdb/dirhash`): the SHA-256 of a text with one line of hash and name for each file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longshore_events::{Cancelled, Events, Task};
use longshore_files::FileError;
use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

/// Bytes of a zip, packed and unpacked, that Go accepts of a module.
pub(crate) const LARGEST: u64 = 500 << 20;
/// Entries that are accepted; a toolchain has some 12,000.
const MOST_ENTRIES: u16 = 60_000;
/// Bytes of the list of entries that are accepted.
const LARGEST_DIRECTORY: u64 = 32 << 20;
/// The longest name that is accepted, in bytes.
const LONGEST_NAME: usize = 1024;

/// A zip is not what a module's zip must be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The zip itself cannot be read.
    #[error("the zip is broken")]
    Broken(#[source] ZipError),
    /// The zip is larger, or holds more, than a module may.
    #[error("the zip has {what}, more than a module may have")]
    TooLarge {
        /// What there is too much of: "70000 entries".
        what: String,
    },
    /// An entry breaks the rules.
    #[error("the entry {name:?} {reason}")]
    Entry {
        /// The entry's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry cannot be unpacked.
    #[error("cannot unpack the entry {name:?}")]
    Unpack {
        /// The entry's name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// An entry that passed the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    index: usize,
    /// The whole name, as it is hashed.
    name: String,
    size: u64,
}

/// A zip whose entries were checked.
#[derive(Debug)]
pub(crate) struct ModuleZip {
    archive: ZipArchive<Positioned>,
    prefix: String,
    /// In the order of their names.
    entries: Vec<Entry>,
    size: u64,
}

impl ModuleZip {
    /// Reads the list of entries of a zip and checks each; `prefix` is what every name must begin with, `module@version/`.
    pub(crate) fn open(file: File, prefix: &str) -> Result<Self, ArchiveError> {
        check_directory(&file)?;
        let archive = ZipArchive::new(Positioned::new(file)?).map_err(ArchiveError::Broken)?;
        if archive.has_duplicate_names() {
            return Err(entry_error("", "occurs twice, or another does"));
        }
        let mut zip = ModuleZip { archive, prefix: prefix.to_owned(), entries: Vec::new(), size: 0 };
        let mut names = Names::default();
        for index in 0..zip.archive.len() {
            let entry = zip.check(index, &mut names)?;
            zip.size += entry.size;
            if zip.size > LARGEST {
                return Err(ArchiveError::TooLarge { what: format!("over {LARGEST} bytes unpacked") });
            }
            zip.entries.push(entry);
        }
        zip.entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(zip)
    }

    fn check(&mut self, index: usize, names: &mut Names) -> Result<Entry, ArchiveError> {
        let file = self.archive.by_index_raw(index).map_err(ArchiveError::Broken)?;
        let name = std::str::from_utf8(file.name_raw()).map_err(|_| {
            entry_error(&String::from_utf8_lossy(file.name_raw()), "has a name that is not UTF-8")
        })?;
        let fail = |reason| Err(entry_error(name, reason));
        let kind = file.unix_mode().unwrap_or(0) & 0o170_000;
        let Some(path) = name.strip_prefix(&self.prefix) else {
            return fail("is not below the module's own folder");
        };
        if file.encrypted() {
            return fail("is encrypted");
        }
        if kind != 0 && kind != 0o100_000 && kind != 0o040_000 {
            return fail("is a link or a device");
        }
        let (path, is_folder) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        if is_folder != (kind == 0o040_000) && kind != 0 {
            return fail("is a folder and a file at once");
        }
        if let Some(reason) = wrong_path(path) {
            return fail(reason);
        }
        if let Some(reason) = names.collision(path, is_folder) {
            return fail(reason);
        }
        if is_folder && file.size() > 0 {
            return fail("is a folder with content");
        }
        Ok(Entry { index, name: name.to_owned(), size: file.size() })
    }

    /// Bytes that the files will take.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Unpacks every file below `folder`, which must not exist, and gives the `h1:` hash of all. Files are read-only; those for
    /// which `is_executable` says so, by their path in the module, may be executed.
    pub(crate) fn unpack(
        &self,
        folder: &Path,
        is_executable: fn(&str) -> bool,
        task: &Task,
    ) -> Result<String, ArchiveError> {
        self.make_folders(folder)?;
        let next = AtomicUsize::new(0);
        let done = AtomicU64::new(0);
        let work = Work { zip: self, folder, is_executable, task, next: &next, done: &done };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let parts = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.run())).collect();
            handles.into_iter().map(|handle| handle.join()).collect::<Vec<_>>()
        });
        let mut hashes = vec![[0; 32]; self.entries.len()];
        for part in parts {
            let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            part.into_iter().for_each(|(at, hash)| hashes[at] = hash);
        }
        Ok(summary(self.entries.iter().map(|entry| entry.name.as_str()).zip(hashes)))
    }

    fn path_of<'a>(&self, entry: &'a Entry) -> &'a str {
        entry.name.get(self.prefix.len()..).unwrap_or_default()
    }

    fn make_folders(&self, folder: &Path) -> Result<(), ArchiveError> {
        fs::create_dir(folder).map_err(FileError::of("create the folder", folder))?;
        let mut last = PathBuf::new();
        for entry in &self.entries {
            let path = Path::new(self.path_of(entry));
            let parent = path.parent().filter(|_| !entry.name.ends_with('/')).unwrap_or(path);
            if parent != last {
                longshore_files::create_folders(&folder.join(parent))?;
                last = parent.to_owned();
            }
        }
        Ok(())
    }
}

/// The `h1:` hash of files that are given in the order of their names.
fn summary<'a>(files: impl Iterator<Item = (&'a str, [u8; 32])>) -> String {
    let mut hash = Sha256::new();
    for (name, content) in files {
        for byte in content {
            hash.update([
                b"0123456789abcdef"[usize::from(byte >> 4)],
                b"0123456789abcdef"[usize::from(byte & 15)],
            ]);
        }
        hash.update("  ");
        hash.update(name);
        hash.update("\n");
    }
    format!("h1:{}", STANDARD.encode(hash.finalize()))
}

/// What the threads that unpack share.
struct Work<'a> {
    zip: &'a ModuleZip,
    folder: &'a Path,
    is_executable: fn(&str) -> bool,
    task: &'a Task,
    next: &'a AtomicUsize,
    done: &'a AtomicU64,
}

impl Work<'_> {
    /// Unpacks entries until none is left, and gives the place and hash of each.
    fn run(&self) -> Result<Vec<(usize, [u8; 32])>, ArchiveError> {
        let mut archive = self.zip.archive.clone();
        let mut hashes = Vec::new();
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = self.zip.entries.get(at) else { return Ok(hashes) };
            let hash = self.unpack(entry, &mut archive);
            if hash.is_err() {
                // The others need not go on.
                self.next.store(self.zip.entries.len(), Ordering::Relaxed);
            }
            hashes.push((at, hash?));
        }
    }

    fn unpack(&self, entry: &Entry, archive: &mut ZipArchive<Positioned>) -> Result<[u8; 32], ArchiveError> {
        let events: &Events = self.task.events();
        events.check()?;
        if entry.name.ends_with('/') {
            return Ok(Sha256::digest([]).into());
        }
        let module_path = self.zip.path_of(entry);
        let path = self.folder.join(module_path);
        let failed = |source| ArchiveError::Unpack { name: entry.name.clone(), source };
        let content = archive.by_index(entry.index).map_err(|error| failed(error.into()))?;
        let mode = if (self.is_executable)(module_path) { 0o555 } else { 0o444 };
        let mut options = File::options();
        let file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(FileError::of("create", &path))?;
        let mut sink = Hashing { inner: BufWriter::new(file), hash: Sha256::new() };
        // One byte more than stated is asked for, so that a longer entry shows.
        let copied = io::copy(&mut content.take(entry.size + 1), &mut sink).map_err(failed)?;
        if copied != entry.size {
            return Err(entry_error(&entry.name, "has another size than it states"));
        }
        sink.inner.flush().map_err(FileError::of("write", &path))?;
        let done = self.done.fetch_add(entry.size, Ordering::Relaxed) + entry.size;
        self.task.progress(done, Some(self.zip.size));
        Ok(sink.hash.finalize().into())
    }
}

struct Hashing<Inner> {
    inner: Inner,
    hash: Sha256,
}

impl<Inner: Write> Write for Hashing<Inner> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn entry_error(name: &str, reason: &'static str) -> ArchiveError {
    ArchiveError::Entry { name: name.to_owned(), reason }
}

/// Looks at the record at the zip's very end before anything is read into memory: it states how many entries there are and how long
/// their list is. A module's zip has no comment behind it and no need of the 64-bit form.
fn check_directory(file: &File) -> Result<(), ArchiveError> {
    const RECORD: usize = 22;
    let broken = |reason: &'static str| ArchiveError::Broken(ZipError::InvalidArchive(reason.into()));
    let io = |error| ArchiveError::Broken(ZipError::Io(error));
    let size = file.metadata().map_err(io)?.len();
    if size > LARGEST {
        return Err(ArchiveError::TooLarge { what: format!("{size} bytes") });
    }
    let start = size.checked_sub(RECORD as u64).ok_or_else(|| broken("it is shorter than any zip"))?;
    let mut record = [0; RECORD];
    file.read_exact_at(&mut record, start).map_err(io)?;
    let number = |at: usize, bytes: usize| {
        record[at..at + bytes].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    if record[..4] != *b"PK\x05\x06" || number(20, 2) != 0 {
        return Err(broken("it does not end as a module's zip does: it may be cut short"));
    }
    let (entries, length, offset) = (number(10, 2), number(12, 4), number(16, 4));
    if entries > u64::from(MOST_ENTRIES) || length > LARGEST_DIRECTORY {
        return Err(ArchiveError::TooLarge {
            what: format!("{entries} entries in a list of {length} bytes"),
        });
    }
    if offset + length != start {
        return Err(broken("its list of entries is not where its end says"));
    }
    Ok(())
}

/// What is wrong with a path inside a module, if anything.
fn wrong_path(path: &str) -> Option<&'static str> {
    // Names that mean devices on Windows and other rules for its sake are left to Go: here only Unix unpacks.
    if path.is_empty() || path.len() > LONGEST_NAME {
        return Some("has an empty or endless name");
    }
    if path.contains(|character: char| character.is_control() || character == '\\') {
        return Some("has a name with control characters or backslashes");
    }
    let bad = |element: &str| element.is_empty() || element == "." || element == ".." || element.len() > 255;
    path.split('/').any(bad).then_some("has a name that is no clean relative path")
}

/// The names seen so far, each and its folders, without regard to case.
#[derive(Default)]
struct Names {
    seen: HashMap<String, (String, bool)>,
}

impl Names {
    fn collision(&mut self, path: &str, is_folder: bool) -> Option<&'static str> {
        let folders = path.match_indices('/').map(|(end, _)| (&path[..end], true));
        for (path, is_folder) in folders.chain([(path, is_folder)]) {
            match self.seen.get(&path.to_lowercase()) {
                None => {
                    self.seen.insert(path.to_lowercase(), (path.to_owned(), is_folder));
                }
                Some((other, _)) if other != path => return Some("differs from another only in case"),
                Some((_, other)) if *other != is_folder => return Some("is a folder and a file at once"),
                Some(_) if !is_folder => return Some("occurs twice"),
                Some(_) => {}
            }
        }
        None
    }
}

/// A file that several threads read, each at its own place.
#[derive(Debug, Clone)]
struct Positioned {
    file: Arc<File>,
    position: u64,
    size: u64,
}

impl Positioned {
    fn new(file: File) -> Result<Self, ArchiveError> {
        let size = file.metadata().map_err(|error| ArchiveError::Broken(ZipError::Io(error)))?.len();
        Ok(Positioned { file: Arc::new(file), position: 0, size })
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
#[expect(clippy::cast_possible_truncation, reason = "the zips of these tests are small")]
mod tests;
