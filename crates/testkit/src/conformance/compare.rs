//! What two outcomes differ in.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::outcome::{HistoryRecord, ImageOutcome, Outcome};

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The platform of the image, empty where the whole outcome differs.
    pub platform: String,
    /// What: `outcome`, `line`, `layers`, `author`, `created`, `files:/PATH`, `config.Field`, `history`, `history.N.field`,
    /// `annotations.NAME`.
    pub field: String,
    /// What was recorded, as compact JSON; `None` where there was nothing.
    pub expected: Option<String>,
    /// What came out.
    pub actual: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let space = if self.platform.is_empty() { "" } else { " " };
        let (expected, actual) = (nothing(&self.expected), nothing(&self.actual));
        write!(
            formatter,
            "{}{space}{}\n    recorded: {expected}\n    now:      {actual}",
            self.platform, self.field
        )
    }
}

/// All differences between a recorded outcome and another one. The words of failures are not compared.
#[must_use]
pub fn compare(expected: &Outcome, actual: &Outcome) -> Vec<Difference> {
    let mut found = Found { platform: String::new(), differences: Vec::new() };
    match (expected, actual) {
        (Outcome::Failure(expected), Outcome::Failure(actual)) => {
            // Where BuildKit named no line, another builder may.
            if expected.line.is_some() {
                found.values("line", &expected.line, &actual.line);
            }
        }
        (Outcome::Images(expected), Outcome::Images(actual)) => {
            let platforms: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
            for platform in platforms {
                found.platform.clone_from(platform);
                match (expected.get(platform), actual.get(platform)) {
                    (Some(expected), Some(actual)) => found.images(expected, actual),
                    (expected, actual) => {
                        let said = |image: Option<&ImageOutcome>| image.map(|_| "an image".to_owned());
                        found.add("outcome", said(expected), said(actual));
                    }
                }
            }
        }
        (expected, actual) => found.add("outcome", Some(summary(expected)), Some(summary(actual))),
    }
    found.differences
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Images(_) => "a build that succeeds".to_owned(),
        Outcome::Failure(failure) => format!("a failure: {}", failure.message),
    }
}

struct Found {
    platform: String,
    differences: Vec<Difference>,
}

impl Found {
    fn add(&mut self, field: &str, expected: Option<String>, actual: Option<String>) {
        let (platform, field) = (self.platform.clone(), field.to_owned());
        self.differences.push(Difference { platform, field, expected, actual });
    }

    fn values<T: Serialize + PartialEq>(&mut self, field: &str, expected: &T, actual: &T) {
        if expected != actual {
            self.add(field, Some(compact(expected)), Some(compact(actual)));
        }
    }

    fn options<T: Serialize + PartialEq>(&mut self, field: &str, expected: Option<&T>, actual: Option<&T>) {
        if expected != actual {
            self.add(field, expected.map(compact), actual.map(compact));
        }
    }

    fn images(&mut self, expected: &ImageOutcome, actual: &ImageOutcome) {
        self.options("base", expected.base.as_ref(), actual.base.as_ref());
        self.values("layers", &expected.layers, &actual.layers);
        self.options("author", expected.author.as_ref(), actual.author.as_ref());
        self.options("created", expected.created.as_ref(), actual.created.as_ref());
        let paths: BTreeSet<&String> = expected.files.keys().chain(actual.files.keys()).collect();
        for path in paths {
            self.options(&format!("files:{path}"), expected.files.get(path), actual.files.get(path));
        }
        let no_fields = serde_json::Map::new();
        let fields = |config: &Value| config.as_object().unwrap_or(&no_fields).clone();
        let (before, now) = (fields(&expected.config), fields(&actual.config));
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        for name in names {
            self.options(&format!("config.{name}"), before.get(name), now.get(name));
        }
        self.histories(&expected.history, &actual.history);
        let names: BTreeSet<&String> = expected.annotations.keys().chain(actual.annotations.keys()).collect();
        for name in names {
            let field = format!("annotations.{name}");
            self.options(&field, expected.annotations.get(name), actual.annotations.get(name));
        }
    }

    fn histories(&mut self, expected: &[HistoryRecord], actual: &[HistoryRecord]) {
        if expected.len() != actual.len() {
            self.add("history", Some(compact(&expected)), Some(compact(&actual)));
            return;
        }
        for (number, (before, now)) in expected.iter().zip(actual).enumerate() {
            let field = |name: &str| format!("history.{number}.{name}");
            self.options(&field("created_by"), before.created_by.as_ref(), now.created_by.as_ref());
            self.options(&field("comment"), before.comment.as_ref(), now.comment.as_ref());
            self.values(&field("empty_layer"), &before.empty_layer, &now.empty_layer);
        }
    }
}

/// What is compared can always be written as JSON: it was read from it.
fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::conformance::{Failure, FileRecord};

    fn image(config: Value, files: &[(&str, &str)]) -> ImageOutcome {
        let record = |mode: &&str| FileRecord {
            is: "file".to_owned(),
            mode: Some((*mode).to_owned()),
            ..FileRecord::default()
        };
        ImageOutcome {
            base: None,
            layers: 1,
            files: files.iter().map(|(path, mode)| ((*path).to_owned(), record(mode))).collect(),
            config,
            author: None,
            created: None,
            history: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    fn images(image: ImageOutcome) -> Outcome {
        Outcome::Images([("linux/amd64".to_owned(), image)].into())
    }

    fn fields(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|difference| difference.field.as_str()).collect()
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let before =
            image(json!({"Env": ["A=1"], "Labels": {"a": "1", "b": "2"}}), &[("/a", "644"), ("/b", "644")]);
        let mut now =
            image(json!({"Labels": {"b": "2", "a": "1"}, "User": "x"}), &[("/a", "600"), ("/c", "644")]);
        now.layers = 2;
        let found = compare(&images(before.clone()), &images(now));
        assert_eq!(
            fields(&found),
            ["layers", "files:/a", "files:/b", "files:/c", "config.Env", "config.User"]
        );
        assert_eq!(found[3].expected, None);
        assert_eq!(found[3].actual.as_deref(), Some(r#"{"is":"file","mode":"644"}"#));
        assert_eq!(compare(&images(before.clone()), &images(before)), []);
    }

    #[test]
    fn a_failure_is_no_image_and_its_line_counts() {
        let failure = |line| Outcome::Failure(Failure { line, message: "bad".to_owned() });
        assert_eq!(fields(&compare(&failure(Some(2)), &failure(Some(3)))), ["line"]);
        assert_eq!(compare(&failure(None), &failure(Some(3))), []);
        assert_eq!(fields(&compare(&failure(None), &images(image(json!({}), &[])))), ["outcome"]);
    }
}
