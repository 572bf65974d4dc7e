//! Where content can be read by its descriptor.

use std::io::{self, Read};

use longshore_oci::{Descriptor, Digest};

use crate::{MAX_DOCUMENT, VerifyingReader};

/// A stream of a blob's bytes.
pub type BlobReader = Box<dyn Read + Send>;

/// Something that holds blobs: a layout, an archive, the store.
pub trait Content: Send + Sync {
    /// Opens a blob by its descriptor's digest, from its first byte.
    ///
    /// The bytes need not be verified here: readers go through [`VerifyingReader`]. Errors: the blob is not there, or cannot
    /// be opened.
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError>;
}

/// Content that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} {digest}")]
pub struct ContentError {
    /// What the content is to the image: "manifest", "config", "layer".
    pub what: &'static str,
    /// Its digest.
    pub digest: Digest,
    /// What went wrong.
    #[source]
    pub kind: ContentErrorKind,
}

/// Why content could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentErrorKind {
    /// The source does not hold it.
    #[error("it is not there")]
    NotFound,
    /// It could not be read, or its bytes are not what the descriptor says.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not the JSON that its media type says.
    #[error("it is not a valid {0}")]
    Json(&'static str, #[source] serde_json::Error),
    /// It is larger than a document of its kind may be.
    #[error("it has {size} bytes, and at most {MAX_DOCUMENT} are read")]
    TooLarge {
        /// Size by the descriptor, in bytes.
        size: u64,
    },
    /// Its media type is not one that is expected here.
    #[error("its media type is `{found}`, and {expected} is expected")]
    MediaType {
        /// The media type found.
        found: String,
        /// What is expected, for a person.
        expected: &'static str,
    },
    /// An index holds no image for a platform.
    #[error("it has no image for {wanted}; it has {offered}")]
    NoPlatform {
        /// The platform asked for.
        wanted: String,
        /// The platforms there are, separated by commas.
        offered: String,
    },
    /// Indexes point at indexes, deeper than any real image.
    #[error("indexes are nested deeper than {0} levels")]
    Nesting(usize),
}

impl ContentError {
    /// An error about `descriptor`, its role told from its media type.
    pub fn new(descriptor: &Descriptor, kind: impl Into<ContentErrorKind>) -> Self {
        ContentError {
            what: role(&descriptor.media_type),
            digest: descriptor.digest.clone(),
            kind: kind.into(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ContentErrorKind::NoPlatform { .. } => Some("name one of the platforms it has with --platform".to_owned()),
            ContentErrorKind::MediaType { found, .. } if is_schema_1(found) => Some(
                "this is Docker's manifest schema 1, given up in 2017: copy the image once with a tool that converts it".to_owned(),
            ),
            _ => None,
        }
    }
}

fn is_schema_1(media_type: &str) -> bool {
    use longshore_oci::media_type::{DOCKER_MANIFEST_V1, DOCKER_MANIFEST_V1_SIGNED};
    matches!(media_type, DOCKER_MANIFEST_V1 | DOCKER_MANIFEST_V1_SIGNED)
}

fn role(media_type: &str) -> &'static str {
    use longshore_oci::media_type as types;
    match media_type {
        _ if types::is_index(media_type) => "index",
        _ if types::is_manifest(media_type) => "manifest",
        _ if types::is_config(media_type) => "config",
        _ if types::layer_compression(media_type).is_some() => "layer",
        _ => "blob",
    }
}

/// Reads a whole document, verified against its descriptor. Errors: it is larger than [`MAX_DOCUMENT`], absent or altered.
pub fn read_small(content: &dyn Content, descriptor: &Descriptor) -> Result<Vec<u8>, ContentError> {
    if descriptor.size > MAX_DOCUMENT {
        return Err(ContentError::new(descriptor, ContentErrorKind::TooLarge { size: descriptor.size }));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or_default());
    let mut reader = VerifyingReader::new(content.open(descriptor)?, descriptor);
    reader.read_to_end(&mut bytes).map_err(|error| ContentError::new(descriptor, error))?;
    Ok(bytes)
}
