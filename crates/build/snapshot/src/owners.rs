//! Owners that cannot stand on disk.
//!
//! A user namespace with a single id holds files of one owner. There the owners are a table beside the tree: one line for each path
//! whose owner is not root, `UID GID PATH` with a zero byte at its end, paths relative to the root. What a sandbox is told of a step's
//! files, and tells when the step has run, has the same form.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_files::write_unsynced;

use crate::beneath::below_root;
use crate::error::SnapshotError;
use crate::index::path as path_of;
use crate::view::{Source, View};

/// Name of the table in a snapshot's folder.
pub(crate) const TABLE: &str = "owners";

/// Owner and group by path.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Owners(BTreeMap<PathBuf, (u32, u32)>);

impl Owners {
    /// Reads a table. A file that is not there is an empty one.
    pub(crate) fn read(file: &Path) -> Result<Owners, SnapshotError> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owners::default()),
            Err(error) => return Err(SnapshotError::of("read", file)(error)),
        };
        Owners::parse(&bytes).ok_or_else(|| SnapshotError::Damaged(file.to_owned()))
    }

    fn parse(bytes: &[u8]) -> Option<Owners> {
        let mut owners = BTreeMap::new();
        // A last line without an end was cut off by a kill; what it says was not done.
        let whole = bytes.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
        for line in bytes[..whole].split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let mut fields = line.splitn(3, |byte| *byte == b' ');
            let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
            let (uid, gid) = (number()?, number()?);
            owners.insert(below_root(&path_of(fields.next()?)), (uid, gid));
        }
        Some(Owners(owners))
    }

    /// Writes the table. Errors: the disk is full.
    pub(crate) fn write(&self, file: &Path) -> Result<(), SnapshotError> {
        let mut bytes = Vec::new();
        for (path, (uid, gid)) in &self.0 {
            bytes.extend_from_slice(format!("{uid} {gid} ").as_bytes());
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        Ok(write_unsynced(file, &bytes)?)
    }

    /// The owner and group of a path; root's where the table has none.
    pub(crate) fn get(&self, path: &Path) -> (u32, u32) {
        self.0.get(path).copied().unwrap_or((0, 0))
    }

    /// The owners of all that a view shows, of whose layers each has its own table.
    pub(crate) fn merged(view: &View) -> Result<Owners, SnapshotError> {
        let mut merged = Owners::default();
        for source in view.sources() {
            let Source::Disk(disk) = source else { continue };
            for path in disk.owners.iter().flat_map(|owners| owners.0.keys()) {
                // Layers above it may have replaced it, or hidden it.
                let place = view.place(path)?;
                if let Some(node) = view.node(path, &place)? {
                    merged.set(path, (node.uid, node.gid));
                }
            }
        }
        Ok(merged)
    }

    /// Notes an owner.
    pub(crate) fn set(&mut self, path: &Path, owner: (u32, u32)) {
        if owner == (0, 0) {
            self.0.remove(path);
        } else {
            self.0.insert(path.to_owned(), owner);
        }
    }

    /// Forgets a path and all below it.
    pub(crate) fn remove(&mut self, path: &Path) {
        let below: Vec<PathBuf> = self
            .0
            .range(path.to_owned()..)
            .take_while(|(other, _)| other.starts_with(path))
            .map(|(other, _)| other.clone())
            .collect();
        for path in below {
            self.0.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_a_cut_one_does_not() {
        let owners = Owners::parse(b"1 2 /a b\x000 0 c\x003 4 a b\x005 6 ./d/../e\x007 8 half").unwrap();
        let all: Vec<_> = owners.0.iter().map(|(path, owner)| (path.to_str().unwrap(), *owner)).collect();
        assert_eq!(all, [("a b", (3, 4)), ("c", (0, 0)), ("e", (5, 6))]);
        for bad in [&b"1 2\0"[..], b"1 x a\0", b"-1 2 a\0", b"a\0"] {
            assert_eq!(Owners::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(TABLE);
        assert_eq!(Owners::read(&file).unwrap(), Owners::default());
        let mut owners = Owners::default();
        for (path, owner) in [("a", (1, 2)), ("a/b", (3, 4)), ("a-b", (5, 6)), ("c", (0, 0))] {
            owners.set(Path::new(path), owner);
        }
        owners.write(&file).unwrap();
        let mut again = Owners::read(&file).unwrap();
        assert_eq!(again, owners);
        again.remove(Path::new("a"));
        assert_eq!(again.0.into_iter().collect::<Vec<_>>(), [(PathBuf::from("a-b"), (5, 6))]);
    }
}
