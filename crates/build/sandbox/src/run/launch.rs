//! Starting this very program as a keeper.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use crate::SandboxError;
use crate::cgroup::Group;
use crate::child::{KEEPER, Order};
use crate::start::start_self;
use crate::wire;

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
    let mut program = start_self(KEEPER);
    let keeper = program
        .command
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
