//! Detection on modules that are written to a folder, and held against `go list` where Go is installed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests, and skips are printed"
)]

mod golist;
mod hostile;
mod modules;
mod programs;
mod tree;
