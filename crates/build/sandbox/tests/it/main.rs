//! Steps in real sandboxes, on the machine that the tests run on.

mod escapes;
mod hostile;
mod inside;
mod limits;
mod mounts;
mod plain;
mod root;
mod seccomp;
mod steps;

use longshore_testkit::Suite;

fn main() -> std::process::ExitCode {
    longshore_sandbox::enter_if_child();
    if let Some(code) =
        inside::enter_if_asked().or_else(escapes::enter_if_victim).or_else(hostile::enter_if_step)
    {
        return code;
    }
    [steps::add, limits::add, mounts::add, escapes::add, plain::add, inside::add, hostile::add, seccomp::add]
        .into_iter()
        .fold(Suite::new(), |suite, add| add(suite))
        .run()
}
