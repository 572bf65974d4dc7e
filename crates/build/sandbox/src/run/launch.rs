//! Starting this very program as a keeper.

use std::io::{self, PipeReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::SandboxError;
use crate::cgroup::Group;
use crate::child::{KEEPER, Order};
use crate::mounts::{Attributes, clone_of, restrict};
use crate::wire;

/// This program, whatever became of its file.
const SELF: &str = "/proc/self/exe";

/// A keeper at work.
pub(super) struct Launched {
    pub(super) keeper: Child,
    pub(super) control: UnixStream,
    pub(super) stdout: PipeReader,
    pub(super) stderr: PipeReader,
}

/// Starts a keeper in the step's control group, and gives it its order.
pub(super) fn launch(order: &Order, group: &Group) -> Result<Launched, SandboxError> {
    let failed = |action| move |source: io::Error| SandboxError::Process { action, source };
    let (control, theirs) = UnixStream::pair().map_err(failed("make a socket for"))?;
    let (stdout, stdout_end) = io::pipe().map_err(failed("make a pipe for"))?;
    let (stderr, stderr_end) = io::pipe().map_err(failed("make a pipe for"))?;
    let program = unwritable_self();
    let path = program
        .as_ref()
        .map_or_else(|| SELF.to_owned(), |file| format!("/proc/self/fd/{}", file.as_raw_fd()));
    let keeper = Command::new(path)
        .arg0(KEEPER)
        .env_clear()
        .current_dir(Path::new("/"))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(stdout_end))
        .stderr(Stdio::from(stderr_end))
        .spawn()
        .map_err(failed("start"))?;
    let launched = Launched { keeper, control, stdout, stderr };
    // It has started no other process yet: it waits for its order.
    let given = group
        .take_in(launched.keeper.id())
        .and_then(|()| wire::send(&mut &launched.control, order).map_err(failed("give its order to")));
    match given {
        Ok(()) => Ok(launched),
        Err(error) => {
            let Launched { mut keeper, .. } = launched;
            let _ = keeper.kill();
            let _ = keeper.wait();
            Err(error)
        }
    }
}

/// This program seen through a read-only mount, so that a step that starts `/proc/self/exe`, and so gets hold of our file, cannot
/// write to it (CVE-2019-5736 was that, in runc). Without the right to mount there is none, and no step that is root outside either.
fn unwritable_self() -> Option<OwnedFd> {
    let file = clone_of(rustix::fs::CWD, SELF).ok()?;
    restrict(&file, Attributes::READ_ONLY, false).ok()?;
    Some(file)
}
