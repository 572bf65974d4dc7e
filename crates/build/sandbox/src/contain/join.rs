//! Running a program in a container that is there.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{StartError, Streams};
use crate::child::{Report, USHER};
use crate::start::start_self;
use crate::wire::wire_struct;
use crate::{Isolation, Rights, SandboxError, Status, Ulimit, descriptor, wire};

/// A program to run in a container.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The container's rung.
    pub isolation: Isolation,
    /// Process id of the container's process 1, as this process counts it.
    pub process: u32,
    /// Folders of the container's control groups.
    pub groups: Vec<PathBuf>,
    /// The program and its arguments.
    pub arguments: Vec<OsString>,
    /// The whole environment. HOME is added, as that of the user, where it has none.
    pub environment: Vec<(OsString, OsString)>,
    /// The working folder inside.
    pub folder: PathBuf,
    /// `USER[:GROUP]`, names or numbers, looked up in the container's own files.
    pub user: String,
    /// What it may do.
    pub rights: Rights,
    /// Limits of each process.
    pub ulimits: Vec<Ulimit>,
}

/// What the usher is asked to do.
pub(crate) struct Errand {
    /// The process that asks.
    pub(crate) parent: i32,
    /// Whether the program gets a terminal.
    pub(crate) terminal: bool,
    pub(crate) joining: Joining,
}

wire_struct!(Joining { isolation, process, groups, arguments, environment, folder, user, rights, ulimits });
wire_struct!(Errand { parent, terminal, joining });

/// A program that runs in a container. Killed when this is dropped.
#[derive(Debug)]
pub struct Joined {
    usher: Child,
    control: UnixStream,
    /// Readable when the program has ended.
    pub handle: OwnedFd,
    /// The other end of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
}

/// Starts a program in a container. It does not outlive this process.
///
/// Errors: the container cannot be entered, or the program not be started.
pub fn join(joining: &Joining, streams: Streams) -> Result<Joined, StartError> {
    let failed = |action| move |source: std::io::Error| SandboxError::Process { action, source };
    let (control, theirs) = UnixStream::pair().map_err(failed("make a socket for"))?;
    let mut program = start_self(USHER);
    let terminal = matches!(streams, Streams::Terminal);
    // The socket takes the place of the input at first; the input comes through it.
    let (input, [output, errors]) = match streams {
        Streams::Apart { input, output, errors } => (input, [Stdio::from(output), Stdio::from(errors)]),
        Streams::Terminal => (None, [Stdio::null(), Stdio::null()]),
    };
    program.command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(output).stderr(errors);
    let usher = program.command.spawn().map_err(failed("start"))?;
    drop(program);
    let handle = Pid::from_raw(usher.id().cast_signed())
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .map_err(|error| failed("follow")(error.into()))?;
    let mut joined = Joined { usher, control, handle, terminal: None };
    let parent = rustix::process::getpid().as_raw_pid();
    let errand = Errand { parent, terminal, joining: joining.clone() };
    descriptor::send(&joined.control, input.as_ref()).map_err(|error| failed("speak to")(error.into()))?;
    wire::send(&mut &joined.control, &errand).map_err(failed("speak to"))?;
    if terminal {
        joined.terminal =
            descriptor::receive(&joined.control).map_err(|error| failed("listen to")(error.into()))?;
    }
    match wire::receive::<Said>(&mut &joined.control).map_err(failed("listen to"))? {
        Some(Said::Started) => Ok(joined),
        Some(Said::Refused(report)) => Err(StartError::of(report)),
        Some(Said::NoUser(reason)) => Err(StartError::User(reason)),
        Some(Said::Silent(status)) => Err(StartError::Silent(status)),
        None => Err(SandboxError::Lost { signal: None }.into()),
    }
}

/// What the usher says.
pub(crate) enum Said {
    /// The program runs.
    Started,
    /// It does not.
    Refused(Report),
    /// There is no such user.
    NoUser(String),
    /// The process ended before it became the program, and has not said why.
    Silent(Status),
}

wire::wire_enum!(Said { 0 => Started, 1 => Refused(report), 2 => NoUser(reason), 3 => Silent(status) });

impl Joined {
    /// Waits for its end.
    pub fn wait(&mut self) -> Result<Status, SandboxError> {
        let failed = |source| SandboxError::Process { action: "wait for", source };
        let status = self.usher.wait().map_err(failed)?;
        match wire::receive::<Status>(&mut &self.control).map_err(failed)? {
            Some(status) => Ok(status),
            None => {
                use std::os::unix::process::ExitStatusExt;
                Err(SandboxError::Lost { signal: status.signal() })
            }
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // It may have ended.
        let _ = self.usher.kill();
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.kill();
        let _ = self.usher.wait();
    }
}
