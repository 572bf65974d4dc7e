//! Everything that is wrong with an image, a layout or a layer, found in one go.
//!
//! Validation never stops at the first violation and trusts nothing that it is told: every blob's digest and size is
//! recomputed, every layer's tar is read to its end, and media types are compared with what the bytes are. It is a command of
//! its own, and the oracle of this workspace's tests.

mod blob;
mod config;
mod document;
mod image;
mod layer;
mod layout;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use longshore_oci::Digest;
use serde::Serialize;

pub use image::validate;
pub use layout::validate_layout;

/// Most violations that are kept for one rule in one blob; what is beyond them is counted in the last one's message.
const MAX_PER_RULE: usize = 100;

/// How much a violation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Allowed, but a person should know.
    Notice,
    /// Against a specification, or something that engines refuse or differ on.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule, stable: `blob-digest`, `tar-path-escapes`.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The blob it is about; `None` for a layout's own files.
    pub digest: Option<Digest>,
    /// Where in the blob: a path in a layer's tar, a JSON path in a document, or a file of the layout.
    pub path: Option<PathBuf>,
    /// What is wrong, for a person.
    pub message: String,
}

/// `rule: message (digest, path)`.
impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.rule, self.message)?;
        match (&self.digest, &self.path) {
            (Some(digest), Some(path)) => write!(formatter, " ({digest}, {})", path.display()),
            (Some(digest), None) => write!(formatter, " ({digest})"),
            (None, Some(path)) => write!(formatter, " ({})", path.display()),
            (None, None) => Ok(()),
        }
    }
}

/// Collects violations of one blob or file.
#[derive(Debug, Default)]
struct Findings {
    digest: Option<Digest>,
    list: Vec<Violation>,
    counts: std::collections::HashMap<&'static str, usize>,
}

impl Findings {
    fn about(digest: &Digest) -> Self {
        Findings { digest: Some(digest.clone()), ..Findings::default() }
    }

    fn error(&mut self, rule: &'static str, path: impl Into<PathBuf>, message: impl Into<String>) {
        self.add(Severity::Error, rule, path.into(), message.into());
    }

    fn notice(&mut self, rule: &'static str, path: impl Into<PathBuf>, message: impl Into<String>) {
        self.add(Severity::Notice, rule, path.into(), message.into());
    }

    fn add(&mut self, severity: Severity, rule: &'static str, path: PathBuf, message: String) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= MAX_PER_RULE {
            let path = Some(path).filter(|path| !path.as_os_str().is_empty());
            self.list.push(Violation { rule, severity, digest: self.digest.clone(), path, message });
        }
    }

    fn finish(mut self) -> Vec<Violation> {
        for (rule, count) in self.counts {
            let more = count.saturating_sub(MAX_PER_RULE);
            if let Some(last) =
                self.list.iter_mut().rev().find(|violation| more > 0 && violation.rule == rule)
            {
                last.message.push_str(&format!(", and {more} more like this"));
            }
        }
        self.list
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Transparent errors repeat their source's words.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
