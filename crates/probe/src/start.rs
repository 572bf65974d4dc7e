//! What a C library would do: the entry point, the functions that the compiler calls by name, and the end in a panic.

use core::arch::{global_asm, naked_asm};

use crate::arguments::Arguments;
use crate::system;

/// Where the kernel starts the program: the stack pointer is at the number of arguments (System V ABI, "Process Initialization").
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("mov rdi, rsp", "and rsp, -16", "call {begin}", "ud2", begin = sym begin)
}

/// Where the kernel starts the program: the stack pointer is at the number of arguments, and aligned.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("mov x0, sp", "mov x29, xzr", "mov x30, xzr", "b {begin}", begin = sym begin)
}

unsafe extern "C" fn begin(stack: *mut *const u8) -> ! {
    // SAFETY: `_start` passes the kernel's own stack: a count, that many pointers, a null, and the environment's pointers.
    let arguments = unsafe { Arguments::of_kernel(stack) };
    crate::main(arguments)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // EX_SOFTWARE of sysexits.h: what is tested to be impossible.
    system::exit(70)
}

// memcpy, memmove, memset, memcmp and strlen, which the compiler calls for what looks like them: small, not fast. Written as assembly, since it
// would turn a loop in Rust into a call of the very function that the loop is in.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp, strlen",
    "memmove:",
    "mov rax, rdi",
    "sub rax, rsi",
    "cmp rax, rdx",
    "jae memcpy",
    // The destination begins inside the source: from the end.
    "mov rax, rdi",
    "mov rcx, rdx",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "memcpy:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "bcmp:",
    "memcmp:",
    "xor eax, eax",
    "mov rcx, rdx",
    // Equal if there is nothing to compare: the flags must say so.
    "cmp eax, eax",
    "repe cmpsb",
    "je 2f",
    "movzx eax, byte ptr [rdi - 1]",
    "movzx ecx, byte ptr [rsi - 1]",
    "sub eax, ecx",
    "2:",
    "ret",
    "strlen:",
    "xor eax, eax",
    "2:",
    "cmp byte ptr [rdi + rax], 0",
    "je 3f",
    "inc rax",
    "jmp 2b",
    "3:",
    "ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp, strlen",
    "memmove:",
    "sub x3, x0, x1",
    "cmp x3, x2",
    "b.hs memcpy",
    // The destination begins inside the source: from the end.
    "2:",
    "cbz x2, 3f",
    "sub x2, x2, #1",
    "ldrb w3, [x1, x2]",
    "strb w3, [x0, x2]",
    "b 2b",
    "3:",
    "ret",
    "memcpy:",
    "mov x4, #0",
    "2:",
    "cmp x4, x2",
    "b.eq 3f",
    "ldrb w3, [x1, x4]",
    "strb w3, [x0, x4]",
    "add x4, x4, #1",
    "b 2b",
    "3:",
    "ret",
    "memset:",
    "2:",
    "cbz x2, 3f",
    "sub x2, x2, #1",
    "strb w1, [x0, x2]",
    "b 2b",
    "3:",
    "ret",
    "bcmp:",
    "memcmp:",
    "mov x5, x0",
    "mov w0, #0",
    "2:",
    "cbz x2, 3f",
    "ldrb w3, [x5], #1",
    "ldrb w4, [x1], #1",
    "sub x2, x2, #1",
    "subs w0, w3, w4",
    "b.eq 2b",
    "3:",
    "ret",
    "strlen:",
    "mov x2, x0",
    "2:",
    "ldrb w3, [x2], #1",
    "cbnz w3, 2b",
    "sub x0, x2, x0",
    "sub x0, x0, #1",
    "ret",
);
