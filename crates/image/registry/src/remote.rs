//! A registry as content: manifests and blobs are fetched when they are opened, and what a store has is not fetched.

use std::collections::HashMap;
use std::io::{self, Cursor};
use std::sync::{Mutex, PoisonError};

use longshore_events::Events;
use longshore_http::Bytes;
use longshore_image::{BlobReader, Content, ContentError, ContentErrorKind, Layout, Sink as _};
use longshore_oci::{Descriptor, Digest, media_type};

use crate::error::RegistryErrorKind;
use crate::parallel::in_parallel;
use crate::repository::{Document, Repository};

/// A repository's content.
pub(crate) struct RemoteContent {
    repository: Repository,
    /// A layout to look into first.
    nearer: Option<Layout>,
    documents: Mutex<HashMap<Digest, Bytes>>,
    parallel: usize,
    events: Events,
}

impl RemoteContent {
    pub(crate) fn new(
        repository: Repository,
        nearer: Option<Layout>,
        parallel: usize,
        events: Events,
    ) -> RemoteContent {
        RemoteContent { repository, nearer, documents: Mutex::default(), parallel, events }
    }

    /// Takes in a manifest that is known already.
    pub(crate) fn keep(&self, document: &Document) {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.insert(document.descriptor.digest.clone(), document.bytes.clone());
    }

    fn kept(&self, digest: &Digest) -> Option<Bytes> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Fetches the manifests of an index at once rather than one after the other.
    pub(crate) fn prefetch(&self, children: &[Descriptor]) -> Result<(), ContentError> {
        let manifests: Vec<_> = children.iter().filter(|child| is_document(child)).collect();
        in_parallel(self.parallel, &manifests, |child, _| self.document(child).map(drop))
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Bytes, ContentError> {
        if let Some(bytes) = self.kept(&descriptor.digest) {
            return Ok(bytes);
        }
        let nearer = self.nearer.as_ref().filter(|layout| layout.has(descriptor).unwrap_or(false));
        if let Some(layout) = nearer
            && let Ok(bytes) = longshore_image::read_small(layout, descriptor)
        {
            return Ok(bytes.into());
        }
        let digest = &descriptor.digest;
        let access = self.repository.reading();
        let document = self
            .repository
            .manifest(&digest.to_string(), Some(digest), &access, &self.events)
            .map_err(|kind| failed(descriptor, *kind))?;
        self.keep(&document);
        Ok(document.bytes)
    }
}

fn is_document(descriptor: &Descriptor) -> bool {
    media_type::is_index(&descriptor.media_type) || media_type::is_manifest(&descriptor.media_type)
}

fn failed(descriptor: &Descriptor, kind: RegistryErrorKind) -> ContentError {
    ContentError::new(descriptor, ContentErrorKind::Io(io::Error::other(kind)))
}

impl Content for RemoteContent {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        if is_document(descriptor) {
            return Ok(Box::new(Cursor::new(self.document(descriptor)?)));
        }
        let blob = self.repository.open_blob(descriptor, &self.events);
        Ok(Box::new(blob.map_err(|kind| failed(descriptor, *kind))?))
    }
}
