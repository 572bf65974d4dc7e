//! What can go wrong with a child process.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::output::Status;

/// A child process could not be run, or did not do what was wanted.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}")]
pub struct ProcessError {
    /// The program's name or path, with the first words of its arguments.
    pub program: String,
    pub(crate) hint_if_missing: Option<String>,
    /// What went wrong.
    #[source]
    pub kind: ProcessErrorKind,
}

/// What went wrong with a child process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessErrorKind {
    /// No such program in PATH or at its path.
    #[error("the program was not found")]
    NotFound,
    /// The program's file is there, but the interpreter or loader that it names is not.
    #[error("the file exists, but its interpreter or loader does not")]
    NoInterpreter,
    /// The folder to run in does not exist.
    #[error("its working folder {0} does not exist")]
    NoFolder(PathBuf),
    /// The file may not be executed.
    #[error("the file is not executable, or its file system is mounted noexec")]
    NotExecutable,
    /// The system refused to start it.
    #[error("cannot start the process")]
    Start(#[source] io::Error),
    /// Reading its output, writing its input or waiting for it failed.
    #[error("cannot {action}")]
    Handling {
        /// What failed: "read its output".
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The work was cancelled; the group was ended.
    #[error(transparent)]
    Cancelled(longshore_events::Cancelled),
    /// It took longer than it may; the group was ended.
    #[error("it did not end within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// It ended with another status than success.
    #[error("it ended with {status}{}", said(.output))]
    Failed {
        /// How it ended.
        status: Status,
        /// The end of what it wrote to its standard error (to its standard output where that is empty), secrets masked.
        output: String,
    },
    /// It wrote more than was kept, and all of it was needed.
    #[error("it wrote {written} bytes to its {stream}, more than the {limit} that are accepted")]
    TooMuchOutput {
        /// Which output.
        stream: crate::Stream,
        /// Bytes written.
        written: u64,
        /// Bytes kept at most.
        limit: usize,
    },
}

fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(":\n{output}") }
}

impl ProcessError {
    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, ProcessErrorKind::Cancelled(_))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ProcessErrorKind::NotFound => self
                .hint_if_missing
                .clone()
                .or_else(|| Some(format!("install it, or add its folder to PATH: {}", self.program))),
            ProcessErrorKind::NoInterpreter => Some(
                "a script names its interpreter in its first line; a dynamic program needs the loader of the C library it was \
                 built for (Alpine's programs do not start on Debian, and the other way round)"
                    .into(),
            ),
            ProcessErrorKind::NotExecutable => Some("chmod +x the file, or remount its file system with exec".into()),
            _ => None,
        }
    }
}
