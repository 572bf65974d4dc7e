//! What a layer says of one path.

use std::os::unix::ffi::OsStrExt;

use crate::node::{Metadata, Node, NodeKind};

/// Name and value of an extended attribute.
pub(crate) type Attribute = (Box<[u8]>, Box<[u8]>);

/// What a layer says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Path from the root, without leading slash; empty for the root.
    pub(crate) path: Box<[u8]>,
    pub(crate) kind: RecordKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
    /// Names of one file have the same number.
    pub(crate) inode: u32,
    /// Whether the file has other names in the layer.
    pub(crate) linked: bool,
    pub(crate) xattrs: Vec<Attribute>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A regular file, where in the tar its content begins, and whether only its pieces stand there.
    File {
        size: u64,
        offset: u64,
        sparse: bool,
    },
    /// A folder. Opaque: nothing of it shows from below. Implied: the layer says nothing of it but what is in it.
    Directory {
        opaque: bool,
        implied: bool,
    },
    Symlink(Box<[u8]>),
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    /// What stands here in the layers below is gone.
    Whiteout,
    /// Another name of a file of the layers below.
    Foreign(Box<[u8]>),
}

impl Record {
    /// The node; `None` where the record is none of its own: a whiteout, a name of a file below.
    pub(crate) fn node(&self) -> Option<Node> {
        let kind = match &self.kind {
            RecordKind::File { size, .. } => NodeKind::File { size: *size },
            RecordKind::Directory { .. } => NodeKind::Directory,
            RecordKind::Symlink(target) => NodeKind::Symlink(super::path(target)),
            RecordKind::CharacterDevice(major, minor) => NodeKind::CharacterDevice(*major, *minor),
            RecordKind::BlockDevice(major, minor) => NodeKind::BlockDevice(*major, *minor),
            RecordKind::Fifo => NodeKind::Fifo,
            RecordKind::Whiteout | RecordKind::Foreign(_) => return None,
        };
        let mut node = Node::new(kind, self.metadata());
        node.inode = self.linked.then_some((0, 0, u64::from(self.inode)));
        Some(node)
    }

    pub(crate) fn metadata(&self) -> Metadata {
        let xattrs = self.xattrs.iter();
        Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs: xattrs
                .map(|(name, value)| (std::ffi::OsStr::from_bytes(name).to_owned(), value.to_vec()))
                .collect(),
        }
    }
}
