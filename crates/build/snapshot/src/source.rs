//! One layer of a merged tree, on disk.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat};

use crate::beneath::{self, Beneath, absent, split};
use crate::marks::{self, Marks, OPAQUE, PREFIX};
use crate::node::{Metadata, Node, NodeKind};
use crate::owners::Owners;

/// What a layer says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// What stands here below is gone.
    Whiteout,
    /// A folder. Opaque: nothing shows from below. Implied: the layer says nothing of it but what is in it.
    Folder { opaque: bool, implied: bool },
    /// A link.
    Symlink,
    /// Another name of a file of the layers below, at this path.
    Foreign(PathBuf),
    /// Anything else.
    Other,
}

/// What a layer has under a name of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Present,
    Whiteout,
}

/// An unpacked layer or a difference.
#[derive(Debug)]
pub(crate) struct FolderSource {
    pub(crate) tree: Beneath,
    pub(crate) marks: Marks,
    /// Where owners are not those on disk.
    pub(crate) owners: Option<Owners>,
}

impl FolderSource {
    pub(crate) fn find(&self, path: &Path) -> io::Result<Option<Found>> {
        match self.tree.stat(path)? {
            Some(stat) => self.found(path, &stat).map(Some),
            None => Ok(self.is_hidden_by_file(path)?.then_some(Found::Whiteout)),
        }
    }

    fn found(&self, path: &Path, stat: &Stat) -> io::Result<Found> {
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                Found::Folder { opaque: self.marks.is_opaque(self.tree.listed(path)?)?, implied: false }
            }
            FileType::Symlink => Found::Symlink,
            _ if self.marks.is_whiteout(stat) => Found::Whiteout,
            _ => Found::Other,
        })
    }

    fn is_hidden_by_file(&self, path: &Path) -> io::Result<bool> {
        let (folder, name) = split(path);
        match self.marks.whiteout_file(name) {
            Some(file) if !name.is_empty() => Ok(self.tree.stat(&folder.join(file))?.is_some()),
            _ => Ok(false),
        }
    }

    /// All about what stands at a path; `None` where nothing does.
    pub(crate) fn node(&self, path: &Path) -> io::Result<Option<Node>> {
        let Some(stat) = self.tree.stat(path)? else { return Ok(None) };
        self.node_of(path, &stat).map(Some)
    }

    fn node_of(&self, path: &Path, stat: &Stat) -> io::Result<Node> {
        let device = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let mut xattrs = std::collections::BTreeMap::new();
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                xattrs = beneath::xattrs(self.tree.listed(path)?)?;
                NodeKind::Directory
            }
            FileType::Symlink => NodeKind::Symlink(self.read_link(path)?),
            FileType::CharacterDevice => NodeKind::CharacterDevice(device().0, device().1),
            FileType::BlockDevice => NodeKind::BlockDevice(device().0, device().1),
            FileType::Fifo => NodeKind::Fifo,
            _ => {
                xattrs = beneath::xattrs(self.open(path)?)?;
                NodeKind::File { size: u64::try_from(stat.st_size).unwrap_or_default() }
            }
        };
        let (uid, gid) = match &self.owners {
            Some(owners) => owners.get(path),
            None => (stat.st_uid, stat.st_gid),
        };
        let mode = if matches!(kind, NodeKind::Symlink(_)) { 0o777 } else { stat.st_mode & 0o7777 };
        let linked = kind != NodeKind::Directory && stat.st_nlink > 1;
        let mut node = Node::new(kind, Metadata { mode, uid, gid, mtime: mtime(stat), xattrs });
        node.inode = linked.then_some((0, stat.st_dev, stat.st_ino));
        Ok(node)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let link: OwnedFd = self.tree.at(path, OFlags::PATH)?;
        let target = rustix::fs::readlinkat(link, "", Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.to_bytes())))
    }

    /// Opens a regular file, also where its mode would not let anyone. Errors: what stands there is no file.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        // A pipe must not block, nor a terminal become ours.
        Ok(File::from(self.tree.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?))
    }

    /// What the layer has in a folder, in no order; nothing where it has no such folder.
    pub(crate) fn list(&self, folder: &Path) -> io::Result<Vec<(OsString, Listed)>> {
        let Some(names) = absent(self.tree.names(folder))? else { return Ok(Vec::new()) };
        let mut listed = Vec::with_capacity(names.len());
        for (name, kind) in names {
            if self.marks == Marks::Files && marks::is_reserved(&name) {
                if name != OPAQUE {
                    let hidden = OsStr::from_bytes(&name.as_bytes()[PREFIX.len()..]).to_owned();
                    listed.push((hidden, Listed::Whiteout));
                }
                continue;
            }
            let may_be_mark = matches!(kind, FileType::CharacterDevice | FileType::Unknown);
            let is_mark = may_be_mark
                && self.tree.stat(&folder.join(&name))?.is_some_and(|stat| self.marks.is_whiteout(&stat));
            match kind {
                // Sockets are in no layer.
                FileType::Socket => {}
                _ => listed.push((name, if is_mark { Listed::Whiteout } else { Listed::Present })),
            }
        }
        Ok(listed)
    }
}

/// Modification time of a node on disk.
pub(crate) fn mtime(stat: &Stat) -> (i64, u32) {
    (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default())
}
