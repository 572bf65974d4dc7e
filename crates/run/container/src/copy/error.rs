//! Why files could not be copied, in a form that the process in the container can send.

use std::path::Path;

use longshore_events::Cancelled;
use longshore_image::layer::{TarError, TarErrorKind};
use longshore_sandbox::SandboxError;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::ContainerError;

/// Files that could not be copied into a container or out of it. Paths are as people write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Nothing stands at the path.
    #[error("there is no {0}")]
    Missing(String),
    /// The path ends as that of a folder, and is none.
    #[error("{0} is not a folder")]
    NotFolder(String),
    /// A file was to be put into a folder that is not there.
    #[error("there is no folder {0} to put it into")]
    NoFolder(String),
    /// A folder was to be copied to where a file is.
    #[error("cannot copy a folder over {0}, which is none")]
    FolderOverFile(String),
    /// A folder stands where something else is to be.
    #[error("cannot overwrite the folder {0} with what is none")]
    FolderInTheWay(String),
    /// Something that is no folder stands where one is to be.
    #[error("cannot overwrite {0}, which is no folder, with one")]
    FileInTheWay(String),
    /// The container's root folder may only be read.
    #[error("container rootfs is marked read-only")]
    ReadOnlyRoot,
    /// What is mounted there may only be read.
    #[error("mounted volume is marked read-only")]
    ReadOnlyVolume,
    /// It is nothing that can be copied.
    #[error("{path} is {what}, which cannot be copied")]
    Unfit {
        /// Where.
        path: String,
        /// What it is: "a socket".
        what: String,
    },
    /// Something of /proc or the like, whose content is made up as it is read.
    #[error("{0} is made up by the kernel as it is read, and cannot be copied")]
    Kernel(String),
    /// A path of a tar that would be unpacked elsewhere.
    #[error("`{0}` of the tar leads out of the folder that it is unpacked into")]
    Leaves(String),
    /// Somebody put something else there while it was written.
    #[error("{0} was replaced while it was written")]
    Replaced(String),
    /// Owners are to be kept where there is only one.
    #[error("owners cannot be kept: the container has a single user")]
    SingleUser,
    /// An owner whom the container does not have.
    #[error("cannot give {path} to user {uid} and group {gid}, which the container does not have")]
    NoSuchOwner {
        /// What.
        path: String,
        /// User.
        uid: u64,
        /// Group.
        gid: u64,
    },
    /// The system refused something.
    #[error("cannot {action} {path}: {reason}")]
    System {
        /// What was being done: "read".
        action: String,
        /// To what.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The tar is none, or ends too early.
    #[error("{0}")]
    Tar(String),
    /// What comes of it could not be handed on.
    #[error("cannot hand the files on: {0}")]
    Output(String),
    /// The container's files could not be gone to.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// It was to be stopped.
    #[error("interrupted")]
    Cancelled,
    /// The process in the container is gone.
    #[error("the process that was to copy ended without a word")]
    Lost,
}

impl CopyError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            CopyError::ReadOnlyRoot | CopyError::ReadOnlyVolume => {
                "copy into a volume or a tmpfs of the container that may be written to"
            }
            CopyError::Kernel(_) => "`longshore exec CONTAINER cat PATH` shows it",
            CopyError::FolderOverFile(_) => "name another destination, or a folder to put it into",
            CopyError::NoFolder(_) => "a path that ends with `/` is that of a folder: make it first",
            CopyError::SingleUser => "leave --archive out: all files are that user's",
            CopyError::NoSuchOwner { .. } => "leave --archive out: the files are then the container's root's",
            CopyError::Container(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// An adapter for `map_err` of what was done to a path.
    pub(super) fn at<E: Into<std::io::Error>, P: AsRef<Path>>(
        action: &'static str,
        path: P,
    ) -> impl FnOnce(E) -> CopyError + use<E, P> {
        move |error| CopyError::System {
            action: action.to_owned(),
            path: shown(path),
            reason: reason(&error.into()),
        }
    }

    /// The same where a path may lead nowhere, or over a file.
    pub(super) fn opening(path: impl AsRef<Path>) -> impl FnOnce(Errno) -> CopyError {
        let path = shown(path);
        move |error| match error {
            Errno::NOENT => CopyError::Missing(path),
            Errno::NOTDIR => CopyError::NotFolder(path),
            error => CopyError::System { action: "open".to_owned(), path, reason: reason(&error.into()) },
        }
    }

    /// A tar that cannot be read, by its own fault or that of where it comes from.
    pub(super) fn of_tar(error: &TarError) -> CopyError {
        match &error.kind {
            TarErrorKind::Checksum => CopyError::Tar("what comes is no tar".to_owned()),
            kind => CopyError::Tar(format!("{error}: {kind}")),
        }
    }
}

/// What the system said, without its number.
pub(super) fn reason(error: &std::io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), |number| number.to_string())
}

/// A path as people see it.
pub(super) fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

impl From<Cancelled> for CopyError {
    fn from(_: Cancelled) -> CopyError {
        CopyError::Cancelled
    }
}

impl From<SandboxError> for CopyError {
    fn from(error: SandboxError) -> CopyError {
        CopyError::Container(ContainerError::of(&error, error.hint()))
    }
}
