//! What the environment of a cloud, or of GitHub's runners, provides for that cloud's registries, without helper programs.
//!
//! The same places that ko looks at, asked by their documented protocols. These were tried against servers that check the wire format,
//! not against the clouds themselves. What is not here: AWS roles of machines, containers and web identities, AWS SSO,
//! public.ecr.aws, and Google's workload identity federation (`external_account`); their helper programs do those.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_events::Events;
use longshore_http::{Client, HttpSettings, Request, Secret, StatusCode, Url, block_on};
use serde::de::DeserializeOwned;

use super::{Credential, CredentialError, aws, azure, google};
use crate::answer::said;

/// Answers of cloud APIs are small.
const MOST: u64 = 1024 * 1024;

/// What a search in the environment goes by.
pub(super) struct Surroundings<'a> {
    pub(super) registry: &'a str,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) client: &'a Client,
    pub(super) events: &'a Events,
}

/// Credentials from the environment: with the place they came from, or the place that was looked at in vain.
pub(super) enum Provided {
    Found(Credential, String),
    Nothing(&'static str),
}

/// Looks for what the environment provides for a registry; `None` where it is none of a cloud's.
pub(super) fn look_for(around: &Surroundings<'_>, base: &Url) -> Result<Option<Provided>, CredentialError> {
    let registry = around.registry;
    if registry == "ghcr.io" {
        return Ok(Some(github(around)));
    }
    if let Some(place) = aws::Place::of(registry) {
        return aws::look_for(around, &place).map(Some);
    }
    if google::is_registry(registry) {
        return google::look_for(around).map(Some);
    }
    if azure::is_registry(registry) {
        return azure::look_for(around, base).map(Some);
    }
    Ok(None)
}

fn github(around: &Surroundings<'_>) -> Provided {
    let Some(token) = around.variable("GITHUB_TOKEN") else { return Provided::Nothing("GITHUB_TOKEN") };
    let user = around.variable("GITHUB_ACTOR").unwrap_or("unset").to_owned();
    let credential = Credential::Password { user, password: Secret::new(token) };
    Provided::Found(credential, "GITHUB_TOKEN".to_owned())
}

impl Surroundings<'_> {
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A file that a variable names, or one below the home folder.
    pub(super) fn file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.variable(variable).map(PathBuf::from);
        named.or_else(|| Some(Path::new(self.variable("HOME")?).join(below_home)))
    }

    /// A URL that a variable may replace, as its cloud's own tools have it.
    pub(super) fn url(&self, variable: &str, usual: &str) -> Result<Url, CredentialError> {
        let text = self.variable(variable).unwrap_or(usual);
        text.parse().map_err(|_| CredentialError::Variable { name: variable.to_owned(), expected: "a URL" })
    }

    /// Sends a request to a cloud's API and reads its JSON.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        api: &'static str,
        request: &Request,
    ) -> Result<T, CredentialError> {
        let response = block_on(self.client.send(request, self.events))?;
        let status = response.status();
        if status != StatusCode::OK {
            let said = block_on(said(response)).unwrap_or_else(|| "no reason".to_owned());
            return Err(CredentialError::Cloud { api, status, said });
        }
        Ok(block_on(response.json(MOST))?)
    }

    /// Asks a metadata server, which is there on the cloud's own machines alone. `None`: it is not.
    pub(super) fn ask_metadata<T: DeserializeOwned>(
        &self,
        api: &'static str,
        request: &Request,
    ) -> Result<Option<T>, CredentialError> {
        let settings = HttpSettings {
            connect_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(5),
            attempts: 1,
            // The address is link-local: no proxy leads there.
            ..HttpSettings::default()
        };
        let nearby = Surroundings { client: &Client::new(settings), ..*self };
        match nearby.ask(api, request) {
            Ok(answer) => Ok(Some(answer)),
            Err(CredentialError::Http(error)) if !error.is_cancelled() => Ok(None),
            // A machine without an identity.
            Err(CredentialError::Cloud { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads a file that a variable or a convention names; `None` where there is none and nobody said that there is.
pub(super) fn read(path: &Path, named: bool) -> Result<Option<Vec<u8>>, CredentialError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(None),
        Err(source) => Err(CredentialError::File { path: path.to_owned(), source }),
    }
}
