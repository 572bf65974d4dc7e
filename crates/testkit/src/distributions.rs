//! The images of real distributions that Dockerfiles start from: where `cargo xtask bases` puts them, and whether they are there.
//!
//! They take root, the network and some minutes to make, so no test makes them: it asks for one with
//! [`crate::Requirement::Distribution`] and is skipped where there is none.

use std::path::PathBuf;

use serde_json::Value;

use crate::Skip;

/// The folder that holds what was downloaded and made: `longshore-bases` in the user's cache folder.
#[must_use]
pub fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    cache.join("longshore-bases")
}

/// The OCI layout of the images: $LONGSHORE_BASES, or `layout` in [`cache`].
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os("LONGSHORE_BASES").map_or_else(|| cache().join("layout"), PathBuf::from)
}

/// What `--build-context NAME=` takes for an image: `oci-layout://FOLDER:NAME`.
///
/// Errors: a [`Skip`] where the layout does not have it.
pub fn build_context(name: &str) -> Result<String, Skip> {
    check(name)?;
    Ok(format!("{name}=oci-layout://{}:{name}", folder().display()))
}

pub(crate) fn check(name: &str) -> Result<(), Skip> {
    let index = folder().join("index.json");
    let named = |index: &Value| {
        let manifests = index["manifests"].as_array().into_iter().flatten();
        manifests
            .map(|entry| &entry["annotations"]["org.opencontainers.image.ref.name"])
            .any(|own| own == name)
    };
    let found = std::fs::read(&index).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if found.as_ref().is_some_and(named) {
        return Ok(());
    }
    Err(Skip(format!("{name} is not in {} (root makes it with `cargo xtask bases`)", folder().display())))
}
