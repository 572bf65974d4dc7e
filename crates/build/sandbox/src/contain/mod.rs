//! Containers: a program that is process 1 of its own namespaces, and programs that join them later.
//!
//! A step has a keeper and an init of ours above it, since its result is wanted and its processes must end with whoever asked. A
//! container is what its image says, so its program is process 1 itself, as under other engines; who watches over it is the process
//! that calls [`contain`], a child of whom it is. That process must have one thread; it is started for it, by [`crate::start_self`].
//!
//! Joining needs the same, so [`join`] starts this program anew: the *usher* enters the container's namespaces and starts the program
//! there, and ends as it ended. Whoever wants a container's files and no program goes there by [`visit_running`] or [`visit_ended`].

mod error;
mod exit;
mod first;
mod groups;
mod join;
mod usher;
mod visit;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub use error::StartError;
pub use exit::Exit;
pub use join::{Joined, Joining, join};
pub(crate) use usher::main as usher;
pub use visit::{Visit, visit_ended, visit_running};

use crate::cgroup::Group;
use crate::child::{Fault, Report};
use crate::{Network, SandboxError, Step, descriptor, sys, wire};

/// Where a contained program's input comes from and its output goes to.
#[derive(Debug)]
pub enum Streams {
    /// Three streams of their own.
    Apart {
        /// Standard input; nothing to be read without.
        input: Option<OwnedFd>,
        /// Standard output.
        output: OwnedFd,
        /// Standard error output.
        errors: OwnedFd,
    },
    /// A new terminal of the container's, whose other end [`Contained::release`] returns.
    Terminal,
}

/// A container's process 1 that waits for its release.
#[derive(Debug)]
pub struct Contained {
    process: Pid,
    handle: OwnedFd,
    control: UnixStream,
    group: Group,
    terminal: bool,
    namespaces: Vec<OwnedFd>,
}

/// Starts process 1 of a container in namespaces of its own. It does nothing before [`Contained::release`], so that its network can be
/// made ready; dropped before that, it ends.
///
/// Errors: the process has threads, the kernel refuses a namespace, or a limit cannot be set.
pub fn contain(step: &Step, streams: Streams) -> Result<Contained, SandboxError> {
    let failed = |action| move |source: std::io::Error| SandboxError::Process { action, source };
    if !sys::is_single_threaded() {
        let source = std::io::Error::other("the process has threads");
        return Err(SandboxError::Process { action: "fork", source });
    }
    if !step.isolation.has_namespaces() {
        let what = "keep a container apart: it has no namespaces".to_owned();
        return Err(SandboxError::Refused { isolation: step.isolation, what });
    }
    // Moving a process into a group waits for all processors (some milliseconds), so it is done for a reason only.
    let group = if step.limits.need_group() { Group::make(&step.limits)? } else { Group::none() };
    let (control, theirs) = UnixStream::pair().map_err(failed("make a socket for"))?;
    let mut namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if step.network != Network::Host {
        namespaces |= libc::CLONE_NEWNET;
    }
    let terminal = matches!(streams, Streams::Terminal);
    let Some(process) = sys::fork_into(namespaces.unsigned_abs()).map_err(Fault::plain("make namespaces"))?
    else {
        drop(control);
        sys::exit(first::main(&theirs, step, streams));
    };
    drop(theirs);
    let handle = pidfd_open(process, PidfdFlags::empty()).map_err(Fault::plain("follow the process"))?;
    let namespaces = kept_namespaces(process);
    let contained = Contained { process, handle, control, group, terminal, namespaces };
    contained.group.take_in(process.as_raw_pid().unsigned_abs())?;
    Ok(contained)
}

/// Makes this process small that will only wait from here on: the pages of the program's code that it took to get so far are let go.
pub fn settle() {
    sys::forget_code();
}

/// Sends a signal, by its number, real-time ones included, to a process. One that is gone needs none.
///
/// Errors: there is no such signal, or this process may not.
pub fn send_signal(process: u32, signal: i32) -> Result<(), SandboxError> {
    let pid = Pid::from_raw(process.cast_signed()).ok_or(rustix::io::Errno::SRCH);
    let sent = pid
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .and_then(|handle| sys::send(&handle, signal));
    match sent {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(SandboxError::Process { action: "send a signal to", source: error.into() }),
    }
}

