//! What can go wrong with what ADD fetches.

use std::path::PathBuf;
use std::str::FromStr;

use longshore_events::Cancelled;
use longshore_files::FileError;
use longshore_http::{HttpError, Url};
use longshore_process::ProcessError;

/// An address that cannot be made sense of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL.
    #[error("it is no URL")]
    Url(#[source] <Url as FromStr>::Err),
    /// A parameter stands in its query twice.
    #[error("its query has `{0}` more than once")]
    Twice(String),
    /// A parameter of its query has no value.
    #[error("its query gives `{0}` no value")]
    Empty(String),
    /// A parameter of its query means nothing.
    #[error("its query has `{0}`, which means nothing for a git repository")]
    Unknown(String),
    /// It names two different things.
    #[error("it names both `{first}` and `{second}`")]
    Conflict {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A part of it has a value that cannot be.
    #[error("its `{name}` is `{value}`, and must be {expected}")]
    Value {
        /// Which part.
        name: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
}

impl AddressError {
    pub(crate) fn value(name: &str, value: &str, expected: &'static str) -> Self {
        AddressError::Value { name: name.to_owned(), value: value.to_owned(), expected }
    }
}

/// Something that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Its address is malformed.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The network is to be left alone, and it is not here.
    #[error("it is not in the store, and the network is not to be used")]
    Offline,
    /// The server cannot be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server does not have it, or does not give it.
    #[error("the server answered {status}{}", reason(*status))]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// It is not what its checksum says.
    #[error("it has the checksum {found}, and {expected} is asked for")]
    Checksum {
        /// What is asked for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It changed while the build ran.
    #[error("it changed while the build ran: it was {before} and is {after}")]
    Changed {
        /// What it was.
        before: String,
        /// What it is.
        after: String,
    },
    /// git cannot be run, or failed.
    #[error(transparent)]
    Git(#[from] ProcessError),
    /// git failed where it had to log in by ssh, and no agent was given.
    #[error(transparent)]
    GitWithoutAgent(ProcessError),
    /// The repository has no such branch or tag.
    #[error("the repository has no branch, tag or commit `{0}`")]
    NoReference(String),
    /// The repository has no default branch.
    #[error("the repository has no default branch")]
    NoDefaultBranch,
    /// The repository has no such folder.
    #[error("{} is no folder of the repository", .0.display())]
    NoFolder(PathBuf),
    /// A file of longshore's own cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was fetched cannot be read.
    #[error(transparent)]
    Tree(#[from] crate::tree::TreeError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What a status means, where people may not know.
fn reason(status: u16) -> &'static str {
    match status {
        401 => " (unauthorized)",
        403 => " (forbidden)",
        404 => " (not found)",
        410 => " (gone)",
        429 => " (too many requests)",
        _ => "",
    }
}

impl FetchError {
    /// Whether all that happened is that the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        match self {
            FetchError::Cancelled(_) => true,
            FetchError::Http(error) => error.is_cancelled(),
            FetchError::Git(error) | FetchError::GitWithoutAgent(error) => error.is_cancelled(),
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            FetchError::Offline => Some("build once without --offline".to_owned()),
            FetchError::Http(error) => error.hint(),
            FetchError::Git(error) => error.hint(),
            FetchError::GitWithoutAgent(_) => {
                Some("--ssh default lets git use your ssh agent, and with it your keys".to_owned())
            }
            FetchError::Changed { .. } => Some("build again, or pin it with --checksum".to_owned()),
            FetchError::Status { status: 401 | 403 } => Some(
                "ADD sends no credentials but those of the address; a RUN with a secret mount can send others"
                    .to_owned(),
            ),
            FetchError::NoReference(_) => {
                Some("a reference stands behind a number sign: REPOSITORY#REFERENCE:FOLDER".to_owned())
            }
            FetchError::File(error) => error.hint(),
            _ => None,
        }
    }
}
