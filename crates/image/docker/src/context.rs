//! Docker's contexts: named engines in `~/.docker/contexts`.
//!
//! A context's folder is named after the SHA-256 of its name (docker/cli, cli/context/store).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use longshore_oci::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::endpoint::TlsFiles;
use crate::error::EngineErrorKind;

/// Largest file of settings that is read, in bytes.
const MAX_SETTINGS: u64 = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext", default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The context that `config.json` in Docker's `folder` chooses.
pub(crate) fn current(folder: &Path) -> Result<Option<String>, EngineErrorKind> {
    let file: Option<ConfigFile> = read(&folder.join("config.json"))?;
    Ok(file.and_then(|file| file.current_context).filter(|name| !name.is_empty()))
}

/// The address that a context has for Docker, and its files for TLS where there are any.
pub(crate) fn host(folder: &Path, name: &str) -> Result<(String, Option<TlsFiles>), EngineErrorKind> {
    let id = Digest::of(name.as_bytes());
    let missing = || EngineErrorKind::NoContext { name: name.to_owned(), folder: folder.to_owned() };
    let path = folder.join("contexts/meta").join(id.encoded()).join("meta.json");
    let meta: Meta = read(&path)?.ok_or_else(missing)?;
    let docker = meta.endpoints.docker.ok_or_else(missing)?;
    let tls = folder.join("contexts/tls").join(id.encoded()).join("docker");
    let files =
        tls.is_dir().then(|| TlsFiles { unverified: docker.skip_tls_verify, ..TlsFiles::in_folder(&tls) });
    Ok((docker.host, files))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EngineErrorKind> {
    let wrong = |source| EngineErrorKind::Settings { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_SETTINGS).read_to_end(&mut text).map_err(wrong)?;
    serde_json::from_slice(&text).map(Some).map_err(|error| wrong(error.into()))
}
