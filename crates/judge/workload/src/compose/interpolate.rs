//! Variables in the values of a compose file: `$NAME`, `${NAME}`, and a default, an alternative or an error for those that are not set.
//!
//! Source: the Compose specification, 12-interpolation.md, and compose-go's `template`. Keys are left alone, and so is a dollar that is
//! doubled. What was replaced is text, and becomes a number or a boolean only where one is wanted.

use std::sync::Arc;

use crate::document::{Entry, Node, Problem, Scalar, Value};
use crate::fields::Findings;

use super::Variables;

/// Replaces the variables in all values of a tree.
pub(super) fn interpolate(node: &Arc<Node>, variables: Variables<'_>, findings: &Findings) -> Arc<Node> {
    let mut other = match &node.value {
        Value::Scalar(scalar) if !scalar.text.contains('$') => return Arc::clone(node),
        Value::Scalar(scalar) => match expand(&scalar.text, variables) {
            // Text, whatever it looks like: `A: ${A}` is not null where A is not set.
            Ok(text) => Node::new(node.span, Value::Scalar(Scalar { text, plain: false })),
            Err(message) => {
                findings.problem(Problem::new(node.span, message));
                return Arc::clone(node);
            }
        },
        Value::Sequence(items) => {
            let items = items.iter().map(|item| interpolate(item, variables, findings)).collect();
            Node::new(node.span, Value::Sequence(items))
        }
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|entry| Entry {
                value: interpolate(&entry.value, variables, findings),
                ..entry.clone()
            });
            Node::new(node.span, Value::Mapping(entries.collect()))
        }
    };
    other.tag.clone_from(&node.tag);
    Arc::new(other)
}

/// Replaces the variables in a text. Errors: a `$` that begins none, a brace that is not closed, a variable that must be set and is not.
pub(super) fn expand(text: &str, variables: Variables<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or_else(|| format!("`${{{after}`: the brace is not closed"))?;
            expanded.push_str(&braced(&after[..end], variables)?);
            rest = &after[end + 1..];
        } else {
            let end = name_length(rest);
            if end == 0 {
                return Err(format!("`${rest}`: the dollar begins no variable (a dollar itself is `$$`)"));
            }
            expanded.push_str(&variables(&rest[..end]).unwrap_or_default());
            rest = &rest[end..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Where the brace that was opened before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

fn name_length(text: &str) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match text.bytes().next() {
        Some(first) if first.is_ascii_digit() => 0,
        _ => text.bytes().take_while(is_part).count(),
    }
}

/// What stands within braces.
fn braced(inner: &str, variables: Variables<'_>) -> Result<String, String> {
    let end = name_length(inner);
    let (name, rest) = inner.split_at(end);
    let wrong = || format!("`${{{inner}}}` is no variable");
    if name.is_empty() {
        return Err(wrong());
    }
    let value = variables(name);
    let counts_empty = !rest.starts_with(':');
    let mut operator = rest.strip_prefix(':').unwrap_or(rest).chars();
    let is_set = value.as_ref().is_some_and(|value| counts_empty || !value.is_empty());
    match operator.next() {
        None if rest.is_empty() => Ok(value.unwrap_or_default()),
        Some('-') if is_set => Ok(value.unwrap_or_default()),
        Some('-') => expand(operator.as_str(), variables),
        Some('+') if is_set => expand(operator.as_str(), variables),
        Some('+') => Ok(String::new()),
        Some('?') if is_set => Ok(value.unwrap_or_default()),
        Some('?') => {
            let message = expand(operator.as_str(), variables)?;
            let message = if message.is_empty() { String::new() } else { format!(": {message}") };
            Err(format!("the variable {name} must be set{message}"))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_compose_replaces_them() {
        let variables = |name: &str| match name {
            "NAME" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("$NAME", Some("value")),
            ("a${NAME}b", Some("avalueb")),
            ("$$NAME", Some("$NAME")),
            ("$NOT", Some("")),
            ("${NOT:-default}", Some("default")),
            ("${EMPTY:-default}", Some("default")),
            ("${EMPTY-default}", Some("")),
            ("${NOT-default}", Some("default")),
            ("${NAME:+other}", Some("other")),
            ("${EMPTY:+other}", Some("")),
            ("${EMPTY+other}", Some("other")),
            ("${NOT:-${NAME}}", Some("value")),
            ("${NOT:-${ALSO:-deep}}/x", Some("deep/x")),
            ("${NOT:-a{b}}", Some("a{b}")),
            ("${NAME?must}", Some("value")),
            ("${NOT:?must}", None),
            ("${NOT?}", None),
            ("${EMPTY:?must}", None),
            ("${EMPTY?must}", Some("")),
            ("${NAME", None),
            ("$", None),
            ("100$", None),
            ("${}", None),
            ("${1A}", None),
            ("${NAME!x}", None),
        ] {
            assert_eq!(expand(text, &variables).ok().as_deref(), expected, "{text}");
        }
    }
}
