//! Docker and Podman: where they are looked for, and which of them answer.

use longshore_docker::{Endpoint, Engine, EngineError, EngineKind};
use longshore_events::Events;

use super::{Check, State};
use crate::context::Context;

pub(super) fn checks(context: &Context, events: &Events) -> Vec<Check> {
    vec![
        engine("docker", EngineKind::Docker, context, events),
        engine("podman", EngineKind::Podman, context, events),
    ]
}

fn check(name: &'static str, state: State, found: String, meaning: &str) -> Check {
    Check { topic: "Engines", name, state, found, meaning: meaning.to_owned() }
}

/// The first endpoint that answers, else the first that is there and does not.
fn engine(name: &'static str, kind: EngineKind, context: &Context, events: &Events) -> Check {
    const MISSING: &str = "builds need none; --load and its images do";
    let endpoints = match context.engine_variables().endpoints(kind) {
        Ok(endpoints) => endpoints,
        Err(error) => return check(name, State::Limited, said(&error), MISSING),
    };
    let mut refused = None;
    for endpoint in endpoints {
        match ask(&endpoint, context, events) {
            Ok(found) => {
                return check(name, State::Good, found, "used where it is asked for, as with --load");
            }
            Err(error) if !error.is_absent() => {
                refused.get_or_insert(format!("{endpoint} ({}): {}", endpoint.origin, said(&error)));
            }
            Err(_) => {}
        }
    }
    match refused {
        Some(found) => check(name, State::Limited, found, MISSING),
        None => check(name, State::Missing, "no engine listens where its clients look".to_owned(), MISSING),
    }
}

fn ask(endpoint: &Endpoint, context: &Context, events: &Events) -> Result<String, EngineError> {
    let info = Engine::new(endpoint.clone(), &context.http())?.info(events)?;
    let rootless = if info.rootless { ", rootless" } else { "" };
    Ok(format!(
        "{} {} (API {}{rootless}, {}) at {}, by {}",
        info.kind, info.version, info.api_version, info.storage_driver, endpoint.address, endpoint.origin
    ))
}

/// An error with its causes on one line.
fn said(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
