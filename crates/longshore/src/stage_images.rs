//! The images that Dockerfiles name: in the store under their name, else in a registry.
//!
//! Of a registry's image nothing comes before it is needed. A build that finds all its steps in a cache reads a base's manifest and config, and
//! never its layers. When the first layer of an image is opened, all of that platform's are pulled, several at once. Documents stay beside the
//! records of builds, where no list of images needs to name them: of an index, most is never here.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use longshore_builder::ImageSource;
use longshore_events::Events;
use longshore_image::{
    BlobReader, Content, ContentError, ContentErrorKind, Image, Layout, LayoutError, Sink, VerifyingReader,
    read_small,
};
use longshore_oci::{Descriptor, Digest, Manifest, Reference, media_type};
use longshore_registry::{Platforms, Registries};
use longshore_store::{Store, Writer};

use crate::bases::Bases;
use crate::context::{Context, ContextError};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Finds the images that Dockerfiles name.
///
/// What came from a registry is remembered by its name, beside the store's own names, so that a build need not ask again; `--pull`
/// asks.
pub(crate) struct StageImages {
    bases: Bases,
    /// Those of the whole build: an image outlives the part of it that asked first.
    events: Events,
}

impl StageImages {
    /// The images that this user's store and registries have.
    pub(crate) fn new(context: &Context, events: &Events) -> Result<Self, ContextError> {
        Ok(StageImages { bases: Bases::new(context)?, events: events.clone() })
    }

    /// Where it is remembered what a name stood for when it was last asked for.
    fn memory(&self, reference: &Reference) -> PathBuf {
        let name = Digest::of(reference.to_string().as_bytes());
        self.bases.store.cache_folder("dockerfile").join("bases").join(name.encoded())
    }

    /// Where documents of images are.
    fn documents(&self) -> Result<Layout, LayoutError> {
        let folder = self.bases.store.cache_folder("dockerfile").join("documents");
        let layout = Layout::open(&folder).or_else(|_| Layout::create(&folder))?;
        Ok(layout.with_temporary(self.bases.store.temporary_folder()))
    }

    fn remembered(&self, reference: &Reference) -> Result<Option<Image>, Failure> {
        let Ok(bytes) = std::fs::read(self.memory(reference)) else { return Ok(None) };
        let Ok(root) = serde_json::from_slice::<Descriptor>(&bytes) else { return Ok(None) };
        if !self.documents()?.has(&root)? {
            return Ok(None);
        }
        self.image(reference, root, OnceLock::new()).map(Some)
    }

    fn image(
        &self,
        reference: &Reference,
        root: Descriptor,
        remote: OnceLock<Arc<dyn Content>>,
    ) -> Result<Image, Failure> {
        let content = LateContent {
            reference: reference.with_digest(root.digest.clone()),
            registries: self.bases.registries.clone(),
            remote,
            documents: self.documents()?,
            writer: self.bases.store.writer()?,
            store: self.bases.store.clone(),
            manifests: Mutex::default(),
            pull: Mutex::default(),
            events: self.events.clone(),
        };
        Ok(Image::new(root, Arc::new(content)))
    }
}

impl ImageSource for StageImages {
    fn find(&self, reference: &Reference, pull: bool, events: &Events) -> Result<Image, Failure> {
        let Some(registries) = &self.bases.registries else {
            return match self.bases.store.resolve(&reference.familiar()) {
                Ok(image) => Ok(image),
                Err(error) => self.remembered(reference)?.ok_or_else(|| error.into()),
            };
        };
        if !pull {
            if let Ok(image) = self.bases.store.resolve(&reference.familiar()) {
                return Ok(image);
            }
            if let Some(image) = self.remembered(reference)? {
                return Ok(image);
            }
        }
        events.check()?;
        let remote = registries.open(reference, &self.events)?;
        let root = remote.descriptor().clone();
        let image = self.image(reference, root.clone(), OnceLock::from(Arc::clone(remote.content())))?;
        // Read once, and so kept.
        image.raw()?;
        let memory = self.memory(reference);
        if let Some(folder) = memory.parent() {
            longshore_files::create_folders(folder)?;
        }
        longshore_files::write_atomic(&memory, &serde_json::to_vec(&root)?)?;
        Ok(image)
    }
}

