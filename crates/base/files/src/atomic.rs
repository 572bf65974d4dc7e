//! Writing a file whole or not at all.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
        let target = replaceable(path).map_err(FileError::of("write", path))?;
        self.file.persist(target).map_err(|error| FileError::of("write", path)(error.error))?;
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

/// The file that a rename may replace: what a link leads to, and never a device, a pipe or a socket.
fn replaceable(path: &Path) -> io::Result<Cow<'_, Path>> {
    let Ok(about) = fs::metadata(path) else { return Ok(Cow::Borrowed(path)) };
    if !about.is_file() && !about.is_dir() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device, a pipe or a socket"));
    }
    Ok(if path.is_symlink() { Cow::Owned(path.canonicalize()?) } else { Cow::Borrowed(path) })
}

/// Writes `bytes` to `path`, whole or not at all. The folder must exist.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = AtomicFile::create_in(folder)?;
    file.write_all(bytes).map_err(FileError::of("write", path))?;
    file.commit(path)
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
    fn a_device_is_not_replaced_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, socket) =
            (folder.path().join("file"), folder.path().join("link"), folder.path().join("socket"));
        write_atomic(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomic(&link, b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = write_atomic(&socket, b"").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", socket.display()));
        assert!(!fs::metadata(&socket).unwrap().is_file());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = write_atomic(&missing.join("x"), b"").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot create a file in {}", missing.display()));
    }
}
