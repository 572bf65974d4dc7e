//! The usher: enters a container's namespaces, starts a program there, and tells how it ended.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, getppid, pidfd_open, set_dumpable_behavior,
    set_parent_process_death_signal,
};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::join::{Errand, Joining, Said};
use super::{exit, first};
use crate::child::{Fault, Report, command, report};
use crate::{Isolation, Limits, Network, Root, Step, User, descriptor, process_identity, sys, wire};

/// Largest /etc/passwd or /etc/group that is read.
const MAX_USERS: u64 = 4 << 20;

/// Exit code for when nobody is left to hear why.
const NOBODY: i32 = 70;

/// Does the usher's part and returns its exit code.
pub(crate) fn main() -> i32 {
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return NOBODY;
    };
    let Ok(input) = descriptor::receive(&control) else { return NOBODY };
    let Ok(Some(errand)) = wire::receive::<Errand>(&mut &control) else { return NOBODY };
    let said = match lead(&control, &errand, input) {
        Ok(code) => return code,
        Err(said) => said,
    };
    // If nobody hears it, there is nobody to be told.
    let _ = wire::send(&mut &control, &said);
    1
}

fn lead(control: &UnixStream, errand: &Errand, input: Option<OwnedFd>) -> Result<i32, Said> {
    let refused = |fault| Said::Refused(Report::Failed(fault));
    let process = own_process().map_err(refused)?;
    enter(errand).map_err(refused)?;
    let step = step(&errand.joining)?;
    become_other(&process, &step).map_err(refused)?;
    // The program's first moments, in which it is still this one, are seen by the container's processes; until here nothing was.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Fault::plain("hide the process"))
        .map_err(refused)?;
    let (heard, theirs) =
        UnixStream::pair().map_err(Fault::of_io("make a socket in", "/")).map_err(refused)?;
    let child = sys::fork().map_err(Fault::plain("start a process")).map_err(refused)?;
    let Some(child) = child else {
        drop((heard, process));
        sys::exit(become_program(control, &theirs, (errand, &step), input));
    };
    drop((theirs, input));
    // It closes by itself when the program takes over.
    let failure = wire::receive::<Report>(&mut &heard).unwrap_or(None);
    if let Some(failure) = failure {
        let _ = exit::collect(child);
        return Err(Said::Refused(failure));
    }
    if !exit::has_begun(&process, &format!("../{}/stat", child.as_raw_pid())) {
        let status = exit::collect(child).map_err(Fault::plain("wait for the process")).map_err(refused)?;
        return Err(Said::Silent(status));
    }
    // Whoever asked may hang up; the program runs on until they end.
    let _ = wire::send(&mut &*control, &Said::Started);
    let status = exit::collect(child).map_err(Fault::plain("wait for the process")).map_err(refused)?;
    let _ = wire::send(&mut &*control, &status);
    Ok(0)
}

/// Enters the container's groups and namespaces.
fn enter(errand: &Errand) -> Result<(), Fault> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Fault::plain("follow the parent process"))?;
    if getppid().map_or(0, Pid::as_raw_pid) != errand.parent {
        sys::exit(NOBODY);
    }
    let joining = &errand.joining;
    let gone = Fault::plain("find the container's process");
    let process = Pid::from_raw(joining.process.cast_signed()).ok_or(Errno::SRCH).map_err(gone)?;
    let target =
        pidfd_open(process, PidfdFlags::empty()).map_err(Fault::plain("find the container's process"))?;
    let mut users = user_namespaces(joining.process)?;
    for folder in &joining.groups {
        let file = folder.join("cgroup.procs");
        let written = crate::inside::write_whole(&file, &std::process::id().to_string());
        written.map_err(Fault::of_io("enter the control group", folder))?;
    }
    let fault = || Fault::plain("enter the container's namespaces");
    // The outermost owns all others; those within it are the program's alone.
    if let Some(outermost) = users.pop() {
        move_into_thread_name_spaces(outermost.as_fd(), ThreadNameSpaceType::USER).map_err(fault())?;
    }
    let all = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP
        | ThreadNameSpaceType::NETWORK;
    move_into_thread_name_spaces(target.as_fd(), all).map_err(fault())?;
    while let Some(inner) = users.pop() {
        move_into_thread_name_spaces(inner.as_fd(), ThreadNameSpaceType::USER).map_err(fault())?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir("/").map_err(Fault::of("enter the root folder", "/"))
}

