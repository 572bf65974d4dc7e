//! What can go wrong with a container, whoever runs it.

use std::time::Duration;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation on a container that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {container}")]
pub struct RuntimeError {
    /// What was being done: "start", "stop".
    pub action: &'static str,
    /// The container or image as it was named.
    pub container: String,
    /// Why.
    #[source]
    pub kind: RuntimeErrorKind,
}

/// Why an operation on a container failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeErrorKind {
    /// There is no such container.
    #[error("there is no such container")]
    NoContainer,
    /// The beginning of an id that several containers have.
    #[error("several containers have ids that begin so")]
    Ambiguous,
    /// There is no such image.
    #[error("there is no such image here")]
    NoImage,
    /// The image cannot be used.
    #[error("the image cannot be used")]
    Image(#[source] Cause),
    /// A container of this name is there.
    #[error("the name is taken by the container {0}")]
    NameTaken(String),
    /// A port of the machine is in use.
    #[error("port {port} of this machine is taken{}", by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default())]
    PortTaken {
        /// `ADDRESS:PORT`.
        port: String,
        /// The process that has it, where that can be found out.
        by: Option<String>,
    },
    /// A setting that is none, or that cannot be had here.
    #[error("{setting}: {reason}")]
    Setting {
        /// As it is written on the command line: "--memory".
        setting: String,
        /// Why not.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// The program could not be started.
    #[error("{reason}")]
    NotStarted {
        /// The exit code that a shell would give: 126 or 127.
        code: i32,
        /// Why.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// It does not run.
    #[error("it does not run")]
    NotRunning,
    /// It runs.
    #[error("it runs")]
    Running,
    /// It took too long.
    #[error("it was not done after {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The machine, or the engine, refused something.
    #[error("{cause}")]
    Failed {
        /// What was refused.
        cause: Cause,
        /// What a person can do about it.
        hint: Option<String>,
    },
}

impl RuntimeError {
    /// An error of an operation on a container.
    pub fn new(action: &'static str, container: impl Into<String>, kind: RuntimeErrorKind) -> RuntimeError {
        RuntimeError { action, container: container.into(), kind }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            RuntimeErrorKind::NoContainer => "`longshore ps -a` lists the containers that there are",
            RuntimeErrorKind::Ambiguous => "name more digits of the id",
            RuntimeErrorKind::NoImage => {
                "`longshore image ls` lists the images that are here; `longshore image pull` fetches one"
            }
            RuntimeErrorKind::NameTaken(_) => {
                "choose another --name, or remove that container with `longshore rm`"
            }
            RuntimeErrorKind::PortTaken { .. } => "choose another port with -p, or stop what uses it",
            RuntimeErrorKind::NotRunning => "`longshore logs` shows what it wrote before it ended",
            RuntimeErrorKind::Running => "stop it first, or use --force",
            RuntimeErrorKind::Setting { hint, .. }
            | RuntimeErrorKind::NotStarted { hint, .. }
            | RuntimeErrorKind::Failed { hint, .. } => return hint.clone(),
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The exit code that `run` ends with, as Docker has it: 125 for what never came to a program, 126 and 127 for a program that could
    /// not be started.
    pub fn code(&self) -> i32 {
        match &self.kind {
            RuntimeErrorKind::NotStarted { code, .. } => *code,
            _ => 125,
        }
    }
}
