//! The table of owners that a single user's steps go by, since the kernel holds all files for that user's.
//!
//! One line for each path that is not root's, `UID GID PATH` and a zero byte, paths from the root; the last line about a path counts.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use longshore_files::{FileError, write_atomic};

use crate::Step;

/// Owner and group by path.
pub(crate) type Owners = BTreeMap<PathBuf, (u32, u32)>;

/// Reads a table: user and group by absolute path. One that is not there is empty.
///
/// Errors: it cannot be read, or is not one.
pub fn read_owners(table: &Path) -> Result<BTreeMap<PathBuf, (u32, u32)>, FileError> {
    let bytes = match std::fs::read(table) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owners::new()),
        Err(error) => return Err(FileError::of("read", table)(error)),
    };
    parse(&bytes).ok_or_else(|| FileError::of("read", table)(io::ErrorKind::InvalidData.into()))
}

fn parse(bytes: &[u8]) -> Option<Owners> {
    let mut owners = Owners::new();
    for line in bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let mut fields = line.splitn(3, |byte| *byte == b' ');
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let ids = (number()?, number()?);
        let path = std::ffi::OsString::from_vec(fields.next()?.to_vec());
        owners.insert(Path::new("/").join(path), ids);
    }
    Some(owners)
}

/// Writes the table that a step has left: of its root folder, or of a mount by its number from 1 on.
pub(crate) fn write(step: &Step, book: u32, owners: &[(PathBuf, (u32, u32))]) -> Result<(), FileError> {
    let mount = usize::try_from(book).unwrap_or(0).checked_sub(1);
    let table = match mount {
        None => step.owners.as_ref(),
        Some(mount) => step.mounts.get(mount).and_then(|mount| step.mount_owners.get(&mount.target)),
    };
    let Some(table) = table else { return Ok(()) };
    let mut bytes = Vec::new();
    for (path, (uid, gid)) in owners {
        bytes.extend_from_slice(format!("{uid} {gid} ").as_bytes());
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    write_atomic(table, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_and_a_broken_one_refused() {
        let owners = parse(b"1 2 /a b\x003 4 a b\x005 6 /c\x007 8 \0").unwrap();
        let expected = [("/a b".into(), (3, 4)), ("/c".into(), (5, 6)), ("/".into(), (7, 8))];
        assert_eq!(owners, expected.into());
        assert_eq!(parse(b"1 x /a\0"), None);
    }
}
