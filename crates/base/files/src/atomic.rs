//! Writing a file whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::FileError;

/// A file that has no name yet. Dropped before [`AtomicFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    file: NamedTempFile,
}

impl AtomicFile {
    /// A file that will be renamed to somewhere on the file system of `folder`. Errors: the folder cannot be written.
    pub fn create_in(folder: &Path) -> Result<Self, FileError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tmp-").permissions(fs::Permissions::from_mode(0o644));
        let file = builder.tempfile_in(folder).map_err(FileError::of("create a file in", folder))?;
        Ok(AtomicFile { file })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// The open file, to write.
    pub fn file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// The temporary path, for a child process that writes by name.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Syncs the file and gives it its name, replacing what had it.
    ///
    /// Errors: the sync or the rename failed; then `path` is as it was before.
    pub fn commit(self, path: &Path) -> Result<(), FileError> {
        self.file.as_file().sync_data().map_err(FileError::of("sync", path))?;
        self.persist(path)
    }

    /// Like [`AtomicFile::commit`] without the sync: for what can be made again and is checked when read.
    pub fn commit_unsynced(self, path: &Path) -> Result<(), FileError> {
        self.persist(path)
    }

    fn persist(self, path: &Path) -> Result<(), FileError> {
        self.file.persist(path).map_err(|error| FileError::of("write", path)(error.error))?;
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The file that a person means who names `path` for output: what a link leads to.
///
/// Only for paths that people name. In folders that may come from strangers a link must be replaced, not followed, which is what
/// [`AtomicFile::commit`] does. Errors: it is a device, a pipe or a socket, which a rename would replace by a file.
pub fn output_target(path: &Path) -> Result<PathBuf, FileError> {
    let Ok(about) = fs::metadata(path) else { return Ok(path.to_owned()) };
    if !about.is_file() && !about.is_dir() {
        let special = io::Error::new(io::ErrorKind::InvalidInput, "it is a device, a pipe or a socket");
        return Err(FileError::of("write", path)(special));
    }
    if path.is_symlink() {
        path.canonicalize().map_err(FileError::of("write", path))
    } else {
        Ok(path.to_owned())
    }
}

/// Writes `bytes` to a file that a person named, whole or not at all. Errors: as [`output_target`] and [`write_atomic`].
pub fn write_output(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic(&output_target(path)?, bytes)
}

/// Writes `bytes` to `path`, whole or not at all. The folder must exist.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    filled(path, bytes)?.commit(path)
}

/// Writes `bytes` to `path`, whole or not at all, without a sync: for what can be made again and is checked when read. The folder must
/// exist.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    filled(path, bytes)?.commit_unsynced(path)
}

/// A file that is to be `path` and has its content.
fn filled(path: &Path, bytes: &[u8]) -> Result<AtomicFile, FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = AtomicFile::create_in(folder)?;
    file.write_all(bytes).map_err(FileError::of("write", path))?;
    Ok(file)
}

/// Makes a folder and those above it that are missing.
pub fn create_folders(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::of("create the folder", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        drop(AtomicFile::create_in(folder.path()).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o022, 0o644);
    }

    #[test]
    fn an_output_follows_its_link_and_never_replaces_a_device_and_a_file_of_ours_replaces_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, socket) =
            (folder.path().join("file"), folder.path().join("link"), folder.path().join("socket"));
        write_output(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_output(&link, b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = write_output(&socket, b"").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", socket.display()));
        assert!(!fs::metadata(&socket).unwrap().is_file());
        write_atomic(&link, b"three").unwrap();
        assert!(!link.is_symlink(), "a stranger's link leads nowhere");
        assert_eq!(fs::read(&file).unwrap(), b"two");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = write_atomic(&missing.join("x"), b"").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create a file in {}", missing.display()));
    }
}
