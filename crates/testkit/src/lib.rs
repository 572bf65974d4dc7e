//! Fixtures, real peers and faults for longshore's tests.
//!
//! What longshore writes must be accepted by the programs that people already have, and it must read what they write; so
//! the tests meet the real ones: a registry ([`Registry`]), an engine ([`Dockerd`]), and skopeo, umoci or podman as
//! programs ([`program`]). What no peer does on request (an answer cut short, a server that hangs) comes from a
//! [`FaultServer`], alone or in front of a real registry.
//!
//! A machine may lack a peer. A test then says so: it asks for what it needs with a [`Requirement`], and where that is not
//! met it ends with a [`Skip`] and its reason, which the [`Suite`] counts and prints. Nothing passes in silence.
//!
//! Dockerfile builds start from base images that need no registry ([`bases`]), and are held against BuildKit's recorded outcomes
//! ([`conformance`]).
//!
//! Guards end the servers they started when they are dropped, also when a test panics.

pub mod bases;
mod binary;
mod buildkit;
mod certificate;
pub mod conformance;
mod disk;
pub mod distributions;
mod dockerd;
mod faults;
mod folder;
mod peer;
mod random;
mod redact;
mod registry;
mod requirement;
mod run;
mod suite;
mod users;

pub use binary::{Longshore, longshore_binary};
pub use buildkit::BuildKit;
pub use certificate::Authority;
pub use disk::SmallDisk;
pub use dockerd::Dockerd;
pub use faults::{Answer, FaultServer, Reply, Request};
pub use folder::{Folder, copy_tree, example, repository};
pub use peer::PeerError;
pub use random::Random;
pub use redact::Redactions;
pub use registry::{Registry, RegistryOptions};
pub use requirement::{Requirement, Skip, program};
pub use run::{Ran, RunError, run};
pub use suite::{Stop, Suite, TestResult};
pub use users::{UNLENT_USER, lent_user};
