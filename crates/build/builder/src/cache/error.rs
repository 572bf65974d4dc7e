//! Why a cache is not used.

use longshore_image::ContentError;

/// A cache that cannot be read. The build goes on without it, and says why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(Box<dyn std::error::Error + Send + Sync>),
    /// Its documents are absent, altered or larger than any.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Its records are no JSON, or other JSON.
    #[error("its records cannot be read")]
    Json(#[source] serde_json::Error),
    /// It was written by a later longshore.
    #[error("its records are of version {0}, and only version 1 is known")]
    Version(u32),
    /// It has more records than any build.
    #[error("it has {count} {what}, and at most {most} are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are read.
        most: usize,
    },
    /// A record names what is not there.
    #[error("a record names layer {index}, and the number of layers is {layers}")]
    NoLayer {
        /// The layer, from 0.
        index: usize,
        /// How many there are.
        layers: usize,
    },
    /// A record names what is no layer.
    #[error("a record names a layer of the type `{0}`, which is no layer's")]
    LayerType(String),
    /// An image's config names another tar than the record.
    #[error("a record and the image's config name different contents of layer {0}")]
    DiffId(usize),
    /// Two records are about the same.
    #[error("two records are about one result")]
    Twice,
    /// BuildKit wrote it.
    #[error(
        "BuildKit wrote it, and names steps by digests of its own description of a build, which fit no other builder"
    )]
    BuildKit,
    /// It is an image without records.
    #[error("it is an image without a cache in it: build it with --cache-to type=inline")]
    NoCache,
    /// It is something else.
    #[error("it is of the type `{0}`, and neither a cache nor an image")]
    OtherType(String),
}
