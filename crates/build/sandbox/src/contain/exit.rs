//! How a contained process ended, and whether it had begun.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::child::command;
use crate::{Exceeded, Status};

/// A container's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// How its process 1 ended.
    pub status: Status,
    /// Limits of its control group that it ran into.
    pub exceeded: Exceeded,
}

/// Waits for a child.
pub(super) fn collect(child: Pid) -> Result<Status, Errno> {
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            Ok(Some((_, status))) => return Ok(command::ended(status)),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a child became the program, if it has not said that it could not: its socket closes then too when it just ends. `path` is that
/// of its `stat` in /proc, seen from a folder (proc_pid_stat(5)). A child that has ended must not have been waited for yet.
pub(super) fn has_begun(folder: impl AsFd, path: &str) -> bool {
    let mut text = [0; 1024];
    let read = openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut text));
    // Where it cannot be seen, nothing speaks against it.
    read.ok().and_then(|length| flags(text.get(..length)?)).is_none_or(|flags| flags & NEVER_REPLACED == 0)
}

/// PF_FORKNOEXEC of linux/sched.h: the process was forked, and has been the same program since.
const NEVER_REPLACED: u64 = 0x40;

/// The flags stand in the seventh place after the name, which may have spaces and brackets in it.
fn flags(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_after_any_name() {
        assert_eq!(flags(b"7 (sh) S 1 7 7 0 -1 4194368 106 0"), Some(0x40_0040));
        assert_eq!(flags(b"7 (a) S (b) Z 1 7 7 0 -1 64 106 0"), Some(64));
        assert_eq!(flags(b"7 (sh) S 1"), None);
    }

    #[test]
    fn a_process_that_became_another_has_begun() {
        assert!(has_begun(rustix::fs::CWD, "/proc/self/stat"), "this one");
        assert!(has_begun(rustix::fs::CWD, "/proc/0/stat"), "what cannot be seen");
    }
}
