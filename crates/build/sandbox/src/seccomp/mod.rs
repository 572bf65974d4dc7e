//! Which system calls a step may make.
//!
//! Docker's default profile, or one in the form that Docker and the OCI give profiles, as the kernel's filter programs (seccomp(2)). They are
//! assembled here since the crates that do it know one machine a filter: a 64-bit kernel runs 32-bit programs too, and Docker lets it. Calls
//! that are newer than the profile are answered with ENOSYS, as runc does, so that libraries fall back to older ones.

mod calls;
mod condition;
mod default;
mod document;
#[cfg(test)]
mod emulate;
mod error;
mod profile;
mod program;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use program::{Action, Program};

pub use error::ProfileError;

use crate::rights::Filter;
use crate::sys::Instruction;
use crate::wire::wire_struct;

/// `AUDIT_ARCH_*` of a machine and of the 32-bit one whose programs it runs, each with its column of the table.
#[cfg(target_arch = "x86_64")]
const MACHINES: [(u32, usize); 2] = [(0xc000_003e, 0), (0x4000_0003, 1)];
#[cfg(target_arch = "aarch64")]
const MACHINES: [(u32, usize); 2] = [(0xc000_00b7, 2), (0x4000_0028, 3)];

/// What profiles call this machine where rules are for some machines alone.
#[cfg(target_arch = "x86_64")]
const MACHINE_NAME: &str = "amd64";
#[cfg(target_arch = "aarch64")]
const MACHINE_NAME: &str = "arm64";

/// Bit of the numbers of x32, a form of x86-64 that hardly any kernel has.
#[cfg(target_arch = "x86_64")]
const X32: Option<u32> = Some(0x4000_0000);
#[cfg(target_arch = "aarch64")]
const X32: Option<u32> = None;

/// The highest number that machines share so far; above are numbers that only 32-bit ARM has.
const LAST_COMMON: u32 = 0xffff;

/// A filter program, ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterProgram {
    pub(crate) instructions: Vec<Instruction>,
    /// Flags of seccomp(2).
    pub(crate) flags: u32,
}
wire_struct!(FilterProgram { instructions, flags });

impl FilterProgram {
    /// The instructions as the kernel takes them: `struct sock_filter` after `struct sock_filter`, eight bytes each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.instructions.iter().flat_map(|instruction| {
            let [first, second] = instruction.operation.to_ne_bytes();
            let value = instruction.value.to_ne_bytes();
            [first, second, instruction.yes, instruction.no].into_iter().chain(value)
        });
        bytes.collect()
    }
}

impl Filter {
    /// The filter that a profile asks for: a JSON document in Docker's form, or the OCI's, for a container that may ever have these
    /// capabilities, as the kernel numbers their bits. What the profile lets depend on the machine and on Linux is that of here.
    ///
    /// Errors: a profile that is none, or asks for what cannot be had.
    pub fn of_profile(text: &str, capabilities: u64) -> Result<Filter, ProfileError> {
        let release = rustix::system::uname();
        let kernel = version(&release.release().to_string_lossy());
        profile::compile(text, profile::Surroundings { capabilities, kernel }).map(Filter::Profile)
    }
}

/// The first two numbers of a version of Linux.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next())
}

/// Docker's default profile for Docker's default capabilities, once it was needed.
static USUAL: OnceLock<FilterProgram> = OnceLock::new();

/// Docker's default profile for a container with these capabilities.
pub(crate) fn default_profile(capabilities: u64) -> FilterProgram {
    let make = || FilterProgram { instructions: default::rules(capabilities).compile(), flags: 0 };
    match capabilities == crate::capabilities::DEFAULT.bits() {
        true => USUAL.get_or_init(make).clone(),
        false => make(),
    }
}

/// Works out what most containers need, while there is nothing else to do.
pub fn prepare() {
    default_profile(crate::capabilities::DEFAULT.bits());
}

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
        calls::find(name)?.number(column).map(|number| Number { machine, number })
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
