//! What a registry client is made from.

use std::collections::{BTreeMap, BTreeSet};

use longshore_http::HttpSettings;

/// What a registry client is made from: a value, so that nothing here reads the environment.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// TLS, proxies, retries, time limits.
    pub http: HttpSettings,
    /// The environment's variables: they say where credentials are, and credential helpers see them all.
    pub variables: BTreeMap<String, String>,
    /// Places to ask before a registry itself when pulling: HOST or a URL, by the registry's name (`docker.io`).
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries (HOST or HOST:PORT) whose certificates are not checked, and that may do without TLS.
    pub insecure: BTreeSet<String>,
    /// Blobs that are moved at once. At least one.
    pub parallel: usize,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        RegistrySettings {
            http: HttpSettings::default(),
            variables: BTreeMap::new(),
            mirrors: BTreeMap::new(),
            insecure: BTreeSet::new(),
            parallel: 4,
        }
    }
}

impl RegistrySettings {
    /// The settings that the environment gives.
    pub fn from_variables(variables: BTreeMap<String, String>) -> Self {
        let http = HttpSettings::from_variables(|name| variables.get(name).cloned());
        RegistrySettings { http, variables, ..RegistrySettings::default() }
    }

    /// Whether a registry, as HOST or HOST:PORT, is one of [`RegistrySettings::insecure`].
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        self.insecure.contains(host)
    }
}
