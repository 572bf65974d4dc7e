//! Credentials: where people's tools leave them.
//!
//! Files first, in the order of how explicitly they were named: podman's `$REGISTRY_AUTH_FILE`, Docker's config.json (in
//! `$DOCKER_CONFIG` or ~/.docker), podman's auth.json (in `$XDG_RUNTIME_DIR/containers`, then in
//! `$XDG_CONFIG_HOME/containers`). Within a file a registry's own helper comes before what the file holds, and that before the
//! general helper. The first that knows the registry is taken. Then what the environment provides for the registries of clouds.
//!
//! What is found is shown nowhere; where it was found, and where it was looked for, is told with every refusal.

mod aws;
mod azure;
mod cloud;
mod file;
mod google;
mod helper;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_http::{Client, HttpError, Secret, StatusCode, Url};
use longshore_oci::DEFAULT_REGISTRY;
use longshore_process::ProcessError;

use cloud::{Provided, Surroundings};
use file::{AuthFile, Place};

/// What proves who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// User name and password.
    Password {
        /// User name.
        user: String,
        /// Password, or a token that stands for one.
        password: Secret,
    },
    /// A token that a token server exchanges for others (OAuth 2 refresh token).
    Identity(Secret),
    /// A token that the registry itself takes.
    Bearer(Secret),
}

/// What a search for credentials found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// The credentials with the place they came from.
    pub(crate) credential: Option<(Credential, String)>,
    /// Every place that was looked at.
    pub(crate) looked: Vec<String>,
}

/// Credentials that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file of credentials cannot be read.
    #[error("cannot read the credentials in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of credentials is not the JSON it must be.
    #[error("{} is not a file of credentials: it goes wrong in line {line}, column {column}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1. What stands there is not repeated: it may be a password.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// An entry of a file is not `USER:PASSWORD` in base64.
    #[error("the entry `{entry}` in {} is not USER:PASSWORD in base64", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry's name.
        entry: String,
    },
    /// A helper's name could lead out of the folders of PATH.
    #[error("`{name}` in {} is not the name of a credential helper", path.display())]
    HelperName {
        /// The file that names it.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A helper cannot be run.
    #[error(transparent)]
    Helper(#[from] ProcessError),
    /// A helper's answer makes no sense.
    #[error("{program} did not answer with the JSON of a credential")]
    HelperAnswer {
        /// The helper.
        program: String,
    },
    /// A cloud's API refuses what the environment provides.
    #[error("{api} refuses: {status}: {said}")]
    Cloud {
        /// The API.
        api: &'static str,
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        said: String,
    },
    /// A cloud's API answers otherwise than documented.
    #[error("the answer of {api} is not what its documentation says")]
    Answer {
        /// The API.
        api: &'static str,
    },
    /// A variable's value cannot be used.
    #[error("cannot use the value of {name}: expected {expected}")]
    Variable {
        /// The variable.
        name: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A cloud's file of credentials is of a kind that is not known, or holds something that is not what it should be.
    #[error("cannot use `{entry}` in {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The entry.
        entry: String,
    },
    /// A cloud's API cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl CredentialError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            CredentialError::File { .. } | CredentialError::Answer { .. } => None,
            CredentialError::Cloud { .. } => {
                Some("check the variables and files of the cloud, or log in by its own tool".to_owned())
            }
            CredentialError::Variable { name, .. } => Some(format!("set {name} anew, or unset it")),
            CredentialError::Unusable { .. } => {
                Some("use another kind of credentials, or the cloud's credential helper".to_owned())
            }
            CredentialError::Http(error) => error.hint(),
            CredentialError::Json { path, .. } | CredentialError::Entry { path, .. } => {
                Some(format!("repair {}, or log in anew: docker login", path.display()))
            }
            CredentialError::HelperName { .. } => {
                Some("a helper's name has letters, digits, `.`, `_` and `-`".to_owned())
            }
            CredentialError::Helper(error) => error.hint(),
            CredentialError::HelperAnswer { program } => {
                Some(format!("try it by hand: echo REGISTRY | {program} get"))
            }
        }
    }
}

/// Whose credentials are looked for, and with what.
pub(crate) struct Wanted<'a> {
    /// The registry's name.
    pub(crate) registry: &'a str,
    /// The repository there.
    pub(crate) repository: &'a str,
    /// The environment.
    pub(crate) variables: &'a BTreeMap<String, String>,
    /// The registry's `…/v2/`.
    pub(crate) base: &'a Url,
}

