//! Compose files and Kubernetes manifests, and the containers that they ask for.
//!
//! [`document`] reads YAML into trees that know where each part stands. [`compose`] puts the files of a Compose project together as Docker
//! Compose does; [`kubernetes`] finds the workloads in manifests. Both lower what they read to a [`ContainerSettings`], and say what a
//! container of its own cannot be given, so that whoever tests an image under these settings knows what was not tested.
//!
//! Nothing here reads a file or the environment: callers hand both in.
//!
//! [`ContainerSettings`]: longshore_runtime::ContainerSettings

pub mod compose;
pub mod document;
mod fields;
pub mod kubernetes;
mod lowered;
mod values;

pub use document::{Problem, Sources, Span};
pub use lowered::{Asked, Content, Lowered, Note, Provided, ProvidedFile, UnknownVariable, Weight};
