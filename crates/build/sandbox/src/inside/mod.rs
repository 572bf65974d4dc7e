//! Going on inside a user namespace.
//!
//! Without root, the whole of longshore has to be root of a user namespace: it unpacks layers with their owners, and what it writes must
//! be readable to it afterwards. A process with threads cannot enter one, so this program is started anew; the new process enters,
//! lets its parent write the maps of ids, and starts the program once more, now as root inside, with the arguments and streams of the
//! first. user_namespaces(7) says which maps are allowed to whom.

mod entrance;
mod maps;

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

pub(crate) use entrance::main as enter;
pub(crate) use maps::{Maps, write_whole};

use crate::child::{ENTRANCE, Fault};
use crate::wire::{self, wire_enum, wire_struct};
use crate::{Isolation, SandboxError, descriptor, sys};

/// Tells a process that it is inside, and on which rung. Only [`continue_inside`] sets it.
const INSIDE: &str = "LONGSHORE_INSIDE";

/// What the process at the entrance is asked to do.
pub(crate) struct Errand {
    /// The process that asks, which it must not outlive.
    parent: i32,
    /// Whether it maps its own one id; else its parent writes the maps.
    single: bool,
    /// What comes next.
    next: Next,
}

pub(crate) enum Next {
    /// The program anew under a name, told that it is on this rung.
    Program(Isolation, String),
    /// A trial of what is allowed inside.
    Trial,
}

/// What the process at the entrance says.
pub(crate) enum Said {
    /// It is in its namespace and waits for the maps.
    Entered,
    /// The kernel refused something.
    Refused(Fault),
    /// All that was tried is allowed.
    Allowed,
}

wire_struct!(Errand { parent, single, next });
wire_enum!(Next { 0 => Program(isolation, name), 1 => Trial });
wire_enum!(Said { 0 => Entered, 1 => Refused(fault), 2 => Allowed });

/// The rung that this process is inside of, if [`continue_inside`] started it.
pub fn inside() -> Option<Isolation> {
    // The variable alone is enough: whoever sets it by hand gets what the kernel refuses, and no more.
    std::env::var_os(INSIDE)?.to_str()?.parse().ok()
}

/// Goes on inside: starts this program anew in a user namespace where it is root, with these arguments (without the program's name),
/// passes signals on to it, and returns its exit code, 128 and the number for a signal.
///
/// The new process has this one's input, outputs, folder and environment, and does not outlive it. Works from any thread, but the
/// thread must live until this returns.
///
/// Errors: the rung is none that is inside, or the kernel refuses it.
pub fn continue_inside(isolation: Isolation, arguments: &[OsString]) -> Result<i32, SandboxError> {
    let maps = maps_of(isolation)?;
    let input = std::io::stdin().as_fd().try_clone_to_owned().ok();
    let (mut child, control) = start(arguments, Stdio::inherit(), input.as_ref())?;
    let forwarding = sys::Forwarding::to(child.id().cast_signed());
    let entered = become_program(&child, &control, &maps, Next::Program(isolation, "longshore".to_owned()));
    if entered.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|source| SandboxError::Process { action: "wait for", source })?;
    drop(forwarding);
    entered?;
    Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1))
}

/// Starts this program anew in a user namespace where it is root, under a name by which it knows what it is for, with `input` as its
/// standard input and no output. It does not outlive the thread that calls this, and is collected by whoever has what is returned.
///
/// Errors: the rung is none that is inside, or the kernel refuses it.
pub fn start_inside(isolation: Isolation, name: &str, input: &OwnedFd) -> Result<Child, SandboxError> {
    let maps = maps_of(isolation)?;
    let (mut child, control) = start(&[], Stdio::null(), Some(input))?;
    match become_program(&child, &control, &maps, Next::Program(isolation, name.to_owned())) {
        Ok(()) => Ok(child),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Which ids a rung has.
fn maps_of(isolation: Isolation) -> Result<Maps, SandboxError> {
    let refused = |what| SandboxError::Refused { isolation, what: format!("be entered: {what}") };
    match isolation {
        Isolation::UserNamespace => Maps::subordinate().map_err(refused),
        Isolation::SingleUser => Ok(Maps::Single),
        _ => Err(refused("it has no user namespace".to_owned())),
    }
}

/// Lets the process at the entrance in. Returns when it has become the program.
fn become_program(child: &Child, control: &UnixStream, maps: &Maps, next: Next) -> Result<(), SandboxError> {
    open_door(child, control, maps, next)?;
    // It says nothing more, unless the program could not be started.
    match hear(control)? {
        None => Ok(()),
        Some(Said::Refused(fault)) => Err(fault.into()),
        Some(_) => Err(SandboxError::Lost { signal: None }),
    }
}

/// Enters a user namespace for a trial of what is allowed there.
pub(crate) fn try_inside(maps: &Maps) -> Result<(), SandboxError> {
    let (mut child, control) = start(&[], Stdio::null(), None)?;
    let answer = open_door(&child, &control, maps, Next::Trial).and_then(|()| match hear(&control)? {
        Some(Said::Allowed) => Ok(()),
        Some(Said::Refused(fault)) => Err(fault.into()),
        Some(Said::Entered) | None => Err(SandboxError::Lost { signal: None }),
    });
    if answer.is_err() {
        let _ = child.kill();
    }
    child.wait().map_err(|source| SandboxError::Process { action: "wait for", source })?;
    answer
}

/// Starts the process at the entrance. Its standard input is the socket; the real one, if it is to have one, comes through it.
fn start(
    arguments: &[OsString],
    output: Stdio,
    input: Option<&OwnedFd>,
) -> Result<(Child, UnixStream), SandboxError> {
    let failed = |action| move |source| SandboxError::Process { action, source };
    let (control, theirs) = UnixStream::pair().map_err(failed("make a socket for"))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(ENTRANCE).args(arguments).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(output);
    let mut child = command.spawn().map_err(failed("start"))?;
    let sent = descriptor::send(&control, input);
    if let Err(error) = sent {
        let _ = child.kill();
        let _ = child.wait();
        return Err(SandboxError::Process { action: "give its input to", source: error.into() });
    }
    Ok((child, control))
}

/// Sends the errand, waits until the process has entered, and writes its maps.
fn open_door(child: &Child, control: &UnixStream, maps: &Maps, next: Next) -> Result<(), SandboxError> {
    let parent = rustix::process::getpid().as_raw_pid();
    say(control, &Errand { parent, single: *maps == Maps::Single, next })?;
    match hear(control)? {
        Some(Said::Entered) => {}
        Some(Said::Refused(fault)) => return Err(fault.into()),
        Some(Said::Allowed) | None => return Err(SandboxError::Lost { signal: None }),
    }
    maps.write(child.id())?;
    say(control, &true)
}

fn say(control: &UnixStream, message: &impl wire::Wire) -> Result<(), SandboxError> {
    wire::send(&mut &*control, message).map_err(|source| SandboxError::Process { action: "speak to", source })
}

fn hear(control: &UnixStream) -> Result<Option<Said>, SandboxError> {
    wire::receive(&mut &*control).map_err(|source| SandboxError::Process { action: "listen to", source })
}
