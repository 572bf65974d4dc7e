//! What was typed and what surrounds it, resolved to what the libraries take.

use std::path::{Path, PathBuf};

use longshore_docker::{EngineKind, EngineVariables};
use longshore_events::Events;
use longshore_http::HttpSettings;
use longshore_registry::{Registries, RegistrySettings};
use longshore_store::{Store, StoreError};
use longshore_toolchain::{GoEnvironment, ToolchainSettings, Toolchains};

use crate::arguments::GlobalArgs;
use crate::environment::Environment;

/// What every command may need beside its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// The environment, read once.
    pub(crate) environment: Environment,
    /// Whether the network is left alone.
    pub(crate) offline: bool,
    store: Option<StoreLocation>,
    network: NetworkSettings,
}

/// What was typed about the network.
#[derive(Debug)]
struct NetworkSettings {
    authorities: Vec<PathBuf>,
    insecure: Vec<String>,
    mirrors: Vec<(String, String)>,
}

/// Where the store is, and what said so.
#[derive(Debug)]
struct StoreLocation {
    folder: PathBuf,
    reason: &'static str,
}

/// No variable says where the store is.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell where the image store is: neither XDG_DATA_HOME nor HOME is set to an absolute path")]
pub(crate) struct StoreLocationError;

/// The network is needed, and is to be left alone.
#[derive(Debug, thiserror::Error)]
#[error("a registry is needed, and --offline leaves the network alone")]
pub(crate) struct OfflineError;

/// What every command needs could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// Nothing says where the store is.
    #[error(transparent)]
    Location(#[from] StoreLocationError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of settings cannot be read.
    #[error(transparent)]
    File(#[from] longshore_files::FileError),
}

impl ContextError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            ContextError::Location(error) => error.hint(),
            ContextError::Store(error) => error.hint(),
            ContextError::File(error) => error.hint(),
        }
    }
}

impl StoreLocationError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some("name a folder with --store, or set LONGSHORE_STORE".to_owned())
    }
}

impl Context {
    pub(crate) fn new(global: &GlobalArgs, environment: Environment) -> Self {
        // An argument given in the environment counts as typed; the folder alone tells no more which it was.
        let from_environment = environment.variable("LONGSHORE_STORE");
        let store = match &global.store {
            Some(folder) if from_environment == Some(folder.as_os_str()) => {
                Some(StoreLocation { folder: folder.clone(), reason: "LONGSHORE_STORE" })
            }
            Some(folder) => Some(StoreLocation { folder: folder.clone(), reason: "--store" }),
            None => default_store(&environment),
        };
        let network = NetworkSettings {
            authorities: global.ca_file.clone(),
            insecure: global.insecure_registry.clone(),
            mirrors: global.registry_mirror.clone(),
        };
        Context { environment, offline: global.offline, store, network }
    }

    /// The folder of the image store. Errors: nothing says where it is.
    pub(crate) fn store_folder(&self) -> Result<&Path, StoreLocationError> {
        self.store.as_ref().map(|store| store.folder.as_path()).ok_or(StoreLocationError)
    }

    /// Opens the image store. Errors: nothing says where it is, or it cannot be read or made.
    pub(crate) fn store(&self) -> Result<Store, ContextError> {
        Ok(Store::open(self.store_folder()?)?)
    }

    /// Folder for large files that have no name yet: TMPDIR, else /var/tmp, which unlike /tmp is seldom in memory.
    pub(crate) fn temporary_folder(&self) -> PathBuf {
        let folder = self.environment.folder("TMPDIR");
        folder.unwrap_or_else(|| {
            PathBuf::from(if Path::new("/var/tmp").is_dir() { "/var/tmp" } else { "/tmp" })
        })
    }

    /// The settings of whatever speaks HTTP.
    pub(crate) fn http(&self) -> HttpSettings {
        let variable = |name: &str| self.environment.variable(name)?.to_str().map(str::to_owned);
        let mut settings = HttpSettings::from_variables(variable);
        settings.authorities.extend(self.network.authorities.iter().cloned());
        settings
    }

    /// The registries, of which none is spoken to yet. Errors: the network is to be left alone.
    pub(crate) fn registries(&self) -> Result<Registries, OfflineError> {
        if self.offline {
            return Err(OfflineError);
        }
        let variables = self.environment.variables().into_iter();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut settings = RegistrySettings::from_variables(variables.collect());
        settings.http = self.http();
        settings.insecure.extend(self.network.insecure.iter().cloned());
        for (registry, url) in &self.network.mirrors {
            settings.mirrors.entry(registry.clone()).or_default().push(url.clone());
        }
        Ok(Registries::new(settings))
    }

    /// Where engines may be.
    pub(crate) fn engine_variables(&self) -> EngineVariables {
        EngineVariables::from_variables(|name| self.environment.variable(name)?.to_str().map(str::to_owned))
    }

    /// An engine that answers. Errors: none does.
    pub(crate) fn engine(
        &self,
        kind: EngineKind,
        events: &Events,
    ) -> Result<longshore_docker::Engine, longshore_docker::EngineError> {
        longshore_docker::Engine::find(kind, &self.engine_variables(), &self.http(), events)
    }

    /// The Go toolchains that this user's settings reach.
    ///
    /// Errors: nothing says where the store is, in which fetched ones are kept; the user's Go settings cannot be read.
    pub(crate) fn toolchains(&self) -> Result<Toolchains, ContextError> {
        Ok(Toolchains::new(ToolchainSettings {
            cache_dir: self.store_folder()?.join("cache"),
            environment: GoEnvironment::read(self.environment.variables())?,
            http: longshore_http::Client::new(self.http()),
            offline: self.offline,
            use_installed: true,
        }))
    }

    /// What said where the store is.
    pub(crate) fn store_reason(&self) -> &'static str {
        self.store.as_ref().map_or("nothing says where", |store| store.reason)
    }
}

/// `$XDG_DATA_HOME/longshore`, else `~/.local/share/longshore` (XDG base directory specification 0.8).
fn default_store(environment: &Environment) -> Option<StoreLocation> {
    if let Some(data) = environment.folder("XDG_DATA_HOME") {
        return Some(StoreLocation { folder: data.join("longshore"), reason: "XDG_DATA_HOME" });
    }
    let home = environment.folder("HOME")?;
    Some(StoreLocation { folder: home.join(".local/share/longshore"), reason: "the default" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_where_xdg_puts_data() {
        for (variables, expected) in [
            (&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/me")][..], Some("/data/longshore")),
            (&[("XDG_DATA_HOME", ""), ("HOME", "/home/me")], Some("/home/me/.local/share/longshore")),
            (&[("XDG_DATA_HOME", "data"), ("HOME", "/home/me")], Some("/home/me/.local/share/longshore")),
            (&[("HOME", "me")], None),
            (&[], None),
        ] {
            let found = default_store(&Environment::of(variables));
            let found = found.map(|store| store.folder);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{variables:?}");
        }
    }
}
