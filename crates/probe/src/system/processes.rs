//! Processes and signals.

use super::{STDIN, Timespec, call, call3, number, signed};

pub(crate) const SIGHUP: u8 = 1;
pub(crate) const SIGTERM: u8 = 15;
pub(crate) const SIGCHLD: u8 = 17;
pub(crate) const SIGCONT: u8 = 18;
pub(crate) const SIGSTOP: u8 = 19;
pub(crate) const SIGTSTP: u8 = 20;
pub(crate) const SIGTTIN: u8 = 21;
pub(crate) const SIGTTOU: u8 = 22;
/// The highest signal, the real-time ones included.
pub(crate) const SIGMAX: u8 = 64;

const SIGALRM: usize = 14;
const SA_RESTORER: usize = 0x0400_0000;
const ITIMER_REAL: usize = 0;
const SIG_SETMASK: usize = 2;
/// Bytes of a set of signals.
const SET: usize = 8;
const WNOHANG: usize = 1;
const CLONE_VFORK: usize = 0x4000;
const TIOCNOTTY: usize = 0x5422;
const TIOCSCTTY: usize = 0x540e;
const TIOCSPGRP: usize = 0x5410;
const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_CHILD_SUBREAPER: usize = 36;

/// Blocks all signals, or none.
pub(crate) fn block_signals(blocked: bool) {
    let set = if blocked { u64::MAX } else { 0 };
    // SAFETY: the kernel reads one set. It cannot fail with these arguments.
    unsafe { call(number::RT_SIGPROCMASK, [SIG_SETMASK, (&raw const set).addr(), 0, SET, 0]) };
}

/// Gives all signals their default meaning.
pub(crate) fn reset_signals() {
    // Handler, flags, restorer and mask: the default is all zeros.
    let action = [0_usize; 4];
    for signal in 1..SIGMAX + 1 {
        // SAFETY: the kernel reads the action. It refuses SIGKILL and SIGSTOP, which always have their default meaning.
        unsafe { call(number::RT_SIGACTION, [usize::from(signal), action.as_ptr().addr(), 0, SET, 0]) };
    }
}

/// From so many milliseconds on, ends whatever this process waits for in the kernel with EINTR, every few milliseconds.
pub(crate) fn interrupt_after(milliseconds: u64) {
    // Handler, flags, how to return from it, and mask. Without SA_RESTART, calls end when it returns.
    let action = [number::nothing as *const () as usize, SA_RESTORER, number::back as *const () as usize, 0];
    // Seconds and microseconds between two interruptions, and before the first.
    let times = [0, 10_000, milliseconds / 1000, milliseconds % 1000 * 1000];
    block_signals(false);
    // SAFETY: the kernel reads the action and the times. The handler does nothing, and returns as the kernel expects it.
    unsafe {
        call(number::RT_SIGACTION, [SIGALRM, action.as_ptr().addr(), 0, SET, 0]);
        call3(number::SETITIMER, ITIMER_REAL, times.as_ptr().addr(), 0);
    }
}

/// Waits for a signal, all of which are blocked; negative if the time, where there is one, was over first.
pub(crate) fn wait_for_signal(milliseconds: Option<u64>) -> isize {
    let set = u64::MAX;
    let timeout = milliseconds.map(Timespec::of_milliseconds);
    let timeout = timeout.as_ref().map_or(0, |timeout| core::ptr::from_ref(timeout).addr());
    // SAFETY: the kernel reads the set and the time.
    unsafe { call(number::RT_SIGTIMEDWAIT, [(&raw const set).addr(), 0, timeout, SET, 0]) }
}

