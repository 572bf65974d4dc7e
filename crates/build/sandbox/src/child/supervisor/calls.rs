//! The calls that are answered here, and how each is recognised.
//!
//! A filter sees numbers, which every machine has of its own, and arguments, but not what these point to. So opening a file is asked about only
//! when it may make one, which its flags tell; and of what reads files nothing is.

use std::collections::HashMap;

use crate::seccomp::{self, Asked};
use crate::sys::Instruction;

/// A call, apart from the widths and forms in which it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Chown,
    Lchown,
    Fchown,
    Fchownat,
    Stat,
    Lstat,
    Fstat,
    Fstatat,
    Statx,
    Open,
    Openat,
    Openat2,
    Creat,
    Mkdir,
    Mkdirat,
    Mknod,
    Mknodat,
    Symlink,
    Symlinkat,
    Link,
    Linkat,
    Rename,
    Renameat,
    Renameat2,
    GetUid,
    GetEffectiveUid,
    GetGid,
    GetEffectiveGid,
    GetUids,
    GetGids,
    GetGroups,
    SetUid,
    SetGid,
    SetRealUid,
    SetRealGid,
    SetUids,
    SetGids,
    SetFileUid,
    SetFileGid,
    SetGroups,
    Execute,
    ExecuteAt,
    Control,
    Exit,
}

/// Flags of `open` by which a file may come to be: O_CREAT and O_TMPFILE, the same on all machines served.
const MAKING: u32 = 0o100 | 0o20_000_000;

/// A bit that PR_SET_KEEPCAPS and PR_SET_SECUREBITS have; that other operations have it too costs a question.
const KEEPING: u32 = 1 << 3;

/// Which machines have a call in the form that is known here: the widths of what it takes or fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On all of them.
    Any,
    /// On 64-bit machines; what 32-bit ones have under this name takes or fills something else.
    Long,
    /// On 64-bit machines, and with ids of 16 bits on 32-bit ones, whose calls for longer ids have names of their own.
    Narrow,
}

/// A call as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) call: Call,
    /// Whether its ids have 16 bits.
    pub(super) narrow: bool,
}

