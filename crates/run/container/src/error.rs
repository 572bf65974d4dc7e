//! What can go wrong with a container, in a form that a monitor can send.

use std::path::Path;

use longshore_files::FileError;
use longshore_runtime::{RuntimeError, RuntimeErrorKind};
use serde::{Deserialize, Serialize};

/// Something that the machine refused, with all that was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ContainerError {
    /// What went wrong, with its causes.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

impl ContainerError {
    pub(crate) fn new(message: impl Into<String>) -> ContainerError {
        ContainerError { message: message.into(), hint: None }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    /// An error with its causes in one line.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static), hint: Option<String>) -> ContainerError {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        ContainerError { message, hint }
    }

    /// An adapter for `map_err` of what is done to a path.
    pub(crate) fn at(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> ContainerError {
        move |source| FileError::of(action, path)(source).into()
    }
}

impl From<FileError> for ContainerError {
    fn from(error: FileError) -> ContainerError {
        let hint = error.hint();
        ContainerError::of(&error, hint)
    }
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A port of the machine is in use, by this process.
    PortTaken(String, Option<String>),
    /// A setting cannot be had: as it is written, why, and what to do.
    Setting(String, String, Option<String>),
    /// The program could not be started: the code that a shell would give, why, and what to do.
    NotStarted(i32, String, Option<String>),
    /// The machine refused something.
    Failed(ContainerError),
}

impl From<ContainerError> for Failure {
    fn from(error: ContainerError) -> Failure {
        Failure::Failed(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::Failed(error.into())
    }
}

impl From<Failure> for RuntimeErrorKind {
    fn from(failure: Failure) -> RuntimeErrorKind {
        match failure {
            Failure::PortTaken(port, by) => RuntimeErrorKind::PortTaken { port, by },
            Failure::Setting(setting, reason, hint) => RuntimeErrorKind::Setting { setting, reason, hint },
            Failure::NotStarted(code, reason, hint) => RuntimeErrorKind::NotStarted { code, reason, hint },
            Failure::Failed(error) => {
                RuntimeErrorKind::Failed { hint: error.hint.clone(), cause: error.into() }
            }
        }
    }
}

/// An adapter for `map_err`: what the machine refused, while something was done to a container.
pub(crate) fn failed<E: Into<ContainerError>>(
    action: &'static str,
    container: &str,
) -> impl FnOnce(E) -> RuntimeError {
    move |error| RuntimeError::new(action, container, Failure::Failed(error.into()).into())
}
