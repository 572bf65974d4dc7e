//! The process at the entrance of a user namespace.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, Signal, getegid, geteuid, getppid, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Errand, INSIDE, Next, Said};
use crate::child::Fault;
use crate::{Isolation, descriptor, survey, sys, wire};

/// Exit code for when nobody is left to hear why.
const NOBODY: i32 = 70;

/// Does the part of the process at the entrance; returns only if it does not become the program.
pub(crate) fn main() -> i32 {
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return NOBODY };
    let Ok(input) = descriptor::receive(&control) else { return NOBODY };
    let Ok(Some(errand)) = wire::receive::<Errand>(&mut &control) else { return NOBODY };
    let said = match go_in(&control, &errand) {
        Err(fault) => Said::Refused(fault),
        Ok(false) => return NOBODY,
        Ok(true) => match errand.next {
            Next::Trial => survey::namespaces().map_or_else(Said::Refused, |()| Said::Allowed),
            Next::Program(isolation, name) => Said::Refused(become_program(isolation, &name, input.as_ref())),
        },
    };
    let _ = wire::send(&mut &control, &said);
    1
}

/// Enters the namespace and becomes root there. `false` when whoever asked is gone.
fn go_in(control: &UnixStream, errand: &Errand) -> Result<bool, Fault> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Fault::plain("follow the parent process"))?;
    if getppid().map_or(0, Pid::as_raw_pid) != errand.parent {
        return Ok(false);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    sys::unshare(UnshareFlags::NEWUSER).map_err(Fault::plain("make a user namespace"))?;
    if errand.single {
        map_oneself(uid, gid)?;
    }
    if wire::send(&mut &*control, &Said::Entered).is_err() {
        return Ok(false);
    }
    if !matches!(wire::receive::<bool>(&mut &*control), Ok(Some(true))) {
        return Ok(false);
    }
    become_root(errand.single).map_err(Fault::plain("become root in the user namespace"))?;
    sys::unshare(UnshareFlags::NEWNS).map_err(Fault::plain("make a mount namespace"))?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(Fault::plain("keep mounts apart"))?;
    Ok(true)
}

/// The one map that everybody may write.
fn map_oneself(uid: u32, gid: u32) -> Result<(), Fault> {
    let texts = [
        // Without this, whoever is kept out by a group could leave it and get in.
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1\n")),
        ("/proc/self/gid_map", format!("0 {gid} 1\n")),
    ];
    for (path, text) in texts {
        super::write_whole(path, &text).map_err(Fault::of_io("write", path))?;
    }
    Ok(())
}

fn become_root(single: bool) -> Result<(), Errno> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    if !single {
        set_thread_groups(&[])?;
    }
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Becomes the program. Returns why it could not.
fn become_program(isolation: Isolation, name: &str, input: Option<&OwnedFd>) -> Fault {
    let fault = Fault::of("start", "/proc/self/exe");
    let joined =
        |name: &OsStr, value: &OsStr| OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat());
    let kept = std::env::vars_os().filter(|(name, _)| name != INSIDE);
    let environment: Vec<OsString> = kept
        .map(|(name, value)| joined(&name, &value))
        .chain([joined(INSIDE.as_ref(), isolation.name().as_ref())])
        .collect();
    let arguments: Vec<OsString> =
        [OsString::from(name)].into_iter().chain(std::env::args_os().skip(1)).collect();
    let strings =
        |texts: &[OsString]| texts.iter().map(sys::c_string).collect::<Result<Vec<CString>, Errno>>();
    let go = || -> Result<Errno, Errno> {
        match input {
            Some(input) => rustix::stdio::dup2_stdin(input)?,
            None => sys::close(0),
        }
        Ok(sys::execute(&sys::c_string("/proc/self/exe")?, &strings(&arguments)?, &strings(&environment)?))
    };
    let (Ok(error) | Err(error)) = go();
    fault(error)
}
