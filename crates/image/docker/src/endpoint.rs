//! Where engines listen, as their own clients find it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::context;
use crate::error::{EngineError, EngineErrorKind};

/// Which engine is expected at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Docker, or whatever speaks its API in its place.
    Docker,
    /// Podman, which speaks Docker's API beside its own.
    Podman,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            EngineKind::Docker => "Docker",
            EngineKind::Podman => "Podman",
        })
    }
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// HOST:PORT, with TLS or without.
    Tcp(String, Option<TlsFiles>),
}

/// Files for TLS with an engine; those that are missing are not needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signed the engine's certificate.
    pub authority: Option<PathBuf>,
    /// The client's certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether the engine's certificate is not checked.
    pub unverified: bool,
}

impl TlsFiles {
    /// The files `ca.pem`, `cert.pem` and `key.pem` of a folder, as far as they are there.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        TlsFiles {
            authority: there("ca.pem"),
            identity: there("cert.pem").zip(there("key.pem")),
            unverified: false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Address::Tcp(host, _) => write!(formatter, "tcp://{host}"),
        }
    }
}

/// An engine's address, and why it is looked for there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Which engine is expected.
    pub kind: EngineKind,
    /// How it is reached.
    pub address: Address,
    /// What named it: `DOCKER_HOST`, "context `desktop`", "the usual place".
    pub origin: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {}", self.kind, self.address)
    }
}

/// What of the environment leads to engines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineVariables {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`, or `.docker` in the home folder.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`, else `docker_config`, where `DOCKER_TLS_VERIFY` or `DOCKER_TLS` asks for TLS.
    pub docker_tls: Option<PathBuf>,
    /// Whether `DOCKER_TLS` asks for TLS without a check of the certificate.
    pub docker_tls_unverified: bool,
    /// `CONTAINER_HOST`.
    pub container_host: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_folder: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl EngineVariables {
    /// Picks what matters. Variables that are empty count as absent, as the engines' clients have it.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let home = set("HOME").map(PathBuf::from);
        let config =
            set("DOCKER_CONFIG").map(PathBuf::from).or(home.as_ref().map(|home| home.join(".docker")));
        let verified = set("DOCKER_TLS_VERIFY").is_some();
        let tls = verified || set("DOCKER_TLS").is_some();
        EngineVariables {
            docker_host: set("DOCKER_HOST"),
            docker_context: set("DOCKER_CONTEXT"),
            docker_tls: set("DOCKER_CERT_PATH").map(PathBuf::from).or(config.clone()).filter(|_| tls),
            docker_tls_unverified: tls && !verified,
            docker_config: config,
            container_host: set("CONTAINER_HOST"),
            runtime_folder: set("XDG_RUNTIME_DIR").map(PathBuf::from),
            home,
        }
    }

    /// Where engines of `kind` may listen, best first. One that is named (by a variable or a context) is the only one.
    ///
    /// Errors: an address cannot be understood, or the context that is named is not there.
    pub fn endpoints(&self, kind: EngineKind) -> Result<Vec<Endpoint>, EngineError> {
        let find = || match kind {
            EngineKind::Docker => self.docker(),
            EngineKind::Podman => self.podman(),
        };
        find().map_err(|kind_of_error| EngineError {
            action: "find",
            endpoint: kind.to_string(),
            kind: kind_of_error,
        })
    }

    fn docker(&self) -> Result<Vec<Endpoint>, EngineErrorKind> {
        let endpoint =
            |address, origin: &str| Endpoint { kind: EngineKind::Docker, address, origin: origin.to_owned() };
        if let Some(host) = &self.docker_host {
            let tls = self.docker_tls.as_ref().map(|folder| TlsFiles {
                unverified: self.docker_tls_unverified,
                ..TlsFiles::in_folder(folder)
            });
            return Ok(vec![endpoint(parse_address(host, tls)?, "DOCKER_HOST")]);
        }
        if let Some((name, address)) = self.context()? {
            return Ok(vec![endpoint(address, &format!("context `{name}`"))]);
        }
        let usual = [
            Some(PathBuf::from("/var/run/docker.sock")),
            self.runtime_folder.as_ref().map(|folder| folder.join("docker.sock")),
            self.home.as_ref().map(|home| home.join(".docker/run/docker.sock")),
            self.home.as_ref().map(|home| home.join(".docker/desktop/docker.sock")),
        ];
        Ok(usual.into_iter().flatten().map(|path| endpoint(Address::Unix(path), "the usual place")).collect())
    }

    /// The context that is named; the one called `default` stands for the usual places.
    fn context(&self) -> Result<Option<(String, Address)>, EngineErrorKind> {
        let Some(folder) = &self.docker_config else { return Ok(None) };
        let name = match &self.docker_context {
            Some(name) => Some(name.clone()),
            None => context::current(folder)?,
        };
        let Some(name) = name.filter(|name| name != "default") else { return Ok(None) };
        let (host, tls) = context::host(folder, &name)?;
        Ok(Some((name, parse_address(&host, tls)?)))
    }

    fn podman(&self) -> Result<Vec<Endpoint>, EngineErrorKind> {
        let endpoint =
            |address, origin: &str| Endpoint { kind: EngineKind::Podman, address, origin: origin.to_owned() };
        if let Some(host) = &self.container_host {
            return Ok(vec![endpoint(parse_address(host, None)?, "CONTAINER_HOST")]);
        }
        let usual = [
            self.runtime_folder.as_ref().map(|folder| folder.join("podman/podman.sock")),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        Ok(usual.into_iter().flatten().map(|path| endpoint(Address::Unix(path), "the usual place")).collect())
    }
}