#[rustfmt::skip]
const CALLS: [(&str, Call, Form); 63] = [
    ("chown", Call::Chown, Form::Narrow), ("chown32", Call::Chown, Form::Any),
    ("lchown", Call::Lchown, Form::Narrow), ("lchown32", Call::Lchown, Form::Any),
    ("fchown", Call::Fchown, Form::Narrow), ("fchown32", Call::Fchown, Form::Any),
    ("fchownat", Call::Fchownat, Form::Any),
    ("stat", Call::Stat, Form::Long), ("lstat", Call::Lstat, Form::Long),
    ("fstat", Call::Fstat, Form::Long), ("newfstatat", Call::Fstatat, Form::Long),
    ("statx", Call::Statx, Form::Any),
    ("open", Call::Open, Form::Any), ("openat", Call::Openat, Form::Any),
    ("openat2", Call::Openat2, Form::Any), ("creat", Call::Creat, Form::Any),
    ("mkdir", Call::Mkdir, Form::Any), ("mkdirat", Call::Mkdirat, Form::Any),
    ("mknod", Call::Mknod, Form::Any), ("mknodat", Call::Mknodat, Form::Any),
    ("symlink", Call::Symlink, Form::Any), ("symlinkat", Call::Symlinkat, Form::Any),
    ("link", Call::Link, Form::Any), ("linkat", Call::Linkat, Form::Any),
    ("rename", Call::Rename, Form::Any), ("renameat", Call::Renameat, Form::Any),
    ("renameat2", Call::Renameat2, Form::Any),
    ("getuid", Call::GetUid, Form::Narrow), ("getuid32", Call::GetUid, Form::Any),
    ("geteuid", Call::GetEffectiveUid, Form::Narrow), ("geteuid32", Call::GetEffectiveUid, Form::Any),
    ("getgid", Call::GetGid, Form::Narrow), ("getgid32", Call::GetGid, Form::Any),
    ("getegid", Call::GetEffectiveGid, Form::Narrow), ("getegid32", Call::GetEffectiveGid, Form::Any),
    ("getresuid", Call::GetUids, Form::Narrow), ("getresuid32", Call::GetUids, Form::Any),
    ("getresgid", Call::GetGids, Form::Narrow), ("getresgid32", Call::GetGids, Form::Any),
    ("getgroups", Call::GetGroups, Form::Narrow), ("getgroups32", Call::GetGroups, Form::Any),
    ("setuid", Call::SetUid, Form::Narrow), ("setuid32", Call::SetUid, Form::Any),
    ("setgid", Call::SetGid, Form::Narrow), ("setgid32", Call::SetGid, Form::Any),
    ("setreuid", Call::SetRealUid, Form::Narrow), ("setreuid32", Call::SetRealUid, Form::Any),
    ("setregid", Call::SetRealGid, Form::Narrow), ("setregid32", Call::SetRealGid, Form::Any),
    ("setresuid", Call::SetUids, Form::Narrow), ("setresuid32", Call::SetUids, Form::Any),
    ("setresgid", Call::SetGids, Form::Narrow), ("setresgid32", Call::SetGids, Form::Any),
    ("setfsuid", Call::SetFileUid, Form::Narrow), ("setfsuid32", Call::SetFileUid, Form::Any),
    ("setfsgid", Call::SetFileGid, Form::Narrow), ("setfsgid32", Call::SetFileGid, Form::Any),
    ("setgroups", Call::SetGroups, Form::Narrow), ("setgroups32", Call::SetGroups, Form::Any),
    ("execve", Call::Execute, Form::Any), ("execveat", Call::ExecuteAt, Form::Any),
    ("exit_group", Call::Exit, Form::Any), ("prctl", Call::Control, Form::Any),
];

/// Every call that is answered, by machine and number.
fn numbered() -> impl Iterator<Item = (Asked, Known)> {
    CALLS.into_iter().flat_map(|(name, call, form)| {
        let condition = match call {
            Call::Open => Some((1, MAKING)),
            Call::Openat => Some((2, MAKING)),
            Call::Control => Some((0, KEEPING)),
            _ => None,
        };
        seccomp::numbers_of(name).filter_map(move |number| {
            let short = seccomp::is_short(number.machine);
            let known = Known { call, narrow: short && form == Form::Narrow };
            (!short || form != Form::Long).then_some((Asked { number, condition }, known))
        })
    })
}

/// The filter by which these calls are handed to the supervisor.
pub(in crate::child) fn filter() -> Vec<Instruction> {
    let asked: Vec<Asked> = numbered().map(|(asked, _)| asked).collect();
    seccomp::supervised(&asked)
}

/// The calls by machine and number.
pub(super) fn by_number() -> HashMap<(u32, u32), Known> {
    numbered().map(|(asked, known)| ((asked.number.machine, asked.number.number), known)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_a_call() {
        for (name, _, _) in CALLS {
            assert!(seccomp::numbers_of(name).next().is_some(), "{name}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn short_ids_and_foreign_structures_are_told_apart() {
        let known = by_number();
        let (long, short) = (0xc000_003e, 0x4000_0003);
        assert_eq!(known.get(&(long, 92)), Some(&Known { call: Call::Chown, narrow: false }));
        assert_eq!(known.get(&(short, 182)), Some(&Known { call: Call::Chown, narrow: true }));
        assert_eq!(known.get(&(short, 212)), Some(&Known { call: Call::Chown, narrow: false }));
        assert_eq!(known.get(&(long, 4)), Some(&Known { call: Call::Stat, narrow: false }));
        assert_eq!(known.get(&(short, 106)), None);
        assert_eq!(known.get(&(short, 383)), Some(&Known { call: Call::Statx, narrow: false }));
    }
}
