//! Credential helpers: programs called `docker-credential-NAME`.
//!
//! The protocol is docker-credential-helpers': `get`, the registry's name on standard input, JSON on standard output; a registry
//! that the helper does not know is an error with a fixed text.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use longshore_events::Events;
use longshore_http::Secret;
use longshore_process::{Command, Environment, ProcessErrorKind};
use serde::Deserialize;

use super::{Credential, CredentialError};

/// A helper may ask a person to unlock a keychain.
const LONGEST: Duration = Duration::from_secs(60);
/// What a helper says of a registry that it does not know.
const UNKNOWN: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

/// The helper's program. Errors: the name has other characters than a program's in PATH.
pub(super) fn program(name: &str, file: &Path) -> Result<String, CredentialError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(CredentialError::HelperName { path: file.to_owned(), name: name.to_owned() });
    }
    Ok(format!("docker-credential-{name}"))
}

/// Asks a helper by each of the registry's names. `None`: it knows none of them, or is not installed.
pub(super) fn ask(
    program: &str,
    keys: &[String],
    variables: &BTreeMap<String, String>,
    events: &Events,
) -> Result<Option<Credential>, CredentialError> {
    let environment = Environment::empty().with_all(variables.clone());
    for key in keys {
        let command = Command::new(program, environment.clone())
            .argument("get")
            .input(format!("{key}\n"))
            .timeout(LONGEST);
        let finished = match command.run(events) {
            Ok(finished) => finished,
            Err(error) if matches!(error.kind, ProcessErrorKind::NotFound) => {
                events.warn(format!("{program} is named as a credential helper and is not installed"));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if !finished.status.is_success() && is_unknown(&finished.stdout.text(), &finished.stderr.text()) {
            continue;
        }
        let bytes = finished.success()?.into_stdout()?;
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| CredentialError::HelperAnswer { program: program.to_owned() })?;
        return Ok(credential(answer));
    }
    Ok(None)
}

fn is_unknown(stdout: &str, stderr: &str) -> bool {
    stdout.contains(UNKNOWN) || stderr.contains(UNKNOWN)
}

fn credential(answer: Answer) -> Option<Credential> {
    match (answer.username.as_str(), answer.secret.as_str()) {
        (_, "") => None,
        ("<token>", _) => Some(Credential::Identity(Secret::new(answer.secret))),
        _ => Some(Credential::Password { user: answer.username, password: Secret::new(answer.secret) }),
    }
}
