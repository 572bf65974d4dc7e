//! What a project as a whole must hold: sections that there are, services that have an image, names that lead somewhere.

use std::collections::HashSet;
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
    let mut known: HashSet<&str> = HashSet::new();
    for service in services {
        let mut path: Vec<&str> = Vec::new();
        if let Some(span) = waits(services, &service.key, &mut path, &mut known) {
            let message = format!("these services wait for each other: {}", path.join(", "));
            findings.problem(Problem::new(span, message));
            return;
        }
    }
}

/// Where a service waits for one that waits for it. `path` is who waits for whom; what is `known` leads nowhere.
fn waits<'s>(
    services: &'s [Entry],
    name: &str,
    path: &mut Vec<&'s str>,
    known: &mut HashSet<&'s str>,
) -> Option<Span> {
    let service = services.iter().find(|service| service.key == name)?;
    if known.contains(service.key.as_str()) {
        return None;
    }
    if path.contains(&service.key.as_str()) {
        return Some(service.key_span);
    }
    path.push(&service.key);
    for (other, _) in names(service, "depends_on") {
        if let Some(span) = waits(services, &other, path, known) {
            return Some(span);
        }
    }
    path.pop();
    known.insert(&service.key);
    None
}
