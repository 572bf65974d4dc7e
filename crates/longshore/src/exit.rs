//! What the process ends with. These numbers are documented and stable: scripts depend on them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The work was done.
    Done,
    /// The work failed.
    Failed,
    /// What was typed cannot be understood, or is not enough.
    Usage,
    /// The work was done and found something: a violation, a difference.
    Findings,
    /// The check could not be made, so nobody knows whether there are findings.
    Unchecked,
    /// A signal asked to stop; what a shell reports for SIGINT.
    Interrupted,
    /// As another process of longshore's ended, which did the work.
    Of(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Findings => 3,
            Exit::Unchecked => 4,
            Exit::Interrupted => 130,
            Exit::Of(code) => code,
        })
    }
}
