//! The one place that opens images where an [`ImageLocation`] says they are, and the one that writes them there.

mod sink;
mod source;

use longshore_docker::EngineError;
use longshore_image::archive::{ArchiveError, SaveError};
use longshore_image::{ContentError, CopyError, LayoutError};
use longshore_oci::{Reference, ReferenceError};
use longshore_registry::RegistryError;
use longshore_store::{ResolveError, StoreError};

use crate::context::{ContextError, OfflineError};
use crate::location::{ImageLocation, Place};

pub(crate) use sink::{load, write};
pub(crate) use source::{open, open_archive};

/// An image cannot be read or written where it is said to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImagesError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Offline(#[from] OfflineError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    NotInPlace(#[from] NotInPlace),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An engine's archive without the image that was asked for.
    #[error("the engine sent no image for {0}")]
    Nothing(Reference),
}

impl ImagesError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            ImagesError::Archive(error) => error.hint(),
            ImagesError::Context(error) => error.hint(),
            ImagesError::Copy(error) => error.hint(),
            ImagesError::Layout(error) => error.hint(),
            ImagesError::NotInPlace(error) => error.hint(),
            ImagesError::Resolve(error) => error.hint(),
            ImagesError::Save(error) => error.hint(),
            ImagesError::Store(error) => error.hint(),
            ImagesError::Content(error) => error.hint(),
            ImagesError::Engine(error) => error.hint(),
            ImagesError::Registry(error) => error.hint(),
            ImagesError::Reference(_) | ImagesError::Nothing(_) | ImagesError::Offline(_) => None,
        }
    }
}

/// A place holds no image of a name.
#[derive(Debug, thiserror::Error)]
#[error("cannot find {wanted} in {}", place.path.display())]
pub(crate) struct NotInPlace {
    place: Place,
    wanted: String,
    offered: Vec<String>,
}

impl NotInPlace {
    pub(crate) fn new(place: &Place, offered: Vec<String>) -> Self {
        let wanted = match &place.name {
            Some(name) => format!("an image called {name}"),
            None if offered.is_empty() => "any image".to_owned(),
            None => format!("the one image meant among {}", offered.len()),
        };
        NotInPlace { place: place.clone(), wanted, offered }
    }

    fn hint(&self) -> Option<String> {
        const SHOWN: usize = 20;
        let rest = match self.offered.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown: Vec<_> = self.offered.iter().take(SHOWN).map(String::as_str).collect();
        (!shown.is_empty()).then(|| format!("it has {}{rest}", shown.join(", ")))
    }
}

/// The name that an image has where it is, for destinations that name none.
pub(crate) fn name(source: &ImageLocation) -> Option<Reference> {
    match source {
        ImageLocation::Plain(name) => name.reference.clone().map(Reference::with_default_tag),
        ImageLocation::Registry(reference) | ImageLocation::Engine(_, reference) => {
            Some(reference.clone().with_default_tag())
        }
        _ => None,
    }
}
