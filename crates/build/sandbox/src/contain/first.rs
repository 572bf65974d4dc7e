//! Process 1 of a container, from the moment it is forked to the moment its program takes over.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::pty::OpenptFlags;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::UnshareFlags;

use super::{Streams, groups};
use crate::child::{Fault, Report, command, report};
use crate::{Isolation, Network, Step, descriptor, mounts, sys, wire};

/// Does the part of process 1. Returns an exit code only if it did not become the program.
pub(super) fn main(control: &UnixStream, step: &Step, streams: Streams) -> i32 {
    match prepare(control, step, streams) {
        Ok(start) => command::main(control, step, &start, None),
        Err(fault) => {
            report(control, &Report::Failed(fault));
            1
        }
    }
}

fn prepare(control: &UnixStream, step: &Step, streams: Streams) -> Result<command::Start, Fault> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Fault::plain("follow the parent process"))?;
    // Programs that join see this process before it is replaced.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Fault::plain("hide the process"))?;
    match wire::receive::<bool>(&mut &*control) {
        Ok(Some(true)) => {}
        // Whoever started this has changed their mind, or is gone.
        _ => sys::exit(1),
    }
    // By now it is in its control groups, which are the root of what it sees of them.
    let apart = sys::unshare(UnshareFlags::NEWCGROUP);
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(Fault::plain("keep mounts apart"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::system::sethostname(step.hostname.as_bytes()).map_err(Fault::plain("set the host name"))?;
    if step.network != Network::Host {
        sys::loopback_up().map_err(Fault::plain("switch the loopback interface on"))?;
        if let Some(address) = step.address {
            sys::loopback_address(address).map_err(Fault::plain("give the loopback interface an address"))?;
        }
    }
    let trees = if apart.is_ok() { groups::open() } else { Vec::new() };
    mounts::enter_root_with(step, |place| groups::mount(place, &trees))?;
    let is_terminal = matches!(streams, Streams::Terminal);
    connect(control, streams).map_err(Fault::plain("connect the streams"))?;
    if is_terminal {
        show_console()?;
    }
    if step.isolation == Isolation::SingleUser && step.user.uid != 0 {
        let process = open("/proc/self", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        become_somebody(&process.map_err(Fault::of("open", "/proc/self"))?, step)?;
    }
    let mut start = command::prepare_with(step, None)?;
    (start.terminal, start.follows) = (is_terminal, true);
    Ok(start)
}

/// Connects the standard streams.
fn connect(control: &UnixStream, streams: Streams) -> Result<(), Errno> {
    match streams {
        Streams::Apart { input, output, errors } => {
            match input {
                Some(input) => dup2_stdin(&input)?,
                None => dup2_stdin(nothing()?)?,
            }
            dup2_stdout(&output)?;
            dup2_stderr(&errors)
        }
        Streams::Terminal => {
            let (ours, theirs) = terminal()?;
            descriptor::send(control, Some(&ours))?;
            dup2_stdin(&theirs)?;
            dup2_stdout(&theirs)?;
            dup2_stderr(&theirs)
        }
    }
}

/// Shows the terminal, which is standard input by now, at /dev/console as well, where programs look that write to whoever sits before the
/// machine (OCI runtime-spec 1.2, config-linux.md, "Default Devices").
fn show_console() -> Result<(), Fault> {
    const CONSOLE: &str = "/dev/console";
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
    let show = || {
        let terminal = mounts::clone_of(rustix::stdio::stdin(), "")?;
        // Something to be mounted over. /dev may be a folder of somebody's own, in which it is there.
        match open(CONSOLE, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)) {
            Ok(_) | Err(Errno::NXIO) => {}
            Err(error) => return Err(error),
        }
        let over = open(CONSOLE, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        mounts::attach(terminal, over)
    };
    show().map_err(Fault::of("show the terminal at", CONSOLE))
}

/// A file that nothing can be read from.
pub(super) fn nothing() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// A new terminal in /dev/pts: the end of whoever looks at it, and the program's.
pub(super) fn terminal() -> Result<(OwnedFd, OwnedFd), Errno> {
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::unlockpt(&ours)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let theirs = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((ours, theirs))
}

/// Where there is a single id, it is the program's own that it sees as its: by a user namespace within the one that made all else, over
/// which the program has no power therefore.
pub(super) fn become_somebody(process: &OwnedFd, step: &Step) -> Result<(), Fault> {
    sys::unshare(UnshareFlags::NEWUSER).map_err(Fault::plain("make a user namespace"))?;
    for (name, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} 0 1\n", step.user.uid)),
        ("gid_map", format!("{} 0 1\n", step.user.gid)),
    ] {
        openat(process, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| rustix::io::write(&file, text.as_bytes()))
            .map_err(Fault::of("write", Path::new("/proc/self").join(name)))?;
    }
    Ok(())
}
