//! What can go wrong with the store.

use std::path::PathBuf;

use longshore_files::FileError;
use longshore_image::{ContentError, LayoutError};

/// The store could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be found out what is in use.
    #[error("cannot find out what is in use")]
    InUse(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file or folder of the store.
    #[error(transparent)]
    File(#[from] FileError),
    /// The image layout in the store.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An item of the cache holds files of another user, as steps in a user namespace with several ids make them.
    #[error("cannot remove {}: another user owns {}", item.display(), file.display())]
    Foreign {
        /// The item's folder.
        item: PathBuf,
        /// The first file that somebody else owns.
        file: PathBuf,
    },
    /// A manifest or index in the store.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl StoreError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::File(error) => error.hint(),
            StoreError::Layout(error) => error.hint(),
            StoreError::Content(error) => error.hint(),
            StoreError::InUse(_) => None,
            StoreError::Foreign { .. } => Some(
                "builds in a user namespace made it: only root, or a process in that namespace, can remove it"
                    .to_owned(),
            ),
        }
    }
}

/// A name that leads to no image of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nothing has this name or digest.
    #[error("there is no image `{name}` in the store")]
    NotFound {
        /// What was asked for.
        name: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
    /// A digest's beginning fits several images.
    #[error("`{prefix}` is the beginning of {} images' digests", candidates.len())]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// The digests it fits.
        candidates: Vec<String>,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ResolveError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ResolveError::NotFound { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            ResolveError::NotFound { .. } => {
                Some("`longshore image ls` shows the images there are".to_owned())
            }
            ResolveError::Ambiguous { candidates, .. } => {
                Some(format!("write more digits: {}", candidates.join(", ")))
            }
            ResolveError::Store(error) => error.hint(),
        }
    }
}
