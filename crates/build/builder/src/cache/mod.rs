//! Caches that travel: what one build found out and made, for builds on other machines.
//!
//! A cache is an OCI manifest of a type of its own, whose config holds records and whose layers are those of steps, so that any registry
//! holds it and any tool moves it; an inline cache is the same records in an image's config. A step is known by a cache as it is by the
//! snapshots of this machine: its key is worked out from what it depends on, and looked up. So importing needs nothing but the records;
//! layers come when they are needed. docs/decisions/0096 says why it is so.
//!
//! ```text
//! records ──read──▶ Imports ──known──▶ a step is CACHED ──fetch──▶ store ──┬─▶ the image's layer
//!                                                                          └─▶ snapshot, where a step stands on it
//! Told ──part──▶ Part ──assemble──▶ BuiltCache,  or ──inline──▶ the image's config
//! ```

mod document;
mod error;
mod import;
mod known;
mod write;

pub(crate) use document::{BUILDKIT_INLINE, INLINE};
pub(crate) use import::Imports;
pub use import::{CachePlace, CacheSource};
pub(crate) use known::{Known, generation_key};
pub use write::{BuiltCache, CacheMode};
pub(crate) use write::{Part, Told, assemble};
