//! Child processes: one way to start them, to read what they write, and to be sure that they end.
//!
//! Whoever needs another program – the Go compiler, a credential helper, an engine – describes it with a [`Command`] and
//! runs it. The program gets its own process group, no terminal, and exactly the environment that was asked for; both of
//! its outputs are read at once, so that neither can block it; each line is passed on as it comes, and a bounded part is
//! kept. When the work is cancelled, takes too long or is unwound, the whole group ends: first asked by SIGTERM, then
//! by SIGKILL.
//!
//! What this room cannot do without `unsafe`: let the kernel end the child when longshore itself is killed (PR_SET_PDEATHSIG
//! must be set between fork and exec), or measure a single child's peak memory (wait4's rusage). A child whose parent was
//! killed ends at its next write into the broken pipe. Processor time is read from /proc before the child is reaped.

mod command;
mod environment;
mod error;
mod group;
mod output;
mod run;

pub use command::{Command, find_program};
pub use environment::{Environment, Secret};
pub use error::{ProcessError, ProcessErrorKind};
pub use output::{Captured, Finished, Status, Stream};
