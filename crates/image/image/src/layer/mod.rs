//! Layers: from entries to a compressed tar, and back to a tar.
//!
//! What [`LayerBuilder`] writes depends on its input alone: the order is the caller's, times follow a policy, names of owners
//! are left out, and the gzip stream is cut into chunks of fixed size, so that it is the same however many threads compress it.
//! [`FORMAT`] is raised whenever the bytes for the same entries would change.

mod builder;
mod compress;
mod decompress;
mod entry;
mod header;
mod reader;
mod sparse;

pub use builder::{LayerBuilder, LayerError, LayerErrorKind};
pub use compress::GzipWriter;
pub use decompress::decompress;
pub(crate) use decompress::sniff;
pub use entry::{Entry, EntryKind, Timestamps};
pub(crate) use reader::entries_of_file;
pub use reader::{TarContent, TarEnd, TarEntry, TarError, TarErrorKind, TarKind, TarReader, entries, inside};
pub use sparse::{Expanded, Piece};

use longshore_oci::{Descriptor, Digest};

/// Number of the layer format: raised only when the bytes of a layer with the same entries would change.
pub const FORMAT: u32 = 1;

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Media type, digest and size of the compressed bytes.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}
