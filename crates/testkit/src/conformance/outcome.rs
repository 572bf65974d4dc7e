//! Outcomes, and the form in which they are recorded: JSON with one file a line, so that a change of a record is readable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use longshore_files::{FileError, write_atomic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::FileRecord;

/// What became of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Images, by platform.
    Images(BTreeMap<String, ImageOutcome>),
    /// It failed.
    Failure(Failure),
}

/// How a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The line of the Dockerfile that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The builder's own words. For people: every builder has its own.
    pub message: String,
}

/// An image, as far as its Dockerfile made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageOutcome {
    /// The base image that its first layers are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Layers on top of the base's.
    pub layers: usize,
    /// Files that are not as in the base, by path.
    pub files: BTreeMap<String, FileRecord>,
    /// The `config` object of the image's config.
    pub config: Value,
    /// MAINTAINER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The image's date, where the case compares times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// History on top of the base's.
    pub history: Vec<HistoryRecord>,
    /// Annotations of the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// One entry of an image's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryRecord {
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether no layer came of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// A recorded outcome that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no outcome.
    #[error("{} is no recorded outcome", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
}

impl Outcome {
    /// Reads a recorded outcome.
    pub fn read(path: &Path) -> Result<Outcome, OutcomeError> {
        let bytes =
            std::fs::read(path).map_err(|source| OutcomeError::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| OutcomeError::Json { path: path.to_owned(), source })
    }

    /// Records the outcome.
    pub fn write(&self, path: &Path) -> Result<(), OutcomeError> {
        let value = serde_json::to_value(self)
            .map_err(|source| OutcomeError::Json { path: path.to_owned(), source })?;
        let mut text = String::new();
        render(&value, 0, &mut text);
        text.push('\n');
        Ok(write_atomic(path, text.as_bytes())?)
    }
}

/// Objects of the image, its files and its history one a line; what lies deeper on that line.
const DEEPEST: usize = 4;

fn render(value: &Value, depth: usize, text: &mut String) {
    let indent = |depth: usize| format!("\n{}", "  ".repeat(depth));
    match value {
        Value::Object(object) if depth < DEEPEST && !object.is_empty() => {
            text.push('{');
            for (position, (name, value)) in object.iter().enumerate() {
                text.push_str(if position == 0 { "" } else { "," });
                text.push_str(&indent(depth + 1));
                text.push_str(&format!("{}: ", Value::from(name.as_str())));
                render(value, depth + 1, text);
            }
            text.push_str(&indent(depth));
            text.push('}');
        }
        Value::Array(list) if depth < DEEPEST && !list.is_empty() => {
            text.push('[');
            for (position, value) in list.iter().enumerate() {
                text.push_str(if position == 0 { "" } else { "," });
                text.push_str(&indent(depth + 1));
                render(value, DEEPEST, text);
            }
            text.push_str(&indent(depth));
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_one_file_a_line_and_is_read_back() {
        let file = FileRecord {
            is: "file".to_owned(),
            mode: Some("644".to_owned()),
            text: Some("a\n".to_owned()),
            ..FileRecord::default()
        };
        let history =
            HistoryRecord { created_by: Some("COPY".to_owned()), comment: None, empty_layer: false };
        let image = ImageOutcome {
            base: Some("busybox".to_owned()),
            layers: 1,
            files: [("a".to_owned(), file)].into(),
            config: serde_json::json!({"Env": ["A=1"], "Labels": {"a": "b"}}),
            author: None,
            created: None,
            history: vec![history],
            annotations: BTreeMap::new(),
        };
        let outcome = Outcome::Images([("linux/amd64".to_owned(), image)].into());
        let folder = crate::Folder::new().unwrap();
        let path = folder.join("expected.json");
        outcome.write(&path).unwrap();
        assert_eq!(Outcome::read(&path).unwrap(), outcome);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines.contains(&r#""a": {"is":"file","mode":"644","text":"a\n"}"#), "{text}");
        assert!(lines.contains(&r#"{"created_by":"COPY"}"#), "{text}");
    }
}
