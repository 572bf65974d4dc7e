//! Where base images come from: a registry; offline, and for a digest that is there already, the store.

use longshore_events::Events;
use longshore_gobuild::BaseSource;
use longshore_image::Image;
use longshore_oci::{Digest, Reference};
use longshore_registry::{Platforms, Registries};
use longshore_store::Store;

use crate::context::{Context, ContextError};

/// Finds base images.
pub(crate) struct Bases {
    pub(crate) store: Store,
    /// Nothing where the network is to be left alone.
    pub(crate) registries: Option<Registries>,
}

impl Bases {
    /// The bases that this user's store and registries have. No registry is spoken to yet.
    pub(crate) fn new(context: &Context) -> Result<Self, ContextError> {
        Ok(Bases { store: context.store()?, registries: context.registries().ok() })
    }
}

impl BaseSource for Bases {
    fn resolve(
        &self,
        reference: &Reference,
        pinned: Option<&Digest>,
        events: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(digest) = pinned
            && let Ok(image) = self.store.resolve(&digest.to_string())
        {
            return Ok(image);
        }
        let Some(registries) = &self.registries else {
            return Ok(self.store.resolve(&reference.familiar())?);
        };
        let reference =
            pinned.map_or_else(|| reference.clone(), |digest| reference.with_digest(digest.clone()));
        let writer = self.store.writer()?;
        let pulled = registries.pull(&reference, &Platforms::All, &self.store, &writer, events)?;
        // Listed, or the next pruning would fetch it again; by its digest, so that no name of the user's moves.
        self.store.add(&pulled.resolved)?;
        Ok(pulled.image)
    }
}
