//! Why a program could not be started in a container.

use crate::SandboxError;
use crate::child::Report;

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
