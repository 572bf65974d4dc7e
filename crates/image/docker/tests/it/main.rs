//! Real engines: Debian's dockerd, started by hand, and Podman's service.

mod engines;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    engines::add(Suite::new()).run()
}
