//! What developers type: `cargo xtask test` checks everything, `cargo xtask bench` measures longshore against its peers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people at a terminal")]

mod bases;
mod bench;
mod command;
mod conformance;
mod examples;
mod prepare;
mod probe;
mod syscalls;
mod test;
mod totals;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test            installs what the tests need (as root on Debian), then runs all checks and tests
  bench [CELL…]   measures longshore against its peers and writes the tables of docs/benchmarks.md;
                  cells: build, dockerfile, container, memory, registry, digests, binary; dockerfile/NAME is one of its Dockerfiles
  conformance record|check|live [CASE…]
                  record what BuildKit makes of the suite's Dockerfiles, check longshore against
                  what is recorded, or against BuildKit live; `copy-*` names several cases
  conformance random [FIRST [COUNT]]
                  longshore against BuildKit live, with Dockerfiles made of these numbers
  probe [--write] builds crates/probe and compares it with the prebuilt bytes, or takes their place
  syscalls [--write]
                  compares the sandbox's table of system calls with Linux's headers, or brings it up to date
  bases [OUT] [--only IMAGE…]
                  makes the base images of the tests' Dockerfiles, as root on Debian, in an OCI layout
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test::test(),
        ["bench", cells @ ..] => bench::bench(cells),
        ["probe", arguments @ ..] => probe::probe(arguments),
        ["syscalls", arguments @ ..] => syscalls::syscalls(arguments),
        ["bases", arguments @ ..] => bases::bases(arguments),
        ["conformance", what, cases @ ..] => conformance::conformance(what, cases),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
