//! Content at hand: an artifact's few small blobs.

use std::collections::HashMap;
use std::io::Cursor;

use longshore_image::{BlobReader, Content, ContentError, ContentErrorKind};
use longshore_oci::{Descriptor, Digest};

/// Blobs in memory.
pub(crate) struct InMemory(HashMap<Digest, Vec<u8>>);

impl InMemory {
    pub(crate) fn of(blobs: impl IntoIterator<Item = Vec<u8>>) -> InMemory {
        InMemory(blobs.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect())
    }
}

impl Content for InMemory {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        match self.0.get(&descriptor.digest) {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            None => Err(ContentError::new(descriptor, ContentErrorKind::NotFound)),
        }
    }
}