/// What the kernel tells of this process, and is told: the container's /proc does not know it.
fn own_process() -> Result<OwnedFd, Fault> {
    let path = "/proc/self";
    open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Fault::of("open", path))
}

/// The user namespaces that the process is in and this one is not, the innermost first.
pub(super) fn user_namespaces(process: u32) -> Result<Vec<OwnedFd>, Fault> {
    let path = PathBuf::from(format!("/proc/{process}/ns/user"));
    let opened = |path: &Path| {
        open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(Fault::of("open the namespace", path))
    };
    let own = opened(Path::new("/proc/self/ns/user"))?;
    let inode = |namespace: &OwnedFd| {
        fstat(namespace).map(|stat| stat.st_ino).map_err(Fault::of("look at the namespace", &path))
    };
    let here = inode(&own)?;
    let mut found = Vec::new();
    let mut next = opened(&path)?;
    while inode(&next)? != here {
        let parent = sys::parent_namespace(&next);
        found.push(next);
        match parent {
            Ok(parent) => next = parent,
            // Above is what this process may not see: it is in another branch, and will be refused.
            Err(_) => break,
        }
    }
    Ok(found)
}

/// What the program is, as a step without a root folder to be built.
fn step(joining: &Joining) -> Result<Step, Said> {
    let users = ["/etc/passwd", "/etc/group"].map(read_small);
    let identity = process_identity(&joining.user, &users[0], &users[1])
        .map_err(|unknown| Said::NoUser(unknown.to_string()))?;
    let mut environment = joining.environment.clone();
    if !environment.iter().any(|(name, _)| name == "HOME") {
        let home = identity.home.filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned());
        environment.push(("HOME".into(), home.into()));
    }
    Ok(Step {
        isolation: joining.isolation,
        root: Root::Folder("/".into()),
        mounts: Vec::new(),
        arguments: joining.arguments.clone(),
        environment,
        folder: joining.folder.clone(),
        user: User { uid: identity.uid, gid: identity.gid, groups: identity.groups },
        hostname: String::new(),
        network: Network::Host,
        address: None,
        insecure: false,
        rights: joining.rights.clone(),
        read_only: false,
        hosts: Vec::new(),
        limits: Limits { ulimits: joining.ulimits.clone(), ..Limits::default() },
        input: None,
        owners: None,
        mount_owners: std::collections::BTreeMap::new(),
    })
}

/// A small file of the container's; nothing where there is none. Something else that has its name is not waited for.
fn read_small(path: &str) -> Vec<u8> {
    use std::io::Read;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = open(path, flags, Mode::empty()) else { return Vec::new() };
    let is_file =
        fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let mut bytes = Vec::new();
    if is_file && std::fs::File::from(file).take(MAX_USERS).read_to_end(&mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

/// Becomes the program. Returns an exit code only if that failed, which it has reported.
fn become_program(
    control: &UnixStream,
    reports: &UnixStream,
    (errand, step): (&Errand, &Step),
    input: Option<OwnedFd>,
) -> i32 {
    let started = set_parent_process_death_signal(Some(Signal::KILL))
        .and_then(|()| connect(control, errand.terminal, input))
        .map_err(Fault::plain("connect the streams"))
        .and_then(|()| command::prepare_with(step, None));
    match started {
        Ok(mut start) => {
            (start.terminal, start.follows) = (errand.terminal, true);
            command::main(reports, step, &start, None)
        }
        Err(fault) => {
            report(reports, &Report::Failed(fault));
            1
        }
    }
}

/// Where there is a single id, root's becomes that of the program's user; any other is the container's for good.
fn become_other(process: &OwnedFd, step: &Step) -> Result<(), Fault> {
    let own = rustix::process::geteuid().as_raw();
    if step.isolation != Isolation::SingleUser || step.user.uid == own {
        return Ok(());
    }
    if own != 0 {
        let action = format!("become user {}: the container has a single user, {own}", step.user.uid);
        return Err(Fault::plain(&action)(Errno::PERM));
    }
    first::become_somebody(process, step)
}

fn connect(control: &UnixStream, terminal: bool, input: Option<OwnedFd>) -> Result<(), Errno> {
    if terminal {
        let (ours, theirs) = first::terminal()?;
        descriptor::send(control, Some(&ours))?;
        dup2_stdin(&theirs)?;
        dup2_stdout(&theirs)?;
        return dup2_stderr(&theirs);
    }
    match input {
        Some(input) => dup2_stdin(&input),
        None => dup2_stdin(first::nothing()?),
    }
}
