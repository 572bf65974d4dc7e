//! Go with the cache against Go without: the same bytes after every edit.
//!
//! This binary plays three parts. Started by `cargo test` it runs the tests; linked to the place where a step would have the program
//! that stands before Go, it is that program; and Go starts it in front of its tools.
//!
//! The long form (`LONGSHORE_LONG_TESTS=1`, several minutes) builds every reference from an empty cache, runs all cases with both
//! toolchains, and edits at random. The short form gives references a cache of the standard library alone.

mod bench;
mod cases;
mod control;
mod random;
mod special;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use longshore_gocache::front;
use longshore_testkit::{Requirement, Suite};

use bench::Toolchain;

fn main() -> ExitCode {
    let program = rustix::param::linux_execfn();
    let program =
        Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(program.to_bytes()));
    if front::is_front(program) {
        let error = front::run(&front::Invocation {
            program: program.to_owned(),
            arguments: std::env::args_os().collect(),
            environment: std::env::vars_os().collect(),
        });
        // As the binary's main does: whoever closed the pipe does not want to know.
        let _ = writeln!(std::io::stderr(), "{error}");
        return error.exit_code().into();
    }
    tests().run()
}

fn tests() -> Suite {
    const GO: &[Requirement] = &[Requirement::Go];
    const OLD_GO: &[Requirement] = &[Requirement::Go, Requirement::ModuleProxy];

    let mut suite = Suite::new();
    for case in cases::all() {
        for toolchain in Toolchain::ALL {
            let is_brief = !case.is_long && (toolchain == Toolchain::Installed || case.is_brief);
            if !bench::is_long() && !is_brief {
                continue;
            }
            let requirements = if toolchain == Toolchain::Old || case.needs_proxy { OLD_GO } else { GO };
            let name = format!("{} ({})", case.name, toolchain.name());
            suite = suite.test(&name, requirements, move || cases::run(&case, toolchain));
        }
    }
    for (name, body) in special::all() {
        suite = suite.test(name, GO, body);
    }
    for (name, body) in control::all() {
        suite = suite.test(name, GO, body);
    }
    if bench::is_long() {
        for seed in 0..4 {
            let name = format!("edits at random, {seed}");
            suite = suite.test(&name, GO, move || random::run(seed));
        }
    }
    suite
}
