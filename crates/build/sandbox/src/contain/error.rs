//! Why a program could not be started in a container.

use crate::child::Report;
use crate::{SandboxError, Status};

/// A program that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sandbox could not be built or entered.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The program is not there, or must not be run.
    #[error("{reason}")]
    Program {
        /// The exit code that a shell would give: 127 if it is not there, 126 if it cannot be run.
        code: i32,
        /// Why.
        reason: String,
    },
    /// The user is none that the container knows.
    #[error("{0}")]
    User(String),
    /// The process ended before it became the program, and has not said why: its filter of system calls may have kept it from either. Where
    /// it exited, it was with the code that it could not explain.
    #[error("{}", silent(*.0))]
    Silent(Status),
}

fn silent(status: Status) -> String {
    match status {
        Status::Signalled(libc::SIGSYS) => {
            "a call that is refused ended the process before its program began".to_owned()
        }
        Status::Signalled(signal) => format!("signal {signal} ended the process before its program began"),
        Status::Exited(_) => "the program could not be started, and the process could not say why".to_owned(),
    }
}

impl StartError {
    /// What a report of a failure says.
    pub(super) fn of(report: Report) -> StartError {
        match report {
            Report::Failed(fault) => StartError::Sandbox(fault.into()),
            Report::NotStarted(code, reason) => StartError::Program { code, reason },
            Report::Foreign(platform, emulator, registered) => {
                StartError::Sandbox(SandboxError::Foreign { platform, emulator, registered })
            }
            Report::Lost(signal) => StartError::Sandbox(SandboxError::Lost { signal: Some(signal) }),
            Report::Ended(..) | Report::Owners(..) => {
                StartError::Sandbox(SandboxError::Lost { signal: None })
            }
        }
    }
}
