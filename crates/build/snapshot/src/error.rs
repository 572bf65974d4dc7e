//! What can go wrong with snapshots.

use std::io;
use std::path::{Path, PathBuf};

use longshore_events::Cancelled;
use longshore_files::FileError;
use longshore_image::ContentError;
use longshore_image::layer::{LayerError, TarError};
use longshore_oci::Digest;
use longshore_store::StoreError;

/// Snapshots could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A file of a snapshot, or of the store's folders for snapshots.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was being done: "list", "set the owner of".
        action: &'static str,
        /// The path it was done to: in the tree, or on disk where it is no part of a tree.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Symbolic links lead to one another without end.
    #[error("too many symbolic links on the way to {}", .0.display())]
    Links(PathBuf),
    /// There is nothing, where something was meant to be.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// A folder was meant.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// A regular file was meant.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Something cannot stand in a layer.
    #[error("{} cannot stand in a layer: names that begin with `.wh.` are marks of what was removed", .0.display())]
    Reserved(PathBuf),
    /// A folder was renamed by an overlay that was mounted with redirects, which layers have no form for.
    #[error("{} is a redirect of an overlay, which no layer can hold", .0.display())]
    Redirect(PathBuf),
    /// A layer of an image cannot be read.
    #[error("cannot read layer {layer}")]
    Layer {
        /// The layer's digest.
        layer: Digest,
        /// What went wrong.
        #[source]
        kind: LayerReadError,
    },
    /// The image's documents say different things.
    #[error("image {image} has {layers} layers, and its config names {diff_ids}")]
    LayerCount {
        /// The image's digest.
        image: Digest,
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the config.
        diff_ids: usize,
    },
    /// An image's manifest or config.
    #[error(transparent)]
    Image(#[from] ContentError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A folder of the store.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// A layer could not be written.
    #[error(transparent)]
    Export(#[from] LayerError),
    /// The table of owners, or the index of a layer, is damaged.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why a layer of an image cannot be read or unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerReadError {
    /// The layer is absent or altered.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Its tar is malformed.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// An entry cannot be unpacked.
    #[error("cannot {action} {}", path.display())]
    Entry {
        /// What was being done.
        action: &'static str,
        /// Path in the layer.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An entry would stand outside of the image's root.
    #[error("its entry {} leads out of the image", .0.display())]
    Outside(PathBuf),
    /// A hard link leads to a folder, or to nothing.
    #[error("its hard link {} leads to {}, which is no file", path.display(), target.display())]
    HardLink {
        /// Path of the link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Symbolic links lead to one another without end.
    #[error("too many symbolic links on the way to its entry {}", .0.display())]
    Links(PathBuf),
    /// An owner's number has more than 32 bits, or is the one that means none.
    #[error("the owner of its entry {} is {owner}, and the largest number of an owner is 4294967294", path.display())]
    Owner {
        /// Path in the layer.
        path: PathBuf,
        /// The number.
        owner: u64,
    },
    /// There are more entries than any image has.
    #[error("it has more than {0} entries, or names of more than 512 MiB")]
    TooMany(usize),
    /// The tar is not the one that the config names.
    #[error("its tar has the digest {actual}, and the config says {expected}")]
    DiffId {
        /// What the config says.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A step's result has a device, and none can be made here.
    #[error("its device {} cannot be made here", .0.display())]
    Device(PathBuf),
    /// The thread that decompresses ended early.
    #[error(transparent)]
    Thread(io::Error),
}

impl SnapshotError {
    /// Whether a layer is to blame, rather than the place where it is unpacked.
    pub fn is_of_layer(&self) -> bool {
        match self {
            SnapshotError::Layer { kind: LayerReadError::Entry { source, .. }, .. } => {
                use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
                !matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
            }
            SnapshotError::Layer { .. } => true,
            _ => false,
        }
    }

    /// An adapter for `map_err`: `SnapshotError::of("list", path)`.
    pub(crate) fn of<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> SnapshotError {
        move |source| SnapshotError::File { action, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SnapshotError::File { action, path, source } => hint_of(action, path, source),
            SnapshotError::Layer { kind: LayerReadError::Entry { action, path, source }, .. } => {
                hint_of(action, path, source)
            }
            SnapshotError::Layer { kind: LayerReadError::Content(error), .. } => error.hint(),
            SnapshotError::Image(error) => error.hint(),
            SnapshotError::Store(error) => error.hint(),
            SnapshotError::Folder(error) => error.hint(),
            SnapshotError::Damaged(_) => Some("remove it: it can be made again".to_owned()),
            _ => None,
        }
    }
}

fn hint_of(action: &'static str, path: &Path, source: &io::Error) -> Option<String> {
    if action == OWNER && source.kind() == io::ErrorKind::InvalidInput {
        return Some(
            "the user namespace has no such id: give the user more of them in /etc/subuid and /etc/subgid"
                .to_owned(),
        );
    }
    let again = io::Error::from(
        source.raw_os_error().map_or(source.kind(), |code| io::Error::from_raw_os_error(code).kind()),
    );
    FileError { action, path: path.to_owned(), source: again }.hint()
}

/// What is being done when an owner is set.
pub(crate) const OWNER: &str = "set the owner of";
