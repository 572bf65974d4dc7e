//! Tests of the crate from outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail where they stand")]

mod conformance;
mod expansion;
mod faults;
mod hostile;
mod mounts;
mod parsing;
mod properties;
mod rules;
mod stages;
mod upstream;
mod values;
