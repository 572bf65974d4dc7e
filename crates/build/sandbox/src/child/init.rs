//! The init: process 1 of the step's process namespace. Builds the root folder, starts the program, collects orphans, and when the
//! program has ended, ends whatever it left behind.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal, wait,
};

use super::supervisor::{Book, Supervisor};
use super::{Fault, Report, command, keeper, report};
use crate::{Isolation, MountKind, Network, Root, Status, Step, User, descriptor, mounts, owners, sys};

/// Does the init's part and returns its exit code.
pub(super) fn main(control: &UnixStream, keeper: &OwnedFd, step: &Step) -> i32 {
    match serve(control, keeper, step) {
        Ok(()) => 0,
        Err(fault) => {
            report(control, &Report::Failed(fault));
            1
        }
    }
}

fn serve(control: &UnixStream, keeper: &OwnedFd, step: &Step) -> Result<(), Fault> {
    follow(keeper)?;
    // What is mounted here must not show outside.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(Fault::plain("keep mounts apart"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::system::sethostname(step.hostname.as_bytes()).map_err(Fault::plain("set the host name"))?;
    if step.network != Network::Host {
        sys::loopback_up().map_err(Fault::plain("switch the loopback interface on"))?;
    }
    let supervision = Supervision::prepare(step)?;
    let place = mounts::enter_root(step)?;
    let start = command::prepare(step)?;
    let Some(child) = sys::fork().map_err(Fault::plain("start a process"))? else {
        sys::exit(command::main(control, step, &start, supervision.as_ref().map(|both| &both.ours)));
    };
    keeper::close_output();
    let (status, supervisor) = match supervision {
        None => (wait_for(child).map_err(Fault::plain("wait for the process"))?, None),
        Some(supervision) => supervision.wait_for(child)?,
    };
    end_all();
    place.clean();
    if let Some(supervisor) = supervisor {
        let all = supervisor.into_owners().map_err(Fault::plain("look through the files"))?;
        for (book, owners) in (0_u32..).zip(all) {
            report(control, &Report::Owners(book, owners.into_iter().collect()));
        }
    }
    let usage = sys::usage_of_children();
    let time = u64::try_from(usage.processor_time.as_nanos()).unwrap_or(u64::MAX);
    report(control, &Report::Ended(status, time, usage.peak_memory));
    Ok(())
}

/// What it takes to answer a step's calls.
struct Supervision {
    books: Vec<Book>,
    user: User,
    ended: OwnedFd,
    ours: UnixStream,
    theirs: UnixStream,
}

impl Supervision {
    /// Must be made before the step's root covers the folder that takes its changes, and the table of owners.
    fn prepare(step: &Step) -> Result<Option<Supervision>, Fault> {
        if step.isolation != Isolation::SingleUser {
            return Ok(None);
        }
        let path = match &step.root {
            Root::Overlay { upper, .. } => upper,
            Root::Folder(path) => path,
        };
        // By a mount of its own, above which nothing is: a step that may look into this process, as an insecure one may, finds no way
        // from there to the machine's files.
        let changes = mounts::clone_of(CWD, path)
            .and_then(|mount| mounts::restrict(&mount, mounts::Attributes::READ_ONLY, true).map(|()| mount))
            .map_err(Fault::of("open the folder", path))?;
        let table = |path: Option<&Path>| {
            let owners = path.map(owners::read_owners).transpose();
            Ok(owners.map_err(|error| Fault::of_file(&error))?.unwrap_or_default())
        };
        let owners = table(step.owners.as_deref())?;
        let mut books = vec![Book { target: "/".into(), changes: Some(changes), owners }];
        for mount in &step.mounts {
            let owners = match (&mount.kind, step.mount_owners.get(&mount.target)) {
                (MountKind::Content { uid, gid, .. }, _) => [("/".into(), (*uid, *gid))].into(),
                (_, path) => table(path.map(PathBuf::as_path))?,
            };
            books.push(Book { target: mount.target.clone(), changes: None, owners });
        }
        let ended = sys::signal_descriptor(&[libc::SIGCHLD]).map_err(Fault::plain("wait for signals"))?;
        let (theirs, ours) = UnixStream::pair().map_err(Fault::of_io("make a socket in", "/"))?;
        Ok(Some(Supervision { books, user: step.user.clone(), ended, ours, theirs }))
    }

    /// Answers the calls of the step's processes, and collects them, until the step's own ends.
    fn wait_for(self, child: Pid) -> Result<(Status, Option<Supervisor>), Fault> {
        let fault = |what: &'static str| Fault::plain(what);
        drop(self.ours);
        let listener =
            descriptor::receive(&self.theirs).map_err(fault("receive the filter of system calls"))?;
        let Some(listener) = listener else {
            // The process has ended before it had a filter, and has said why.
            return Ok((wait_for(child).map_err(fault("wait for the process"))?, None));
        };
        let mut supervisor =
            Supervisor::new(listener, self.books, &self.user).map_err(fault("answer system calls"))?;
        loop {
            if let Some(status) = command::collect(child).map_err(fault("wait for the process"))? {
                return Ok((status, Some(supervisor)));
            }
            supervisor.serve(&self.ended).map_err(fault("answer system calls"))?;
            sys::forget_signals(&self.ended);
        }
    }
}

/// Dies with the keeper, and cannot be looked into by the step, which runs under the same user.
fn follow(keeper: &OwnedFd) -> Result<(), Fault> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Fault::plain("follow the keeper"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Fault::plain("hide the init"))?;
    let mut gone = [PollFd::new(keeper, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut gone, Some(&now)).map_err(Fault::plain("follow the keeper"))?;
    if gone[0].revents().is_empty() { Ok(()) } else { sys::exit(1) }
}

/// Collects every process that ends, until the step's own does.
fn wait_for(child: Pid) -> Result<Status, Errno> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Ok(command::ended(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends all other processes of the namespace. The kernel holds forks off while it sends a signal to all, so none slips through.
fn end_all() {
    sys::kill_all_others();
    while !matches!(wait(WaitOptions::empty()), Err(Errno::CHILD)) {}
}
