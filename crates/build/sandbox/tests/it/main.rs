//! Steps in real sandboxes, on the machine that the tests run on.

mod namespaces;
mod root;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    longshore_sandbox::enter_if_child();
    namespaces::add(Suite::new()).run()
}