/// Looks for the credentials of a repository.
///
/// Errors: a file cannot be read or makes no sense; a helper fails otherwise than by not knowing the registry. A helper that is
/// not installed is warned about and passed over, as a config.json written on another machine is common.
pub(crate) fn look_for(
    wanted: &Wanted<'_>,
    client: &Client,
    events: &Events,
) -> Result<Found, CredentialError> {
    let mut found = Found::default();
    let Wanted { registry, repository, variables, base } = *wanted;
    let keys = keys(registry, repository);
    for path in files(variables) {
        found.looked.push(path.display().to_string());
        let Some(file) = AuthFile::read(&path)? else { continue };
        for place in file.places(&keys) {
            let (credential, source) = match place {
                Place::Entry(entry) => (file.entry(entry)?, path.display().to_string()),
                Place::Helper(name) => {
                    let program = helper::program(name, &path)?;
                    let credential = helper::ask(&program, &helper_keys(registry), variables, events)?;
                    found.looked.push(format!("{program} (named in {})", path.display()));
                    (credential, program)
                }
            };
            if let Some(credential) = credential {
                found.credential = Some((credential, source));
                return Ok(found);
            }
        }
    }
    let around = Surroundings { registry, variables, client, events };
    match cloud::look_for(&around, base)? {
        Some(Provided::Found(credential, source)) => found.credential = Some((credential, source)),
        Some(Provided::Nothing(place)) => found.looked.push(place.to_owned()),
        None => {}
    }
    Ok(found)
}

/// The files of credentials that the environment leads to, the most explicit first.
fn files(variables: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty()).map(Path::new);
    let home = variable("HOME");
    let docker = variable("DOCKER_CONFIG").map(Path::to_owned).or_else(|| Some(home?.join(".docker")));
    let config = variable("XDG_CONFIG_HOME").map(Path::to_owned).or_else(|| Some(home?.join(".config")));
    let podman = |folder: PathBuf| folder.join("containers/auth.json");
    [
        variable("REGISTRY_AUTH_FILE").map(Path::to_owned),
        docker.map(|folder| folder.join("config.json")),
        variable("XDG_RUNTIME_DIR").map(|folder| podman(folder.to_owned())),
        config.map(podman),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The names under which a file may hold credentials, the narrowest first: podman's may be as narrow as a repository
/// (containers-auth.json(5)), and Docker Hub's is the address of an API that is long gone.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let names: &[&str] = match registry {
        DEFAULT_REGISTRY => &["docker.io", "index.docker.io", "registry-1.docker.io"],
        other => &[other],
    };
    let mut keys = Vec::new();
    for name in names {
        let mut path = repository;
        while !path.is_empty() {
            keys.push(format!("{name}/{path}"));
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }
    keys.extend(names.iter().map(|&name| name.to_owned()));
    keys
}

/// The names under which a helper may hold credentials, the most usual first.
fn helper_keys(registry: &str) -> Vec<String> {
    match registry {
        DEFAULT_REGISTRY => vec!["https://index.docker.io/v1/".to_owned()],
        other => vec![other.to_owned(), format!("https://{other}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_where_docker_and_podman_keep_them() {
        let paths = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let paths = files(&variables.collect());
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        for (variables, expected) in [
            (&[][..], ""),
            (&[("HOME", "/h")], "/h/.docker/config.json /h/.config/containers/auth.json"),
            (
                &[
                    ("HOME", "/h"),
                    ("DOCKER_CONFIG", "/d"),
                    ("XDG_RUNTIME_DIR", "/r"),
                    ("XDG_CONFIG_HOME", "/c"),
                ],
                "/d/config.json /r/containers/auth.json /c/containers/auth.json",
            ),
            (&[("REGISTRY_AUTH_FILE", "/a.json"), ("DOCKER_CONFIG", "/d")], "/a.json /d/config.json"),
        ] {
            assert_eq!(paths(variables), expected);
        }
    }

    #[test]
    fn names_go_from_the_repository_to_the_registry() {
        assert_eq!(
            keys("ghcr.io", "me/tools/app"),
            ["ghcr.io/me/tools/app", "ghcr.io/me/tools", "ghcr.io/me", "ghcr.io"]
        );
        let hub = keys("docker.io", "me/app");
        assert_eq!(hub.last().map(String::as_str), Some("registry-1.docker.io"));
        assert!(hub.contains(&"index.docker.io".to_owned()), "{hub:?}");
    }
}

/// What the tests of the clouds share.
#[cfg(test)]
mod testing {
    use super::*;

    pub(super) fn variables(own: &[(&str, &str)]) -> BTreeMap<String, String> {
        own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What is found, in one line.
    pub(super) fn look_for(registry: &str, variables: &BTreeMap<String, String>, base: &str) -> String {
        let settings = longshore_http::HttpSettings { attempts: 1, ..Default::default() };
        let base = base.parse().unwrap();
        let wanted = Wanted { registry, repository: "app", variables, base: &base };
        match super::look_for(&wanted, &Client::new(settings), &Events::silent()) {
            Ok(Found { credential: None, .. }) => "nothing".to_owned(),
            Ok(Found { credential: Some((credential, _)), .. }) => match credential {
                Credential::Password { user, password } => format!("{user} {}", password.reveal()),
                Credential::Identity(token) => format!("identity {}", token.reveal()),
                Credential::Bearer(token) => format!("bearer {}", token.reveal()),
            },
            Err(error) => error.to_string(),
        }
    }
}
