//! What can go wrong in a build, each with the place in the Dockerfile that it is about.

use std::path::PathBuf;

use longshore_dockerfile::durations::DurationError;
use longshore_dockerfile::expand::ExpandError;
use longshore_dockerfile::ports::PortError;
use longshore_dockerfile::{Diagnostic, Instruction};
use longshore_events::Cancelled;
use longshore_files::FileError;
use longshore_image::{ContentError, CopyError, SinkError};
use longshore_sandbox::SandboxError;
use longshore_snapshot::SnapshotError;
use longshore_store::StoreError;

use crate::fetched::ContextError;
use crate::mode::ModeError;
use crate::place::PlaceError;
use crate::remote::{FetchError, without_credentials};
use crate::select::SelectError;
use crate::tree::TreeError;
use longshore_sandbox::UnknownUser;

/// A place in a Dockerfile, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// First line, from 1.
    pub line: usize,
    /// The instruction as one line.
    pub text: String,
}

/// A build that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The Dockerfile has mistakes, each with its place.
    #[error("{} has {}", file, count(diagnostics))]
    Dockerfile {
        /// The Dockerfile's name.
        file: String,
        /// Its text.
        source_text: Vec<u8>,
        /// What is wrong, in the file's order; warnings are left out.
        diagnostics: Vec<Diagnostic>,
    },
    /// An instruction failed.
    #[error(transparent)]
    Instruction(#[from] Box<InstructionError>),
    /// A base image cannot be had.
    #[error("cannot get the image {name}")]
    Image {
        /// Its name.
        name: String,
        /// Where in the Dockerfile it is asked for, if it is there.
        place: Option<Place>,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A base image's documents cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A base image cannot be taken into the store.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The unpacked layers cannot be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A blob cannot be written into the store.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An image's document cannot be written as JSON.
    #[error("cannot write the image's documents")]
    Json(#[from] serde_json::Error),
    /// A build context cannot be opened.
    #[error("cannot open the build context{}", named(name))]
    Context {
        /// Its name; empty for the one without.
        name: String,
        /// Why not.
        #[source]
        source: Box<ContextError>,
    },
    /// Nothing that isolates RUN steps works here.
    #[error(transparent)]
    Isolation(#[from] longshore_sandbox::IsolationError),
    /// The process must go on inside a user namespace of this kind.
    #[error("the build must go on inside a user namespace ({0})")]
    GoInside(longshore_sandbox::Isolation),
    /// A thread of the build panicked.
    #[error("a stage's thread ended early: this is a mistake of longshore's")]
    Thread,
    /// What a step left was there when the build began and is gone.
    #[error("the result of a step was pruned while the build ran ({0})")]
    Pruned(String),
    /// What was thought to be known is not, and the build must begin again. Nobody outside sees it, unless it comes without end.
    #[error("the results of earlier builds changed again and again while the build ran")]
    Again,
    /// A tree to copy from cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What is to be mounted cannot be chosen.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// What is to be mounted cannot be put together.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

fn named(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" `{name}`") }
}

fn count(diagnostics: &[Diagnostic]) -> String {
    match diagnostics.len() {
        1 => "a mistake".to_owned(),
        number => format!("{number} mistakes"),
    }
}

impl BuildError {
    /// Whether all that happened is that the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        match self {
            BuildError::Cancelled(_) | BuildError::Snapshot(SnapshotError::Cancelled(_)) => true,
            BuildError::Copy(CopyError::Cancelled(_)) | BuildError::Place(PlaceError::Cancelled(_)) => true,
            BuildError::Instruction(error) => error.kind.is_cancelled(),
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            BuildError::Pruned(_) => Some("build again: it is then made anew".to_owned()),
            BuildError::Isolation(error) => error.hint(),
            BuildError::Context { source, .. } => source.hint(),
            BuildError::Instruction(error) => error.kind.hint(),
            BuildError::Content(error) => error.hint(),
            BuildError::Copy(error) => error.hint(),
            BuildError::Snapshot(error) => error.hint(),
            BuildError::Store(error) => error.hint(),
            BuildError::Sink(error) => error.hint(),
            BuildError::File(error) => error.hint(),
            _ => None,
        }
    }
}

/// An instruction that failed.
#[derive(Debug, thiserror::Error)]
#[error("line {}: {} failed", place.line, place.text)]
pub struct InstructionError {
    /// The instruction.
    pub place: Place,
    /// Name or number of its stage.
    pub stage: String,
    /// Why.
    #[source]
    pub kind: InstructionErrorKind,
}

impl InstructionError {
    pub(crate) fn of(instruction: &Instruction, kind: InstructionErrorKind) -> Self {
        InstructionError { place: Place::of(instruction), stage: String::new(), kind }
    }
}

impl Place {
    pub(crate) fn of(instruction: &Instruction) -> Self {
        Place { line: instruction.line, text: without_credentials(&instruction.text) }
    }
}

