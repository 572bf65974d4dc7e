//! How a contained process ended.

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
