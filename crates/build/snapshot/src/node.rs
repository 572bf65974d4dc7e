//! What stands in a tree.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link, with what it points to as it stands in it.
    Symlink(PathBuf),
    /// A character device: major and minor number.
    CharacterDevice(u32, u32),
    /// A block device: major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A file, folder, link or device of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970, and nanoseconds past them.
    pub mtime: (i64, u32),
    /// Extended attributes that layers keep: `security.capability` and `user.*`. Never an overlay's own.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The same for two names of one file; `None` where it has one name only. Layer, device, inode.
    pub inode: Option<(u64, u64, u64)>,
}

/// All about a node but what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits, with set-user-id, set-group-id and sticky. Links have none of their own.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970, and nanoseconds past them.
    pub mtime: (i64, u32),
    /// Extended attributes; only those that layers keep are written.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl Node {
    /// All about the node but what it is.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs: self.xattrs.clone(),
        }
    }

    /// A node of `kind`.
    pub(crate) fn new(kind: NodeKind, metadata: Metadata) -> Node {
        let Metadata { mode, uid, gid, mtime, xattrs } = metadata;
        Node { kind, mode, uid, gid, mtime, xattrs, inode: None }
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == NodeKind::Directory
    }
}

/// Whether layers keep an extended attribute. Labels of the host's security modules (`security.selinux`) belong to the host, and an
/// overlay's own marks would hide or redirect what stands below.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}
