//! `probe`: what an image that holds one program needs beside it, in one file of less than 10 kB.
//!
//! An image without a shell has no `curl` for a HEALTHCHECK or an exec probe, and no init. This program is both: `probe URL` asks a
//! service for its health and says so by its exit code, and `probe init -- COMMAND` is process 1 for the command. It stands
//! alone: no C library, no standard library, no heap and no writable data, so that it runs in any image, under any hardening, and takes a
//! fraction of a millisecond and a few pages. docs/probe.md says what it promises; the prebuilt bytes are in `prebuilt/`.
//!
//! What reads and writes bytes is plain code with tests beside it; what calls the kernel is in `system`. Size decides the rest: texts are
//! short, numbers of the kernel stay numbers, and a check that fails ends the process where it failed.

#![cfg_attr(not(test), no_std, no_main)]
// The tests start what the system starts otherwise.
#![cfg_attr(test, allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod arguments;
mod check;
mod connection;
mod errno;
mod grpc;
mod http;
mod init;
#[cfg(not(test))]
mod start;
mod system;
mod target;
mod text;

use arguments::Arguments;

/// Both commands in short; docs/probe.md has the rest.
const USAGE: &str = concat!(
    "probe ",
    env!("CARGO_PKG_VERSION"),
    "
probe [--timeout 5s] http|tcp|grpc://HOST:PORT[/PATH]
probe init [-cgsvw] [-r SIGNAL:NEW] [--drain TIME] [-e CODE] [-p SIGNAL] [--] COMMAND...
"
);

/// The program was used wrongly.
const WRONG_USAGE: i32 = 2;

/// Runs the program.
fn main(mut arguments: Arguments) -> ! {
    match arguments.next() {
        Some(b"init") => init::main(arguments),
        first => check::main(first, arguments),
    }
}

/// Says how the program is used, and which version it is, to someone who asked.
fn usage() -> ! {
    system::write(system::STDOUT, USAGE.as_bytes());
    system::exit(0)
}

/// Says what is wrong with the command line, and with which word.
#[inline(never)]
fn refuse(what: &str, word: &[u8]) -> ! {
    text::line(&[b"probe: ", what.as_bytes(), b": ", word]);
    system::exit(WRONG_USAGE)
}
