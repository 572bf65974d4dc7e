//! Linux on x86-64: `arch/x86/entry/syscalls/syscall_64.tbl`.

use core::arch::{asm, naked_asm};

pub(super) const READ: usize = 0;
pub(super) const WRITE: usize = 1;
pub(super) const RT_SIGACTION: usize = 13;
pub(super) const RT_SIGPROCMASK: usize = 14;
pub(super) const IOCTL: usize = 16;
pub(super) const SETITIMER: usize = 38;
pub(super) const GETPID: usize = 39;
pub(super) const SOCKET: usize = 41;
pub(super) const CONNECT: usize = 42;
pub(super) const SENDTO: usize = 44;
pub(super) const GETSOCKNAME: usize = 51;
pub(super) const CLONE: usize = 56;
pub(super) const EXECVE: usize = 59;
pub(super) const WAIT4: usize = 61;
pub(super) const KILL: usize = 62;
pub(super) const CHDIR: usize = 80;
pub(super) const SETPGID: usize = 109;
pub(super) const SETSID: usize = 112;
pub(super) const GETSID: usize = 124;
pub(super) const RT_SIGTIMEDWAIT: usize = 128;
pub(super) const PRCTL: usize = 157;
pub(super) const CLOCK_GETTIME: usize = 228;
pub(super) const EXIT_GROUP: usize = 231;

/// Calls the kernel. Written into each caller: that is shorter than calls with as many arguments.
///
/// # Safety
///
/// The arguments are what the call of this number expects.
#[inline(always)]
pub(super) unsafe fn call(number: usize, a: [usize; 5]) -> isize {
    let [a1, a2, a3, a4, a5] = a;
    let result: isize;
    // SAFETY: by the caller's promise; the kernel keeps all registers but these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a1, in("rsi") a2, in("rdx") a3, in("r10") a4, in("r8") a5,
            lateout("rcx") _, lateout("r11") _,
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
    // SAFETY: by the caller's promise; the kernel keeps all registers but these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a1, in("rsi") a2, in("rdx") a3,
            lateout("rcx") _, lateout("r11") _,
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
    naked_asm!("mov eax, 15", "syscall")
}
