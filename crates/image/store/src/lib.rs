//! The local store: where images and what longshore remembers live.
//!
//! ```text
//! ROOT/images/            an OCI image layout, which every other tool can read
//!     oci-layout  index.json  blobs/sha256/…
//! ROOT/cache/KIND/NAME/   what can be made or fetched again: Go toolchains, what earlier builds saw
//! ROOT/leases/            one locked file for each running build
//! ROOT/tmp/               files that have no name yet
//! ```
//!
//! What only the cache needs lives beside the layout, since other tools' garbage collection removes what its index.json does not
//! reach. Several processes may use a store at once. A kill at any moment leaves it valid: blobs get their name after they are
//! synced, and index.json is replaced whole under a lock.

mod error;
mod garbage;
mod lease;
mod prune;
mod resolve;
mod store;

pub use error::{ResolveError, StoreError};
pub use lease::Lease;
pub use prune::{CacheItem, CacheKind, InUse, PruneOptions, PruneReport};
pub use store::{Store, StoredImage, Writer};
