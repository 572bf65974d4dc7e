//! Docker's default profile, which depends on the container's capabilities (moby/profiles, `seccomp/default.json`, v0.3.0): who may
//! administer the system may mount, who lost the right to change the root folder may not even try.
//!
//! Which calls are allowed whatever their arguments stands in the table of calls; here are the few that go by arguments. The profile also
//! allows ptrace only from Linux 4.8 on; a kernel on which this program runs is newer.

use super::MACHINES;
use super::calls::{self, Call, Grant};
use super::condition::{Comparison, Condition};
use super::program::Action;
use super::rules::{ENOSYS, Rule, Rules};

/// CAP_SYS_ADMIN.
const ADMINISTRATION: u64 = 1 << 21;
const EPERM: u16 = 1;

/// Flags of `clone` that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NAMESPACES: u64 = 0x7e02_0000;
/// Address families that the profile allows besides UNSPEC, UNIX and INET; not among them ALG and VSOCK.
#[rustfmt::skip]
const FAMILIES: [u64; 29] = [
    7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 21, 22, 24,
    26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45,
];
/// Linux, 32-bit Linux, both with the memory layout of old programs, and the question for the present one.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The rules for a container with these capabilities.
pub(super) fn rules(capabilities: u64) -> Rules {
    let is_allowed = |call: &&Call| match call.grant {
        Grant::Never => false,
        Grant::Always => true,
        Grant::With(some) => capabilities & some != 0,
    };
    let allow = |call: &'static Call, conditions| Rule { call, conditions, action: Action::Allow };
    let mut rules: Vec<Rule> =
        calls::all().iter().filter(is_allowed).map(|call| allow(call, Vec::new())).collect();
    let mut by_argument = |name: &str, comparison: Comparison, value: u64| {
        let conditions = vec![Condition { index: 0, comparison, value }];
        rules.extend(calls::find(name).map(|call| allow(call, conditions)));
    };
    by_argument("socket", Comparison::Less, 3);
    for family in FAMILIES {
        by_argument("socket", Comparison::Equal(u64::MAX), family);
    }
    for personality in PERSONALITIES {
        by_argument("personality", Comparison::Equal(u64::MAX), personality);
    }
    if capabilities & ADMINISTRATION == 0 {
        by_argument("clone", Comparison::Equal(NAMESPACES), 0);
        // Its flags are where a filter cannot look: libraries take the older call instead.
        let action = Action::Error(ENOSYS);
        rules.extend(calls::find("clone3").map(|call| Rule { call, conditions: Vec::new(), action }));
    }
    Rules {
        otherwise: Action::Error(EPERM),
        columns: MACHINES.map(|(_, column)| column).to_vec(),
        x32: true,
        rules,
    }
}
