//! Where a registry is on the wire.
//!
//! Names are not always hosts (`docker.io` is registry-1.docker.io), and a host may be asked by HTTP without TLS: loopback, since
//! nobody is on the way, and the registries that the settings call insecure. As Docker does, https is tried first even there.

use std::net::{IpAddr, Ipv6Addr};

use longshore_http::Url;
use longshore_oci::DEFAULT_REGISTRY;

use crate::settings::RegistrySettings;

/// Where Docker Hub's registry is.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// One place that answers for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// The name whose credentials it gets, and which people know: `docker.io`, or a mirror's host.
    pub(crate) registry: String,
    /// Its `…/v2/` by each way to speak to it, the preferred one first.
    pub(crate) bases: Vec<Url>,
    /// What stands before every repository's name there.
    prefix: String,
}

/// A mirror or a registry that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not where a registry can be: expected HOST, HOST:PORT, http://… or https://…")]
pub struct EndpointError(pub String);

impl Endpoint {
    /// The registry itself.
    pub(crate) fn origin(registry: &str, settings: &RegistrySettings) -> Result<Endpoint, EndpointError> {
        let host = if registry == DEFAULT_REGISTRY { DOCKER_HUB } else { registry };
        let bases = bases(host, settings).ok_or_else(|| EndpointError(registry.to_owned()))?;
        Ok(Endpoint { registry: registry.to_owned(), bases, prefix: String::new() })
    }

    /// A mirror: HOST, or a URL, whose path then stands before the repositories' names.
    pub(crate) fn mirror(address: &str, settings: &RegistrySettings) -> Result<Endpoint, EndpointError> {
        let wrong = || EndpointError(without_credentials(address));
        if !address.contains("://") {
            let (host, prefix) = address.split_once('/').unwrap_or((address, ""));
            let bases = bases(host, settings).ok_or_else(wrong)?;
            return Ok(Endpoint { registry: host.to_owned(), bases, prefix: prefix_of(prefix) });
        }
        let url: Url = address.parse().map_err(|_| wrong())?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
        let registry = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let base = base(url.scheme(), &registry).ok_or_else(wrong)?;
        Ok(Endpoint { registry, bases: vec![base], prefix: prefix_of(url.path()) })
    }

    /// A repository's name there.
    pub(crate) fn repository(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// An address as it may be shown: without a user and a password before the host.
fn without_credentials(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let Some((_, host)) = rest.rsplit_once('@') else { return address.to_owned() };
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// A trailing `/v2`, which people copy from Docker's own lists of mirrors, is no part of a repository's name.
fn prefix_of(path: &str) -> String {
    let path = path.trim_matches('/');
    let path = if path == "v2" { "" } else { path };
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

fn base(scheme: &str, host: &str) -> Option<Url> {
    if host.is_empty() || host.contains(['/', '@', '?', '#']) {
        return None;
    }
    format!("{scheme}://{host}/v2/").parse().ok()
}

fn bases(host: &str, settings: &RegistrySettings) -> Option<Vec<Url>> {
    let schemes: &[&str] = match settings.is_insecure(host) || is_loopback(host) {
        true => &["https", "http"],
        false => &["https"],
    };
    schemes.iter().map(|scheme| base(scheme, host)).collect()
}

/// `localhost`, 127.0.0.0/8 or ::1, with or without a port.
fn is_loopback(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split(']').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default();
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RegistrySettings {
        RegistrySettings { insecure: ["old.example:5000".to_owned()].into(), ..RegistrySettings::default() }
    }

    fn shown(endpoint: &Endpoint) -> String {
        let bases: Vec<_> = endpoint.bases.iter().map(Url::as_str).collect();
        format!("{} {}", bases.join(" "), endpoint.repository("a/b"))
    }

    #[test]
    fn only_loopback_and_what_is_called_insecure_may_do_without_tls() {
        for (registry, expected) in [
            ("docker.io", "https://registry-1.docker.io/v2/ a/b"),
            ("ghcr.io", "https://ghcr.io/v2/ a/b"),
            ("localhost:5000", "https://localhost:5000/v2/ http://localhost:5000/v2/ a/b"),
            ("127.9.9.9", "https://127.9.9.9/v2/ http://127.9.9.9/v2/ a/b"),
            ("[::1]:5000", "https://[::1]:5000/v2/ http://[::1]:5000/v2/ a/b"),
            ("[::2]:5000", "https://[::2]:5000/v2/ a/b"),
            ("127.example.com", "https://127.example.com/v2/ a/b"),
            ("old.example:5000", "https://old.example:5000/v2/ http://old.example:5000/v2/ a/b"),
            ("old.example", "https://old.example/v2/ a/b"),
        ] {
            assert_eq!(shown(&Endpoint::origin(registry, &settings()).unwrap()), expected, "{registry}");
        }
    }

    #[test]
    fn a_mirrors_path_stands_before_its_repositories() {
        for (mirror, expected) in [
            ("mirror.gcr.io", "https://mirror.gcr.io/v2/ a/b"),
            ("https://mirror.gcr.io/", "https://mirror.gcr.io/v2/ a/b"),
            ("https://mirror.gcr.io/v2/", "https://mirror.gcr.io/v2/ a/b"),
            ("http://10.0.0.1:5000", "http://10.0.0.1:5000/v2/ a/b"),
            ("harbor.example/hub", "https://harbor.example/v2/ hub/a/b"),
            ("https://harbor.example/proxy/hub/", "https://harbor.example/v2/ proxy/hub/a/b"),
        ] {
            assert_eq!(shown(&Endpoint::mirror(mirror, &settings()).unwrap()), expected, "{mirror}");
        }
        for bad in ["", "ftp://x", "https://", "a b"] {
            assert_eq!(Endpoint::mirror(bad, &settings()), Err(EndpointError(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn an_address_that_is_refused_is_shown_without_its_password() {
        for (bad, shown) in [
            ("ftp://user:pass@mirror.example", "ftp://mirror.example"),
            ("user:p@ss@mirror.example/hub", "mirror.example/hub"),
        ] {
            assert_eq!(Endpoint::mirror(bad, &settings()), Err(EndpointError(shown.to_owned())), "{bad}");
        }
    }
}
