//! The step's own process, from the moment it is forked to the moment its program takes over.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Access, FileType, Gid, MemfdFlags, Mode, OFlags, SeekFrom, Uid};
use rustix::io::Errno;
use rustix::process::{
    Pid, Rlimit, Signal, WaitOptions, WaitStatus, set_parent_process_death_signal, setrlimit, setsid, wait,
};
use rustix::stdio::dup2_stdin;
use rustix::stdio::{stderr, stdout};
use rustix::thread::{
    CapabilitySet, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::supervisor;
use super::{Fault, Report, cannot_start, report};
use crate::{
    Filter, FilterProgram, Isolation, Status, Step, Ulimit, capabilities, descriptor, foreign, seccomp, sys,
};

/// Where a program is looked for when the environment has no PATH, as runc does.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What can be made ready before the fork.
pub(crate) struct Start {
    input: Option<OwnedFd>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    filter: Option<FilterProgram>,
    /// Whether its input is a terminal that it is to control.
    pub(crate) terminal: bool,
    /// The process that it must not outlive, once it is who it will be: a change of ids would make the kernel forget an earlier wish.
    pub(crate) follows: bool,
}

/// Makes ready what does not depend on the new process.
pub(crate) fn prepare(step: &Step) -> Result<Start, Fault> {
    let input = input(step.input.as_deref()).map_err(Fault::plain("make the input"))?;
    prepare_with(step, Some(input))
}

/// The same for a process that keeps the input that it has, or gets this one.
pub(crate) fn prepare_with(step: &Step, input: Option<OwnedFd>) -> Result<Start, Fault> {
    let fault = |what: &'static str| Fault::plain(what);
    let strings =
        |texts: &[OsString]| texts.iter().map(sys::c_string).collect::<Result<Vec<CString>, Errno>>();
    let assignments: Vec<OsString> = step
        .environment
        .iter()
        .map(|(name, value)| OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect();
    Ok(Start {
        input,
        arguments: strings(&step.arguments).map_err(fault("pass the arguments"))?,
        environment: strings(&assignments).map_err(fault("pass the environment"))?,
        filter: match &step.rights.filter {
            _ if step.insecure => None,
            Filter::None => None,
            Filter::Default => Some(seccomp::default_profile(step.rights.capabilities)),
            Filter::Profile(program) => Some(program.clone()),
        },
        terminal: false,
        follows: false,
    })
}

/// A file with the input in it; the empty device without.
fn input(bytes: Option<&[u8]>) -> Result<OwnedFd, Errno> {
    let Some(mut bytes) = bytes else {
        return rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    };
    let file = rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?;
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, bytes))?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

/// Becomes the program. Returns an exit code only if that failed, which it has reported.
pub(crate) fn main(control: &UnixStream, step: &Step, start: &Start, supervisor: Option<&UnixStream>) -> i32 {
    if let Err(fault) = become_user(step, start, supervisor) {
        report(control, &Report::Failed(fault));
        return 1;
    }
    let Some(program) = step.arguments.first() else {
        report(control, &Report::Failed(Fault::plain("find a program to run")(Errno::INVAL)));
        return 1;
    };
    let refused = |error| {
        let (code, reason) = cannot_start(program, error);
        report(control, &Report::NotStarted(code, reason));
        code
    };
    let path = match find(step, program) {
        Ok(path) => path,
        Err(error) => return refused(error),
    };
    // The last of all, so that a filter need let nothing through but execve. If that fails, it may let nobody tell why: whoever waits for
    // this process sees that it ended before it began.
    if let Err(fault) = filter_calls(step, start) {
        report(control, &Report::Failed(fault));
        return 1;
    }
    let error = sys::execute(&path, &start.arguments, &start.environment);
    if matches!(error, Errno::NOEXEC | Errno::NOENT)
        && let Some((platform, emulator)) =
            foreign::platform_of(Path::new(OsStr::from_bytes(path.as_bytes())))
    {
        // A file that is there and yet not found: what was not found is the emulator.
        let registered = error == Errno::NOENT;
        report(control, &Report::Foreign(platform.to_owned(), emulator.to_owned(), registered));
        return 126;
    }
    refused(error)
}

/// The same, after a change of the root folder, for a step without namespaces.
pub(crate) fn main_in(control: &UnixStream, step: &Step, start: &Start, root: &Path) -> i32 {
    // A killed keeper leaves at least this process none to go on for.
    let entered = set_parent_process_death_signal(Some(Signal::KILL)).and_then(|()| {
        if step.isolation == Isolation::Chroot { rustix::process::chroot(root) } else { Ok(()) }
    });
    if let Err(error) = entered {
        report(control, &Report::Failed(Fault::new("enter the root folder", root, error)));
        return 1;
    }
    main(control, step, start, None)
}

fn become_user(step: &Step, start: &Start, supervisor: Option<&UnixStream>) -> Result<(), Fault> {
    let fault = |what: &'static str| Fault::plain(what);
    setsid().map_err(fault("start a session"))?;
    if let Some(input) = &start.input {
        dup2_stdin(input.as_fd()).map_err(fault("connect the input"))?;
    }
    if start.terminal {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(fault("take the terminal"))?;
    }
    own_output(step);
    for ulimit in &step.limits.ulimits {
        limit(ulimit).map_err(Fault::plain(&format!("set the limit {}", ulimit.name)))?;
    }
    sys::close_on_exec_from(3).map_err(fault("close files"))?;
    sys::reset_signals();
    if !step.insecure {
        capabilities::keep(step.rights.set()).map_err(fault("give capabilities up"))?;
    }
    supervised(supervisor).map_err(fault("hand system calls to the init"))?;
    take_ids(step, start).map_err(fault("become the user"))?;
    if start.follows {
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(fault("follow the parent process"))?;
    }
    if step.rights.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(fault("forgo new privileges"))?;
    }
    rustix::process::chdir(&step.folder).map_err(Fault::of("enter the working folder", &step.folder))
}

