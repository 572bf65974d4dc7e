//! Whole folders.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::FileError;

/// Removes a folder and all below it, also where folders are not writable, as Go's module cache and unpacked images have
/// them. Links are removed, not followed. A path that is not there is no error.
pub fn remove_tree(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(FileError::of("remove", path)(error)),
    }
    make_writable(path)?;
    fs::remove_dir_all(path).map_err(FileError::of("remove", path))
}

fn make_writable(folder: &Path) -> Result<(), FileError> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        .map_err(FileError::of("make writable", folder))?;
    for entry in fs::read_dir(folder).map_err(FileError::of("list", folder))? {
        let entry = entry.map_err(FileError::of("list", folder))?;
        if entry.file_type().map_err(FileError::of("look at", entry.path()))?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// A file or folder below `path`, or `path` itself, that another user owns, so that this process cannot remove what is in it; `None`
/// where it can remove all, as root can. What user namespaces with several ids leave behind is of this kind.
pub fn foreign_file(path: &Path) -> Result<Option<PathBuf>, FileError> {
    let user = rustix::process::geteuid();
    if user.is_root() { Ok(None) } else { foreign_to(user.as_raw(), path) }
}

fn foreign_to(user: u32, path: &Path) -> Result<Option<PathBuf>, FileError> {
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let about = fs::symlink_metadata(&path).map_err(FileError::of("look at", &path))?;
        if about.uid() != user {
            return Ok(Some(path));
        }
        // One's own folder that is closed can be opened again.
        if about.is_dir() && about.mode() & 0o500 == 0o500 {
            for entry in fs::read_dir(&path).map_err(FileError::of("list", &path))? {
                waiting.push(entry.map_err(FileError::of("list", &path))?.path());
            }
        }
    }
    Ok(None)
}

/// Bytes that the files below a folder hold, links not followed. What vanishes meanwhile is not counted, nor what stands in folders that
/// only other users may list.
pub fn tree_size(path: &Path) -> Result<u64, FileError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(0);
        }
        Err(error) => return Err(FileError::of("list", path)(error)),
    };
    let mut size = 0;
    for entry in entries {
        let entry = entry.map_err(FileError::of("list", path))?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size += tree_size(&entry.path())?,
            Ok(metadata) => size += metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::of("look at", entry.path())(error)),
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_file_is_found_and_ones_own_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::File::create(deep.join("file")).unwrap();
        let own = fs::metadata(&deep).unwrap().uid();
        assert_eq!(foreign_to(own, folder.path()).unwrap(), None);
        assert_eq!(foreign_to(own + 1, &deep).unwrap(), Some(deep.clone()));
        if own == 0 {
            std::os::unix::fs::chown(deep.join("file"), Some(1), None).unwrap();
            assert_eq!(foreign_to(own, folder.path()).unwrap(), Some(deep.join("file")));
        }
    }

    #[test]
    fn read_only_folders_are_removed_and_link_targets_stay() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::File::create(tree.join("a/b/file")).unwrap();
        let kept = folder.path().join("kept");
        fs::create_dir(&kept).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("a/link")).unwrap();
        for read_only in ["a/b", "a"] {
            fs::set_permissions(tree.join(read_only), fs::Permissions::from_mode(0o555)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && kept.exists());
        remove_tree(&tree).unwrap();
    }
}
