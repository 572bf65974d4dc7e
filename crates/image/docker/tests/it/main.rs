//! Real engines: Debian's dockerd, started by hand, and Podman's service.

mod containers;
mod engines;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    containers::add(engines::add(Suite::new())).run()
}
