//! Docker's config.json and podman's auth.json, which share a form.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use longshore_http::Secret;
use serde::Deserialize;

use super::{Credential, CredentialError};

/// A file of credentials is small; what is larger is something else.
const MOST: u64 = 4 * 1024 * 1024;

/// Files written by hand often lack the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A file of credentials.
#[derive(Debug)]
pub(super) struct AuthFile {
    path: PathBuf,
    content: Content,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    auths: BTreeMap<String, Option<Entry>>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize, Clone, Default)]
pub(super) struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
    #[serde(default)]
    registrytoken: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Entry")
    }
}

/// Where a file says that a registry's credentials are.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// In the file, under this name.
    Entry(&'a str),
    /// With the helper of this name.
    Helper(&'a str),
}

impl AuthFile {
    /// Reads a file; `None` where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<AuthFile>, CredentialError> {
        let failed = |source| CredentialError::File { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST {
            return Err(failed(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {MOST} bytes"),
            )));
        }
        AuthFile::parse(path, &bytes).map(Some)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<AuthFile, CredentialError> {
        // An empty file is what `touch` and some CI systems leave.
        if bytes.trim_ascii().is_empty() {
            return Ok(AuthFile { path: path.to_owned(), content: Content::default() });
        }
        let content = serde_json::from_slice(bytes).map_err(|error| CredentialError::Json {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        Ok(AuthFile { path: path.to_owned(), content })
    }

    /// Where credentials may be, by the registry's names, in the order in which to look.
    pub(super) fn places<'a>(&'a self, keys: &[String]) -> Vec<Place<'a>> {
        let helpers = keys.iter().filter_map(|key| self.content.cred_helpers.get(key));
        let helper = helpers.map(|name| Place::Helper(name)).next();
        let entry = keys.iter().find_map(|key| {
            let mut names = self.content.auths.keys();
            names.find(|name| plain(name) == key).map(|name| Place::Entry(name))
        });
        let store = self.content.creds_store.as_deref().filter(|name| !name.is_empty());
        helper.into_iter().chain(entry).chain(store.map(Place::Helper)).collect()
    }

    /// The credentials under a name; `None` where only the name is there, as Docker leaves it beside a helper.
    pub(super) fn entry(&self, name: &str) -> Result<Option<Credential>, CredentialError> {
        let Some(Some(entry)) = self.content.auths.get(name) else { return Ok(None) };
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(token) = given(&entry.registrytoken) {
            return Ok(Some(Credential::Bearer(Secret::new(token))));
        }
        if let Some(token) = given(&entry.identitytoken) {
            return Ok(Some(Credential::Identity(Secret::new(token))));
        }
        if let Some(auth) = given(&entry.auth) {
            let wrong = || CredentialError::Entry { path: self.path.clone(), entry: name.to_owned() };
            let bytes = BASE64.decode(auth.trim()).map_err(|_| wrong())?;
            let text = String::from_utf8(bytes).map_err(|_| wrong())?;
            let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(wrong)?;
            return Ok(Some(Credential::Password { user: user.to_owned(), password: Secret::new(password) }));
        }
        match (given(&entry.username), given(&entry.password)) {
            (Some(user), Some(password)) => {
                Ok(Some(Credential::Password { user, password: Secret::new(password) }))
            }
            _ => Ok(None),
        }
    }
}

/// The name without the scheme and the version of the API, which older tools wrote: `https://index.docker.io/v1/`.
fn plain(name: &str) -> &str {
    let name = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    let name = name.trim_end_matches('/');
    name.strip_suffix("/v1").or_else(|| name.strip_suffix("/v2")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::keys;

    const FILE: &str = r#"{
        "auths": {
            "https://index.docker.io/v1/": {"auth": "YWRhOnNlOmNyZXQ="},
            "ghcr.io": {"auth": "bWU6cHc"},
            "ghcr.io/me": {"auth": "bmFycm93OnB3AA=="},
            "https://old.example/v2/": {"username": "u", "password": "p"},
            "azure.example": {"auth": "MDAwMDow", "identitytoken": "refresh"},
            "token.example": {"registrytoken": "bearer"},
            "empty.example": {},
            "null.example": null,
            "broken.example": {"auth": "!!"}
        },
        "credHelpers": {"helped.example": "own"},
        "credsStore": "desktop",
        "HttpHeaders": {"User-Agent": "x"}
    }"#;

    fn look(registry: &str, repository: &str) -> Vec<String> {
        let file = AuthFile::parse(Path::new("/x/config.json"), FILE.as_bytes()).unwrap();
        let shown = |place| match place {
            Place::Helper(name) => format!("helper {name}"),
            Place::Entry(entry) => match file.entry(entry) {
                Ok(Some(Credential::Password { user, password })) => format!("{user} {}", password.reveal()),
                Ok(Some(Credential::Identity(token))) => format!("identity {}", token.reveal()),
                Ok(Some(Credential::Bearer(token))) => format!("bearer {}", token.reveal()),
                Ok(None) => "nothing".to_owned(),
                Err(error) => error.to_string(),
            },
        };
        file.places(&keys(registry, repository)).into_iter().map(shown).collect()
    }

    #[test]
    fn entries_are_read_as_docker_and_podman_write_them() {
        for (registry, repository, expected) in [
            ("docker.io", "library/alpine", "ada se:cret"),
            ("ghcr.io", "you/app", "me pw"),
            ("ghcr.io", "me/app", "narrow pw"),
            ("old.example", "a", "u p"),
            ("azure.example", "a", "identity refresh"),
            ("token.example", "a", "bearer bearer"),
            ("empty.example", "a", "nothing"),
            ("null.example", "a", "nothing"),
            (
                "broken.example",
                "a",
                "the entry `broken.example` in /x/config.json is not USER:PASSWORD in base64",
            ),
        ] {
            assert_eq!(look(registry, repository), [expected, "helper desktop"], "{registry}/{repository}");
        }
        assert_eq!(look("helped.example", "a"), ["helper own", "helper desktop"]);
        assert_eq!(look("unknown.example", "a"), ["helper desktop"]);
    }

    #[test]
    fn a_file_that_is_none_is_said_so_without_its_content() {
        let error = AuthFile::parse(Path::new("/x"), br#"{"auths":{"a":{"auth":7}}}"#).unwrap_err();
        let expected = "/x is not a file of credentials: it goes wrong in line 1, column 23";
        assert_eq!(error.to_string(), expected);
        assert!(AuthFile::parse(Path::new("/x"), b" \n").unwrap().places(&keys("a.b", "c")).is_empty());
        assert!(AuthFile::read(Path::new("/nonexistent/x")).unwrap().is_none());
        assert!(
            !format!("{:?}", AuthFile::parse(Path::new("/x"), FILE.as_bytes()).unwrap()).contains("YWRh")
        );
    }
}
