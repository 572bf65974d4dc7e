//! Where the program and the cache are: in a step, and on the host.
//!
//! One cache serves one project and one user of its steps. Toolchains share the folder and have compartments in it.
//!
//! ```text
//! CACHE/memory                which files were hashed before: of toolchains
//! CACHE/notes                 what happened, one line for each `go` that could have used the cache
//! CACHE/TOOLCHAIN/lock        held by everyone who builds
//! CACHE/TOOLCHAIN/memory      which files were hashed before: of the cache
//! CACHE/TOOLCHAIN/includes    what the assembler read and Go does not count among a package's inputs
//! CACHE/TOOLCHAIN/go/         the folder that Go sees as GOCACHE
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use longshore_files::{FileError, create_folders};
use rustix::fs::{Mode, OFlags};

/// Where a step has the folder with the program `go` that stands before Go's.
pub const HELPER_TARGET: &str = "/run/longshore/go/bin";

/// Where a step has the cache. The program finds it beside its own folder, so that no variable has to name it.
pub const CACHE_TARGET: &str = "/run/longshore/go/cache";

/// Bytes of notes that are kept; older ones go as a whole.
const NOTES_LIMIT: u64 = 64 * 1024;

/// A folder that holds the caches of one project and one user, as a step or the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRoot {
    folder: PathBuf,
}

impl CacheRoot {
    /// The cache in `folder`, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> CacheRoot {
        CacheRoot { folder: folder.into() }
    }

    /// The cache of a project and of a user of its steps in the folder of all such caches.
    pub fn of(caches: &Path, project: &str, user: &str) -> CacheRoot {
        let mut name = blake3::Hasher::new();
        for part in [project, user] {
            name.update(&(part.len() as u64).to_le_bytes());
            name.update(part.as_bytes());
        }
        CacheRoot { folder: caches.join(&name.finalize().to_hex()[..32]) }
    }

    /// Makes the folder, open to whatever user the step has: its parent is what keeps strangers away.
    pub fn create(&self) -> Result<(), FileError> {
        if let Some(caches) = self.folder.parent() {
            create_folders(caches)?;
            set_mode(caches, 0o700)?;
        }
        create_folders(&self.folder)?;
        set_mode(&self.folder, 0o777)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the program noted: for each `go` whether it used the cache, or why not. Clears the notes.
    pub fn take_notes(&self) -> Result<Vec<String>, FileError> {
        let path = self.folder.join("notes");
        // A step may have put a link or a pipe here: neither may lead this process anywhere, nor make it wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(FileError::of("open", &path)(error.into())),
        };
        let mut text = Vec::new();
        if file.metadata().map_err(FileError::of("read", &path))?.is_file() {
            file.take(2 * NOTES_LIMIT).read_to_end(&mut text).map_err(FileError::of("read", &path))?;
        }
        std::fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Adds a line to the notes.
    pub(crate) fn note(&self, line: &str) -> Result<(), FileError> {
        let path = self.folder.join("notes");
        let line = format!("{}\n", line.replace('\n', " "));
        let write = || {
            let mut file = File::options().append(true).create(true).open(&path)?;
            if file.metadata()?.len() > NOTES_LIMIT {
                file.set_len(0)?;
            }
            file.write_all(line.as_bytes())
        };
        write().map_err(FileError::of("write", &path))
    }

    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join("memory")
    }

    pub(crate) fn compartment(&self, toolchain: &str) -> Compartment {
        Compartment { folder: self.folder.join(toolchain) }
    }
}

/// The part of a cache that belongs to one toolchain.
#[derive(Debug, Clone)]
pub(crate) struct Compartment {
    pub(crate) folder: PathBuf,
}

impl Compartment {
    /// The compartment whose `go` folder a tool finds in GOCACHE.
    pub(crate) fn of_go_cache(go_cache: &Path) -> Option<Compartment> {
        let folder = go_cache.parent()?;
        (go_cache.file_name()? == "go").then(|| Compartment { folder: folder.to_owned() })
    }

    pub(crate) fn go_cache(&self) -> PathBuf {
        self.folder.join("go")
    }

    pub(crate) fn includes(&self) -> PathBuf {
        self.folder.join("includes")
    }

    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join("memory")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(FileError::of("set the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_and_users_are_kept_apart() {
        let of = |project, user| CacheRoot::of(Path::new("/caches"), project, user).folder;
        assert_eq!(of("shop", "root"), of("shop", "root"));
        assert_ne!(of("shop", "root"), of("shop", "1000"));
        assert_ne!(of("shop", "root"), of("store", "root"));
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_eq!(of("shop", "root").parent(), Some(Path::new("/caches")));
    }

    #[test]
    fn any_user_of_a_step_may_write_but_strangers_do_not_get_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = CacheRoot::of(&folder.path().join("caches"), "shop", "1000");
        root.create().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(root.folder()), 0o777);
        assert_eq!(mode(&folder.path().join("caches")), 0o700);
    }

    #[test]
    fn notes_are_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = CacheRoot::at(folder.path());
        assert_eq!(root.take_notes().unwrap(), Vec::<String>::new());
        root.note("go build: with\nthe cache").unwrap();
        root.note("go vet: not").unwrap();
        assert_eq!(root.take_notes().unwrap(), ["go build: with the cache", "go vet: not"]);
        assert_eq!(root.take_notes().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn notes_that_lead_elsewhere_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = CacheRoot::at(folder.path());
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("notes")).unwrap();
        let error = root.take_notes().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot open {}", folder.path().join("notes").display()));
    }
}
