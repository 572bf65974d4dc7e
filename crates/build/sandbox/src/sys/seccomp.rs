//! Installing filters of system calls, and answering the calls that a filter asks about (seccomp_unotify(2)).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;
use crate::wire::wire_struct;

/// One instruction of a filter program: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    /// What to do.
    pub(crate) operation: u16,
    /// How many instructions to skip when a condition holds.
    pub(crate) yes: u8,
    /// How many when it does not.
    pub(crate) no: u8,
    /// The operand.
    pub(crate) value: u32,
}

wire_struct!(Instruction { operation, yes, no, value });

/// Installs a filter for this process and all that come of it, with flags of seccomp(2).
pub(crate) fn install_filter(program: &[Instruction], flags: u32) -> Result<(), Errno> {
    install(program, flags.into()).map(drop)
}

/// Once a call was received, only signals that end the process interrupt it: what was done for it is done once (Linux 5.19).
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
/// Whoever is asked runs at once, on the processor of the asker, which waits anyway (Linux 6.6).
const SYNC_WAKE_UP: libc::c_ulong = 1;
/// `_IOW('!', 4, u64)`: SECCOMP_IOCTL_NOTIF_SET_FLAGS.
const SET_FLAGS: u64 = 0x4008_2104;
/// `_IOW('!', 3, struct seccomp_notif_addfd)`: SECCOMP_IOCTL_NOTIF_ADDFD.
const ADD_DESCRIPTOR: u64 = 0x4018_2103;
/// The new descriptor is the answer, in one step (Linux 5.14).
const SEND: u32 = 1 << 1;

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

/// Installs a filter, and returns the descriptor by which the calls it asks about are received and answered.
pub(crate) fn install_supervised(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let descriptor = match install(program, listen | WAIT_KILLABLE) {
        Err(Errno::INVAL) => install(program, listen),
        answer => answer,
    }?;
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just made it for us. The request takes a number; a kernel that does not know it is only slower.
    unsafe {
        libc::ioctl(descriptor, SET_FLAGS as libc::Ioctl, SYNC_WAKE_UP);
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

fn install(program: &[Instruction], flags: libc::c_ulong) -> Result<libc::c_long, Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the program lives through the call, has the length that is told, and its instructions have the layout of sock_filter.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })
}

/// A call that a filter asks about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    id: u64,
    /// The process that makes it, as the asker sees it.
    pub(crate) process: u32,
    /// `AUDIT_ARCH_*` of the machine.
    pub(crate) machine: u32,
    /// The number of the call.
    pub(crate) number: i32,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What becomes of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is made after all.
    Proceed,
    /// It returns this without being made.
    Return(i64),
    /// It returns 0 without being made.
    Pretend,
    /// It was answered already.
    Answered,
    /// It fails.
    Fail(Errno),
}

/// Receives the next question. ENOENT if whoever asked is gone already.
pub(crate) fn receive_question(listener: &OwnedFd) -> Result<Question, Errno> {
    // SAFETY: a zeroed structure is valid, and the kernel demands one.
    unsafe {
        let mut question: libc::seccomp_notif = std::mem::zeroed();
        let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
        check(libc::ioctl(listener.as_raw_fd(), request, &raw mut question).into())?;
        Ok(Question {
            id: question.id,
            process: question.pid,
            machine: question.data.arch,
            number: question.data.nr,
            arguments: question.data.args,
        })
    }
}

/// Whether whoever asked still waits: what was read of its memory before is then its own, not that of a process that got its number.
pub(crate) fn still_waits(listener: &OwnedFd, question: &Question) -> bool {
    let request = libc::SECCOMP_IOCTL_NOTIF_ID_VALID;
    // SAFETY: the number lives through the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw const question.id) == 0 }
}

/// Answers a question. An asker that is gone needs no answer.
pub(crate) fn answer_question(listener: &OwnedFd, question: &Question, answer: Answer) -> Result<(), Errno> {
    let (val, error, flags) = match answer {
        Answer::Proceed => (0, 0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(1)),
        Answer::Return(value) => (value, 0, 0),
        Answer::Pretend => (0, 0, 0),
        Answer::Fail(error) => (0, -error.raw_os_error(), 0),
        Answer::Answered => return Ok(()),
    };
    let response = libc::seccomp_notif_resp { id: question.id, val, error, flags };
    let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
    // SAFETY: the structure lives through the call.
    match check(unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw const response) }.into()) {
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Answers a question with a descriptor of ours, under whatever number is free there.
pub(crate) fn answer_with_descriptor(
    listener: &OwnedFd,
    question: &Question,
    descriptor: &OwnedFd,
    close_on_exec: bool,
) -> Result<Answer, Errno> {
    let target_flags = if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 };
    let source = descriptor.as_raw_fd().cast_unsigned();
    let request = AddDescriptor { id: question.id, flags: SEND, source, target: 0, target_flags };
    // SAFETY: the structure has the kernel's layout and lives through the call.
    let answer =
        unsafe { libc::ioctl(listener.as_raw_fd(), ADD_DESCRIPTOR as libc::Ioctl, &raw const request) };
    check(answer.into()).map(|_| Answer::Answered)
}

/// Writes memory of another process: all of it, or an error.
pub(crate) fn write_memory(process: u32, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    let process = i32::try_from(process).map_err(|_| Errno::SRCH)?;
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the local piece is only read; the remote one is the other process's, and checked by the kernel.
    let count =
        check(unsafe { libc::process_vm_writev(process, &raw const local, 1, &raw const remote, 1, 0) }
            as libc::c_long)?;
    if usize::try_from(count) == Ok(bytes.len()) { Ok(()) } else { Err(Errno::FAULT) }
}

/// Reads memory of another process; as much of it as is there.
pub(crate) fn read_memory(process: u32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let process = i32::try_from(process).map_err(|_| Errno::SRCH)?;
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the local piece is the buffer; the remote address is only looked at by the kernel, in the other process.
    let count =
        check(unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) }
            as libc::c_long)?;
    usize::try_from(count).map_err(|_| Errno::FAULT)
}
