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
    let program = unwritable_self().or_else(sealed_self);
    let path = program
        .as_ref()
        .map_or_else(|| SELF.to_owned(), |file| format!("/proc/self/fd/{}", file.as_raw_fd()));
    let mut command = Command::new(path);
    command.arg0(name).env_clear().current_dir(Path::new("/"));
    SelfCommand { command, _program: program }
}

/// A copy of this program in memory that nobody can write to, for whom the kernel lets mount nothing: an ordinary user's own file could be
/// written by what their containers start. It takes some milliseconds, and its size as long as the copy runs.
fn sealed_self() -> Option<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags};
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let copy = rustix::fs::memfd_create("longshore", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).ok()?;
    let mut target = std::fs::File::from(copy);
    std::io::copy(&mut std::fs::File::open(SELF).ok()?, &mut target).ok()?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&target, seals).ok()?;
    Some(target.into())
}

/// This program seen through a read-only mount, so that a step that starts `/proc/self/exe`, and so gets hold of our file, cannot
/// write to it (CVE-2019-5736 was that, in runc). Without the right to mount there is none, and no step that is root outside either.
fn unwritable_self() -> Option<OwnedFd> {
    let file = clone_of(rustix::fs::CWD, SELF).ok()?;
    restrict(&file, Attributes::READ_ONLY, false).ok()?;
    Some(file)
}
