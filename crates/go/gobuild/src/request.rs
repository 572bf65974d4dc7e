//! What is asked for, and what is at hand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use longshore_config::{Lock, Port, Settings};
use longshore_events::Events;
use longshore_image::Image;
use longshore_oci::{Digest, Reference};
use longshore_store::Store;
use longshore_toolchain::Toolchains;
use serde::{Deserialize, Serialize};

/// What longshore.lock may do in a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LockMode {
    /// Its pins are used, and it is written where something new was resolved.
    #[default]
    Update,
    /// Its pins are used; whatever it does not say is an error, and it is not written.
    Locked,
    /// It is neither read nor written: everything is resolved anew.
    Ignore,
    /// These pins stand in its place; whatever they do not say is an error.
    Given(Box<Lock>),
}

/// What was read from the service's source and ends up in the image's config where the settings do not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Ports that the service listens on, sorted.
    pub ports: Vec<Port>,
    /// Arguments with which the program checks its own health, such as `["health"]`.
    pub health: Option<Vec<String>>,
    /// Where a program that cannot check its own health can be asked for it from inside: `http://127.0.0.1:8080/health`. It is not written where
    /// there is none, since what is written here is part of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_url: Option<String>,
}

/// One image to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Folder of longshore.toml, longshore.lock and of what `include` names; absolute.
    pub root: PathBuf,
    /// Folder of the go.mod that the main package belongs to; absolute, at or below `root`.
    pub module: PathBuf,
    /// Folder of the main package relative to `module`, with slashes: `cmd/api`, or `.`.
    pub package: String,
    /// Name of the service: its program lies at `/app/NAME`.
    pub name: String,
    /// What longshore.toml and the command line say, the command line's word being the last.
    pub settings: Settings,
    /// What the source says.
    pub facts: ServiceFacts,
    /// What longshore.lock may do.
    pub lock: LockMode,
    /// Build even if nothing changed.
    pub fresh: bool,
    /// SOURCE_DATE_EPOCH: the time of every file in the layers, in seconds since 1970; zero without it.
    pub source_date_epoch: Option<i64>,
}

/// Whoever turns a base's reference into an image: the registry's room, which this one may not use.
pub trait BaseSource: Sync {
    /// The image that `reference` stands for, its blobs where they can be read; with `pinned`, the one of that digest.
    ///
    /// Errors: there is none, or it cannot be fetched.
    fn resolve(
        &self,
        reference: &Reference,
        pinned: Option<&Digest>,
        events: &Events,
    ) -> Result<Image, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a build works with.
pub struct BuildEnvironment<'a> {
    /// Where images, and the memory of builds, are kept.
    pub store: &'a Store,
    /// Where Go comes from.
    pub toolchains: &'a Toolchains,
    /// Where base images come from.
    pub bases: &'a dyn BaseSource,
    /// The environment of the process. What of it reaches Go is decided here.
    pub variables: BTreeMap<OsString, OsString>,
}
