//! What longshore writes, read by skopeo, umoci and podman, and what they and GNU tar write, read by longshore.

mod archives;
mod sample;
mod tars;
mod trees;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    trees::add(tars::add(archives::add(Suite::new()))).run()
}
