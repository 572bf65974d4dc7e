//! Whole folders.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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

/// Bytes that the files below a folder hold, links not followed. What vanishes meanwhile is not counted.
pub fn tree_size(path: &Path) -> Result<u64, FileError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
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
