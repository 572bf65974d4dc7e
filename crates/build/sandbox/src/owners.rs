//! The journal of changes of owner that a single user's steps make.
//!
//! One line for each path, `UID GID PATH` and a zero byte, paths from the root; the last line about a path counts.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use longshore_files::{FileError, write_atomic};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::child::{OwnerChange, identity};
use crate::{Root, Step};

/// Owner and group by path.
type Owners = BTreeMap<PathBuf, (u32, u32)>;

/// Reads a journal: user and group by path. One that is not there is empty.
///
/// Errors: it cannot be read, or is not one.
pub fn read_owners(journal: &Path) -> Result<BTreeMap<PathBuf, (u32, u32)>, FileError> {
    let bytes = match std::fs::read(journal) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owners::new()),
        Err(error) => return Err(FileError::of("read", journal)(error)),
    };
    parse(&bytes).ok_or_else(|| FileError::of("read", journal)(io::ErrorKind::InvalidData.into()))
}

fn parse(bytes: &[u8]) -> Option<Owners> {
    let mut owners = Owners::new();
    for line in bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let mut fields = line.splitn(3, |byte| *byte == b' ');
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let ids = (number()?, number()?);
        let path = std::ffi::OsString::from_vec(fields.next()?.to_vec());
        owners.insert(PathBuf::from(path), ids);
    }
    Some(owners)
}

/// Notes the changes of a step under the names that the files have at its end.
pub(crate) fn record(step: &Step, changes: &[OwnerChange]) -> Result<(), FileError> {
    let Some(journal) = step.owners.as_ref().filter(|_| !changes.is_empty()) else { return Ok(()) };
    let folder = match &step.root {
        Root::Overlay { upper, .. } => upper,
        Root::Folder(path) => path,
    };
    let mut owners = read_owners(journal)?;
    let named =
        named(folder, changes).map_err(|error| FileError::of("look through", folder)(error.into()))?;
    for (path, change) in named {
        let before = owners.get(&path).copied().unwrap_or_default();
        owners.insert(path, (change.uid.unwrap_or(before.0), change.gid.unwrap_or(before.1)));
    }
    let mut bytes = Vec::new();
    for (path, (uid, gid)) in &owners {
        bytes.extend_from_slice(format!("{uid} {gid} ").as_bytes());
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    write_atomic(journal, &bytes)
}

/// The changes by the paths where their files are now. Files that are gone have none.
fn named<'c>(folder: &Path, changes: &'c [OwnerChange]) -> Result<Vec<(PathBuf, &'c OwnerChange)>, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, folder, flags, Mode::empty())?;
    let mut found = Vec::with_capacity(changes.len());
    let mut sought: HashMap<(u64, u64), &OwnerChange> = HashMap::new();
    for change in changes {
        let relative = change.path.strip_prefix("/").unwrap_or(&change.path);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let stands = identity(&root, relative).is_ok_and(|is| is == (change.inode, change.born));
        let links = statat(&root, relative, AtFlags::SYMLINK_NOFOLLOW).map_or(0, |stat| {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory { 1 } else { stat.st_nlink }
        });
        if stands && links == 1 {
            found.push((change.path.clone(), change));
        } else {
            // It was renamed, or has further names, or is gone.
            sought.insert((change.inode, change.born), change);
        }
    }
    if !sought.is_empty() {
        search(&root, &sought, &mut found)?;
    }
    Ok(found)
}

/// Looks through a tree for inodes. Its depth is the step's choice, so no call goes into another here.
fn search<'c>(
    root: &OwnedFd,
    sought: &HashMap<(u64, u64), &'c OwnerChange>,
    found: &mut Vec<(PathBuf, &'c OwnerChange)>,
) -> Result<(), Errno> {
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(root, &folder, flags, Mode::empty())?;
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if let Some(change) = sought.get(&identity(&opened, Path::new(name))?) {
                let path = folder.join(name);
                found.push((Path::new("/").join(path.strip_prefix(".").unwrap_or(&path)), change));
            }
            if entry.file_type() == FileType::Directory {
                folders.push(folder.join(name));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_and_a_broken_one_refused() {
        let owners = parse(b"1 2 /a b\x003 4 /a b\x005 6 /c\0").unwrap();
        assert_eq!(owners, [("/a b".into(), (3, 4)), ("/c".into(), (5, 6))].into());
        assert_eq!(parse(b"1 x /a\0"), None);
    }
}
