//! Proves that an image does what is asked of it.
//!
//! Three suites, which share one form of result: *structure* is container-structure-test's file read as it is; *behaviour* asks what every
//! service in a container must do (start, become healthy, end on SIGTERM) with nothing to write; *hardening* asks the same under each
//! constraint that a careful deployment sets, and says which one is guilty. Files and metadata are read from the image's layers, with nothing unpacked
//! and no engine; what has to run goes through a [`longshore_runtime::Runtime`].
//!
//! A check that could not be made is never one that passed, nor one that failed.

mod behaviour;
mod check;
mod deployed;
mod expectations;
mod hardening;
mod hint;
mod http;
mod junit;
mod pattern;
mod service;
pub mod structure;

pub use behaviour::behaviour;
pub use check::{Check, Checks, Outcome, Problem, Verdict};
pub use deployed::{Deployed, as_deployed};
pub use expectations::{Expectations, user_number};
pub use hardening::{Constraint, constraints, hardening};
pub use junit::junit;
pub use pattern::{Pattern, PatternError};
pub use service::{Subject, Users};
