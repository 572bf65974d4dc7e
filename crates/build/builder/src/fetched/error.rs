//! What can go wrong with build contexts.

use std::path::PathBuf;

use longshore_events::Cancelled;
use longshore_files::FileError;
use longshore_snapshot::SnapshotError;

use crate::error::{BuildError, InstructionErrorKind};
use crate::remote::FetchError;
use crate::tree::TreeError;

/// A build context that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// Its folder, or a file of longshore's own for it.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is an image.
    #[error("it is an image, and files are taken from it otherwise")]
    Image,
    /// It cannot be fetched.
    #[error("cannot fetch {address}")]
    Fetch {
        /// Its address, without credentials.
        address: String,
        /// Why not.
        #[source]
        source: Box<FetchError>,
    },
    /// It is neither a tar nor compressed.
    #[error("it is no tar, compressed or not")]
    NoArchive,
    /// It cannot be unpacked.
    #[error(transparent)]
    Unpack(Box<InstructionErrorKind>),
    /// It has no such Dockerfile.
    #[error("there is no Dockerfile {} in it", .0.display())]
    NoDockerfile(PathBuf),
    /// A file in it cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What is unpacked cannot be kept.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ContextError {
    /// The error as that of the context of this name; empty for the one without.
    pub(crate) fn of(self, name: &str) -> BuildError {
        match self {
            ContextError::Cancelled(cancelled) => cancelled.into(),
            error if error.is_cancelled() => Cancelled.into(),
            error => BuildError::Context { name: name.to_owned(), source: Box::new(error) },
        }
    }

    fn is_cancelled(&self) -> bool {
        match self {
            ContextError::Fetch { source, .. } => source.is_cancelled(),
            ContextError::Unpack(kind) => kind.is_cancelled(),
            ContextError::Snapshot(SnapshotError::Cancelled(_)) => true,
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ContextError::File(error) => error.hint(),
            ContextError::Fetch { source, .. } => source.hint(),
            ContextError::Unpack(kind) => kind.hint(),
            ContextError::Snapshot(error) => error.hint(),
            ContextError::Image => {
                Some("name it with --build-context NAME=IMAGE, and copy from it with COPY --from=NAME".to_owned())
            }
            ContextError::NoArchive => Some(
                "a file can be the context if it is a tar; a Dockerfile is named by -f, which reads standard input as -f -"
                    .to_owned(),
            ),
            ContextError::NoDockerfile(_) => Some(
                "-f names a file of the context, which comes from elsewhere; an absolute path names one of this machine"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
