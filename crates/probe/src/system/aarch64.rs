//! Linux on 64-bit ARM: `include/uapi/asm-generic/unistd.h`.

use core::arch::{asm, naked_asm};

pub(super) const IOCTL: usize = 29;
pub(super) const CHDIR: usize = 49;
pub(super) const READ: usize = 63;
pub(super) const WRITE: usize = 64;
pub(super) const EXIT_GROUP: usize = 94;
pub(super) const SETITIMER: usize = 103;
pub(super) const CLOCK_GETTIME: usize = 113;
pub(super) const KILL: usize = 129;
pub(super) const RT_SIGACTION: usize = 134;
pub(super) const RT_SIGPROCMASK: usize = 135;
pub(super) const RT_SIGTIMEDWAIT: usize = 137;
pub(super) const SETPGID: usize = 154;
pub(super) const GETSID: usize = 156;
pub(super) const SETSID: usize = 157;
pub(super) const PRCTL: usize = 167;
pub(super) const GETPID: usize = 172;
pub(super) const SOCKET: usize = 198;
pub(super) const CONNECT: usize = 203;
pub(super) const GETSOCKNAME: usize = 204;
pub(super) const SENDTO: usize = 206;
pub(super) const CLONE: usize = 220;
pub(super) const EXECVE: usize = 221;
pub(super) const WAIT4: usize = 260;

/// Calls the kernel.
///
/// # Safety
///
/// The arguments are what the call of this number expects.
#[inline(always)]
pub(super) unsafe fn call(number: usize, a: [usize; 5]) -> isize {
    let [a1, a2, a3, a4, a5] = a;
    let result: isize;
    // SAFETY: by the caller's promise; the kernel keeps all registers but x0.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a1 => result,
            in("x1") a2, in("x2") a3, in("x3") a4, in("x4") a5,
            options(nostack),
        );
    }
    result
}

/// Calls the kernel with at most three arguments.
///
/// # Safety
///
/// The arguments are what the call of this number expects.
#[inline(always)]
pub(super) unsafe fn call3(number: usize, a1: usize, a2: usize, a3: usize) -> isize {
    let result: isize;
    // SAFETY: by the caller's promise; the kernel keeps all registers but x0.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a1 => result,
            in("x1") a2, in("x2") a3,
            options(nostack),
        );
    }
    result
}

/// A signal's handler that does nothing.
#[unsafe(naked)]
pub(super) extern "C" fn nothing() {
    naked_asm!("ret")
}

/// Goes back to where a signal's handler was called.
#[unsafe(naked)]
pub(super) extern "C" fn back() {
    naked_asm!("mov x8, #139", "svc #0")
}
