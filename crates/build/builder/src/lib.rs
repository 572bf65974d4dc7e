//! From a Dockerfile to an image: solver, cache, steps.
//!
//! What a Dockerfile means is BuildKit's: `metadata` has the instructions that change the configuration, `transfer` COPY and ADD,
//! `workdir` WORKDIR, `run` RUN. `solve` goes through stages and decides what is known, by keys (`key`) that follow BuildKit's: contents
//! and not times of what is copied; words, environment and parent of what is run. Results are snapshots named by their keys, or layers of
//! caches (`cache`); `export` makes layers of those that the target has. This room knows no Go: whoever does may advise steps
//! ([`StepAdvisor`]).
//!
//! ```text
//! bytes ──parse──▶ StageGraph ──probe──▶ keys ──(all known?)──▶ snapshots, layers of caches ──export──▶ Image, caches
//!                                          └──build: one thread a stage ──▶ snapshots
//! ```

mod archive;
mod base;
mod build;
mod cache;
mod context;
mod contexts;
mod error;
mod export;
mod facts;
mod fetched;
mod files;
mod golang;
mod images;
mod key;
mod memory;
mod metadata;
mod missing;
mod mode;
mod mounts;
mod origin;
mod parallel;
mod place;
mod plan;
mod records;
mod remote;
mod request;
mod rules;
mod run;
mod scoped;
mod select;
mod slot;
mod solve;
mod source;
mod state;
mod step;
mod transfer;
mod tree;

mod workdir;

pub use archive::ArchiveError;
pub use build::{BuildOutcome, Builder, PlatformImage, build};
pub use cache::{BuiltCache, CacheMode, CachePlace, CacheSource};
pub use error::{BuildError, InstructionError, InstructionErrorKind, Place};
pub use fetched::{
    ContextAddress, ContextError, ContextRequest, ContextSource, FetchedContext, fetch_context,
};
pub use files::{BuiltFiles, FileChoice};
pub use longshore_sandbox::UnknownUser;
pub use place::PlaceError;
pub use remote::{AddressError, FetchError};
pub use request::{
    BuildRequest, CacheRequest, Context, Credentials, DockerfilePlace, DockerfileSource, NetworkMode,
    NoCache, Secret,
};
pub use select::SelectError;
pub use source::{Advice, AdvisedMount, ImageSource, Isolate, StageFiles, StepAdvisor, StepFacts};
pub use tree::TreeError;
