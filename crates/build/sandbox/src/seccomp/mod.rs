//! Which system calls a step may make.
//!
//! Docker's default profile, as the kernel's filter programs (seccomp(2)). They are assembled here since the crates that do it know one
//! machine a filter: a 64-bit kernel runs 32-bit programs too, and Docker lets it. Calls that are newer than the profile are answered
//! with ENOSYS, as runc does, so that libraries fall back to older ones; what is known and not allowed with EPERM.

mod program;
mod table;

use program::{Action, Program};

use crate::sys::Instruction;

/// `AUDIT_ARCH_*` of a machine and of the 32-bit one whose programs it runs, each with its column of the table.
#[cfg(target_arch = "x86_64")]
const MACHINES: [(u32, usize); 2] = [(0xc000_003e, 0), (0x4000_0003, 1)];
#[cfg(target_arch = "aarch64")]
const MACHINES: [(u32, usize); 2] = [(0xc000_00b7, 2), (0x4000_0028, 3)];

/// Bit of the numbers of x32, a form of x86-64 that hardly any kernel has.
#[cfg(target_arch = "x86_64")]
const FOREIGN: Option<u32> = Some(0x4000_0000);
#[cfg(target_arch = "aarch64")]
const FOREIGN: Option<u32> = None;

/// Numbers of `clone`, `clone3`, `socket` and `personality`, which are allowed by their arguments, by column.
const CLONE: [u32; 4] = [56, 120, 220, 120];
const CLONE3: u32 = 435;
const SOCKET: [u32; 4] = [41, 359, 198, 281];
const PERSONALITY: [u32; 4] = [135, 136, 92, 136];

/// Flags of `clone` that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NAMESPACES: u32 = 0x7e02_0000;
/// Address families that the profile allows besides UNSPEC, UNIX and INET; not among them ALG and VSOCK.
#[rustfmt::skip]
const FAMILIES: [u32; 32] = [
    0, 1, 2, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 21, 22, 24,
    26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45,
];
/// Linux, 32-bit Linux, both with the memory layout of old programs, and the question for the present one.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Docker's default profile.
pub(crate) fn default_profile() -> Vec<Instruction> {
    let mut program = Program::new();
    for (machine, column) in MACHINES {
        let numbers = table::numbers(column);
        let newest = numbers.last().copied().unwrap_or(0).min(LAST_COMMON);
        program.machine(machine, |part| {
            if let Some(bit) = FOREIGN.filter(|_| column == 0) {
                part.at_least(bit, Action::Error(libc::ENOSYS));
            }
            part.one(CLONE3, Action::Error(libc::ENOSYS));
            part.without_flags(CLONE[column], NAMESPACES);
            part.with_argument(SOCKET[column], &FAMILIES);
            part.with_argument(PERSONALITY[column], &PERSONALITIES);
            for (first, last) in ranges(&numbers) {
                part.range(first, last, Action::Allow);
            }
            part.at_least(newest + 1, Action::Error(libc::ENOSYS));
            part.all(Action::Error(libc::EPERM));
        });
    }
    program.finish(Action::Kill)
}

/// The highest number that machines share so far; above are numbers that only 32-bit ARM has.
const LAST_COMMON: u32 = 0xffff;

/// The number of a call on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    /// `AUDIT_ARCH_*` of the machine.
    pub(crate) machine: u32,
    /// Its number there.
    pub(crate) number: u32,
}

/// A call that a supervisor is asked about: always, or when the argument of this index has one of these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) number: Number,
    pub(crate) condition: Option<(u32, u32)>,
}

/// The numbers that a call has on the machines whose programs run here.
pub(crate) fn numbers_of(name: &str) -> impl Iterator<Item = Number> {
    MACHINES.into_iter().filter_map(move |(machine, column)| {
        table::number(name, column).map(|number| Number { machine, number })
    })
}

/// Whether a machine has 32 bits.
pub(crate) fn is_short(machine: u32) -> bool {
    MACHINES.iter().any(|(known, column)| *known == machine && column % 2 == 1)
}

