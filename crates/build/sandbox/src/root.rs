//! Where a step's files are.

use std::path::PathBuf;

/// The root folder of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// An overlay that is mounted for the step: what it changes lands in `upper`.
    Overlay {
        /// Read-only folders, the top one first.
        lower: Vec<PathBuf>,
        /// Takes the changes.
        upper: PathBuf,
        /// The overlay's own folder, empty, on the file system of `upper`.
        work: PathBuf,
        /// Whether marks stand in `user.overlay.*` attributes rather than in `trusted.overlay.*`, as user namespaces need it.
        user_xattr: bool,
    },
    /// A folder that holds the whole tree, changed in place.
    Folder(PathBuf),
}
