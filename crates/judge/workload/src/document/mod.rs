//! YAML documents as trees that know where each part stands.
//!
//! Everything that reads compose files and Kubernetes manifests stands on these trees: what a scalar was written as is kept (`yes` is not yet
//! a boolean, `0755` not yet a number), since the programs that read such files do not agree on it, and unknown keys are kept, since most
//! files have some. Aliases share the node that they name, so a file that grows by aliases costs what it takes on disk.

mod read;
mod scalar;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use read::{Documents, read};
pub use scalar::{Dialect, Plain};

/// A range of bytes in one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The file, by its place in [`Sources`].
    pub source: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// The files that were read, in the order in which they were.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Sources {
    /// Takes a file, and says which it is in spans.
    pub fn add(&mut self, path: impl Into<PathBuf>, bytes: Vec<u8>) -> u32 {
        self.files.push((path.into(), bytes));
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// The file of a span.
    pub fn path(&self, span: Span) -> Option<&Path> {
        self.files.get(span.source as usize).map(|file| file.0.as_path())
    }

    /// All bytes of the file of a span.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.files.get(span.source as usize).map(|file| file.1.as_slice()).unwrap_or_default()
    }

    /// `PATH:LINE`, for a sentence.
    pub fn place(&self, span: Span) -> String {
        let before = self.bytes(span).get(..span.start as usize).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let path = self.path(span).map(|path| path.display().to_string()).unwrap_or_default();
        format!("{path}:{line}")
    }
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands; of what an alias stands for, where the anchor is.
    pub span: Span,
    /// Its tag if it is one of an application, such as `!reset`.
    pub tag: Option<String>,
    /// What it is.
    pub value: Value,
    /// How many nodes it is with all aliases written out.
    weight: u32,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Arc<Node>>),
    /// Keys and values, in the order of the file.
    Mapping(Vec<Entry>),
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, escapes and folding undone.
    pub text: String,
    /// Whether it was written without quotes, so that it may be a number, a boolean or null.
    pub plain: bool,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Whether the key was written without quotes.
    pub key_plain: bool,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Arc<Node>,
}

impl Node {
    /// A scalar that was written as a string.
    pub fn text(text: impl Into<String>, span: Span) -> Node {
        Node::new(span, Value::Scalar(Scalar { text: text.into(), plain: false }))
    }

    /// A node without a tag.
    pub fn new(span: Span, value: Value) -> Node {
        let mut node = Node { span, tag: None, value, weight: 1 };
        node.weigh();
        node
    }

    fn weigh(&mut self) {
        let inner: u32 = match &self.value {
            Value::Scalar(_) => 0,
            Value::Sequence(items) => items.iter().fold(0, |sum: u32, item| sum.saturating_add(item.weight)),
            Value::Mapping(entries) => {
                entries.iter().fold(0, |sum: u32, entry| sum.saturating_add(entry.value.weight))
            }
        };
        self.weight = inner.saturating_add(1);
    }

    /// The value of a key, if it is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Arc<Node>> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The value at the end of a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Arc<Node>> {
        let (first, rest) = path.split_first()?;
        let node = self.get(first)?;
        if rest.is_empty() { Some(node) } else { node.at(rest) }
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; none of anything else.
    pub fn items(&self) -> &[Arc<Node>] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The scalar that it is.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is null, or nothing at all.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.is_null())
    }

    /// What it is, for a sentence.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => scalar.kind(Dialect::Compose),
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// Something in a file that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether what stands there may be secret, and is not to be shown.
    pub is_secret: bool,
}

impl Problem {
    /// A problem without advice.
    pub fn new(span: Span, message: impl Into<String>) -> Problem {
        Problem { span, message: message.into(), hint: None, is_secret: false }
    }

    /// At a place that is not to be shown.
    #[must_use]
    pub(crate) fn secret(mut self) -> Problem {
        self.is_secret = true;
        self
    }

    /// With advice.
    #[must_use]
    pub fn hinted(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}
