//! Go, and what builds with C code need beside it.

use std::path::PathBuf;

use longshore_events::Events;
use longshore_process::find_program;

use super::network::without_credentials;
use super::{Check, State};
use crate::context::Context;

pub(super) fn checks(context: &Context, events: &Events) -> Vec<Check> {
    let mut checks = installed(context, events);
    checks.extend([compiler(context), git(context)]);
    checks
}

/// Every Go that is installed, and what is done where none of them will do.
fn installed(context: &Context, events: &Events) -> Vec<Check> {
    let toolchains = match context.toolchains() {
        Ok(toolchains) => toolchains,
        Err(error) => {
            return vec![check("go", State::Limited, error.to_string(), error.hint().unwrap_or_default())];
        }
    };
    let found = toolchains.installed(events);
    let mut checks: Vec<Check> = found
        .iter()
        .map(|go| {
            let found = format!("{} in {}", go.name, go.goroot.display());
            check("go", State::Good, found, format!("builds modules that ask for up to {}", go.name))
        })
        .collect();
    let proxy = context.environment.variable("GOPROXY").map(|value| value.to_string_lossy().into_owned());
    let places: Vec<_> =
        proxy.iter().flat_map(|list| list.split([',', '|'])).map(without_credentials).collect();
    let places = if places.is_empty() { "Go's default proxy".to_owned() } else { places.join(", else ") };
    let (state, what) = match (context.offline, found.is_empty()) {
        (true, _) => (State::Limited, "cannot be fetched: the network is left alone (--offline)"),
        (false, true) => (State::Missing, "no Go is installed: what go.mod asks for is fetched"),
        (false, false) => (State::Good, "fetched when a go.mod asks for it"),
    };
    let meaning = format!("through {places}, verified and kept in the store");
    checks.push(check("other go", state, what.to_owned(), meaning));
    checks
}

fn check(name: &'static str, state: State, found: String, meaning: impl Into<String>) -> Check {
    Check { topic: "Go", name, state, found, meaning: meaning.into() }
}

fn program(context: &Context, name: &str) -> Option<PathBuf> {
    find_program(name, context.environment.variable("PATH")?)
}

fn compiler(context: &Context) -> Check {
    const NAME: &str = "C compiler";
    let chosen = context.environment.variable("CC").map(|cc| cc.to_string_lossy().into_owned());
    let found = match &chosen {
        // CC may carry arguments.
        Some(cc) => cc.split_whitespace().next().and_then(|name| match name.starts_with('/') {
            true => Some(PathBuf::from(name)).filter(|path| path.exists()),
            false => program(context, name),
        }),
        None => ["gcc", "clang", "cc"].iter().find_map(|name| program(context, name)),
    };
    match (found, chosen) {
        (Some(path), Some(cc)) => {
            check(NAME, State::Good, format!("{} (CC={cc})", path.display()), "used by builds with --cgo")
        }
        (Some(path), None) => {
            check(NAME, State::Good, path.display().to_string(), "used by builds with --cgo")
        }
        (None, Some(cc)) => {
            check(NAME, State::Limited, format!("CC={cc} is not there"), "builds with --cgo will fail")
        }
        (None, None) => check(
            NAME,
            State::Missing,
            "none".to_owned(),
            "builds with --cgo or --race need one; others do not",
        ),
    }
}

fn git(context: &Context) -> Check {
    match program(context, "git") {
        Some(path) => check(
            "git",
            State::Good,
            path.display().to_string(),
            "its facts are stamped into programs and images",
        ),
        None => check(
            "git",
            State::Missing,
            "none".to_owned(),
            "images will not say which commit they were built from",
        ),
    }
}
