//! What a child sees of the environment, said in full by whoever starts it.
//!
//! Secrets are values of their own type: they reach the child, and nothing else. Neither `Debug` nor an error shows one, and
//! where the child itself repeats one in a line, the line is masked.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Secrets shorter than this are not searched for in output: masking every "a" would hide nothing and destroy the text.
const SHORTEST_MASKED: usize = 4;

/// A value that must not be shown. Its `Debug` form is `[secret]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(OsString);

impl Secret {
    /// Wraps a value that must not be shown.
    pub fn new(value: impl Into<OsString>) -> Self {
        Secret(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn reveal(&self) -> &OsStr {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Plain(OsString),
    Secret(Secret),
    Removed,
}

/// The environment of a child: inherited or empty, with changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    inherited: bool,
    changes: BTreeMap<OsString, Value>,
}

impl Environment {
    /// Nothing but what is added.
    pub fn empty() -> Self {
        Environment { inherited: false, changes: BTreeMap::new() }
    }

    /// All that this process has, and what is added.
    pub fn inherited() -> Self {
        Environment { inherited: true, changes: BTreeMap::new() }
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.changes.insert(name.into(), Value::Plain(value.into()));
        self
    }

    /// Sets many variables.
    #[must_use]
    pub fn with_all<Name: Into<OsString>, Plain: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (Name, Plain)>,
    ) -> Self {
        let values = variables.into_iter().map(|(name, value)| (name.into(), Value::Plain(value.into())));
        self.changes.extend(values);
        self
    }

    /// Sets a variable whose value is shown nowhere.
    #[must_use]
    pub fn with_secret(mut self, name: impl Into<OsString>, value: Secret) -> Self {
        self.changes.insert(name.into(), Value::Secret(value));
        self
    }

    /// Keeps a variable from the child, inherited or set before.
    #[must_use]
    pub fn without(mut self, name: impl Into<OsString>) -> Self {
        self.changes.insert(name.into(), Value::Removed);
        self
    }

    pub(crate) fn apply(&self, command: &mut std::process::Command) {
        if !self.inherited {
            command.env_clear();
        }
        for (name, value) in &self.changes {
            match value {
                Value::Plain(value) => command.env(name, value),
                Value::Secret(secret) => command.env(name, secret.reveal()),
                Value::Removed => command.env_remove(name),
            };
        }
    }

    /// Replaces every secret value that occurs in `text` by `[secret]`.
    pub(crate) fn mask(&self, text: &str) -> Option<String> {
        let mut masked: Option<String> = None;
        for value in self.changes.values() {
            let Value::Secret(secret) = value else { continue };
            let Some(secret) = secret.reveal().to_str() else { continue };
            let current = masked.as_deref().unwrap_or(text);
            if secret.len() >= SHORTEST_MASKED && current.contains(secret) {
                masked = Some(current.replace(secret, "[secret]"));
            }
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let environment = Environment::empty().with("A", "plain").with_secret("B", Secret::new("hunter22"));
        let text = format!("{environment:?}");
        assert!(text.contains("plain") && text.contains("[secret]"), "{text}");
        assert!(!text.contains("hunter22"), "{text}");
    }

    #[test]
    fn masking_hides_long_secrets_and_leaves_other_text() {
        let environment = Environment::empty()
            .with("PLAIN", "visible")
            .with_secret("TOKEN", Secret::new("hunter22"))
            .with_secret("SHORT", Secret::new("a"));
        let cases = [
            ("nothing here", None),
            ("token hunter22, again hunter22", Some("token [secret], again [secret]")),
            ("visible and a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(environment.mask(text).as_deref(), expected, "{text}");
        }
    }
}