/// Why an instruction failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstructionErrorKind {
    /// A variable's expansion is malformed.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// STOPSIGNAL is none.
    #[error("`{0}` is no signal")]
    Signal(String),
    /// EXPOSE names no port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// VOLUME is empty.
    #[error("the volume's path is empty")]
    EmptyVolume,
    /// A time of HEALTHCHECK is none.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// `--retries` is no number.
    #[error("`{0}` is no number of retries")]
    Retries(String),
    /// A mount of RUN is malformed.
    #[error("{}", .0.message)]
    Mount(Box<Diagnostic>),
    /// A value means nothing.
    #[error("{what} is `{value}`, and must be {expected}")]
    Value {
        /// Of what.
        what: &'static str,
        /// As it was written.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// A source of COPY or ADD is not there.
    #[error("{} is not in {}", path.display(), place)]
    NoSource {
        /// Its path: relative to a context, absolute in a stage or an image.
        path: PathBuf,
        /// Where it was looked for.
        place: String,
        /// What is there and has nearly that name.
        near: Option<String>,
        /// Whether .dockerignore leaves it out.
        ignored: bool,
    },
    /// A source cannot be chosen.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Files cannot be put where they should.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// `--chmod` is no mode.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A user or group is not known.
    #[error(transparent)]
    User(#[from] UnknownUser),
    /// A remote source cannot be fetched.
    #[error("cannot fetch {address}")]
    Fetch {
        /// Its address, without credentials.
        address: String,
        /// Why not.
        #[source]
        source: Box<FetchError>,
    },
    /// A remote source is not what its checksum says.
    #[error("{address} has the checksum {found}, and {expected} is asked for")]
    Checksum {
        /// Its address, without credentials.
        address: String,
        /// What is asked for.
        expected: String,
        /// What came.
        found: String,
    },
    /// An archive cannot be unpacked.
    #[error("cannot unpack {}", path.display())]
    Archive {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A secret that a step needs is not given.
    #[error("the secret `{0}` is required, and was not given")]
    NoSecret(String),
    /// An ssh agent that a step needs is not given.
    #[error("the ssh agent `{0}` is required, and was not given")]
    NoAgent(String),
    /// RUN wants what was not allowed.
    #[error("it asks for --security=insecure, which was not allowed")]
    Insecure,
    /// The isolation does not offer what a step needs.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A command ended badly.
    #[error("{}", ended(.command, .status))]
    Exit {
        /// The command, for a person.
        command: String,
        /// How it ended.
        status: longshore_sandbox::Status,
        /// The last lines that it wrote.
        output: Vec<String>,
        /// The store, where its disk had no room left.
        full: Option<std::path::PathBuf>,
        /// Limits of its control group that it ran into.
        exceeded: longshore_sandbox::Exceeded,
    },
    /// An image that is copied from cannot be had.
    #[error("cannot get {name}")]
    Source {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stage's files cannot be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file of longshore's own cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An ONBUILD trigger of the base cannot be read.
    #[error("the base's trigger `{text}` cannot be read: {why}")]
    Trigger {
        /// The trigger.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

fn ended(command: &str, status: &longshore_sandbox::Status) -> String {
    use longshore_sandbox::Status;
    match status {
        Status::Exited(code) => format!("`{command}` ended with exit code {code}"),
        Status::Signalled(signal) => format!("`{command}` was ended by signal {signal}"),
    }
}

impl InstructionErrorKind {
    pub(crate) fn is_cancelled(&self) -> bool {
        use InstructionErrorKind::{Cancelled, Fetch, Place, Sandbox, Snapshot};
        if let Fetch { source, .. } = self {
            return source.is_cancelled();
        }
        matches!(
            self,
            Cancelled(_)
                | Place(PlaceError::Cancelled(_))
                | Sandbox(SandboxError::Cancelled(_))
                | Snapshot(SnapshotError::Cancelled(_))
        )
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            InstructionErrorKind::NoSource { ignored: true, .. } => {
                Some("a pattern of .dockerignore leaves it out".to_owned())
            }
            InstructionErrorKind::NoSource { near: Some(near), .. } => {
                Some(format!("did you mean `{near}`?"))
            }
            InstructionErrorKind::NoSecret(id) => Some(format!("give it with --secret id={id},src=FILE")),
            InstructionErrorKind::NoAgent(id) => Some(format!("give it with --ssh {id}")),
            InstructionErrorKind::Insecure => {
                Some("--allow security.insecure allows it; the step then has every capability".to_owned())
            }
            InstructionErrorKind::Fetch { source, .. } => source.hint(),
            InstructionErrorKind::Duration(error) => Some(error.hint()),
            InstructionErrorKind::Port(error) => Some(error.hint()),
            InstructionErrorKind::Mount(problem) => problem.hint.clone(),
            InstructionErrorKind::Expand(error) => error.hint(),
            InstructionErrorKind::Select(SelectError::Pattern(error)) => Some(error.hint()),
            InstructionErrorKind::Sandbox(error) => error.hint(),
            InstructionErrorKind::Snapshot(error) => error.hint(),
            InstructionErrorKind::File(error) => error.hint(),
            InstructionErrorKind::Exit { full: Some(store), .. } => Some(format!(
                "the disk of the store, {}, is full: free some space (`longshore cache prune` helps) and try again",
                store.display()
            )),
            InstructionErrorKind::Exit { exceeded, .. } if exceeded.memory => {
                Some("the step needed more memory than its control group may have: see `--memory`".to_owned())
            }
            InstructionErrorKind::Exit { exceeded, .. } if exceeded.processes => {
                Some("the step started as many processes as its control group may have".to_owned())
            }
            InstructionErrorKind::Exit { status: longshore_sandbox::Status::Exited(127), .. } => {
                Some("exit code 127 means that a program was not found".to_owned())
            }
            InstructionErrorKind::Exit { status: longshore_sandbox::Status::Exited(137), .. } => {
                Some("exit code 137 means that signal 9 ended a program, often for want of memory".to_owned())
            }
            InstructionErrorKind::Exit { status: longshore_sandbox::Status::Signalled(9), .. } => {
                Some("signal 9 is often the kernel's answer to too little memory".to_owned())
            }
            _ => None,
        }
    }
}
