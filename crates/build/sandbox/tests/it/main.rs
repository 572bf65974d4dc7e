//! Steps in real sandboxes, on the machine that the tests run on.

mod inside;
mod namespaces;
mod root;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    longshore_sandbox::enter_if_child();
    if let Some(code) = inside::enter_if_asked() {
        return code;
    }
    inside::add(namespaces::add(Suite::new())).run()
}
