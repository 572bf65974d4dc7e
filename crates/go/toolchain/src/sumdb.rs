//! The checksum database: what hash a toolchain has, proved.
//!
//! The database is a log that can only grow (<https://go.dev/design/25530-sumdb>). An answer counts if its record is in a tree whose
//! head the database's key signed, and if that tree continues the one that this machine saw last: a database that shows one history
//! here and another there is found out. The latest head is kept beside the cache, with the tiles that will not change.

mod log;
mod note;
mod setting;
mod tree;

pub(crate) use log::{Database, Server};
pub(crate) use setting::Setting;

use std::path::PathBuf;

use longshore_files::FileError;

pub use note::{KeyError, NoteError};
pub use setting::SettingError;

use crate::remote::RemoteError;

/// The checksum database gives no answer that can be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot look up {subject} in the checksum database {database}")]
pub struct DatabaseError {
    /// The module and version that was looked up.
    pub subject: String,
    /// The database's name.
    pub database: String,
    /// Why there is no answer.
    #[source]
    pub kind: DatabaseErrorKind,
}

/// Why the checksum database gives no answer that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseErrorKind {
    /// It cannot be reached.
    #[error(transparent)]
    Unreachable(RemoteError),
    /// It does not know the module's version.
    #[error("the database does not know it")]
    Unknown,
    /// What it answers is not of the form that it must have.
    #[error("its answer is malformed: {0}")]
    Malformed(&'static str),
    /// Its answer is not signed as it must be.
    #[error("its answer cannot be trusted")]
    Note(#[source] NoteError),
    /// The hashes it serves do not lead to the root that it signed.
    #[error("its proof is wrong: {0} does not lead to the signed root")]
    Proof(String),
    /// The record it answered with is not the one in its log.
    #[error("its answer is not what stands in its log")]
    NotInLog,
    /// It signed two histories that contradict each other.
    #[error("it signed two histories that cannot both be true\nfirst:\n{older}\nthen:\n{newer}")]
    Fork {
        /// The signed head of the smaller tree.
        older: String,
        /// The signed head of the larger tree, which does not continue it.
        newer: String,
    },
    /// The head that was kept from earlier cannot be read.
    #[error("the head that was kept in {} cannot be trusted", path.display())]
    Kept {
        /// The file that holds it.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// Its state could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] longshore_events::Cancelled),
}

impl DatabaseErrorKind {
    /// Whether there merely was no answer. Anything else is a reason not to trust what was answered.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, DatabaseErrorKind::Unreachable(_))
    }
}

impl DatabaseError {
    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        match &self.kind {
            DatabaseErrorKind::Cancelled(_) => true,
            DatabaseErrorKind::Unreachable(error) => error.is_cancelled(),
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            DatabaseErrorKind::Unreachable(error) if error.hint().is_some() => return error.hint(),
            DatabaseErrorKind::Unreachable(_) => {
                "the database is asked through GOPROXY where the proxy supports it, else directly; GOSUMDB may name another way to it"
            }
            DatabaseErrorKind::Unknown => "check that GOSUMDB names a database that knows Go's releases",
            DatabaseErrorKind::Fork { .. } => {
                "SECURITY: the database, or somebody between it and this machine, shows different people different things. Use nothing \
                 that was fetched here lately, keep this message, and tell https://go.dev/issue"
            }
            DatabaseErrorKind::Note(_) | DatabaseErrorKind::Proof(_) | DatabaseErrorKind::NotInLog => {
                "SECURITY: somebody between the database and this machine may have changed the answer: try another network or \
                 GOPROXY, and do not switch the check off"
            }
            DatabaseErrorKind::Kept { .. } => "the file was changed or damaged; if you know why, remove it",
            DatabaseErrorKind::File(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.into())
    }
}
