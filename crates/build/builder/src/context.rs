//! A folder of the user's that is a build context, and the rules of .dockerignore, which [`crate::scoped`] goes by.
//!
//! Files are read where they are; nothing is copied first. Owners count as root's, as with BuildKit, so that it does not matter who
//! runs a build. Contents are hashed once: a [`HashMemory`] remembers what was hashed, by size, times and inode.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use longshore_files::{FileError, FileInstant, Root, Stat};
use longshore_snapshot::NodeKind;

use crate::error::BuildError;
use crate::memory::HashMemory;
use crate::rules::Rules;
use crate::tree::{FileNode, FileTree, TreeError, hash_reader, resolve_links};

/// A context folder, with all that is in it.
pub(crate) struct ContextTree {
    folder: PathBuf,
    root: Root,
    memory: HashMemory,
}

impl ContextTree {
    /// Opens the context in `folder`. Errors: it cannot be opened as a folder.
    pub(crate) fn open(folder: &Path, memory: HashMemory) -> Result<Self, FileError> {
        Ok(ContextTree { folder: folder.to_owned(), root: Root::open(folder)?, memory })
    }

    fn error<'p>(
        &self,
        action: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(io::Error) -> TreeError + use<'p> {
        move |source| TreeError::Context { action, path: path.to_owned(), source }
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, TreeError> {
        match fs::symlink_metadata(self.folder.join(path)) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(self.error("look at", path)(error)),
        }
    }

    fn node(&self, path: &Path, metadata: &Metadata) -> Result<Option<FileNode>, TreeError> {
        let kind = metadata.file_type();
        let kind = if kind.is_dir() {
            NodeKind::Directory
        } else if kind.is_file() {
            NodeKind::File { size: metadata.len() }
        } else if kind.is_symlink() {
            let target = fs::read_link(self.folder.join(path)).map_err(self.error("read the link", path))?;
            NodeKind::Symlink(target)
        } else if kind.is_fifo() {
            NodeKind::Fifo
        } else if kind.is_char_device() {
            let device = metadata.rdev();
            NodeKind::CharacterDevice(rustix::fs::major(device), rustix::fs::minor(device))
        } else if kind.is_block_device() {
            let device = metadata.rdev();
            NodeKind::BlockDevice(rustix::fs::major(device), rustix::fs::minor(device))
        } else {
            // A socket means something to its process alone.
            return Ok(None);
        };
        let several = metadata.is_file() && metadata.nlink() > 1;
        Ok(Some(FileNode {
            kind,
            mode: metadata.mode() & 0o7777,
            uid: 0,
            gid: 0,
            mtime: (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or(0)),
            xattrs: BTreeMap::new(),
            inode: several.then(|| (metadata.dev(), metadata.ino(), 0)),
            stat: metadata.is_file().then(|| Stat::from_metadata(metadata)),
        }))
    }

    fn entries(&self, folder: &Path) -> Result<Vec<(OsString, Metadata)>, TreeError> {
        let mut found = Vec::new();
        let listed = fs::read_dir(self.folder.join(folder)).map_err(self.error("list", folder))?;
        for entry in listed {
            let entry = entry.map_err(self.error("list", folder))?;
            match entry.metadata() {
                Ok(metadata) => found.push((entry.file_name(), metadata)),
                // It went away between the two looks, as editors' temporary files do.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.error("look at", &folder.join(entry.file_name()))(error)),
            }
        }
        found.sort_by(|a: &(OsString, Metadata), b| a.0.cmp(&b.0));
        Ok(found)
    }
}

impl FileTree for ContextTree {
    fn lookup(&self, path: &Path) -> Result<Option<FileNode>, TreeError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { PathBuf::new() } else { self.resolve(folder)? };
        let place = match path.file_name() {
            Some(name) => folder.join(name),
            None => PathBuf::new(),
        };
        let Some(metadata) = self.metadata(&place)? else { return Ok(None) };
        self.node(&place, &metadata)
    }

    fn list(&self, folder: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError> {
        let mut listed = Vec::new();
        for (name, metadata) in self.entries(folder)? {
            if let Some(node) = self.node(&folder.join(&name), &metadata)? {
                listed.push((name, node));
            }
        }
        Ok(listed)
    }

    fn open(&self, path: &Path) -> Result<File, TreeError> {
        self.root.open_file(path).map_err(|error| self.error("open", path)(error.source))
    }

    fn hash(&self, path: &Path, node: &FileNode) -> Result<[u8; 32], TreeError> {
        if let Some(hash) = node.stat.and_then(|stat| self.memory.recall(path, &stat)) {
            return Ok(hash);
        }
        let file = self.open(path)?;
        let stat = Stat::from_metadata(&file.metadata().map_err(self.error("look at", path))?);
        let taken = FileInstant::now();
        let hash = hash_reader(&file, stat.size).map_err(self.error("read", path))?;
        self.memory.note(path, &stat, taken, hash);
        Ok(hash)
    }

    fn remember(&self) -> Result<(), FileError> {
        self.memory.save()
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, TreeError> {
        resolve_links(path, &mut |place| {
            let Some(metadata) = self.metadata(place)? else { return Ok(None) };
            Ok(self.node(place, &metadata)?.map(|node| node.kind))
        })
    }
}

/// The file of rules beside a Dockerfile.
pub(crate) fn ignore_file(dockerfile: &Path) -> PathBuf {
    let mut name = dockerfile.file_name().unwrap_or(OsStr::new("Dockerfile")).to_owned();
    name.push(".dockerignore");
    dockerfile.with_file_name(name)
}

/// A file of rules on this machine's disk; nothing where it is not there.
pub(crate) fn read_disk(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of("read", path)(error)),
    }
}

/// Reads a file of rules; nothing where it is not there.
type ReadFile<'r> = dyn FnMut(&Path) -> Result<Option<Vec<u8>>, BuildError> + 'r;

/// The rules in the first of several files that is there.
pub(crate) fn read_rules(files: Vec<PathBuf>, read: &mut ReadFile<'_>) -> Result<Rules, BuildError> {
    for file in files {
        if let Some(bytes) = read(&file)? {
            let refuse = |problems| BuildError::Dockerfile {
                file: file.display().to_string(),
                source_text: bytes.clone(),
                diagnostics: problems,
            };
            return Rules::parse(&bytes).map_err(refuse);
        }
    }
    Ok(Rules::default())
}
