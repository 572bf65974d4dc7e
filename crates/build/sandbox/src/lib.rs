//! One isolated process, by the best means that the machine allows.
//!
//! A step of a build is somebody else's program. It must see a root folder, some mounts and an environment that its caller names, and
//! nothing else; and when it ends, or is interrupted, or whoever asked for it is killed, none of its processes and mounts may
//! be left. Linux gives this by namespaces, where they are allowed; the rungs below that, down to none at all, are in [`Isolation`],
//! and what each can promise is in docs/isolation.md.
//!
//! Namespaces cannot be entered by a process that has threads, so the work is done by this very program, started anew: [`run`]
//! starts `/proc/self/exe`, whose first statement ([`enter_if_child`]) sees what it was started for. That process is the *keeper*;
//! it makes the namespaces and starts the *init*, which is process 1 inside, builds the root folder, starts the step's process,
//! collects orphans, and cleans up. If any of the three above the step dies, the kernel ends all below it.
//!
//! What a container may do follows Docker's defaults, as BuildKit's steps do: its capabilities, its system call filter, its
//! masked paths (moby: `daemon/pkg/oci/defaults.go`, `profiles/seccomp`; BuildKit: `executor/oci`).

mod capabilities;
mod cgroup;
mod child;
mod contain;
pub mod descriptor;
mod error;
mod foreign;
mod inside;
mod isolation;
mod mounts;
mod owners;
mod plain;
mod rights;
mod root;
mod run;
mod seccomp;
mod secret;
mod start;
mod step;
mod survey;
#[expect(unsafe_code, reason = "system calls that no safe crate offers")]
mod sys;
mod users;
mod wire;

pub use capabilities::UnknownCapability;
pub use cgroup::Group;
pub use child::enter_if_child;
pub use contain::{
    Contained, Exit, Joined, Joining, Running, StartError, Streams, Visit, contain, join, send_signal,
    settle, visit_ended, visit_running,
};
pub use error::SandboxError;
pub use foreign::{ForeignPlatform, foreign_platforms};
pub use inside::{continue_inside, inside, start_inside};
pub use isolation::{Isolation, IsolationError, Rung, UnknownIsolation, choose};
pub use owners::read_owners;
pub use rights::{Filter, Rights};
pub use root::Root;
pub use run::run;
pub use seccomp::{FilterProgram, ProfileError, prepare};
pub use secret::SecretBytes;
pub use start::{SelfCommand, start_self};
pub use step::{
    Ended, Exceeded, Limits, Mount, MountKind, Network, Status, Step, Stream, Ulimit, UlimitError, User,
};
pub use survey::survey;
pub use users::{Identity, UnknownUser, file_owner, needs_lookup, process_identity};
