//! One document over another: the later of several files, a service over the one that it extends.
//!
//! Source: the Compose specification, 13-merge.md. Mappings are merged key by key, lists are put one after the other, single values are
//! replaced. Commands and health checks are replaced whole. What is a list of names with values, or a mapping of them, is merged by name;
//! ports, mounts, secrets by where they lead. `!reset` takes a value away, `!override` replaces it whole.

use std::collections::HashSet;
use std::sync::Arc;

use crate::document::{Entry, Node, Scalar, Value};

use super::mounts::target_of;
use super::ports::key_of;

/// `other` over `base`, which stand at a path of keys such as `services`, `app`, `ports`.
pub(super) fn merge(base: &Arc<Node>, other: &Arc<Node>, path: &mut Vec<String>) -> Arc<Node> {
    if other.tag.as_deref() == Some("!override") {
        return Arc::new(Node::new(other.span, other.value.clone()));
    }
    // A key without a value says nothing over one that has one.
    if other.is_null() {
        return Arc::clone(base);
    }
    match rule(path) {
        Rule::Replace => Arc::clone(other),
        Rule::Named => mappings(&named(base), &named(other), path),
        Rule::Unique(key) => unique(&listed(base), &listed(other), key),
        Rule::Kind => match (&base.value, &other.value) {
            (Value::Mapping(_), Value::Mapping(_)) => mappings(base, other, path),
            (Value::Sequence(one), Value::Sequence(two)) => {
                Arc::new(Node::new(other.span, Value::Sequence(one.iter().chain(two).cloned().collect())))
            }
            _ => Arc::clone(other),
        },
    }
}

enum Rule {
    Replace,
    /// Names with values, as a list or as a mapping.
    Named,
    /// A list whose items replace those with the same key.
    Unique(fn(&Node) -> Option<String>),
    /// As its kind says.
    Kind,
}

fn rule(path: &[String]) -> Rule {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match keys.as_slice() {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "ulimits", _] => Rule::Replace,
        [
            "services",
            _,
            "environment" | "labels" | "annotations" | "sysctls" | "depends_on" | "networks" | "extra_hosts",
        ]
        | ["services", _, "build", "args" | "labels" | "additional_contexts"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes" | "secrets" | "configs", _, "labels"] => Rule::Named,
        ["services", _, "ports"] => Rule::Unique(key_of),
        ["services", _, "volumes"] => Rule::Unique(target_of),
        ["services", _, "secrets" | "configs"] => Rule::Unique(source_of),
        [
            "services",
            _,
            "dns" | "dns_opt" | "dns_search" | "env_file" | "tmpfs" | "expose" | "cap_add" | "cap_drop",
        ] => Rule::Unique(text_of),
        _ => Rule::Kind,
    }
}

fn text_of(node: &Node) -> Option<String> {
    match node.scalar() {
        Some(scalar) => Some(scalar.text.clone()),
        None => node.get("path").and_then(|path| text_of(path)),
    }
}

/// Where a secret or configuration is put.
fn source_of(node: &Node) -> Option<String> {
    match node.scalar() {
        Some(scalar) => Some(scalar.text.clone()),
        None => node.get("target").or_else(|| node.get("source")).and_then(|found| text_of(found)),
    }
}

fn mappings(base: &Arc<Node>, other: &Arc<Node>, path: &mut Vec<String>) -> Arc<Node> {
    let mut entries: Vec<Entry> = base.entries().to_vec();
    for entry in other.entries() {
        let at = entries.iter().position(|earlier| earlier.key == entry.key);
        if entry.value.tag.as_deref() == Some("!reset") {
            if let Some(at) = at {
                entries.remove(at);
            }
            continue;
        }
        match at {
            Some(at) => {
                path.push(entry.key.clone());
                entries[at].value = merge(&entries[at].value, &entry.value, path);
                entries[at].key_span = entry.key_span;
                path.pop();
            }
            None => entries.push(entry.clone()),
        }
    }
    Arc::new(Node::new(other.span, Value::Mapping(entries)))
}

/// A list of `NAME=VALUE`, `NAME:VALUE` or `NAME` as a mapping.
pub(super) fn named(node: &Arc<Node>) -> Arc<Node> {
    let Value::Sequence(items) = &node.value else { return Arc::clone(node) };
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let Some(scalar) = item.scalar() else { continue };
        let (name, value) = match scalar.text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Node::text(value, item.span)),
            None => (
                scalar.text.clone(),
                Node::new(item.span, Value::Scalar(Scalar { text: String::new(), plain: true })),
            ),
        };
        entries.push(Entry { key: name, key_plain: false, key_span: item.span, value: Arc::new(value) });
    }
    // The last of a name counts.
    let mut seen = HashSet::new();
    entries.reverse();
    entries.retain(|entry| seen.insert(entry.key.clone()));
    entries.reverse();
    Arc::new(Node::new(node.span, Value::Mapping(entries)))
}

/// A single value as a list of one.
fn listed(node: &Arc<Node>) -> Arc<Node> {
    match &node.value {
        Value::Scalar(_) => Arc::new(Node::new(node.span, Value::Sequence(vec![Arc::clone(node)]))),
        _ => Arc::clone(node),
    }
}

fn unique(base: &Arc<Node>, other: &Arc<Node>, key: fn(&Node) -> Option<String>) -> Arc<Node> {
    let mut items: Vec<Arc<Node>> = base.items().to_vec();
    for item in other.items() {
        let own = key(item);
        match items.iter().position(|earlier| own.is_some() && key(earlier) == own) {
            Some(at) => items[at] = Arc::clone(item),
            None => items.push(Arc::clone(item)),
        }
    }
    Arc::new(Node::new(other.span, Value::Sequence(items)))
}

/// A document without what `!reset` takes away, which has nothing below it.
pub(super) fn without_resets(node: &Arc<Node>) -> Arc<Node> {
    let is_reset = |node: &Node| node.tag.as_deref() == Some("!reset");
    let value = match &node.value {
        Value::Mapping(entries) => {
            let kept = entries
                .iter()
                .filter(|entry| !is_reset(&entry.value))
                .map(|entry| Entry { value: without_resets(&entry.value), ..entry.clone() });
            Value::Mapping(kept.collect())
        }
        Value::Sequence(items) => {
            Value::Sequence(items.iter().filter(|item| !is_reset(item)).map(without_resets).collect())
        }
        Value::Scalar(_) => return Arc::clone(node),
    };
    let mut other = Node::new(node.span, value);
    other.tag.clone_from(&node.tag);
    Arc::new(other)
}
