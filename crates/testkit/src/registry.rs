//! Debian's docker-registry (the reference implementation, 2.8) on a free port of loopback.
//!
//! It has no referrers API: OCI 1.1 clients fall back to the tag scheme with it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::peer::{Peer, PeerError};
use crate::{Authority, Folder, program, run};

const NAME: &str = "docker-registry";

/// How a registry is to be set up; the default is plain HTTP for everybody.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Basic authentication for this user name and password.
    pub credentials: Option<(String, String)>,
    /// HTTPS with a certificate of an authority that is made for it, see [`Registry::authority`].
    pub tls: bool,
    /// A registry to pull through from, as a URL: this one becomes its read-only mirror.
    pub mirror_of: Option<String>,
}

/// A running registry; it ends, and its data goes, on drop.
#[derive(Debug)]
pub struct Registry {
    // Dropped in this order: the server ends before its folder goes.
    peer: Peer,
    folder: Folder,
    address: String,
    authority: Option<Authority>,
}

impl Registry {
    /// Starts a registry for everybody, over plain HTTP.
    pub fn start() -> Result<Registry, PeerError> {
        Registry::start_with(&RegistryOptions::default())
    }

    /// Starts a registry.
    ///
    /// Errors: [`PeerError::Missing`] where docker-registry (or htpasswd or openssl, if asked for) is not installed.
    pub fn start_with(options: &RegistryOptions) -> Result<Registry, PeerError> {
        let program = program(NAME)?;
        let folder = Folder::new().map_err(PeerError::prepare(NAME, "create a folder"))?;
        let authority = match options.tls {
            true => Some(Authority::create()?),
            false => None,
        };
        if let Some((user, password)) = &options.credentials {
            write_passwords(&folder, user, password)?;
        }
        let config = configuration(folder.path(), options, authority.as_ref());
        let config = folder
            .write("config.yml", config)
            .map_err(PeerError::prepare(NAME, "write the configuration"))?;
        let mut command = Command::new(program);
        command.arg("serve").arg(config).env_clear();
        let log = folder.join("log");
        let mut peer = Peer::start(NAME, &mut command, &log, Duration::from_secs(2))?;
        let address = peer.wait(Duration::from_secs(20), listening_address)?;
        Ok(Registry { peer, folder, address, authority })
    }

    /// `127.0.0.1:PORT`, as it stands in a reference.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://127.0.0.1:PORT` or `https://…`.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A reference into it: `registry.reference("shop:1.0")`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Who signed its certificate, if it speaks TLS.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// The folder that holds its blobs, for tests that damage them.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.join("data")
    }

    /// What it has logged: one line for each request among others.
    pub fn log(&self) -> String {
        self.peer.log()
    }
}

fn listening_address(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on ")?;
    let end = rest.find(['"', ',', ' ', '\n'])?;
    Some(rest[..end].to_owned())
}

fn write_passwords(folder: &Folder, user: &str, password: &str) -> Result<(), PeerError> {
    let mut command = Command::new(program("htpasswd")?);
    // The lowest cost of bcrypt: the registry hashes once for each request.
    command.args(["-B", "-C", "4", "-b", "-n", user, password]);
    let ran = run(&mut command, Duration::from_secs(10))
        .and_then(crate::Ran::succeeded)
        .map_err(|source| PeerError::Setup { name: NAME, source })?;
    folder.write("htpasswd", ran.stdout).map(drop).map_err(PeerError::prepare(NAME, "write the passwords"))
}

fn configuration(folder: &Path, options: &RegistryOptions, authority: Option<&Authority>) -> String {
    let mut text = format!(
        "version: 0.1\n\
         log:\n  level: info\n  formatter: text\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n  \
         maintenance:\n    uploadpurging:\n      enabled: false\n\
         http:\n  addr: 127.0.0.1:0\n  secret: longshore\n",
        folder.join("data").display(),
    );
    if let Some(authority) = authority {
        text.push_str(&format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            authority.server_certificate().display(),
            authority.server_key().display(),
        ));
    }
    if options.credentials.is_some() {
        let path = folder.join("htpasswd");
        text.push_str(&format!("auth:\n  htpasswd:\n    realm: longshore\n    path: {}\n", path.display()));
    }
    if let Some(url) = &options.mirror_of {
        text.push_str(&format!("proxy:\n  remoteurl: {url}\n"));
    }
    text
}