/// Hands calls to a supervisor, and lets all others through.
pub(crate) fn supervised(calls: &[Asked]) -> Vec<Instruction> {
    let mut program = Program::new();
    for (machine, _) in MACHINES {
        let mut here: Vec<&Asked> = calls.iter().filter(|call| call.number.machine == machine).collect();
        here.sort_unstable_by_key(|call| call.number.number);
        program.machine(machine, |part| {
            for call in here {
                match call.condition {
                    None => part.one(call.number.number, Action::Ask),
                    Some((index, bits)) => part.ask_for_flags(call.number.number, index, bits),
                }
            }
            part.all(Action::Allow);
        });
    }
    program.finish(Action::Allow)
}

/// Runs of numbers that follow each other.
fn ranges(numbers: &[u32]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::program::emulate;
    use super::*;

    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    const ALLOW: u32 = 0x7fff_0000;
    const ASK: u32 = 0x7fc0_0000;
    const KILL: u32 = 0x8000_0000;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_profile_decides_as_dockers_does() {
        let profile = default_profile();
        let (long, short) = (0xc000_003e, 0x4000_0003);
        let cases = [
            ("read", long, 0, 0, ALLOW),
            ("mount", long, 165, 0, EPERM),
            ("unshare", long, 272, 0, EPERM),
            ("setns", long, 308, 0, EPERM),
            ("keyctl", long, 250, 0, EPERM),
            ("add_key", long, 248, 0, EPERM),
            ("bpf", long, 321, 0, EPERM),
            ("ptrace", long, 101, 0, ALLOW),
            ("chroot", long, 161, 0, ALLOW),
            ("clone of a process", long, 56, 0x0120_0011, ALLOW),
            ("clone of a user namespace", long, 56, 0x1000_0011, EPERM),
            ("clone3", long, 435, 0, ENOSYS),
            ("io_uring_setup", long, 425, 0, EPERM),
            ("a call from the future", long, 480, 0, ENOSYS),
            ("x32", long, 0x4000_0000, 0, ENOSYS),
            ("socket UNIX", long, 41, 1, ALLOW),
            ("socket MCTP", long, 41, 45, ALLOW),
            ("socket ALG", long, 41, 38, EPERM),
            ("socket VSOCK", long, 41, 40, EPERM),
            ("personality of a question", long, 135, 0xffff_ffff, ALLOW),
            ("personality without random addresses", long, 135, 0x4_0000, EPERM),
            ("32-bit socketcall", short, 102, 0, ALLOW),
            ("32-bit mount", short, 21, 0, EPERM),
            ("32-bit chown32", short, 212, 0, ALLOW),
            ("another machine", 0xc000_00b7, 0, 0, KILL),
        ];
        for (name, machine, number, argument, expected) in cases {
            let answer = emulate(&profile, machine, number, argument);
            assert_eq!(answer, Some(expected), "{name}: {answer:x?}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn only_the_named_calls_are_asked_about() {
        let always = |name| numbers_of(name).map(|number| Asked { number, condition: None });
        let making = numbers_of("openat").map(|number| Asked { number, condition: Some((2, 0o100)) });
        let calls: Vec<Asked> = always("chown").chain(always("chown32")).chain(making).collect();
        let filter = supervised(&calls);
        for (machine, number, argument, expected) in [
            (0xc000_003e, 92, 0, ASK),
            (0xc000_003e, 212, 0, ALLOW),
            (0xc000_003e, 257, 0o101, ASK),
            (0xc000_003e, 257, 0o2, ALLOW),
            (0x4000_0003, 182, 0, ASK),
            (0x4000_0003, 212, 0, ASK),
            (0xc000_00b7, 92, 0, ALLOW),
        ] {
            let answer = emulate(&filter, machine, number, argument);
            assert_eq!(answer, Some(expected), "{machine:x} {number}");
        }
    }

    #[test]
    fn no_program_is_longer_than_the_kernel_takes() {
        assert!((200..4096).contains(&default_profile().len()), "{}", default_profile().len());
    }
}
