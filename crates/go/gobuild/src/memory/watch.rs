//! Collecting what a value is computed from.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::header;
use super::listing::{self, Filter};
use super::record::{Entry, Record, Seen};
use longshore_files::{FileInstant, Stat};

/// The inputs of one piece of work, each looked at once.
#[derive(Debug)]
pub(crate) struct Watch {
    began: FileInstant,
    taken: FileInstant,
    entries: BTreeMap<(PathBuf, Vec<u8>), Entry>,
    /// The first input that makes a record worthless, and why.
    spoilt: Option<String>,
}

impl Watch {
    /// Inputs of work that began at `began`, or will begin later.
    pub(crate) fn since(began: FileInstant) -> Watch {
        Watch { began, taken: FileInstant::now(), entries: BTreeMap::new(), spoilt: None }
    }

    /// A file's content, or that there is no file.
    pub(crate) fn file(&mut self, path: &Path) {
        self.look(path, b"file".to_vec(), |path, stat| {
            if stat.mode & 0o170_000 == 0o100_000 {
                let (hash, header) = hash_file(path)?;
                Ok(Seen::File { stat, hash, header })
            } else {
                Ok(Seen::Other { stat })
            }
        });
    }

    /// A file's stat alone: any change of it counts as a change. For files that are many and never change.
    pub(crate) fn stat(&mut self, path: &Path) {
        self.look(path, b"stat".to_vec(), |_, stat| Ok(Seen::Exactly { stat }));
    }

    /// The entries of a folder that `filter` takes, or that there is no folder.
    pub(crate) fn folder(&mut self, path: &Path, filter: &Filter) {
        let kind = [b"folder ".as_slice(), &filter.to_bytes()].concat();
        self.look(path, kind, |path, stat| {
            if stat.mode & 0o170_000 == 0o040_000 {
                let hash = listing::hash(&listing::entries(path, filter)?);
                Ok(Seen::Folder { stat, filter: filter.clone(), hash })
            } else {
                Ok(Seen::Other { stat })
            }
        });
    }

    /// A folder's entries that `filter` takes, and the content of those that are files or lead to files.
    pub(crate) fn folder_with_files(&mut self, path: &Path, filter: &Filter) {
        self.folder(path, filter);
        for (name, kind) in listing::entries(path, filter).unwrap_or_default() {
            if kind != b'd' {
                use std::os::unix::ffi::OsStrExt;
                self.file(&path.join(std::ffi::OsStr::from_bytes(&name)));
            }
        }
    }

    /// Whether a path exists at all, and as what.
    pub(crate) fn presence(&mut self, path: &Path) {
        self.look(path, b"presence".to_vec(), |path, _| {
            let kind = Stat::kind_of(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(Seen::Present { kind })
        });
    }

    /// Says that something was read that cannot be watched: there will be no record.
    pub(crate) fn spoil(&mut self, reason: impl Into<String>) {
        self.spoilt.get_or_insert_with(|| reason.into());
    }

    /// Says that what is looked at from now on is read by work that begins now.
    ///
    /// Returns only after the clock that files are stamped with has moved on, a few milliseconds at most: an edit just before
    /// this then has an older stamp than any edit after it.
    pub(crate) fn work_begins(&mut self) {
        let mut now = FileInstant::now();
        while now <= self.taken {
            std::thread::sleep(std::time::Duration::from_micros(500));
            now = FileInstant::now();
            if now < self.taken {
                // The clock was set back: whatever is stamped later than it will not be remembered.
                break;
            }
        }
        self.began = now;
    }

    /// All paths whose content counts.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.entries.iter().filter(|(_, entry)| matches!(entry.seen, Seen::File { .. }));
        files.map(|((path, _), _)| path.as_path())
    }

    fn look(&mut self, path: &Path, kind: Vec<u8>, see: impl FnOnce(&Path, Stat) -> io::Result<Seen>) {
        let key = (path.to_owned(), kind);
        if self.entries.contains_key(&key) {
            return;
        }
        let seen = match Stat::of(path) {
            Ok(stat) => {
                // What is only asked for its presence may change as it likes.
                if stat.stamp() >= self.began.0 && key.1 != b"presence" {
                    self.spoil(format!("{} changed while it was built", path.display()));
                }
                see(path, stat)
            }
            Err(error) if is_absence(&error) => Ok(Seen::Absent),
            Err(error) => Err(error),
        };
        match seen {
            Ok(seen) => {
                self.entries.insert(key, Entry { path: path.to_owned(), seen });
            }
            Err(error) => self.spoil(format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// Looks again at all that an earlier record of the same work has and this does not have yet.
    ///
    /// The list of inputs must still hold: see [`super::Recalled::Edited`]. Where it turns out not to, there will be no record.
    pub(crate) fn renew(&mut self, record: &Record) {
        let known: BTreeSet<PathBuf> = self.entries.keys().map(|(path, _)| path.clone()).collect();
        for entry in &record.entries {
            let now = match Stat::of(&entry.path) {
                Ok(stat) => stat,
                Err(error) if is_absence(&error) && entry.seen == Seen::Absent => {
                    let key = (entry.path.clone(), b"absent".to_vec());
                    self.entries.insert(key, entry.clone());
                    continue;
                }
                Err(_) => {
                    self.spoil(format!("{} changed while it was built", entry.path.display()));
                    continue;
                }
            };
            let matters = !matches!(entry.seen, Seen::Present { .. });
            if matters && now.stamp() >= self.began.0 && !known.contains(&entry.path) {
                self.spoil(format!("{} changed while it was built", entry.path.display()));
            }
            match entry.renewed(now, record.taken) {
                Some(seen) => {
                    let key = (entry.path.clone(), entry.seen.kind());
                    self.entries.insert(key, Entry { path: entry.path.clone(), seen });
                }
                None => self.spoil(format!("{} changed while it was built", entry.path.display())),
            }
        }
    }

    /// The record that gives `value` back while all inputs are as they are now; or why there can be none.
    ///
    /// Called when the work is over: what changed between the first look and now may have been read by the work in either form.
    pub(crate) fn into_record(mut self, value: Vec<u8>) -> Result<Record, String> {
        if let Some(entry) = self.entries.values().find(|entry| !entry.seen.is_still_at(&entry.path)) {
            self.spoilt.get_or_insert_with(|| format!("{} changed while it was built", entry.path.display()));
        }
        match self.spoilt {
            Some(reason) => Err(reason),
            None => Ok(Record { taken: self.taken, entries: self.entries.into_values().collect(), value }),
        }
    }
}

/// Whether an error means that nothing is there.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The header's hash of files that have none.
pub(crate) const NO_HEADER: [u8; 32] = [0; 32];
/// Go files beyond this were not written by anybody, and are treated like other files.
const LONGEST_SOURCE: u64 = 16 << 20;

/// Hash of a file's content, and of a Go file's header.
pub(crate) fn hash_file(path: &Path) -> io::Result<([u8; 32], [u8; 32])> {
    let mut file = std::fs::File::open(path)?;
    let is_source = path.extension().is_some_and(|extension| extension == "go");
    if is_source && file.metadata()?.len() <= LONGEST_SOURCE {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes)?;
        return Ok((*blake3::hash(&bytes).as_bytes(), header::hash(&bytes)));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((*hasher.finalize().as_bytes(), NO_HEADER))
}
