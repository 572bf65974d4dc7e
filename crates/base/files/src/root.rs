//! Opens that cannot leave a folder, whatever links stand in it.
//!
//! `openat2(2)` with `RESOLVE_BENEATH` lets the kernel refuse `..`, absolute links and races between a check and an open,
//! which no walk over path components in user space can.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::FileError;

/// A folder that opens are confined to.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Confines opens to the folder at `path`.
    pub fn open(path: &Path) -> Result<Root, FileError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| FileError::of("open the folder", path)(error.into()))?;
        Ok(Root { folder, path: path.to_owned() })
    }

    /// The folder's path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file below the folder for reading. Links are followed as long as they stay below it.
    ///
    /// Errors: as the system says; a path that leaves the folder is [`io::ErrorKind::CrossesDevices`] (EXDEV).
    pub fn open_file(&self, relative: &Path) -> Result<File, FileError> {
        self.open_with(relative, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK)
    }

    fn open_with(&self, relative: &Path, flags: OFlags) -> Result<File, FileError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // EAGAIN means that a rename raced with the resolution: openat2(2) asks callers to try again.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.folder, relative, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
            {
                Ok(file) => return Ok(File::from(file)),
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(FileError::of("open", self.path.join(relative))(error.into())),
            }
        }
        Err(FileError::of("open", self.path.join(relative))(io::ErrorKind::ResourceBusy.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn links_inside_are_followed_and_those_outside_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        std::fs::File::create(folder.path().join("secret")).unwrap();
        crate::write_atomic(&inside.join("file"), b"content").unwrap();
        for (name, target) in [("good", "file"), ("up", "../secret"), ("absolute", "/etc/passwd")] {
            std::os::unix::fs::symlink(target, inside.join(name)).unwrap();
        }
        let root = Root::open(&inside).unwrap();
        let mut text = String::new();
        root.open_file(Path::new("good")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        for bad in ["up", "absolute", "../secret", "/etc/passwd"] {
            let error = root.open_file(Path::new(bad)).unwrap_err();
            assert_eq!(error.source.kind(), io::ErrorKind::CrossesDevices, "{bad}");
        }
    }
}
