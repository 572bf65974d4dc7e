//! Structure tests on images made here, and the suites on a runtime that behaves as it is told.

mod fake;
mod services;
mod structure;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    structure::add(services::add(Suite::new())).run()
}
