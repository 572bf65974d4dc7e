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
    store: Store,
    /// Nothing where the network is to be left alone.
    registries: Option<Registries>,
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

/// Finds the images that Dockerfiles name: in the store under their name, else in a registry.
///
/// What came from a registry is remembered by its name, beside the store's own names, so that a build need not ask again; `--pull`
/// asks.
pub(crate) struct StageImages(Bases);

impl StageImages {
    /// The images that this user's store and registries have.
    pub(crate) fn new(context: &Context) -> Result<Self, ContextError> {
        Ok(StageImages(Bases::new(context)?))
    }

    /// Where it is remembered which digest a name had when it was last asked for.
    fn memory(&self, reference: &Reference) -> std::path::PathBuf {
        let name = Digest::of(reference.to_string().as_bytes());
        self.0.store.cache_folder("dockerfile").join("bases").join(name.encoded())
    }

    fn remembered(&self, reference: &Reference) -> Option<Image> {
        let digest = std::fs::read_to_string(self.memory(reference)).ok()?;
        self.0.store.resolve(digest.trim()).ok()
    }
}

impl longshore_builder::ImageSource for StageImages {
    fn find(
        &self,
        reference: &Reference,
        pull: bool,
        events: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        let local =
            || self.0.store.resolve(&reference.familiar()).ok().or_else(|| self.remembered(reference));
        if let (Some(image), false) = (local(), pull && self.0.registries.is_some()) {
            return Ok(image);
        }
        let image = self.0.resolve(reference, None, events)?;
        let memory = self.memory(reference);
        if let Some(folder) = memory.parent() {
            longshore_files::create_folders(folder)?;
        }
        longshore_files::write_atomic(&memory, image.digest().to_string().as_bytes())?;
        Ok(image)
    }
}
