//! What was typed and what surrounds it, resolved to what the libraries take.

use std::path::{Path, PathBuf};

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
        Context { environment, offline: global.offline, store }
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

    /// The Go toolchains that this user's settings reach.
    ///
    /// Errors: nothing says where the store is, in which fetched ones are kept; the user's Go settings cannot be read.
    pub(crate) fn toolchains(&self) -> Result<Toolchains, ContextError> {
        Ok(Toolchains::new(ToolchainSettings {
            cache_dir: self.store_folder()?.join("cache"),
            environment: GoEnvironment::read(self.environment.variables())?,
            http: self.http(),
            offline: self.offline,
            use_installed: true,
        }))
    }

    /// What speaks HTTP for every command. Nothing is set up before the first request.
    pub(crate) fn http(&self) -> longshore_http::Client {
        let variable = |name: &str| self.environment.variable(name).and_then(|value| value.to_str()).map(str::to_owned);
        longshore_http::Client::new(longshore_http::HttpSettings::from_variables(variable))
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
