//! Reading from the places that GOPROXY and GOSUMDB name.

use std::fs::{self, File};
use std::io::{self, Read};

use longshore_files::FileError;
use url::Url;

/// Something could not be had from a proxy or database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It is not there: 404, 410, or no such file.
    #[error("{place} does not have it")]
    Missing {
        /// The URL, without credentials.
        place: String,
    },
    /// `GOPROXY=off`.
    #[error("GOPROXY=off forbids it")]
    Off,
    /// A file of a `file://` place could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RemoteError {
    /// Whether it merely is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, RemoteError::Missing { .. })
    }
}
