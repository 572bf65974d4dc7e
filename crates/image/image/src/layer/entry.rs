//! What stands in a layer.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One file, folder or link of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path relative to the image's root, without `.` or `..`.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-user-id, set-group-id and sticky: 0o0000 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since 1970, before the policy.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file of `size` bytes.
    File {
        /// Size in bytes.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it points to, as it stands in the link.
        target: PathBuf,
    },
    /// Another name of a file that stands earlier in the layer.
    Hardlink {
        /// Path of that file, relative to the image's root.
        target: PathBuf,
    },
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Entry {
    /// A file that root owns, of time zero.
    pub fn file(path: impl Into<PathBuf>, mode: u32, size: u64) -> Self {
        Entry::new(path, EntryKind::File { size }, mode)
    }

    /// A folder that root owns, of time zero.
    pub fn directory(path: impl Into<PathBuf>, mode: u32) -> Self {
        Entry::new(path, EntryKind::Directory, mode)
    }

    /// A symbolic link that root owns, of time zero.
    pub fn symlink(path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Entry::new(path, EntryKind::Symlink { target: target.into() }, 0o777)
    }

    fn new(path: impl Into<PathBuf>, kind: EntryKind, mode: u32) -> Self {
        Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
    }

    /// The same entry with another owner and group.
    #[must_use]
    pub fn owned_by(self, uid: u64, gid: u64) -> Self {
        Entry { uid, gid, ..self }
    }
}

/// What becomes of modification times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamps {
    /// All are this one, in seconds since 1970.
    Fixed(i64),
    /// Those later than this one become it; earlier ones stay.
    Clamp(i64),
    /// They stay.
    Keep,
}

impl Timestamps {
    /// The time that an entry of `mtime` gets. Times before 1970 have no portable form in a tar and become zero.
    pub fn apply(self, mtime: i64) -> u64 {
        let time = match self {
            Timestamps::Fixed(time) => time,
            Timestamps::Clamp(latest) => mtime.min(latest),
            Timestamps::Keep => mtime,
        };
        u64::try_from(time).unwrap_or(0)
    }
}
