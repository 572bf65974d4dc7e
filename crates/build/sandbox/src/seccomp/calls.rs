//! All system calls of the machines that programs here are for, with what Docker's default profile says of each.
//!
//! The numbers are Linux 6.17's; a kernel that is older lacks some of the calls and never sees their numbers. What is said of a call is
//! from Docker's default profile (moby/profiles, `seccomp/default.json`, v0.3.0). `cargo xtask syscalls` brings the numbers up to date.

use std::sync::LazyLock;

use crate::capabilities;

/// One call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: &'static str,
    numbers: [Option<u32>; 4],
    pub(super) grant: Grant,
}

/// When Docker's default profile allows a call whatever its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    Never,
    Always,
    /// With one of these capabilities, as the kernel numbers their bits.
    With(u64),
}

impl Call {
    /// Its number on the machine of this column.
    pub(super) fn number(&self, column: usize) -> Option<u32> {
        self.numbers.get(column).copied().flatten()
    }
}

/// A 32-bit x86 call through which older programs make others: its number, and those that go through it, by their number there.
type Gate = (u32, &'static [(&'static str, u32)]);

/// `socketcall` and `ipc` (linux/net.h, linux/ipc.h).
#[rustfmt::skip]
const GATES: [Gate; 2] = [
    (102, &[
        ("socket", 1), ("bind", 2), ("connect", 3), ("listen", 4), ("accept", 5), ("getsockname", 6), ("getpeername", 7),
        ("socketpair", 8), ("send", 9), ("recv", 10), ("sendto", 11), ("recvfrom", 12), ("shutdown", 13), ("setsockopt", 14),
        ("getsockopt", 15), ("sendmsg", 16), ("recvmsg", 17), ("accept4", 18), ("recvmmsg", 19), ("sendmmsg", 20),
    ]),
    (117, &[
        ("semop", 1), ("semget", 2), ("semctl", 3), ("semtimedop", 4), ("msgsnd", 11), ("msgrcv", 12), ("msgget", 13),
        ("msgctl", 14), ("shmat", 21), ("shmdt", 22), ("shmget", 23), ("shmctl", 24),
    ]),
];

/// The call of 32-bit x86 through which this one can be made too, and the first argument of that which says so.
pub(super) fn gate(name: &str) -> Option<(u32, u32)> {
    GATES.iter().find_map(|(gate, calls)| {
        calls.iter().find(|(known, _)| *known == name).map(|(_, which)| (*gate, *which))
    })
}

static CALLS: LazyLock<Vec<Call>> = LazyLock::new(|| rows().filter_map(call).collect());

fn rows() -> impl Iterator<Item = &'static str> {
    include_str!("calls.txt").lines().filter(|line| !line.starts_with('#'))
}

fn call(row: &'static str) -> Option<Call> {
    let mut words = row.split(' ');
    let name = words.next()?;
    let mut numbers = [None; 4];
    for number in &mut numbers {
        *number = match words.next()? {
            "-" => None,
            digits => Some(digits.parse().ok()?),
        };
    }
    let grant = match words.next()? {
        "-" => Grant::Never,
        "+" => Grant::Always,
        names => Grant::With(
            names
                .split('|')
                .try_fold(0, |mask, name| capabilities::number(name).map(|number| mask | 1 << number))?,
        ),
    };
    Some(Call { name, numbers, grant })
}

/// All calls, by name.
pub(super) fn all() -> &'static [Call] {
    &CALLS
}

/// One call. None that Linux 6.17 does not have on any of these machines.
pub(super) fn find(name: &str) -> Option<&'static Call> {
    let found = CALLS.binary_search_by(|call| call.name.cmp(name)).ok()?;
    CALLS.get(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_one_and_every_call_is_found() {
        assert_eq!(rows().count(), all().len());
        assert!(all().len() > 480, "{}", all().len());
        for call in all() {
            assert_eq!(find(call.name), Some(call));
            assert!(call.numbers.iter().any(Option::is_some), "{}", call.name);
        }
        assert_eq!(find("mkdir").map(|call| call.numbers), Some([Some(83), Some(39), None, Some(39)]));
        assert_eq!(find("bpf").map(|call| call.grant), Some(Grant::With(1 << 21 | 1 << 39)));
        assert_eq!(find("fly"), None);
    }

    #[test]
    fn what_goes_through_another_call_is_one() {
        for (gate, calls) in GATES {
            assert!(all().iter().any(|call| call.number(1) == Some(gate)));
            for (name, _) in calls {
                // `send` and `recv` have a number on 32-bit ARM alone.
                assert!(find(name).is_some(), "{name}");
            }
        }
        assert_eq!(gate("accept4"), Some((102, 18)));
        assert_eq!(gate("mkdir"), None);
    }
}
