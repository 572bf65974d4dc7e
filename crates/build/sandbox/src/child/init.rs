//! The init: process 1 of the step's process namespace. Builds the root folder, starts the program, collects orphans, and when the
//! program has ended, ends whatever it left behind.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal, wait,
};

use super::{Fault, Report, command, keeper, report};
use crate::{Network, Status, Step, mounts, sys};

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
    let place = mounts::enter_root(step)?;
    let start = command::prepare(step)?;
    let Some(child) = sys::fork().map_err(Fault::plain("start a process"))? else {
        sys::exit(command::main(control, step, &start));
    };
    keeper::close_output();
    let status = wait_for(child).map_err(Fault::plain("wait for the process"))?;
    end_all();
    place.clean();
    let usage = sys::usage_of_children();
    let time = u64::try_from(usage.processor_time.as_nanos()).unwrap_or(u64::MAX);
    report(control, &Report::Ended(status, time, usage.peak_memory));
    Ok(())
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
            Ok(Some((pid, status))) if pid == child => {
                return Ok(match status.terminating_signal() {
                    Some(signal) => Status::Signalled(signal),
                    None => Status::Exited(status.exit_status().unwrap_or(1)),
                });
            }
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
