//! Temporary folders, and copies of the example services to build and change in them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// Folders that are removed after the last test.
static SHARED: Mutex<Vec<Folder>> = Mutex::new(Vec::new());

/// A temporary folder that is removed on drop, whatever modes a test gave to what is in it.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
}

impl Folder {
    /// A new, empty folder.
    pub fn new() -> io::Result<Folder> {
        Ok(Folder { folder: tempfile::Builder::new().prefix("longshore-test-").tempdir()? })
    }

    /// A new folder with a copy of an example: `example("hello")`.
    pub fn with_example(name: &str) -> io::Result<Folder> {
        let folder = Folder::new()?;
        copy_tree(&example(name), folder.path())?;
        Ok(folder)
    }

    /// The same folder for all tests of a [`crate::Suite`], which removes it when they have run: what a static holds is never dropped. Its path.
    #[must_use]
    pub fn until_end(self) -> PathBuf {
        let path = self.path().to_owned();
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        path
    }

    /// Removes the folders that all tests shared.
    pub(crate) fn remove_shared() {
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file and the folders above it, and returns its path.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::File::create(&path)?;
        io::Write::write_all(&mut file, content.as_ref())?;
        Ok(path)
    }

    /// Reads a file that must be UTF-8.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        fs::read_to_string(self.join(path))
    }

    /// Every file, folder and link in it as `mode path`, sorted: `100644 go.mod`, `40755 cmd`, `120777 a -> b`.
    pub fn listing(&self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        list(self.path(), Path::new(""), &mut lines)?;
        lines.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(lines.into_iter().map(|(line, _)| line).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A module cache and an unpacked image hold read-only folders, which cannot be emptied as they are.
        // What still cannot be removed stays in the system's temporary folder.
        let _ = make_writable(self.path());
    }
}

/// The folder of this repository.
#[must_use]
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The folder of an example: `example("hello")`. Tests that change it take a copy: [`Folder::with_example`].
#[must_use]
pub fn example(name: &str) -> PathBuf {
    repository().join("examples").join(name)
}

/// Copies a folder's files, folders and links, with their permissions and without their times.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn list(root: &Path, below: &Path, lines: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let metadata = entry.metadata()?;
        let mut line = format!("{:o} {}", metadata.permissions().mode(), path.display());
        if metadata.is_symlink() {
            line.push_str(&format!(" -> {}", fs::read_link(entry.path())?.display()));
        }
        lines.push((line, path.clone()));
        if metadata.is_dir() {
            list(root, &path, lines)?;
        }
    }
    Ok(())
}

fn make_writable(folder: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(folder)?.permissions();
    if permissions.mode() & 0o700 != 0o700 {
        permissions.set_mode(permissions.mode() | 0o700);
        fs::set_permissions(folder, permissions)?;
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_folder_stays_until_the_end() {
        let path = Folder::new().unwrap().until_end();
        assert!(path.is_dir());
        Folder::remove_shared();
        assert!(!path.exists());
    }

    #[test]
    fn a_copied_example_is_whole_and_a_read_only_folder_goes_away() {
        let folder = Folder::with_example("clock").unwrap();
        let listing = folder.listing().unwrap();
        assert!(listing.contains(&"40755 templates".to_owned()), "{listing:?}");
        assert!(listing.contains(&"100644 templates/page.html.tmpl".to_owned()), "{listing:?}");
        assert_eq!(
            folder.read("go.mod").unwrap(),
            fs::read_to_string(example("clock").join("go.mod")).unwrap()
        );

        let path = folder.path().to_owned();
        fs::set_permissions(folder.join("static"), fs::Permissions::from_mode(0o500)).unwrap();
        drop(folder);
        assert!(!path.exists(), "{} is still there", path.display());
    }
}
