//! `longshore.toml`, what a project asks for, and `longshore.lock`, what was found outside and must stay the same.
//!
//! Every key of `longshore.toml` is optional: a module that builds without the file builds the same with an empty one. A
//! key that does not exist is an error that names the nearest one, since a misspelt `usr = "0"` that is silently ignored
//! would ship an image that nobody asked for. [`KEYS`] is the list of the keys; docs/configuration.md is checked against it.

mod decode;
mod error;
mod file;
mod keys;
mod lock;
mod position;
mod settings;
mod values;

pub use error::{ConfigError, ConfigErrorKind};
pub use file::{CONFIG_FILE, Config, Service};
pub use keys::{KEYS, Key, Scope, nearest};
pub use lock::{BasePin, Drift, LOCK_FILE, Lock, LockError, LockErrorKind, ToolchainPin};
pub use longshore_oci::media_type::ImageFormat;
pub use position::Position;
pub use settings::Settings;
pub use values::{
    BaseChoice, BuildMode, Healthcheck, HealthcheckChoice, Include, Port, PortError, Presence, Protocol,
    Strings, Vcs, parse_duration,
};