/// The namespaces that take long to end: mounts and network. Held by nobody else, they would end with the process, and its end would
/// be told after that.
fn kept_namespaces(process: Pid) -> Vec<OwnedFd> {
    let opened = |name: &&str| {
        let path = format!("/proc/{}/ns/{name}", process.as_raw_pid());
        rustix::fs::open(
            path,
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .ok()
    };
    ["mnt", "net"].iter().filter_map(opened).collect()
}

/// A container's process 1, whose program runs.
#[derive(Debug)]
pub struct Running {
    /// Process id, as this process counts it.
    pub process: u32,
    /// Readable when it has ended.
    pub handle: OwnedFd,
    /// The other end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    group: Group,
    /// What the kernel takes apart when this is dropped, rather than before it tells that the process has ended.
    _namespaces: Vec<OwnedFd>,
}

impl Contained {
    /// Process id, as this process counts it.
    pub fn process(&self) -> u32 {
        self.process.as_raw_pid().unsigned_abs()
    }

    /// Folders of its control groups.
    pub fn groups(&self) -> &[std::path::PathBuf] {
        self.group.folders()
    }

    /// Lets it build its root folder and become its program. Returns when it has, or has not.
    ///
    /// Errors: the root folder could not be built, or the program not started; then the process is gone.
    pub fn release(self) -> Result<Running, StartError> {
        let spoken = |source: std::io::Error| {
            StartError::Sandbox(SandboxError::Process { action: "speak to", source })
        };
        let error = match self.begin(spoken) {
            Ok(terminal) if self.has_begun() => {
                let Contained { process, handle, group, namespaces, .. } = self;
                let process = process.as_raw_pid().unsigned_abs();
                return Ok(Running { process, handle, terminal, group, _namespaces: namespaces });
            }
            Ok(_) => None,
            Err(error) => Some(error),
        };
        // It may have ended by itself; it must be collected in any case.
        let _ = rustix::process::kill_process(self.process, rustix::process::Signal::KILL);
        let status = exit::collect(self.process);
        let out_of_memory = self.group.exceeded().memory;
        Err(match (error, status) {
            (None | Some(StartError::Sandbox(SandboxError::Lost { .. })), _) if out_of_memory => {
                SandboxError::Memory.into()
            }
            (Some(error), _) => error,
            (None, Ok(status)) => StartError::Silent(status),
            (None, Err(_)) => SandboxError::Lost { signal: None }.into(),
        })
    }

    fn has_begun(&self) -> bool {
        exit::has_begun(rustix::fs::CWD, &format!("/proc/{}/stat", self.process.as_raw_pid()))
    }

    fn begin(&self, spoken: impl Fn(std::io::Error) -> StartError) -> Result<Option<OwnedFd>, StartError> {
        wire::send(&mut &self.control, &true).map_err(&spoken)?;
        let terminal = if self.terminal {
            descriptor::receive(&self.control).map_err(|error| spoken(error.into()))?
        } else {
            None
        };
        // The socket closes by itself when the program takes over.
        let mut heard = None;
        while let Some(report) = wire::receive::<Report>(&mut &self.control).map_err(&spoken)? {
            heard.get_or_insert(report);
        }
        match heard {
            Some(report) => Err(StartError::of(report)),
            None => Ok(terminal),
        }
    }
}

impl Running {
    /// Collects it after its end, which is waited for. Tells how it ended, and which limits were run into.
    ///
    /// Errors: it was collected by somebody else.
    pub fn collect(&self) -> Result<Exit, SandboxError> {
        let pid = Pid::from_raw(self.process.cast_signed());
        let status = pid.map_or(Err(rustix::io::Errno::CHILD), exit::collect);
        let status =
            status.map_err(|error| SandboxError::Process { action: "wait for", source: error.into() })?;
        Ok(Exit { status, exceeded: self.group.exceeded() })
    }

    /// Folders of its control groups.
    pub fn groups(&self) -> &[std::path::PathBuf] {
        self.group.folders()
    }
}
