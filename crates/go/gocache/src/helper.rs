//! The folder that a step finds the program `go` in, as it is on the host.

use std::path::Path;

use longshore_files::{AtomicFile, FileError, create_folders};

/// Puts `executable`, which must be able to run alone in any container (static, and calling [`crate::front`] first), into `folder` under
/// the name `go`. Does nothing if it is there: the folder's name has to change with the executable.
///
/// Errors: the executable cannot be read, or the folder not written.
pub fn install_helper(executable: &Path, folder: &Path) -> Result<(), FileError> {
    let program = folder.join("go");
    if program.exists() {
        return Ok(());
    }
    create_folders(folder)?;
    let file = AtomicFile::create_in(folder)?;
    std::fs::copy(executable, file.path()).map_err(FileError::of("copy", executable))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(file.path(), mode).map_err(FileError::of("set the mode of", &program))?;
    file.commit(&program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_can_be_started_by_anyone_and_is_written_once() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};

        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("longshore");
        std::fs::copy("/proc/self/exe", &executable).unwrap();
        std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o500)).unwrap();
        let helpers = folder.path().join("a/b");
        install_helper(&executable, &helpers).unwrap();
        let first = std::fs::metadata(helpers.join("go")).unwrap();
        assert_eq!(first.mode() & 0o777, 0o755);
        assert_eq!(first.len(), std::fs::metadata(&executable).unwrap().len());
        install_helper(&executable, &helpers).unwrap();
        assert_eq!(std::fs::metadata(helpers.join("go")).unwrap().ino(), first.ino());
        assert!(install_helper(Path::new("/nowhere/longshore"), &folder.path().join("c")).is_err());
    }
}
