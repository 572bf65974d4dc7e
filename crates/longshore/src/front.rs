//! longshore as the `go` of a RUN step: see the gocache room.

use std::io::Write;
use std::path::PathBuf;

use longshore_gocache::front::{self, Invocation};

use crate::exit::Exit;

/// Becomes Go, where this process was started as the program called `go` of a step. Returns what the process ends with where Go cannot
/// be started, and nothing in a process that is longshore itself.
pub(crate) fn become_go() -> Option<Exit> {
    let executed = rustix::param::linux_execfn();
    let program =
        PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(executed.to_bytes()));
    if !front::is_front(&program) {
        return None;
    }
    let invocation = Invocation {
        program,
        arguments: std::env::args_os().collect(),
        environment: std::env::vars_os().collect(),
    };
    let error = front::run(&invocation);
    let mut text = format!("longshore: {error}\n");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(&format!("  caused by: {error}\n"));
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // Where nobody reads it, the exit code tells.
    let _ = anstream::stderr().write_all(text.as_bytes());
    Some(Exit::Of(error.exit_code()))
}
