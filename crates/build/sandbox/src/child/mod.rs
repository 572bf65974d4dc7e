//! What this program does when it was started as a part of a sandbox.
//!
//! It is told by the name it is started under, which is no path and which nobody types. The description of the work comes over its
//! standard input, a socket, and what becomes of it goes back the same way.

pub(crate) mod command;
mod init;
pub(crate) mod keeper;
mod supervisor;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::wire::{wire_enum, wire_struct};
use crate::{SandboxError, Status, Step, sys};

/// The name under which the keeper of a step is started.
pub(crate) const KEEPER: &str = "longshore: sandbox";
/// The name under which the usher of a program that joins a container is started.
pub(crate) const USHER: &str = "longshore: usher";
/// The name under which a rung is tried.
pub(crate) const TRIAL: &str = "longshore: sandbox trial";
/// The name under which the entrance of a user namespace is started.
pub(crate) const ENTRANCE: &str = "longshore: entrance";

/// First statement of `main`: if this process was started as a part of a sandbox, does its part and never returns.
///
/// Otherwise it looks at the name of the process and returns. It must come before any thread is started.
pub fn enter_if_child() {
    let Some(name) = std::env::args_os().next() else { return };
    let code = match name.to_str() {
        Some(KEEPER) => keeper::main(),
        Some(USHER) => crate::contain::usher(),
        Some(ENTRANCE) => crate::inside::enter(),
        Some(TRIAL) => crate::survey::child(),
        _ => return,
    };
    sys::exit(code)
}

/// What the keeper is asked to do.
pub(crate) struct Order {
    /// The process that asks, which the keeper must not outlive.
    pub(crate) parent: i32,
    /// The step.
    pub(crate) step: Step,
}

/// What comes back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The sandbox could not be built.
    Failed(Fault),
    /// The program could not be started: the exit code that a shell would give, and why.
    NotStarted(i32, String),
    /// The program is for another machine: its platform, the emulator that it takes, and whether one is registered.
    Foreign(String, String, bool),
    /// The program ended: how, and what it used: nanoseconds of processor time, bytes of memory.
    Ended(Status, u64, u64),
    /// The owners of the files of the root folder, or of a mount by its number from 1 on, by path; root's are left out.
    Owners(u32, Vec<(PathBuf, (u32, u32))>),
    /// The keeper's init was killed, by this signal.
    Lost(i32),
}

/// Something that the kernel refused while the sandbox was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    action: String,
    path: Option<PathBuf>,
    error: i32,
}

wire_struct!(Order { parent, step });
wire_enum!(Report {
    0 => Failed(fault),
    1 => NotStarted(code, reason),
    2 => Ended(status, time, memory),
    3 => Lost(signal),
    4 => Owners(book, owners),
    5 => Foreign(platform, emulator, registered),
});
wire_struct!(Fault { action, path, error });

impl Fault {
    pub(crate) fn new(action: &str, path: impl AsRef<Path>, error: Errno) -> Fault {
        Fault { action: action.to_owned(), path: Some(path.as_ref().to_owned()), error: error.raw_os_error() }
    }

    /// A fault that concerns no path.
    pub(crate) fn plain(action: &str) -> impl FnOnce(Errno) -> Fault {
        move |error| Fault { action: action.to_owned(), path: None, error: error.raw_os_error() }
    }

    /// An adapter for `map_err`.
    pub(crate) fn of(action: &str, path: impl AsRef<Path>) -> impl FnOnce(Errno) -> Fault {
        move |error| Fault::new(action, path, error)
    }

    /// The same for errors of std.
    pub(crate) fn of_io(action: &str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Fault {
        move |error| Fault::new(action, path, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// The same for an operation on files.
    pub(crate) fn of_file(error: &longshore_files::FileError) -> Fault {
        let number = Errno::from_io_error(&error.source).unwrap_or(Errno::IO);
        Fault::new(error.action, &error.path, number)
    }

    /// The number of the error.
    pub(crate) fn error(&self) -> Errno {
        Errno::from_raw_os_error(self.error)
    }
}

impl From<Fault> for SandboxError {
    fn from(fault: Fault) -> SandboxError {
        let source = io::Error::from_raw_os_error(fault.error);
        SandboxError::Setup { action: fault.action, path: fault.path, source }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot {}", self.action)?;
        if let Some(path) = &self.path {
            write!(formatter, " {}", path.display())?;
        }
        write!(formatter, ": {}", self.error())
    }
}

/// Sends a report. If nobody is left to hear it, the process is about to be ended anyway.
pub(crate) fn report(to: &UnixStream, message: &Report) {
    let mut to = to;
    let _ = crate::wire::send(&mut to, message);
}

/// What a shell says about a program that cannot be started.
fn cannot_start(program: &OsStr, error: Errno) -> (i32, String) {
    let code = if error == Errno::NOENT || error == Errno::NOTDIR { 127 } else { 126 };
    (code, format!("cannot run {}: {error}", Path::new(program).display()))
}
