//! The image: the one type that everything meets at, and what can be done with one without a network.
//!
//! An [`Image`] is a root descriptor and a [`Content`] that opens what the root reaches. Sources (a layout, an archive, the
//! store) implement the one method of [`Content`]; the rest — manifests, configs, platforms, the walk over all blobs — is
//! derived here, once. Sinks implement [`Sink`], and [`copy`] moves an image from any source to any sink, leaves first, so that
//! a reader of the sink never sees a manifest whose layers are not there.
//!
//! ```text
//! source (Content) ──Image──▶ copy ──▶ Sink
//! entries ──LayerBuilder──▶ tar ──▶ sha256 (diff id) ──▶ gzip ──▶ sha256 (digest) ──▶ writer
//! ```

pub mod archive;
mod content;
mod copy;
pub mod diff;
pub mod flatten;
mod handle;
pub mod layer;
mod layout;
pub mod mutate;
#[cfg(test)]
mod samples;
pub mod validate;
mod verify;

pub use content::{BlobReader, Content, ContentError, ContentErrorKind, read_small};
pub use copy::{CopyError, Sink, SinkError, copy};
pub use handle::Image;
pub use layout::{Layout, LayoutEntry, LayoutError};
pub use verify::VerifyingReader;

/// Largest manifest, index or config that is read into memory, in bytes. Registries refuse manifests over 4 MiB; configs with
/// long histories are larger than manifests are.
pub const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;
