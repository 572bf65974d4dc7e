//! `env` and `envFrom` of a container: values that stand there, and those of ConfigMaps and Secrets in the same manifests.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longshore_runtime::Resources;

use crate::document::{Node, Problem};
use crate::fields::Fields;
use crate::lowered::{Lowered, UnknownVariable};
use crate::values::thousandths;

use super::pod::Subject;
use super::{DIALECT, Manifests, text};

/// Bytes that Linux gives a program in one argument or variable (MAX_ARG_STRLEN).
const MOST_BYTES: usize = 128 << 10;

/// The data of a ConfigMap or Secret; `None` if it is not in the manifests.
pub(super) fn data(manifests: &Manifests, kind: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let node = manifests.find(kind, name)?;
    let mut found = BTreeMap::new();
    let section = |key: &str| node.get(key).map(|node| node.entries()).unwrap_or_default();
    let written = |node: &Node| node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
    for entry in section("data") {
        let value = written(&entry.value);
        let bytes = if kind == "Secret" { decoded(&value).unwrap_or_default() } else { value.into_bytes() };
        found.insert(entry.key.clone(), bytes);
    }
    for entry in section("stringData") {
        found.insert(entry.key.clone(), written(&entry.value).into_bytes());
    }
    for entry in section("binaryData") {
        found.insert(entry.key.clone(), decoded(&written(&entry.value)).unwrap_or_default());
    }
    Some(found)
}

/// Base64. What is none of it was told when the manifests were read.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
}

/// Takes over all variables, `envFrom` before `env`.
pub(super) fn environment(subject: &Subject<'_>, container: &Fields<'_>, lowered: &mut Lowered) {
    for item in container.list("envFrom") {
        let path = container.path("envFrom");
        if let Some(fields) = Fields::of(item, path, container.findings, DIALECT) {
            all_of(subject, &fields, lowered);
            fields.finish();
        }
    }
    for item in container.list("env") {
        let path = container.path("env");
        let Some(fields) = Fields::of(item, path, container.findings, DIALECT) else { continue };
        let Some(name) = fields.string("name") else { continue };
        let value = match fields.fields("valueFrom") {
            Some(source) => {
                let value = value_from(subject, &source, &name, lowered);
                source.finish();
                fields.known(&["value"]);
                value
            }
            None => {
                let value = fields.string("value").unwrap_or_default();
                expanded(&value, lowered, item, container)
            }
        };
        fields.finish();
        if let Some(value) = value {
            set(lowered, name, value);
        }
    }
}

/// A text with its variables expanded; `None`, and a problem, if it comes to more than a program can be given.
pub(super) fn expanded(text: &str, lowered: &Lowered, node: &Node, container: &Fields<'_>) -> Option<String> {
    let expanded = expand(text, &lowered.settings.environment);
    if expanded.is_none() {
        let message = format!("with its variables expanded, it has over {MOST_BYTES} bytes");
        container.findings.problem(Problem::new(node.span, message));
    }
    expanded
}

fn set(lowered: &mut Lowered, name: String, value: String) {
    lowered.settings.environment.retain(|(earlier, _)| *earlier != name);
    lowered.settings.environment.push((name, value));
}

fn all_of(subject: &Subject<'_>, fields: &Fields<'_>, lowered: &mut Lowered) {
    let prefix = fields.string("prefix").unwrap_or_default();
    for (key, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
        let Some(reference) = fields.fields(key) else { continue };
        let name = reference.string("name").unwrap_or_default();
        let optional = reference.boolean("optional").unwrap_or_default();
        reference.finish();
        match data(subject.manifests, kind, &name) {
            Some(data) => {
                for (key, value) in data {
                    let value = String::from_utf8_lossy(&value).into_owned();
                    set(lowered, format!("{prefix}{key}"), value);
                }
            }
            None if optional => {}
            None => lowered.unknown.push(UnknownVariable {
                name: format!("{prefix}*"),
                span: fields.span(),
                from: format!("the {kind} {name}"),
            }),
        }
    }
}