/// Waits for a child that has ended, without waiting for one to end, and tells its exit code, which is 128 and the signal where a signal ended it.
/// Returns its process number, or 0 or less if there is none now.
pub(crate) fn reap(code: &mut u8) -> isize {
    let mut status = 0_i32;
    // SAFETY: the kernel writes the status. -1 means any child.
    let process = unsafe { call(number::WAIT4, [usize::MAX, (&raw mut status).addr(), WNOHANG, 0, 0]) };
    *code = match status & 0x7f {
        0 => status >> 8,
        signal => 128 + signal,
    } as u8;
    process
}

/// Starts a process that goes on from here, with 0, while this one stands still until that one has become another program or has ended.
pub(crate) fn fork() -> isize {
    // SAFETY: the memory is copied, not shared, and there is one thread: the child goes on with everything as it is here.
    unsafe { call3(number::CLONE, CLONE_VFORK | usize::from(SIGCHLD), 0, 0) }
}

/// Becomes another program; returns why that cannot be.
///
/// # Safety
///
/// `path` ends with a zero; `arguments` and `environment` are pointers to such texts, and end with a null.
pub(crate) unsafe fn execute(
    path: *const u8,
    arguments: *const *const u8,
    environment: *const *const u8,
) -> isize {
    // SAFETY: by the caller's promise.
    unsafe { call3(number::EXECVE, path.addr(), arguments.addr(), environment.addr()) }
}

/// Sends a signal to a process, or to a process group by its negative number.
pub(crate) fn kill(process: i32, signal: u8) -> isize {
    // SAFETY: it takes numbers.
    unsafe { call3(number::KILL, signed(process), usize::from(signal), 0) }
}

pub(crate) fn own_process() -> i32 {
    // SAFETY: it takes nothing and cannot fail.
    let process = unsafe { call3(number::GETPID, 0, 0, 0) };
    process as i32
}

/// The process that leads the session of this one.
pub(crate) fn session_leader() -> i32 {
    // SAFETY: it takes a number; 0 is this process, which exists.
    let process = unsafe { call3(number::GETSID, 0, 0, 0) };
    process as i32
}

pub(crate) fn new_session() -> isize {
    // SAFETY: it takes nothing.
    unsafe { call3(number::SETSID, 0, 0, 0) }
}

/// Makes this process the leader of a process group of its own.
pub(crate) fn new_process_group() -> isize {
    // SAFETY: it takes numbers; zeros are this process.
    unsafe { call3(number::SETPGID, 0, 0, 0) }
}

/// Gives up the controlling terminal, which is stdin.
pub(crate) fn leave_terminal() -> isize {
    // SAFETY: this request takes no argument.
    unsafe { call3(number::IOCTL, signed(STDIN), TIOCNOTTY, 0) }
}

/// Makes stdin the controlling terminal.
pub(crate) fn take_terminal() -> isize {
    // SAFETY: this request takes a number; 0 takes the terminal from nobody.
    unsafe { call3(number::IOCTL, signed(STDIN), TIOCSCTTY, 0) }
}

/// Makes a process group the one that the terminal, which is stdin, is for.
pub(crate) fn come_to_foreground(group: i32) -> isize {
    // SAFETY: the kernel reads one number.
    unsafe { call3(number::IOCTL, signed(STDIN), TIOCSPGRP, (&raw const group).addr()) }
}

/// Goes to the root folder, so that no other file system is kept in use.
pub(crate) fn go_to_root() {
    // SAFETY: the kernel reads the path. Where it cannot go, it stays.
    unsafe { call3(number::CHDIR, c"/".as_ptr().addr(), 0, 0) };
}

/// Asks for a signal when the parent ends.
pub(crate) fn signal_at_parents_death(signal: u8) -> isize {
    // SAFETY: it takes numbers.
    unsafe { call3(number::PRCTL, PR_SET_PDEATHSIG, usize::from(signal), 0) }
}

/// Asks to become the parent of orphans among its descendants.
pub(crate) fn become_subreaper() -> isize {
    // SAFETY: it takes numbers.
    unsafe { call3(number::PRCTL, PR_SET_CHILD_SUBREAPER, 1, 0) }
}
