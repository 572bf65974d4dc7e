//! What a client is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::proxy::ProxySettings;

/// TLS for one host beyond what holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTls {
    /// Files of PEM certificates that are trusted too.
    pub authorities: Vec<PathBuf>,
    /// Files of the client's PEM certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What a client is made from.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Proxies.
    pub proxies: ProxySettings,
    /// Files of PEM certificates that are trusted beside the system's.
    pub authorities: Vec<PathBuf>,
    /// TLS by `HOST` or `HOST:PORT`.
    pub hosts: BTreeMap<String, HostTls>,
    /// Folders that hold a folder for each `HOST` or `HOST:PORT` with `*.crt`, `*.cert` and `*.key` files, as engines have them:
    /// /etc/docker/certs.d, /etc/containers/certs.d.
    pub host_folders: Vec<PathBuf>,
    /// `HOST` or `HOST:PORT` whose certificates are not checked.
    pub unverified_hosts: BTreeSet<String>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest time in which no byte moves.
    pub stall_timeout: Duration,
    /// Longest wait for the answer once a large body was sent: a registry may take long to store it.
    pub answer_timeout: Duration,
    /// How often a request is tried, the first time included. At least once.
    pub attempts: u32,
    /// Mean of the first wait between two attempts; each further one is twice as long.
    pub backoff: Duration,
    /// Longest wait that a server's `Retry-After` can ask for; a longer one is not waited for.
    pub retry_after_limit: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            proxies: ProxySettings::default(),
            authorities: Vec::new(),
            hosts: BTreeMap::new(),
            host_folders: Vec::new(),
            unverified_hosts: BTreeSet::new(),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(600),
            attempts: 5,
            backoff: Duration::from_millis(400),
            retry_after_limit: Duration::from_secs(120),
        }
    }
}

impl HttpSettings {
    /// The settings that the environment gives: proxies by variables, and engines' folders of certificates.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = variable("HOME").map(PathBuf::from);
        let own = home.map(|home| home.join(".config/containers/certs.d"));
        let system = ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from);
        HttpSettings {
            proxies: ProxySettings::from_variables(variable),
            host_folders: own.into_iter().chain(system).collect(),
            ..HttpSettings::default()
        }
    }
}
