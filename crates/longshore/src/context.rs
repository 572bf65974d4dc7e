//! What was typed and what surrounds it, resolved to what the libraries take.

use std::path::{Path, PathBuf};

use crate::arguments::GlobalArgs;
use crate::environment::Environment;

/// What every command may need beside its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// The environment, read once.
    pub(crate) environment: Environment,
    store: Option<PathBuf>,
}

/// No variable says where the store is.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell where the image store is: neither XDG_DATA_HOME nor HOME is set to an absolute path")]
pub(crate) struct StoreLocationError;

impl StoreLocationError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some("name a folder with --store, or set LONGSHORE_STORE".to_owned())
    }
}

impl Context {
    pub(crate) fn new(global: &GlobalArgs, environment: Environment) -> Self {
        let store = global.store.clone().or_else(|| default_store(&environment));
        Context { environment, store }
    }

    /// The folder of the image store. Errors: nothing says where it is.
    pub(crate) fn store_folder(&self) -> Result<&Path, StoreLocationError> {
        self.store.as_deref().ok_or(StoreLocationError)
    }
}

/// `$XDG_DATA_HOME/longshore`, else `~/.local/share/longshore` (XDG base directory specification 0.8).
fn default_store(environment: &Environment) -> Option<PathBuf> {
    let data = environment.folder("XDG_DATA_HOME");
    let data = data.or_else(|| environment.folder("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("longshore"))
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
            assert_eq!(found.as_deref(), expected.map(Path::new), "{variables:?}");
        }
    }
}