/// An image's content: in the store, and brought there when it is asked for.
struct LateContent {
    /// The image by its digest.
    reference: Reference,
    registries: Option<Registries>,
    remote: OnceLock<Arc<dyn Content>>,
    documents: Layout,
    store: Store,
    writer: Writer,
    /// The manifests that were read: which image a layer belongs to.
    manifests: Mutex<Vec<(Digest, Manifest)>>,
    /// Held while layers are pulled.
    pull: Mutex<()>,
    events: Events,
}

impl Content for LateContent {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        let media_type = &descriptor.media_type;
        let is_manifest = media_type::is_manifest(media_type);
        if is_manifest || media_type::is_index(media_type) || media_type::is_config(media_type) {
            let bytes = self.document(descriptor)?;
            if is_manifest && let Ok(manifest) = serde_json::from_slice(&bytes) {
                let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
                manifests.push((descriptor.digest.clone(), manifest));
            }
            return Ok(Box::new(Cursor::new(bytes)));
        }
        if !self.is_here(descriptor)? {
            self.pull(descriptor)?;
        }
        self.store.layout().open(descriptor)
    }
}

impl LateContent {
    fn is_here(&self, descriptor: &Descriptor) -> Result<bool, ContentError> {
        self.writer.has(descriptor).map_err(|error| failed(descriptor, error))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ContentError> {
        // One that is damaged is fetched anew.
        if let Ok(bytes) = read_small(&self.documents, descriptor) {
            return Ok(bytes);
        }
        let bytes = read_small(&**self.remote(descriptor)?, descriptor)?;
        let mut reader = VerifyingReader::new(bytes.as_slice(), descriptor);
        self.documents.clone().write(descriptor, &mut reader).map_err(|error| failed(descriptor, error))?;
        Ok(bytes)
    }

    fn remote(&self, descriptor: &Descriptor) -> Result<&Arc<dyn Content>, ContentError> {
        if let Some(remote) = self.remote.get() {
            return Ok(remote);
        }
        let Some(registries) = &self.registries else {
            return Err(ContentError::new(descriptor, ContentErrorKind::NotFound));
        };
        let image = registries.open(&self.reference, &self.events);
        let image = image.map_err(|error| failed(descriptor, error))?;
        Ok(self.remote.get_or_init(|| Arc::clone(image.content())))
    }

    /// Pulls the image that a layer belongs to.
    fn pull(&self, descriptor: &Descriptor) -> Result<(), ContentError> {
        let _alone = self.pull.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_here(descriptor)? {
            return Ok(());
        }
        let owner = {
            let manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
            let has =
                |manifest: &Manifest| manifest.layers.iter().any(|layer| layer.digest == descriptor.digest);
            manifests.iter().find(|(_, manifest)| has(manifest)).map(|(digest, _)| digest.clone())
        };
        let (Some(owner), Some(registries)) = (owner, &self.registries) else {
            return Err(ContentError::new(descriptor, ContentErrorKind::NotFound));
        };
        let reference = self.reference.with_digest(owner);
        let pulled = registries.pull(&reference, &Platforms::All, &self.store, &self.writer, &self.events);
        let pulled = pulled.map_err(|error| failed(descriptor, error))?;
        // Listed, or the next pruning would fetch it again; by its digest, so that no name of the user's moves.
        self.store.add(&pulled.resolved).map_err(|error| failed(descriptor, error))
    }
}

fn failed(descriptor: &Descriptor, error: impl std::error::Error + Send + Sync + 'static) -> ContentError {
    ContentError::new(descriptor, ContentErrorKind::Io(std::io::Error::other(error)))
}
