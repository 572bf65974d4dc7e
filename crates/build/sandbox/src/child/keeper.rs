//! The keeper: stands outside of the step's process namespace, and ends the init, and so everything inside, when it is asked to.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getppid, kill_process, set_parent_process_death_signal, waitpid,
};
use rustix::stdio::{stderr, stdout};
use rustix::thread::UnshareFlags;

use super::{Fault, Order, Report, init, report};
use crate::{Network, Step, plain, sys, wire};

/// Exit code for when even the order could not be read.
const NO_ORDER: i32 = 70;

/// Does the keeper's part and returns its exit code.
pub(super) fn main() -> i32 {
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return NO_ORDER;
    };
    let Ok(Some(order)) = wire::receive::<Order>(&mut &control) else { return NO_ORDER };
    match keep(&control, &order) {
        Ok(code) => code,
        Err(fault) => {
            report(&control, &Report::Failed(fault));
            1
        }
    }
}

fn keep(control: &UnixStream, order: &Order) -> Result<i32, Fault> {
    if !order.step.isolation.has_namespaces() {
        // It must live on to clean up when its parent dies, which it sees by the socket.
        return plain::keep(control, &order.step).map(|()| 0);
    }
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Fault::plain("follow the parent process"))?;
    // It may have died before it could be followed.
    if getppid().map_or(0, Pid::as_raw_pid) != order.parent {
        return Ok(1);
    }
    enter_namespaces(&order.step)?;
    // Nobody writes to it: its other end shows to the init that the keeper is gone.
    let (life, alive) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(Fault::plain("make a pipe"))?;
    let Some(child) = sys::fork().map_err(Fault::plain("start the init"))? else {
        drop(alive);
        sys::exit(init::main(control, &life, &order.step));
    };
    drop(life);
    let status = watch(control, child).map_err(Fault::plain("wait for the init"))?;
    drop(alive);
    match status.terminating_signal() {
        Some(signal) => {
            report(control, &Report::Lost(signal));
            Ok(1)
        }
        None => Ok(status.exit_status().unwrap_or(1)),
    }
}

fn enter_namespaces(step: &Step) -> Result<(), Fault> {
    let mut namespaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if step.network != Network::Host {
        namespaces |= UnshareFlags::NEWNET;
    }
    sys::unshare(namespaces).map_err(Fault::plain("make namespaces"))
}

/// Waits for the init, and ends it as soon as whoever gave the order hangs up.
fn watch(control: &UnixStream, child: Pid) -> Result<WaitStatus, rustix::io::Errno> {
    let ended: OwnedFd = rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty())?;
    close_output();
    loop {
        let mut waits = [PollFd::new(control, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        match poll(&mut waits, None) {
            Err(rustix::io::Errno::INTR) => continue,
            answer => answer?,
        };
        if !waits[0].revents().is_empty() {
            // It may have ended by itself in the meantime.
            let _ = kill_process(child, Signal::KILL);
            break;
        }
        if !waits[1].revents().is_empty() {
            break;
        }
    }
    // Waiting for a process that is the init of a namespace takes until all processes in it are gone.
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) | Ok(None) => {}
            Ok(Some((_, status))) => return Ok(status),
            Err(error) => return Err(error),
        }
    }
}

/// Lets go of the step's output, so that its end is seen when the last of the step's processes is gone.
pub(crate) fn close_output() {
    sys::close(stdout().as_raw_fd());
    sys::close(stderr().as_raw_fd());
}
