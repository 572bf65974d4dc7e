//! From a Go package to an image, and the certainty that nothing needs doing when nothing changed.
//!
//! ```text
//! request ─key─▶ memory ──every input as it was──▶ the image of last time
//!                   └─ anything else ─▶ go build ─┬─▶ ELF facts ─▶ base, certificates, time zones ─▶ layers ─▶ image
//!                                       go list ──┴─▶ every input, with stat and hash ─▶ memory
//! ```
//!
//! [`build`] is the whole of it; [`reproduce`] builds an image again from what the image says of itself and names the first
//! difference. What an image is made of is decided by the source, the request and the pins of longshore.lock, never by the
//! machine: the `go` command gets an environment of our own making, GOFLAGS and the user's go/env included only as far as they
//! cannot change the program.

mod assemble;
mod assets;
mod base;
mod build;
mod compare;
mod compile;
mod elf;
mod error;
mod flags;
mod goenv;
mod inputs;
mod layers;
mod memory;
mod outcome;
mod pins;
mod platform;
mod prepare;
mod probe;
mod recipe;
mod reproduce;
mod request;
mod resolved;
mod time;
mod vcs;

pub use base::BaseError;
pub use build::build;
pub use compare::Difference;
pub use elf::ElfError;
pub use error::{AssetError, AssetErrorKind, BuildError, GoFailure, GoFailureKind, SettingsError, VcsError};
pub use outcome::{BuildOutcome, PlatformImage};
pub use probe::{PROBE_PATH, probe};
pub use recipe::{RECIPE_LABEL, Recipe};
pub use reproduce::{ReproduceError, ReproduceOptions, Reproduction, recipe_of, reproduce};
pub use request::{BaseSource, BuildEnvironment, BuildRequest, LockMode, ServiceFacts};
