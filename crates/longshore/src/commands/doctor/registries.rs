//! Registries: for which of them credentials are there, and where those come from.
//!
//! Only names are read here; no credential is looked up, and no helper is run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_process::find_program;
use serde::Deserialize;

use super::{Check, State};
use crate::context::Context;

/// What of a configuration file of Docker or of containers-auth.json(5) names registries.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CredentialFile {
    auths: BTreeMap<String, serde::de::IgnoredAny>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

pub(super) fn checks(context: &Context, _: &Events) -> Vec<Check> {
    let files = places(context).into_iter().filter(|path| path.is_file());
    let checks: Vec<_> = files.map(|path| describe(&path, context)).collect();
    if !checks.is_empty() {
        return checks;
    }
    let meaning = "public images can be pulled; `docker login` or `podman login` writes credentials";
    vec![check(State::Missing, "no file of credentials is there".to_owned(), meaning)]
}

fn check(state: State, found: String, meaning: impl Into<String>) -> Check {
    Check { topic: "Registries", name: "credentials", state, found, meaning: meaning.into() }
}

/// The files that Docker and Podman keep credentials in.
fn places(context: &Context) -> Vec<PathBuf> {
    let folder = |name| context.environment.folder(name);
    let home = folder("HOME");
    let podman = folder("REGISTRY_AUTH_FILE")
        .or_else(|| folder("XDG_RUNTIME_DIR").map(|runtime| runtime.join("containers/auth.json")));
    let docker = folder("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let user = home.map(|home| home.join(".config/containers/auth.json"));
    [docker.map(|docker| docker.join("config.json")), podman, user].into_iter().flatten().collect()
}

fn describe(path: &Path, context: &Context) -> Check {
    let read = fs::read(path).map_err(|error| error.to_string());
    let parsed = read.and_then(|bytes| {
        serde_json::from_slice::<CredentialFile>(&bytes).map_err(|error| error.to_string())
    });
    let file = match parsed {
        Ok(file) => file,
        Err(error) => {
            return check(State::Limited, format!("{}: {error}", path.display()), "it is not used");
        }
    };
    let mut registries: Vec<_> = file.auths.into_keys().collect();
    registries.extend(file.cred_helpers.keys().cloned());
    registries.sort();
    registries.dedup();
    let helpers = file.cred_helpers.values().chain(&file.creds_store);
    let mut programs: Vec<_> = helpers.map(|name| format!("docker-credential-{name}")).collect();
    programs.sort();
    programs.dedup();
    let path_variable = context.environment.variable("PATH").unwrap_or_default();
    let missing: Vec<_> =
        programs.iter().filter(|name| find_program(name, path_variable).is_none()).cloned().collect();
    let listed = if registries.is_empty() { "no registry".to_owned() } else { registries.join(", ") };
    let found = format!("{listed} in {}", path.display());
    match (missing.is_empty(), programs.is_empty()) {
        (false, _) => check(State::Limited, found, format!("not in PATH: {}", missing.join(", "))),
        (true, false) => check(State::Good, found, format!("helped by {}", programs.join(", "))),
        (true, true) => check(State::Good, found, ""),
    }
}
