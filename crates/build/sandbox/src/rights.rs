//! What a program in the sandbox may do.

use rustix::thread::CapabilitySet;

use crate::capabilities::{self, UnknownCapability};
use crate::seccomp::FilterProgram;
use crate::wire::{wire_enum, wire_struct};

/// What a program may do. By default what Docker lets a container do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Capabilities that it may ever have, as the kernel numbers their bits; if it is root, it has them.
    pub capabilities: u64,
    /// The filter of its system calls.
    pub filter: Filter,
    /// Whether it gains nothing from set-user-id bits and file capabilities.
    pub no_new_privileges: bool,
}

/// A filter of system calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Docker's default profile for the capabilities.
    Default,
    /// None.
    None,
    /// One of its own ([`Filter::of_profile`]).
    Profile(FilterProgram),
}

impl Default for Rights {
    fn default() -> Rights {
        Rights {
            capabilities: capabilities::DEFAULT.bits(),
            filter: Filter::Default,
            no_new_privileges: false,
        }
    }
}

impl Rights {
    /// Docker's default capabilities without those of `drop` and with those of `add`: names in any case, with or without `CAP_`, or `ALL`.
    ///
    /// Errors: a name that is none.
    pub fn with_capabilities(self, add: &[String], drop: &[String]) -> Result<Rights, UnknownCapability> {
        Ok(Rights { capabilities: capabilities::set(add, drop)?.bits(), ..self })
    }

    pub(crate) fn set(&self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.capabilities)
    }
}

wire_enum!(Filter { 0 => Default, 1 => None, 2 => Profile(program) });
wire_struct!(Rights { capabilities, filter, no_new_privileges });
