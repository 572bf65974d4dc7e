//! What longshore writes, read by skopeo, umoci and podman, and what they write, read by longshore.

mod archives;
mod sample;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    archives::add(Suite::new()).run()
}
