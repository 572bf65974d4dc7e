//! What the OCI specifications say an image is: manifests, configs, descriptors, references, digests, platforms.
//!
//! These structs keep the order of what they read and every field they do not know, so that an image that passes through
//! longshore loses nothing. Docker's variants (schema 2 manifests, `Healthcheck`, `Shell`, `OnBuild`) are read by the same
//! types, since they differ from OCI's in media types and in fields that OCI leaves room for.
//!
//! Sources: OCI image-spec 1.1 (descriptor.md, manifest.md, image-index.md, config.md), OCI distribution-spec 1.1,
//! Docker's image spec v1.3 and distribution's reference grammar.

mod config;
mod descriptor;
mod digest;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

/// Annotation keys that the OCI image specification reserves.
pub mod annotation;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs, nanoseconds};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, DigestError, Digester};
pub use manifest::{Index, Manifest};
pub use platform::{Platform, PlatformError};
pub use reference::{DEFAULT_REGISTRY, Reference, ReferenceError, ReferenceErrorKind};

/// String keys and values in the order in which they were written.
pub type StringMap = indexmap::IndexMap<String, String>;

/// Fields that a struct here does not know, kept as they were read.
pub type Unknown = serde_json::Map<String, serde_json::Value>;