/// `unix://PATH`, `tcp://HOST[:PORT]`, `http://…` or `https://…`.
fn parse_address(text: &str, tls: Option<TlsFiles>) -> Result<Address, EngineErrorKind> {
    // What stands before an `@` may be a password.
    let shown = || match text.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://{host}"),
        _ => text.to_owned(),
    };
    let wrong = || EngineErrorKind::Address(shown());
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    match scheme {
        "unix" if rest.starts_with('/') => Ok(Address::Unix(PathBuf::from(rest))),
        "tcp" | "http" | "https" => {
            let host = rest.trim_end_matches('/');
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
            if host.is_empty() || !host.chars().all(plain) {
                return Err(wrong());
            }
            let tls = if scheme == "https" { Some(tls.unwrap_or_default()) } else { tls };
            let port = if tls.is_some() { 2376 } else { 2375 };
            let after_brackets = host.rsplit(']').next().unwrap_or(host);
            let host = if after_brackets.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
            Ok(Address::Tcp(host, tls))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&str, &str)]) -> EngineVariables {
        EngineVariables::from_variables(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn places(variables: &EngineVariables, kind: EngineKind) -> Vec<String> {
        let endpoints = variables.endpoints(kind).unwrap();
        endpoints.iter().map(|endpoint| format!("{} ({})", endpoint.address, endpoint.origin)).collect()
    }

    #[test]
    fn an_address_that_is_refused_is_shown_without_its_password() {
        for (text, shown) in [("ssh://me:pass@engine", "ssh://engine"), ("npipe", "npipe")] {
            let said = parse_address(text, None).unwrap_err().to_string();
            assert!(said.starts_with(&format!("`{shown}` is not an address")), "{said}");
        }
    }

    #[test]
    fn a_named_host_is_the_only_one() {
        for (host, address) in [
            ("unix:///x/docker.sock", "unix:///x/docker.sock"),
            ("tcp://engine", "tcp://engine:2375"),
            ("tcp://engine:1", "tcp://engine:1"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
            ("https://engine/", "tcp://engine:2376"),
        ] {
            let set = variables(&[("DOCKER_HOST", host), ("CONTAINER_HOST", host), ("HOME", "/nowhere")]);
            assert_eq!(places(&set, EngineKind::Docker), [format!("{address} (DOCKER_HOST)")]);
            assert_eq!(places(&set, EngineKind::Podman), [format!("{address} (CONTAINER_HOST)")]);
        }
        let set = variables(&[
            ("DOCKER_HOST", "tcp://engine"),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", "/nowhere"),
        ]);
        let endpoints = set.endpoints(EngineKind::Docker).unwrap();
        assert_eq!(endpoints[0].address, Address::Tcp("engine:2376".into(), Some(TlsFiles::default())));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "ssh://me@host",
            "unix://relative",
            "npipe:////./pipe/docker",
            "/var/run/docker.sock",
            "tcp://",
            "tcp://a/b",
            "fd://",
        ] {
            let error = variables(&[("DOCKER_HOST", bad)]).endpoints(EngineKind::Docker).unwrap_err();
            let shown = bad.replace("me@", "");
            assert!(matches!(&error.kind, EngineErrorKind::Address(address) if *address == shown), "{bad}");
        }
    }

    #[test]
    fn the_usual_places_are_tried_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let set = variables(&[("HOME", &home), ("XDG_RUNTIME_DIR", "/run/user/7"), ("DOCKER_HOST", "")]);
        assert_eq!(
            places(&set, EngineKind::Docker),
            [
                "unix:///var/run/docker.sock (the usual place)".to_owned(),
                "unix:///run/user/7/docker.sock (the usual place)".to_owned(),
                format!("unix://{home}/.docker/run/docker.sock (the usual place)"),
                format!("unix://{home}/.docker/desktop/docker.sock (the usual place)"),
            ]
        );
        assert_eq!(
            places(&set, EngineKind::Podman),
            [
                "unix:///run/user/7/podman/podman.sock (the usual place)",
                "unix:///run/podman/podman.sock (the usual place)"
            ]
        );
    }

    #[test]
    fn a_context_leads_to_its_engine_with_its_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join(".docker");
        let id = longshore_oci::Digest::of(b"far");
        let meta = config.join("contexts/meta").join(id.encoded());
        let tls = config.join("contexts/tls").join(id.encoded()).join("docker");
        for folder in [&meta, &tls] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let write = |path: PathBuf, text: &str| {
            std::fs::File::create(path)
                .and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes()))
                .unwrap();
        };
        write(
            meta.join("meta.json"),
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#,
        );
        write(tls.join("ca.pem"), "");
        write(config.join("config.json"), r#"{"auths":{},"currentContext":"far"}"#);
        let home = folder.path().display().to_string();
        let endpoints = variables(&[("HOME", &home)]).endpoints(EngineKind::Docker).unwrap();
        let files = TlsFiles { authority: Some(tls.join("ca.pem")), ..TlsFiles::default() };
        assert_eq!(endpoints[0].address, Address::Tcp("far:2376".into(), Some(files)));
        assert_eq!(endpoints[0].origin, "context `far`");
        let default = variables(&[("HOME", &home), ("DOCKER_CONTEXT", "default")]);
        assert_eq!(default.endpoints(EngineKind::Docker).unwrap()[0].origin, "the usual place");
        let gone = variables(&[("HOME", &home), ("DOCKER_CONTEXT", "gone")])
            .endpoints(EngineKind::Docker)
            .unwrap_err();
        assert!(matches!(gone.kind, EngineErrorKind::NoContext { .. }), "{gone:?}");
        write(config.join("config.json"), "{");
        let broken = variables(&[("HOME", &home)]).endpoints(EngineKind::Docker).unwrap_err();
        assert!(matches!(broken.kind, EngineErrorKind::Settings { .. }), "{broken:?}");
    }
}
