//! A value and what it was computed from; whether that is as it was.

use std::path::PathBuf;

use super::listing::{self, Filter};
use super::watch::{NO_HEADER, hash_file, is_absence};
use longshore_files::{FileInstant, Stat};

/// A value and what it was computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// When the inputs were looked at, at the earliest.
    pub(crate) taken: FileInstant,
    pub(crate) entries: Vec<Entry>,
    pub(crate) value: Vec<u8>,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) seen: Seen,
}

/// What was seen at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        stat: Stat,
        hash: [u8; 32],
        /// Of a Go file, the hash of what decides which other files are taken; zero of others.
        header: [u8; 32],
    },
    /// Something whose stat must not change.
    Exactly { stat: Stat },
    /// A folder with entries.
    Folder { stat: Stat, filter: Filter, hash: [u8; 32] },
    /// Something else than was looked for: a folder in place of a file, a device.
    Other { stat: Stat },
    /// Something of a type, link or not, whatever its content: see [`Stat::kind_of`].
    Present { kind: u32 },
}

/// Whether a record holds.
pub(crate) enum Verdict {
    /// All is as it was.
    Same,
    /// The contents are as they were, but stats are not, or had to be looked behind: the record with the present ones.
    Refreshed(Record),
    /// Go files differ below their imports, and nothing else does: the list of inputs holds. What differs, for a person.
    Edited(String),
    /// Something differs; what, for a person.
    Changed(String),
}

enum Check {
    Same,
    SameContent(Seen),
    Edited,
    Changed(&'static str),
}

impl Seen {
    /// Whether the stat at `path` is the one that was seen.
    pub(crate) fn is_still_at(&self, path: &std::path::Path) -> bool {
        match (self, Stat::of(path)) {
            (Seen::Absent, Err(error)) => is_absence(&error),
            (Seen::Present { kind }, Ok(_)) => Stat::kind_of(path) == Some(*kind),
            (
                Seen::File { stat, .. }
                | Seen::Exactly { stat }
                | Seen::Folder { stat, .. }
                | Seen::Other { stat },
                Ok(now),
            ) => now == *stat,
            _ => false,
        }
    }
}

impl Record {
    pub(crate) fn into_value(self) -> Vec<u8> {
        self.value
    }

    /// Compares every input with what it was.
    pub(crate) fn verify(&self) -> Verdict {
        let taken = FileInstant::now();
        let mut fresh: Vec<(usize, Seen)> = Vec::new();
        let mut edited = None;
        for (index, entry) in self.entries.iter().enumerate() {
            match entry.check(self.taken) {
                Check::Same => {}
                Check::SameContent(seen) => fresh.push((index, seen)),
                Check::Edited => edited = Some(format!("{} changed", entry.path.display())),
                Check::Changed(how) => return Verdict::Changed(format!("{} {how}", entry.path.display())),
            }
        }
        if let Some(what) = edited {
            return Verdict::Edited(what);
        }
        if fresh.is_empty() {
            return Verdict::Same;
        }
        let mut record = Record { taken, ..self.clone() };
        for (index, seen) in fresh {
            record.entries[index].seen = seen;
        }
        Verdict::Refreshed(record)
    }
}

impl Seen {
    /// Tells apart what may be seen at one path in different ways.
    pub(crate) fn kind(&self) -> Vec<u8> {
        match self {
            Seen::Absent => b"absent".to_vec(),
            Seen::File { .. } | Seen::Other { .. } => b"file".to_vec(),
            Seen::Exactly { .. } => b"stat".to_vec(),
            Seen::Folder { filter, .. } => [b"folder ".as_slice(), &filter.to_bytes()].concat(),
            Seen::Present { .. } => b"presence".to_vec(),
        }
    }
}

impl Entry {
    /// What is seen now, if the list of inputs still holds with it.
    pub(crate) fn renewed(&self, stat: Stat, taken: FileInstant) -> Option<Seen> {
        match self.check(taken) {
            Check::Same => Some(self.seen.clone()),
            Check::SameContent(seen) => Some(seen),
            Check::Edited => {
                let (hash, header) = hash_file(&self.path).ok()?;
                let is_same_header = matches!(&self.seen, Seen::File { header: old, .. } if *old == header);
                is_same_header.then_some(Seen::File { stat, hash, header })
            }
            Check::Changed(_) => None,
        }
    }

    fn check(&self, taken: FileInstant) -> Check {
        let stat = match Stat::of(&self.path) {
            Ok(stat) => stat,
            Err(error) if is_absence(&error) => {
                return if self.seen == Seen::Absent { Check::Same } else { Check::Changed("is gone") };
            }
            Err(_) => return Check::Changed("cannot be read"),
        };
        match &self.seen {
            Seen::Absent => Check::Changed("is new"),
            Seen::Exactly { stat: old } | Seen::Other { stat: old } => {
                if stat == *old {
                    Check::Same
                } else {
                    Check::Changed("changed")
                }
            }
            Seen::Present { kind } => {
                if Stat::kind_of(&self.path) == Some(*kind) {
                    Check::Same
                } else {
                    Check::Changed("changed its type")
                }
            }
            Seen::File { stat: old, hash, header } => {
                if stat == *old && !old.is_racy(taken) {
                    return Check::Same;
                }
                if stat.mode & 0o170_111 != old.mode & 0o170_111 {
                    return Check::Changed("changed its mode");
                }
                match hash_file(&self.path) {
                    Ok((now, _)) if now == *hash => {
                        Check::SameContent(Seen::File { stat, hash: *hash, header: *header })
                    }
                    Ok((_, now)) if now == *header && now != NO_HEADER => Check::Edited,
                    Ok(_) => Check::Changed("changed"),
                    Err(_) => Check::Changed("cannot be read"),
                }
            }
            Seen::Folder { stat: old, filter, hash } => {
                if stat == *old && !old.is_racy(taken) {
                    return Check::Same;
                }
                match listing::entries(&self.path, filter) {
                    Ok(now) if listing::hash(&now) == *hash => {
                        Check::SameContent(Seen::Folder { stat, filter: filter.clone(), hash: *hash })
                    }
                    Ok(_) => Check::Changed("has other files"),
                    Err(_) => Check::Changed("cannot be read"),
                }
            }
        }
    }
}
