//! System calls, without a C library between: the only file, beside the start and the arguments, that is unsafe.

#[cfg(target_arch = "aarch64")]
#[path = "system/aarch64.rs"]
mod architecture;
#[cfg(target_arch = "x86_64")]
#[path = "system/x86_64.rs"]
mod architecture;
mod processes;

use architecture as number;

use number::{call, call3};
pub(crate) use processes::*;

pub(crate) const STDIN: i32 = 0;
pub(crate) const STDOUT: i32 = 1;
pub(crate) const STDERR: i32 = 2;

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;
const SOCK_STREAM: usize = 1;
const SOCK_CLOEXEC: usize = 0o2_000_000;
const MSG_NOSIGNAL: usize = 0x4000;
const CLOCK_MONOTONIC: usize = 1;

/// A time as the kernel takes it.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl Timespec {
    fn of_milliseconds(milliseconds: u64) -> Timespec {
        // Times are at most a year.
        Timespec {
            seconds: (milliseconds / 1000) as i64,
            nanoseconds: (milliseconds % 1000 * 1_000_000) as i64,
        }
    }
}

/// A number that may be negative, as the kernel takes it.
fn signed(value: i32) -> usize {
    (value as isize).cast_unsigned()
}

/// Writes to a stream of the process, at once; who does not read it does not want to know.
pub(crate) fn write(descriptor: i32, bytes: &[u8]) {
    // SAFETY: the kernel reads the slice.
    unsafe { call3(number::WRITE, signed(descriptor), bytes.as_ptr().addr(), bytes.len()) };
}

/// Ends the process. In a test it panics with the code instead, for [`exit_of`].
pub(crate) fn exit(code: i32) -> ! {
    #[cfg(test)]
    std::panic::panic_any(code);
    #[cfg(not(test))]
    loop {
        // SAFETY: it takes a number and does not return.
        unsafe { call3(number::EXIT_GROUP, signed(code), 0, 0) };
    }
}

/// Milliseconds since some moment in the past.
pub(crate) fn now() -> u64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the kernel writes the time. This clock always exists.
    unsafe { call3(number::CLOCK_GETTIME, CLOCK_MONOTONIC, (&raw mut time).addr(), 0) };
    time.seconds.cast_unsigned() * 1000 + time.nanoseconds.cast_unsigned() / 1_000_000
}

/// A TCP socket for an address as the kernel takes it, which begins with its family.
pub(crate) fn socket(address: &[u8]) -> isize {
    let family = address.first().copied().unwrap_or_default();
    // SAFETY: it takes numbers.
    unsafe { call3(number::SOCKET, usize::from(family), SOCK_STREAM | SOCK_CLOEXEC, 0) }
}

pub(crate) fn connect(descriptor: i32, address: &[u8]) -> isize {
    // SAFETY: the kernel reads the slice.
    unsafe { call3(number::CONNECT, signed(descriptor), address.as_ptr().addr(), address.len()) }
}

/// Whether a socket's own address is this one.
pub(crate) fn has_own_address(descriptor: i32, address: &[u8]) -> bool {
    let mut own = [0_u8; 28];
    let mut length = own.len() as u32;
    // SAFETY: the kernel writes at most the length's bytes, and the length.
    unsafe {
        call3(number::GETSOCKNAME, signed(descriptor), own.as_mut_ptr().addr(), (&raw mut length).addr())
    };
    own.starts_with(address)
}

/// Sends without a signal where nobody reads any more.
pub(crate) fn send(descriptor: i32, bytes: &[u8]) -> isize {
    // SAFETY: the kernel reads the slice.
    unsafe { call(number::SENDTO, [signed(descriptor), bytes.as_ptr().addr(), bytes.len(), MSG_NOSIGNAL, 0]) }
}

pub(crate) fn receive(descriptor: i32, space: &mut [u8]) -> isize {
    // SAFETY: the kernel writes into the slice.
    unsafe { call3(number::READ, signed(descriptor), space.as_mut_ptr().addr(), space.len()) }
}

/// The exit code that the process would have ended with; none if it would have gone on.
#[cfg(test)]
pub(crate) fn exit_of(body: impl FnOnce() + std::panic::UnwindSafe) -> Option<i32> {
    std::panic::catch_unwind(body).err().map(|code| *code.downcast().unwrap())
}
