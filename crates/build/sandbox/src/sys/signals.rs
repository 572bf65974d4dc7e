//! Signals: given their default meaning, waited for by a descriptor, passed on to a child.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::io::Errno;

use super::check;

/// Gives signals their default meaning again and lets all through: what a program expects when it is started.
pub(crate) fn reset_signals() {
    // SAFETY: a default disposition runs no code of ours, and an empty set is valid after sigemptyset.
    unsafe {
        // Numbers that may not be changed, or that libc keeps for itself, are refused, which is as well.
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Blocks signals and returns a descriptor that becomes readable when one of them arrives.
pub(crate) fn signal_descriptor(signals: &[i32]) -> Result<OwnedFd, Errno> {
    // SAFETY: the set is initialised by sigemptyset, and the new descriptor is owned by nobody else.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(descriptor.into())?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Sends a signal, by its number, real-time ones included, to the process of a handle (pidfd_send_signal(2)).
pub(crate) fn send(process: &OwnedFd, signal: i32) -> Result<(), Errno> {
    // SAFETY: without information of the caller's own, the call takes numbers only.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// The process that signals are passed on to; 0 is none.
static FORWARDED_TO: AtomicI32 = AtomicI32::new(0);

/// Signals that a person or a supervisor sends to the process they know.
const FORWARDED: [i32; 7] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// Passes signals on to a child as long as it lives.
///
/// What the terminal sends goes to every process of its foreground group, the child among them; that is not passed on, or the child
/// would get it twice.
pub(crate) struct Forwarding(Vec<(i32, libc::sigaction)>);

impl Forwarding {
    /// Starts passing signals on.
    pub(crate) fn to(child: i32) -> Forwarding {
        FORWARDED_TO.store(child, Ordering::SeqCst);
        let mut before = Vec::with_capacity(FORWARDED.len());
        for signal in FORWARDED {
            // SAFETY: zeroed actions are valid; the handler only does what is allowed in one.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = forward as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
                libc::sigemptyset(&raw mut action.sa_mask);
                let mut old: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, &raw const action, &raw mut old) == 0 {
                    before.push((signal, old));
                }
            }
        }
        Forwarding(before)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        FORWARDED_TO.store(0, Ordering::SeqCst);
        for (signal, action) in &self.0 {
            // SAFETY: the action is what sigaction returned for the same signal.
            unsafe { libc::sigaction(*signal, &raw const *action, std::ptr::null_mut()) };
        }
    }
}

/// Takes a number, a pointer to where it came from, and passes it on if a process sent it.
extern "C" fn forward(signal: i32, from: *const libc::siginfo_t, _: *const libc::c_void) {
    // SAFETY: the kernel gives a valid pointer to handlers with SA_SIGINFO; kill may be called in handlers, and errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        let child = FORWARDED_TO.load(Ordering::SeqCst);
        // Codes of signals from processes are 0 or less (sigaction(2)); the kernel's own are above.
        if child > 0 && (*from).si_code <= 0 {
            libc::kill(child, signal);
        }
        *libc::__errno_location() = errno;
    }
}

/// Takes the signals that have arrived at a descriptor out of it.
pub(crate) fn forget_signals(descriptor: &OwnedFd) {
    let mut buffer = [0; 1024];
    while matches!(rustix::io::read(descriptor, &mut buffer), Ok(count) if count > 0) {}
}
