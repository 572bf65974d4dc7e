//! The API of Docker and Podman engines: images, and containers as a `Runtime`.
//!
//! An [`Endpoint`] is where an engine listens: found by [`EngineVariables`] as the engines' own clients find it (`DOCKER_HOST`,
//! contexts, the usual sockets), with the reason kept. An [`Engine`] speaks to one: it loads images from a stream without a
//! temporary file, exports them as archives, lists, inspects, tags and removes them. Nothing is sent before the first call; the
//! API's version is agreed upon then.
//!
//! ```text
//! EngineVariables ──endpoints──▶ Endpoint ──Engine::new──▶ Engine ──load / export / images / inspect / tag / remove
//! ```

mod containers;
mod context;
mod endpoint;
mod engine;
mod error;
mod images;
mod stream;
mod version;

#[cfg(test)]
mod fake;

pub use containers::EngineRuntime;
pub use endpoint::{Address, Endpoint, EngineKind, EngineVariables, TlsFiles};
pub use engine::{Engine, EngineInfo};
pub use error::{EngineError, EngineErrorKind};
pub use images::{EngineImage, ImageDetails};
