//! What a program stands on: the base that longshore carries, or another image.

mod builtin;
mod certificates;
mod foreign;
mod zoneinfo;

use std::path::{Path, PathBuf};

use longshore_image::ContentError;

pub(crate) use builtin::{has_user, system_files};
pub(crate) use certificates::{CERTIFICATES_VERSION, bundle, pem_certificates};
pub(crate) use foreign::{ForeignBase, Tree};
pub(crate) use zoneinfo::zone_files;

/// Where the CA certificates lie; Go looks here first.
pub(crate) const BUNDLE_PATH: &str = "etc/ssl/certs/ca-certificates.crt";

/// A file of a base, small enough for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BaseFile {
    /// A folder and its mode, owner and group.
    Folder(PathBuf, u32, u64),
    /// A file with its content.
    File(PathBuf, Vec<u8>),
}

impl BaseFile {
    pub(crate) fn path(&self) -> &Path {
        match self {
            BaseFile::Folder(path, ..) | BaseFile::File(path, _) => path,
        }
    }
}

/// A base cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// The image cannot be had.
    #[error("cannot resolve the base {reference}")]
    Resolve {
        /// The reference as it was written.
        reference: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image cannot be read, or has none for the platform.
    #[error("cannot use the base {reference}")]
    Content {
        /// The reference as it was written.
        reference: String,
        /// Why.
        #[source]
        source: ContentError,
    },
    /// A layer of the image is no tar.
    #[error("cannot read the files of the base {reference}")]
    Files {
        /// The reference as it was written.
        reference: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The toolchain's archive of time zones is missing or damaged.
    #[error("cannot read the time zones in {}", path.display())]
    Zones {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl BaseError {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            BaseError::Content { source, .. } => source.hint(),
            BaseError::Zones { .. } => Some(
                "install Go's lib/time/zoneinfo.zip, or import time/tzdata and write `timezones = false`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
