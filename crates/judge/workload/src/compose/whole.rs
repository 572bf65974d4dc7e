//! What a project as a whole must hold: sections that there are, services that have an image, names that lead somewhere.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::{Entry, Node, Problem, Span};
use crate::fields::{Fields, Findings};

use super::DIALECT;
use super::merge::named;

/// The parts of a project that are taken over from included ones.
pub(super) const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Tells what is wrong with a merged document, but for what is wrong with a service by itself.
pub(super) fn whole(root: &Node, findings: &Findings) {
    let Some(fields) = Fields::of(root, "", findings, DIALECT) else { return };
    fields.known(&SECTIONS);
    fields.known(&["name", "version", "include"]);
    fields.finish();
    for section in SECTIONS {
        if let Some(node) = root.get(section).filter(|node| !node.is_null()) {
            // A problem where it is no mapping.
            let _ = Fields::of(node, section, findings, DIALECT);
        }
    }
    let services = root.get("services").map(|services| services.entries()).unwrap_or_default();
    for service in services {
        if !is_name(&service.key) {
            let message = format!("`{}` is no name of a service", service.key);
            let hint = "names are of letters, digits, `.`, `_` and `-`";
            findings.problem(Problem::new(service.key_span, message).hinted(hint));
        }
        let has = |key: &str| service.value.get(key).is_some_and(|node| !node.is_null());
        if !has("image") && !has("build") && !has("provider") {
            let message = format!("services.{} has neither `image` nor `build`", service.key);
            findings.problem(Problem::new(service.key_span, message));
        }
        if has("networks") && has("network_mode") {
            let message = format!("services.{} has both `networks` and `network_mode`", service.key);
            findings.problem(Problem::new(service.key_span, message));
        }
        references(root, service, findings);
    }
    cycles(services, findings);
}

/// Whether Compose takes it for the name of a service, a volume or the like.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}

/// Names that lead to other parts of the project.
fn references(root: &Node, service: &Entry, findings: &Findings) {
    for (key, section) in [("networks", "networks"), ("depends_on", "services"), ("models", "models")] {
        for (name, span) in names(service, key) {
            let is_there =
                root.at(&[section, &name]).is_some() || (section == "networks" && name == "default");
            if !is_there {
                let message =
                    format!("services.{}.{key}: there is no {name} among the `{section}`", service.key);
                findings.problem(Problem::new(span, message));
            }
        }
    }
}

/// The names in a list, or the keys of a mapping.
fn names(service: &Entry, key: &str) -> Vec<(String, Span)> {
    let Some(node) = service.value.get(key) else { return Vec::new() };
    let node: Arc<Node> = named(node);
    node.entries().iter().map(|entry| (entry.key.clone(), entry.key_span)).collect()
}

/// Tells services that wait for themselves.
fn cycles(services: &[Entry], findings: &Findings) {
    let places: HashMap<&str, usize> =
        services.iter().enumerate().map(|(at, service)| (service.key.as_str(), at)).collect();
    let waits_for = |at: usize| -> Vec<usize> {
        let names = names(&services[at], "depends_on").into_iter();
        names.filter_map(|(name, _)| places.get(name.as_str()).copied()).collect()
    };
    // Who waits for whom, with those that are still to be looked at; there can be more of them than a stack holds.
    let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
    let (mut is_seen, mut is_within) = (vec![false; services.len()], vec![false; services.len()]);
    for first in 0..services.len() {
        let mut next = Some(first);
        loop {
            match next {
                Some(at) if is_within[at] => {
                    let from = path.iter().position(|(other, _)| *other == at).unwrap_or_default();
                    let names: Vec<&str> =
                        path[from..].iter().map(|(other, _)| services[*other].key.as_str()).collect();
                    let message = format!("these services wait for each other: {}", names.join(", "));
                    findings.problem(Problem::new(services[at].key_span, message));
                    return;
                }
                Some(at) if !is_seen[at] => {
                    (is_seen[at], is_within[at]) = (true, true);
                    path.push((at, waits_for(at)));
                }
                _ => {}
            }
            let Some((at, waiting)) = path.last_mut() else { break };
            next = waiting.pop();
            if next.is_none() {
                is_within[*at] = false;
                path.pop();
            }
        }
    }
}
