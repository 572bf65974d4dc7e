//! The index of a layer: its tar's headers, so that questions about its files need no unpacking.
//!
//! A final stage that only copies asks its base a few things — is `bin` a link, who is `nonroot` — and nothing more. The index
//! answers them. It is made in one pass over the tar, in which the tar's digest is checked against the config's, and kept by
//! that digest beside the images.

mod build;
mod record;
mod stored;

pub(crate) use build::{Action, Placed, TarTree};
pub(crate) use record::{Record, RecordKind};

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::source::Found;

/// Files whose content the index holds, since COPY and USER look into them: `--chown=name`.
pub(crate) const HELD: [&str; 2] = ["etc/passwd", "etc/group"];

/// Largest content that the index holds, in bytes.
pub(crate) const HELD_LIMIT: u64 = 256 * 1024;

/// What stands in a layer, sorted by folder, then by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    records: Vec<Record>,
    held: BTreeMap<u64, Vec<u8>>,
}

impl Index {
    /// What the layer says of a path.
    pub(crate) fn get(&self, path: &Path) -> Option<&Record> {
        let key = key(path.as_os_str().as_bytes());
        let found = self.records.binary_search_by(|record| self::key(&record.path).cmp(&key));
        found.ok().map(|position| &self.records[position])
    }

    /// What a view wants to know first of a path.
    pub(crate) fn find(&self, path: &Path) -> Option<Found> {
        Some(match &self.get(path)?.kind {
            RecordKind::Directory { opaque, implied } => Found::Folder { opaque: *opaque, implied: *implied },
            RecordKind::Whiteout => Found::Whiteout,
            RecordKind::Symlink(_) => Found::Symlink,
            RecordKind::Foreign(target) => Found::Foreign(self::path(target)),
            _ => Found::Other,
        })
    }

    /// What the layer has in a folder.
    pub(crate) fn list(&self, folder: &Path) -> impl Iterator<Item = (OsString, &Record)> {
        let folder = folder.as_os_str().as_bytes().to_vec();
        let start = self.records.partition_point(|record| key(&record.path).0 < folder.as_slice());
        let children = self.records[start..].iter();
        children
            .take_while(move |record| key(&record.path).0 == folder.as_slice())
            .filter(|record| !record.path.is_empty())
            .map(|record| (OsStr::from_bytes(key(&record.path).1).to_owned(), record))
    }

    /// The content of the file whose content begins at `offset` of the tar, where the index holds it.
    pub(crate) fn held(&self, offset: u64) -> Option<&[u8]> {
        self.held.get(&offset).map(Vec::as_slice)
    }

    /// All that stands in the layer.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether the layer can be unpacked without those below it: every folder on the way to a file stands in it, and every hard
    /// link's file.
    pub(crate) fn is_whole(&self) -> bool {
        let needs = |record: &Record| match record.kind {
            RecordKind::Directory { implied, .. } => implied && !record.path.is_empty(),
            RecordKind::Foreign(_) => true,
            _ => false,
        };
        !self.records.iter().any(needs)
    }
}

/// Folder and name. The root is in no folder and has no name; it sorts first.
fn key(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// A path from its bytes.
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

#[cfg(test)]
mod tests;
