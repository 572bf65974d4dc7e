//! Whether a file is still the one that was read, by what the system says of it without opening it.
//!
//! A file whose [`Stat`] did not change has the content that it had, unless it was changed again so shortly after its stamp that the
//! clock of the file system could not tell the two apart. Such a stat is racy, and worth nothing; git's index has the same rule
//! ("racily clean", git's Documentation/technical/racy-git).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970 by the kernel's coarse clock, which file systems take their stamps from: a file that is modified
/// after this was read has a stamp that is not before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileInstant(pub i64);

/// Stamps this close to a reading may hide a later change: a few ticks of the slowest kernel clock.
const GRANULARITY: i64 = 40_000_000;

/// The same for file systems that keep whole or even seconds alone, which shows in stamps without a fraction.
const COARSE_GRANULARITY: i64 = 2_000_000_000;

impl FileInstant {
    /// Now.
    pub fn now() -> FileInstant {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        FileInstant(nanoseconds(now.tv_sec, now.tv_nsec))
    }

    /// Whether a file stamped `stamp` could have been changed again after this reading without its stamp telling.
    pub fn is_too_close_to(self, stamp: i64) -> bool {
        let granularity = if stamp % 1_000_000_000 == 0 { COARSE_GRANULARITY } else { GRANULARITY };
        stamp.saturating_add(granularity) >= self.0
    }
}

/// The facts that change when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Number of the device that it is on.
    pub device: u64,
    /// Its number on that device.
    pub inode: u64,
    /// In bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Nanoseconds since 1970.
    pub modified: i64,
    /// Nanoseconds since 1970; cannot be set by a program, so it tells of changes that hide their mtime.
    pub changed: i64,
}

impl Stat {
    /// The stat of what `path` leads to, links followed. Errors: as the system says; not being there is one.
    pub fn of(path: &Path) -> std::io::Result<Stat> {
        Ok(Stat::from_metadata(&std::fs::metadata(path)?))
    }

    /// The same facts out of what was asked before.
    pub fn from_metadata(metadata: &Metadata) -> Stat {
        Stat {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mode: metadata.mode(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The type of what is at `path`, and the type of what a link there leads to: `None` if nothing is.
    pub fn kind_of(path: &Path) -> Option<u32> {
        let own = std::fs::symlink_metadata(path).ok()?.mode() & 0o170_000;
        let target = std::fs::metadata(path).ok()?.mode() & 0o170_000;
        Some(own | target << 12)
    }

    /// The later of both stamps.
    pub fn stamp(&self) -> i64 {
        self.modified.max(self.changed)
    }

    /// Whether a change after `taken` could have left this very stat. `taken` is from before the content was read.
    pub fn is_racy(&self, taken: FileInstant) -> bool {
        taken.is_too_close_to(self.stamp()) || taken.is_too_close_to(self.modified)
    }
}

fn nanoseconds(seconds: i64, part: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_trusted_once_the_clock_has_gone_on() {
        let fine = 1_700_000_000_123_456_789;
        assert!(FileInstant(fine).is_too_close_to(fine));
        assert!(FileInstant(fine + GRANULARITY).is_too_close_to(fine));
        assert!(!FileInstant(fine + GRANULARITY + 1).is_too_close_to(fine));
        let whole = 1_700_000_000_000_000_000;
        assert!(FileInstant(whole + GRANULARITY + 1).is_too_close_to(whole));
        assert!(!FileInstant(whole + COARSE_GRANULARITY + 1).is_too_close_to(whole));
    }

    #[test]
    fn a_file_that_was_just_written_is_racy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        crate::write_atomic(&file, b"one").unwrap();
        let stat = Stat::of(&file).unwrap();
        assert!(stat.is_racy(FileInstant::now()));
        assert!(!stat.is_racy(FileInstant(stat.stamp() + COARSE_GRANULARITY + 1)));
    }
}
