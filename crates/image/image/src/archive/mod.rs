//! Archives of images: OCI layouts in a tar and what `docker save` writes, as sources and sinks.
//!
//! An archive is indexed once by its tar headers and its blobs are then read by their offsets, so that nothing is unpacked. A
//! compressed archive, or one from a stream, goes into a temporary file without a name first. Four forms are read:
//!
//! - an OCI layout (`oci-layout`, `index.json`, `blobs/`), as skopeo's `oci-archive:` and BuildKit write it;
//! - `manifest.json` with a folder for each layer, links among them, as Docker wrote it before version 25;
//! - `manifest.json` with `HEX.tar` files, as podman and skopeo write it;
//! - both sides at once, as Docker from version 25 writes it; then the OCI side counts.
//!
//! The second and third have no OCI manifest. One is made from the config, whose bytes stay, so that the image's ID does too,
//! and from the layers as they stand, each of which must have the diff id that the config says.
//!
//! What [`write_archive`] writes has both sides, so that every engine's `load` takes it, old or new.

mod docker;
mod members;
mod source;
mod spool;
mod write;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use longshore_events::Cancelled;
use longshore_oci::Digest;

pub use source::{Archive, ArchiveEntry};
pub use write::{ArchiveBytes, SaveError, SavedImage, save_archive, write_archive};

use crate::MAX_DOCUMENT;
use crate::content::ContentError;
use crate::layer::TarError;

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the archive {}", path.display())]
pub struct ArchiveError {
    /// The archive; `-` where it came from a stream.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: ArchiveErrorKind,
}

/// What can be wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveErrorKind {
    /// The file or the stream cannot be read, or the temporary file not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no tar, or a broken one.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// It is compressed in a way that is not read.
    #[error("it is compressed with {0}, and only gzip and zstd are read")]
    Compression(&'static str),
    /// It grows beyond all measure when decompressed.
    #[error(
        "it has more than {size} bytes when decompressed, {times} times its own: this is no archive of images"
    )]
    Bomb {
        /// Bytes decompressed so far.
        size: u64,
        /// How many times the compressed bytes that is.
        times: u64,
    },
    /// There is not enough room to decompress it.
    #[error("there is no room to decompress it in {}: {free} bytes are left", folder.display())]
    Space {
        /// The folder of the temporary file.
        folder: PathBuf,
        /// Bytes left on its file system.
        free: u64,
    },
    /// It has more entries than any archive of images.
    #[error("it has more than {0} entries")]
    TooMany(usize),
    /// An entry has no place in an archive of images.
    #[error("its entry `{name}` {reason}")]
    Entry {
        /// The entry's name as it stands in the tar.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It holds no image.
    #[error("it holds no image: it has neither index.json and oci-layout nor manifest.json")]
    NoImage,
    /// Something that it points at is not in it.
    #[error("{file} names `{missing}`, which is not there")]
    Missing {
        /// The file that names it.
        file: &'static str,
        /// What is not there.
        missing: String,
    },
    /// A document in it is too large.
    #[error("{0} has more than {MAX_DOCUMENT} bytes")]
    TooLarge(String),
    /// A document in it is not the JSON it must be.
    #[error("{file} is not valid")]
    Json {
        /// The document.
        file: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A file's bytes do not have the digest that its name says.
    #[error("`{file}` has the digest {actual}, and its name says another")]
    Digest {
        /// The file.
        file: String,
        /// The digest of its bytes.
        actual: Digest,
    },
    /// The config and the manifest disagree on the number of layers.
    #[error("manifest.json lists {layers} layers and the config {diff_ids} diff ids")]
    LayerCount {
        /// Layers that manifest.json lists.
        layers: usize,
        /// Diff ids in the config.
        diff_ids: usize,
    },
    /// A layer is not what the config says.
    #[error("layer `{file}` has the diff id {actual}, and the config says {expected}")]
    DiffId {
        /// The layer's file.
        file: String,
        /// What the config says.
        expected: Digest,
        /// What its bytes have.
        actual: Digest,
    },
    /// A document cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ArchiveError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ArchiveErrorKind::Compression(_) => Some("decompress it first".to_owned()),
            ArchiveErrorKind::Space { .. } => {
                Some("free some space, set TMPDIR to a larger disk, or decompress it first".to_owned())
            }
            ArchiveErrorKind::NoImage => Some(
                "archives are written by `longshore image save`, `docker save`, `podman save` or skopeo"
                    .to_owned(),
            ),
            ArchiveErrorKind::Content(error) => error.hint(),
            _ => None,
        }
    }
}
