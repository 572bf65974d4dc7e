//! System calls that neither std nor rustix offer in a safe form. Each is wrapped so that its callers need no care.

mod nodes;
mod seccomp;
mod signals;

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

pub(crate) use nodes::{file_handle, stat_as_kernel, statx_as_kernel};
pub(crate) use seccomp::{
    Answer, Instruction, Question, answer_question, answer_with_descriptor, install_filter,
    install_supervised, read_memory, receive_question, still_waits, write_memory,
};
pub(crate) use signals::{Forwarding, forget_signals, reset_signals, send, signal_descriptor};

/// What a system call answered, as an error where it is one.
fn check(answer: libc::c_long) -> Result<libc::c_long, Errno> {
    if answer < 0 { Err(last_error()) } else { Ok(answer) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Ends the process at once, without running destructors that belong to the process it was forked from.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: it takes a number, and returns only where a filter refuses it. Then an instruction that is none ends the process: the C
    // library would try for ever.
    unsafe {
        libc::syscall(libc::SYS_exit_group, code);
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("ud2", options(noreturn));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("udf #0", options(noreturn));
    }
}

/// Forks. `None` in the child.
///
/// Only for processes that were started to be part of a sandbox: they have one thread, so that the child may do anything.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the process has one thread, so no lock can be held by a thread that the child lacks.
    let answer = unsafe { libc::fork() };
    check(answer.into())?;
    Ok(Pid::from_raw(answer))
}

/// Forks into new namespaces (`CLONE_NEW*`), of whose processes the child is the first. `None` in the child.
///
/// Under the same condition as [`fork`]. What the C library does around a fork is left out: the child must not start threads.
pub(crate) fn fork_into(namespaces: u32) -> Result<Option<Pid>, Errno> {
    let flags = u64::from(namespaces) | u64::from(libc::SIGCHLD.unsigned_abs());
    // SAFETY: without a stack of its own the child goes on with a copy of this one, as after a fork; the process has one thread. The order
    // of the arguments differs by machine only in those that are null.
    let answer = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    let pid = i32::try_from(check(answer)?).map_err(|_| Errno::OVERFLOW)?;
    Ok(Pid::from_raw(pid))
}

/// The user namespace that another one was made in (ioctl_ns(2)).
pub(crate) fn parent_namespace(namespace: &OwnedFd) -> Result<OwnedFd, Errno> {
    /// `_IO(0xb7, 0x2)`: NS_GET_PARENT.
    const GET_PARENT: u64 = 0xb702;
    // SAFETY: it takes no argument, and the descriptor that it returns is owned by nobody else.
    unsafe {
        let answer = libc::ioctl(namespace.as_raw_fd(), GET_PARENT as libc::Ioctl);
        check(answer.into())?;
        Ok(OwnedFd::from_raw_fd(answer))
    }
}

/// Whether the process has one thread, as [`fork`] needs it.
pub(crate) fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Replaces the program. Returns only if that failed.
pub(crate) fn execute(path: &CString, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end in a null pointer and point to strings that end in a null byte and outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_error()
}

/// A string as system calls take it; EINVAL if there is a null byte in it.
pub(crate) fn c_string(text: impl AsRef<OsStr>) -> Result<CString, Errno> {
    CString::new(text.as_ref().as_bytes()).map_err(|_| Errno::INVAL)
}

/// Marks all descriptors from `first` on to be closed when the program is replaced.
pub(crate) fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: it takes numbers only, and closes nothing now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Adds attributes to a mount, and to those below it if `recursive`: read-only, no devices, and the like.
pub(crate) fn restrict_mount(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends in a null byte, and the structure lives through the call and has the size that is told.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(answer).map(drop)
}

/// What the processes that were waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time in user and kernel mode.
    pub(crate) processor_time: Duration,
    /// Largest resident set of one of them, in bytes.
    pub(crate) peak_memory: u64,
}

/// What the children that were waited for, and theirs, have used.
pub(crate) fn usage_of_children() -> Usage {
    // SAFETY: a zeroed rusage is valid, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.unsigned_abs())
            + Duration::from_micros(u64::try_from(value.tv_usec).unwrap_or(0))
    };
    Usage {
        processor_time: time(usage.ru_utime) + time(usage.ru_stime),
        // The kernel counts in KiB.
        peak_memory: usage.ru_maxrss.unsigned_abs() * 1024,
    }
}

/// `IFF_UP`, as the request holds it.
const UP: libc::c_short = 1;

/// Switches the loopback interface of the present network namespace on.
pub(crate) fn loopback_up() -> Result<(), Errno> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: a zeroed request is valid; it lives through the call and is of the kind that SIOCSIFFLAGS takes.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = (*from).cast_signed();
        }
        request.ifr_ifru.ifru_flags = UP;
        check(libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request).into())
            .map(drop)
    }
}

/// Gives the loopback interface an IPv4 address beside 127.0.0.1, by an alias of it (netdevice(7)).
pub(crate) fn loopback_address(address: u32) -> Result<(), Errno> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: zeroed requests and addresses are valid; the request lives through the calls and is of the kind that both take, and an
    // address of this family has the layout of sockaddr_in.
    unsafe {
        for (request_code, number) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, u32::MAX)] {
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(b"lo:1") {
                *to = (*from).cast_signed();
            }
            let place = (&raw mut request.ifr_ifru).cast::<libc::sockaddr_in>();
            (*place).sin_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default();
            (*place).sin_addr.s_addr = number.to_be();
            check(libc::ioctl(socket.as_fd().as_raw_fd(), request_code, &raw const request).into())?;
        }
    }
    Ok(())
}

/// Enters new namespaces. The process must have one thread.
pub(crate) fn unshare(namespaces: rustix::thread::UnshareFlags) -> Result<(), Errno> {
    // SAFETY: with one thread, nobody else relies on what the threads of a process share.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// Lets go of the pages of the program's code that were used so far; those that are needed again come from the file, as before.
///
/// For processes that wait for long: what they took to start is most of what they hold.
pub(crate) fn forget_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    for line in maps.lines() {
        // proc_pid_maps(5): code is never written, so the file has all of it.
        let mut fields = line.split_whitespace();
        let (Some(range), Some("r-xp")) = (fields.next(), fields.next()) else { continue };
        if !program.to_str().is_some_and(|program| line.ends_with(program)) {
            continue;
        }
        let Some((begin, end)) = range.split_once('-') else { continue };
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let (Some(begin), Some(end)) = (address(begin), address(end)) else { continue };
        // SAFETY: the range is a mapping of this process that nobody can have written to, of a file that stays mapped: reading it
        // afterwards reads the file again.
        unsafe { libc::madvise(begin as *mut libc::c_void, end - begin, libc::MADV_DONTNEED) };
    }
}

/// Closes a descriptor by its number, such as a standard stream, which nothing in this process uses any more.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: callers name standard streams, which no owned descriptor of ours stands for.
    unsafe { libc::close(descriptor) };
}

/// Kills every process that this one may, but itself: for the init of a process namespace, all in it.
pub(crate) fn kill_all_others() {
    // SAFETY: it takes numbers only. In any other process but an init it would be a disaster, so that is checked.
    unsafe {
        if libc::getpid() == 1 {
            libc::kill(-1, libc::SIGKILL);
        }
    }
}
