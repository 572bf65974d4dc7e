//! Variables in the values of a compose file: `$NAME`, `${NAME}`, and a default, an alternative or an error for those that are not set.
//!
//! Source: the Compose specification, 12-interpolation.md, and compose-go's `template`. Keys are left alone, and so is a dollar that begins no
//! variable; one that is doubled is one. What was replaced is text, and becomes a number or a boolean only where one is wanted.
//!
//! A few lines that name each other can come to more than any machine holds, so what a value, and what all values of a file may grow to has
//! an end.

use std::cell::Cell;
use std::sync::Arc;

use crate::document::{Entry, Node, Problem, Scalar, Value};
use crate::fields::Findings;

use super::Variables;

/// Bytes that a value may come to with its variables replaced.
const MOST_BYTES: usize = 1 << 20;
/// Bytes that all values of a file may come to in which variables were replaced.
const MOST_IN_ALL: usize = 64 << 20;
/// Defaults within defaults, which are read one within the other.
const DEEPEST: u32 = 32;

/// Replaces the variables in all values of a tree.
pub(super) fn interpolate(node: &Arc<Node>, variables: Variables<'_>, findings: &Findings) -> Arc<Node> {
    tree(node, variables, findings, &Cell::new(MOST_IN_ALL))
}

/// The same with the bytes that are left.
fn tree(node: &Arc<Node>, variables: Variables<'_>, findings: &Findings, left: &Cell<usize>) -> Arc<Node> {
    let mut other = match &node.value {
        Value::Scalar(scalar) if !scalar.text.contains('$') => return Arc::clone(node),
        // It was told when the last of them was taken.
        Value::Scalar(_) if left.get() == 0 => return Arc::clone(node),
        Value::Scalar(scalar) => match expand(&scalar.text, variables) {
            Ok(text) if text.len() >= left.get() => {
                left.set(0);
                let message = format!("with its variables replaced, the file has over {MOST_IN_ALL} bytes");
                findings.problem(Problem::new(node.span, message));
                return Arc::clone(node);
            }
            // Text, whatever it looks like: `A: ${A}` is not null where A is not set.
            Ok(text) => {
                left.set(left.get() - text.len());
                Node::new(node.span, Value::Scalar(Scalar { text, plain: false }))
            }
            Err(message) => {
                findings.problem(Problem::new(node.span, message));
                return Arc::clone(node);
            }
        },
        Value::Sequence(items) => {
            let items = items.iter().map(|item| tree(item, variables, findings, left)).collect();
            Node::new(node.span, Value::Sequence(items))
        }
        Value::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|entry| Entry { value: tree(&entry.value, variables, findings, left), ..entry.clone() });
            Node::new(node.span, Value::Mapping(entries.collect()))
        }
    };
    other.tag.clone_from(&node.tag);
    Arc::new(other)
}

/// Replaces the variables in a text. Errors: a brace that is not closed or holds no variable, a variable that must be set and is not, a value
/// without end.
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
            let end = closing(after)?.ok_or("the brace after a `$` is not closed")?;
            expanded.push_str(&braced(&after[..end], variables)?);
            rest = &after[end + 1..];
        } else {
            let end = name_length(rest);
            match end {
                0 => expanded.push('$'),
                end => expanded.push_str(&variables(&rest[..end]).unwrap_or_default()),
            }
            rest = &rest[end..];
        }
        if expanded.len() > MOST_BYTES {
            return Err(format!("with its variables replaced, the value has over {MOST_BYTES} bytes"));
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Where the brace that was opened before `text` is closed. Errors: too many others are open before.
fn closing(text: &str) -> Result<Option<usize>, String> {
    let mut depth = 0_u32;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Ok(Some(at)),
            '}' => depth -= 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("there are over {DEEPEST} variables within one another"));
        }
        previous = c;
    }
    Ok(None)
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
    let wrong = || "what stands in the braces after a `$` is no variable".to_owned();
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
            ("$", Some("$")),
            ("100$", Some("100$")),
            ("^/a$|$1|$-", Some("^/a$|$1|$-")),
            ("${}", None),
            ("${1A}", None),
            ("${NAME!x}", None),
        ] {
            assert_eq!(expand(text, &variables).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_meant_to_grow_without_end_is_refused() {
        let deep = |count: usize| format!("{}x{}", "${A:-".repeat(count), "}".repeat(count));
        assert_eq!(expand(&deep(32), &|_| None).as_deref(), Ok("x"));
        for count in [34, 1_000_000] {
            let error = expand(&deep(count), &|_| None).unwrap_err();
            assert_eq!(error, "there are over 32 variables within one another");
        }
        let long = |_: &str| Some("x".repeat(1 << 16));
        assert_eq!(expand(&"$A".repeat(16), &long).map(|text| text.len()), Ok(1 << 20));
        let error = expand(&"$A".repeat(1 << 20), &long).unwrap_err();
        assert_eq!(error, "with its variables replaced, the value has over 1048576 bytes");
    }

    #[test]
    fn a_file_grows_to_its_end_and_that_is_told_once() {
        let read = |text: String| crate::document::read(0, text.as_bytes()).documents[0].clone();
        let long = |_: &str| Some("x".repeat(1 << 19));
        let findings = Findings::default();
        let node = read(format!("- &a $A\n{}", "- *a\n".repeat(100_000)));
        let replaced = interpolate(&node, &long, &findings);
        let problems = findings.problems.into_inner();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].message, "with its variables replaced, the file has over 67108864 bytes");
        assert_eq!(replaced.items()[126].scalar().map(|scalar| scalar.text.len()), Some(1 << 19));
        assert_eq!(replaced.items()[127].scalar().map(|scalar| scalar.text.as_str()), Some("$A"));
    }
}
