//! What compose-go and Kubernetes' own types make of a file, recorded by the program in `tests/oracle`, and what this room makes of it.

#![allow(clippy::expect_used, clippy::panic, reason = "the helpers of tests fail where they stand")]

mod compose;
mod container;
mod hostile;
mod kubernetes;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    hostile::add(kubernetes::add(compose::add(Suite::new()))).run()
}