fn value_from(
    subject: &Subject<'_>,
    source: &Fields<'_>,
    variable: &str,
    lowered: &mut Lowered,
) -> Option<String> {
    let mut unknown = |from: String| {
        lowered.unknown.push(UnknownVariable { name: variable.to_owned(), span: source.span(), from });
        None
    };
    for (key, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
        let Some(reference) = source.fields(key) else { continue };
        let (name, key) =
            (reference.string("name").unwrap_or_default(), reference.string("key").unwrap_or_default());
        let optional = reference.boolean("optional").unwrap_or_default();
        reference.finish();
        let value = data(subject.manifests, kind, &name).and_then(|mut data| data.remove(&key));
        return match value {
            Some(value) => Some(String::from_utf8_lossy(&value).into_owned()),
            None if optional => None,
            None => unknown(format!("the key {key} of the {kind} {name}")),
        };
    }
    if let Some(reference) = source.fields("fieldRef") {
        let path = reference.string("fieldPath").unwrap_or_default();
        reference.known(&["apiVersion"]);
        reference.finish();
        return field(subject, &path).or_else(|| unknown(format!("the field {path} of the pod")));
    }
    if let Some(reference) = source.fields("resourceFieldRef") {
        let resource = reference.string("resource").unwrap_or_default();
        let divisor = reference.parsed("divisor", thousandths).filter(|divisor| *divisor > 0);
        reference.known(&["containerName"]);
        reference.finish();
        let value = limit(&resource, divisor, &lowered.settings.resources);
        return value.or_else(|| unknown(format!("the resource {resource}")));
    }
    source.known(&["fileKeyRef"]);
    if source.get("fileKeyRef").is_some() {
        return unknown("a file of a volume".to_owned());
    }
    let problem = Problem::new(source.span(), "`valueFrom` names no source");
    source.findings.problem(problem);
    None
}

/// A field of the pod, as far as its manifest tells it. What a cluster would choose is chosen here: it is one that the program could see.
pub(super) fn field(subject: &Subject<'_>, path: &str) -> Option<String> {
    let name = &subject.workload.name;
    let pod = match subject.workload.kind.as_str() {
        "Pod" => name.clone(),
        "StatefulSet" => format!("{name}-0"),
        _ => format!("{name}-5d4f8c7b9-abcde"),
    };
    let template = match subject.workload.kind.as_str() {
        "Pod" => Some(subject.object),
        "CronJob" => subject.object.at(&["spec", "jobTemplate", "spec", "template"]).map(|node| &**node),
        _ => subject.object.at(&["spec", "template"]).map(|node| &**node),
    };
    let metadata = template.and_then(|template| template.get("metadata"));
    let within = |section: &str, key: &str| {
        let key = key.strip_prefix("['")?.strip_suffix("']")?;
        Some(metadata.and_then(|metadata| text(metadata.get(section)?, key)).unwrap_or_default())
    };
    let namespace = subject.object.get("metadata").and_then(|metadata| text(metadata, "namespace"));
    Some(match path {
        "metadata.name" => pod,
        "metadata.namespace" => namespace.unwrap_or_else(|| "default".to_owned()),
        "metadata.uid" => "00000000-0000-4000-8000-000000000000".to_owned(),
        "spec.nodeName" => "node".to_owned(),
        "spec.serviceAccountName" => {
            text(subject.spec, "serviceAccountName").unwrap_or_else(|| "default".to_owned())
        }
        "status.podIP" | "status.podIPs" | "status.hostIP" | "status.hostIPs" => "127.0.0.1".to_owned(),
        other => match other.strip_prefix("metadata.labels") {
            Some(key) => return within("labels", key),
            None => return within("annotations", other.strip_prefix("metadata.annotations")?),
        },
    })
}

/// A limit as `resourceFieldRef` gives it, in units of the divisor, rounded up.
fn limit(resource: &str, divisor: Option<u128>, resources: &Resources) -> Option<String> {
    let thousandths = match resource {
        "limits.memory" => u128::from(resources.memory?) * 1_000,
        "limits.cpu" => u128::from(resources.processors?),
        _ => return None,
    };
    Some(thousandths.div_ceil(divisor.unwrap_or(1_000)).to_string())
}

/// `$(NAME)` of the variables that are known so far; `$$(NAME)` is `$(NAME)`, and what is not known stays as it is.
/// `None` if that comes to over [`MOST_BYTES`].
fn expand(text: &str, known: &[(String, String)]) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match name {
            None => expanded.push('$'),
            Some((name, after)) => {
                match known.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => expanded.push_str(value),
                    None => expanded.push_str(&format!("$({name})")),
                }
                rest = after;
            }
        }
        if expanded.len() > MOST_BYTES {
            return None;
        }
    }
    expanded.push_str(rest);
    Some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_kubernetes_expands_them() {
        let known = [("A".to_owned(), "1".to_owned())];
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)$(A)y", "x11y"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$A ${A}", "$A ${A}"),
            ("$(A", "$(A"),
            ("100$", "100$"),
        ] {
            assert_eq!(expand(text, &known).as_deref(), Some(expected), "{text}");
        }
        let long = [("A".to_owned(), "x".repeat(100))];
        assert_eq!(expand(&"$(A)".repeat(1_000), &long).map(|text| text.len()), Some(100_000));
        assert_eq!(expand(&"$(A)".repeat(10_000), &long), None);
    }
}
