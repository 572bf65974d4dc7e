//! Going to where a container's files are, to read and write them as it sees them.
//!
//! Whoever copies files into a container or out of it must not follow its links out of it, and must see what is mounted in it. So a process
//! of ours goes there itself: into the namespaces of a container that runs, or into a mount namespace of its own in which the root folder
//! of one that has ended is put together. Nothing of the machine can be reached by a path from then on. No program of the container is
//! started, no library of it loaded (CVE-2019-14271 was that, in `docker cp`), and its processes cannot see the visitor: it stays outside
//! of their process namespace.

use std::os::fd::AsFd;

use rustix::fs::Mode;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};

use super::usher::user_namespaces;
use crate::child::Fault;
use crate::{SandboxError, Step, mounts, sys};

/// Takes this process, which must have one thread, to the files of a container that runs, by the process id of its process 1. From
/// then on `/` is the container's root folder, and what this process makes belongs to the container's root, with all permissions.
///
/// Errors: the container is gone, or the kernel refuses to let this process in.
pub fn visit_running(process: u32) -> Result<(), SandboxError> {
    let gone = "find the container's process";
    let pid = Pid::from_raw(process.cast_signed()).ok_or(rustix::io::Errno::SRCH);
    let target = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty())).map_err(Fault::plain(gone))?;
    let mut users = user_namespaces(process)?;
    // The outermost, which has made all others, sees the files' owners as the container's root does.
    if let Some(outermost) = users.pop() {
        move_into_thread_name_spaces(outermost.as_fd(), ThreadNameSpaceType::USER)
            .map_err(Fault::plain("enter the container's user namespace"))?;
    }
    move_into_thread_name_spaces(target.as_fd(), ThreadNameSpaceType::MOUNT)
        .map_err(Fault::plain("enter the container's mount namespace"))?;
    Ok(settle_down()?)
}

/// Takes this process, which must have one thread, to the files of a container that has ended: its root folder, with the folders of the
/// machine that are mounted in it. Folders in memory ended with the container, and are empty.
///
/// Errors: the kernel refuses a mount.
pub fn visit_ended(step: &Step) -> Result<Visit, SandboxError> {
    sys::unshare(UnshareFlags::NEWNS).map_err(Fault::plain("make a mount namespace"))?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(Fault::plain("keep mounts apart"))?;
    let place = mounts::enter_files(step)?;
    settle_down()?;
    Ok(Visit { place })
}

/// What a visit to a container that has ended made there.
pub struct Visit {
    place: mounts::Place,
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Visit").finish_non_exhaustive()
    }
}

impl Visit {
    /// Ends the visit: what was made for mounts only is removed where it is still empty.
    pub fn end(self) {
        self.place.clean();
    }
}

/// Modes are given as they are meant.
fn settle_down() -> Result<(), Fault> {
    rustix::process::umask(Mode::empty());
    rustix::process::chdir("/").map_err(Fault::of("enter the root folder", "/"))
}
