//! Starting this very program anew, as a part of a sandbox.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::mounts::{Attributes, clone_of, restrict};

/// This program, whatever became of its file.
const SELF: &str = "/proc/self/exe";

/// This program, to be started under a name by which it knows what it is for ([`crate::enter_if_child`]). Keeps what it needs
/// open until it is dropped.
#[derive(Debug)]
pub struct SelfCommand {
    /// The command, without environment, in the root folder.
    pub command: Command,
    _program: Option<OwnedFd>,
}

/// This program as a command that is started under `name`.
pub fn start_self(name: &str) -> SelfCommand {
    let program = unwritable_self();
    let path = program
        .as_ref()
        .map_or_else(|| SELF.to_owned(), |file| format!("/proc/self/fd/{}", file.as_raw_fd()));
    let mut command = Command::new(path);
    command.arg0(name).env_clear().current_dir(Path::new("/"));
    SelfCommand { command, _program: program }
}

/// This program seen through a read-only mount, so that a step that starts `/proc/self/exe`, and so gets hold of our file, cannot
/// write to it (CVE-2019-5736 was that, in runc). Without the right to mount there is none, and no step that is root outside either.
fn unwritable_self() -> Option<OwnedFd> {
    let file = clone_of(rustix::fs::CWD, SELF).ok()?;
    restrict(&file, Attributes::READ_ONLY, false).ok()?;
    Some(file)
}
