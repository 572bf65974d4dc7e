//! Snapshots: unpacked layers, the differences that steps make, and the tree that they are together.
//!
//! A step's result is a folder that holds what it changed, in the form that overlays mount. A step that runs gets an overlay over the
//! chain of those before it, or, where none can be mounted, a copy of the tree; what only copies files writes into the folder without
//! mounting anything. A base image is unpacked only when something runs on it, or a file of it is opened: until then an index of its
//! tars' headers says what is in it.
//!
//! ```text
//! Image ──base──▶ Chain ──view──▶ View (read)
//!                   │
//!                 draft ──▶ Draft ──root──▶ a step runs ──┐
//!                             └───writer──▶ files ────────┴─commit──▶ Snapshot ──layer──▶ a layer of an image
//!                                                              View ──output──▶ files in a folder, a tar
//! ```

mod beneath;
mod beside;
mod chain;
mod copy;
mod draft;
mod duplicate;
mod error;
mod export;
mod id;
mod image;
mod import;
mod index;
mod marks;
mod node;
mod normalise;
mod output;
mod owners;
mod shelf;
mod snapshots;
mod source;
mod stream;
mod unpack;
mod view;
mod whole;
mod writer;
mod written;

pub use beneath::below_root;
pub use beside::{Occupant, Scratch};
pub use chain::Chain;
pub use draft::Draft;
pub use error::{LayerReadError, SnapshotError};
pub use export::LayerOptions;
pub use id::{SnapshotId, SnapshotIdError};
pub use import::StepLayer;
pub use node::{Metadata, Node, NodeKind};
pub use output::{Output, OutputError, TarOutput};
pub use snapshots::{Ownership, Snapshot, Snapshots};
pub use view::View;
pub use writer::Writer;