fn filter_calls(step: &Step, start: &Start) -> Result<(), Fault> {
    let Some(filter) = &start.filter else { return Ok(()) };
    match sys::install_filter(&filter.instructions, filter.flags) {
        // Without namespaces it may not: then the filter of the container around holds.
        Err(Errno::ACCESS) if step.rights.filter == Filter::Default && !step.isolation.has_namespaces() => {
            Ok(())
        }
        answer => answer.map_err(Fault::plain("filter system calls")),
    }
}

/// Lets the init answer what a single user may not do.
fn supervised(init: Option<&UnixStream>) -> Result<(), Errno> {
    let Some(init) = init else { return Ok(()) };
    let listener = sys::install_supervised(&supervisor::filter())?;
    descriptor::send(init, Some(&listener))
}

/// /dev/stdout can be opened again by whoever the step runs as.
fn own_output(step: &Step) {
    let owner = Some(Uid::from_raw(step.user.uid));
    for stream in [stdout(), stderr()] {
        // Where it is refused, writing to the descriptor itself still works.
        let _ = rustix::fs::fchown(stream, owner, None);
    }
}

fn limit(ulimit: &Ulimit) -> Result<(), Errno> {
    let resource = ulimit.resource().ok_or(Errno::INVAL)?;
    let bounded = |value: u64| (value != u64::MAX).then_some(value);
    setrlimit(resource, Rlimit { current: bounded(ulimit.soft), maximum: bounded(ulimit.hard) })
}

fn take_ids(step: &Step, start: &Start) -> Result<(), Errno> {
    if step.isolation == Isolation::SingleUser {
        // There is one user and one group, and the kernel lets nobody change that.
        return Ok(());
    }
    let groups: Vec<Gid> = step.user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    let (uid, gid) = (Uid::from_raw(step.user.uid), Gid::from_raw(step.user.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    // Whoever neither is root nor forgoes new privileges needs a right to filter itself. No program that takes over inherits it.
    let keeps_right = start.filter.is_some() && step.user.uid != 0 && !step.rights.no_new_privileges;
    if keeps_right {
        set_keep_capabilities(true)?;
    }
    set_thread_res_uid(uid, uid, uid)?;
    if keeps_right { capabilities::retain(CapabilitySet::SYS_ADMIN) } else { Ok(()) }
}

/// The file of a program, which is looked for as execvp(3) does.
fn find(step: &Step, program: &OsStr) -> Result<CString, Errno> {
    if program.is_empty() {
        return Err(Errno::NOENT);
    }
    if program.as_bytes().contains(&b'/') {
        return executable(Path::new(program));
    }
    let path =
        step.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut worst = Errno::NOENT;
    for folder in std::env::split_paths(path) {
        // An empty part is the working folder.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
        match executable(&folder.join(program)) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            // Something is there that must not be run: worth more than that the other folders have none.
            Err(Errno::ACCESS) => worst = Errno::ACCESS,
            answer => return answer,
        }
    }
    Err(worst)
}

/// A path, if this process may run what is there.
fn executable(path: &Path) -> Result<CString, Errno> {
    let path = sys::c_string(path)?;
    rustix::fs::access(&path, Access::EXEC_OK)?;
    match FileType::from_raw_mode(rustix::fs::stat(&path)?.st_mode) {
        FileType::Directory => Err(Errno::ACCESS),
        _ => Ok(path),
    }
}

/// Collects the processes that have ended; tells how the step's own did, if it has.
pub(crate) fn collect(child: Pid) -> Result<Option<Status>, Errno> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => return Ok(Some(ended(status))),
            Ok(None) => return Ok(None),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// How a process ended.
pub(crate) fn ended(status: WaitStatus) -> Status {
    match status.terminating_signal() {
        Some(signal) => Status::Signalled(signal),
        None => Status::Exited(status.exit_status().unwrap_or(1)),
    }
}
