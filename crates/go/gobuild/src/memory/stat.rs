//! What the system says of a file without opening it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::clock::Instant;

/// The facts that change when a file does. Links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
    /// Nanoseconds since 1970; cannot be set by a program, so it tells of changes that hide their mtime.
    pub(crate) changed: i64,
}

impl Stat {
    /// Errors: as the system says; not being there is one.
    pub(crate) fn of(path: &Path) -> std::io::Result<Stat> {
        Ok(Stat::from_metadata(&std::fs::metadata(path)?))
    }

    /// The type of what is at `path`, and the type of what a link there leads to: `None` if nothing is.
    pub(crate) fn kind_of(path: &Path) -> Option<u32> {
        let own = std::fs::symlink_metadata(path).ok()?.mode() & 0o170_000;
        let target = std::fs::metadata(path).ok()?.mode() & 0o170_000;
        Some(own | target << 12)
    }

    pub(crate) fn from_metadata(metadata: &std::fs::Metadata) -> Stat {
        let nanoseconds =
            |seconds: i64, part: i64| seconds.saturating_mul(1_000_000_000).saturating_add(part);
        Stat {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mode: metadata.mode(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The later of both stamps.
    pub(crate) fn stamp(&self) -> i64 {
        self.modified.max(self.changed)
    }

    /// Whether a change after `taken` could have left this very stat.
    pub(crate) fn is_racy(&self, taken: Instant) -> bool {
        taken.is_too_close_to(self.stamp()) || taken.is_too_close_to(self.modified)
    }
}
