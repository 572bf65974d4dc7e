//! OCI registries: pull, push, copy, tags, referrers, and the credentials that they want.
//!
//! What is remote lands in the store before it is an image: [`Registries::pull`] streams every blob into the store and proves it on the
//! way; [`Registries::push`] sends an image from wherever it is. Nothing is held in memory but manifests and a few buffers.
//!
//! ```text
//! Registries ── façade: names, mirrors, what was being done
//!   Pull, Push, referrers ── which blobs and manifests, in which order, how many at once
//!     Repository, Upload ── the requests of the protocol, one by one
//!       Session ── which scheme, which credentials, which token
//!         longshore_http ── TLS, proxies, retries, time limits
//! ```
//!
//! All functions block; what they do at once they do on threads of their own. They must not be called from asynchronous code.
//!
//! Sources: OCI distribution-spec 1.1; distribution's specifications of tokens and their OAuth 2 form; docker-credential-helpers;
//! containers-auth.json(5).

mod answer;
mod challenge;
mod credentials;
mod early_sync;
mod endpoint;
mod error;
mod form;
mod link;
mod memory;
mod parallel;
mod progress;
mod pull;
mod push;
mod referrers;
mod registries;
mod remote;
mod repository;
mod session;
mod settings;
mod source;
mod token;
mod upload;

pub use credentials::CredentialError;
pub use endpoint::EndpointError;
pub use error::{RegistryError, RegistryErrorKind, Unauthorized};
pub use pull::{Platforms, Pulled};
pub use push::{PushOptions, Pushed};
pub use referrers::Artifact;
pub use registries::Registries;
pub use settings::RegistrySettings;
