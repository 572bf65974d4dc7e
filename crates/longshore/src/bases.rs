//! Where base images come from: the store, if it has them under the name that is asked for.

use longshore_events::Events;
use longshore_gobuild::BaseSource;
use longshore_image::Image;
use longshore_oci::{Digest, Reference};
use longshore_store::Store;

use crate::context::{Context, ContextError};

/// Finds base images.
pub(crate) struct Bases {
    store: Store,
}

impl Bases {
    /// The bases that this user's store has.
    pub(crate) fn new(context: &Context) -> Result<Self, ContextError> {
        Ok(Bases { store: context.store()? })
    }
}

impl BaseSource for Bases {
    fn resolve(
        &self,
        reference: &Reference,
        pinned: Option<&Digest>,
        _: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        let name = pinned.map_or_else(|| reference.familiar(), Digest::to_string);
        Ok(self.store.resolve(&name)?)
    }
}
