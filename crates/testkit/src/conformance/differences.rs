//! Differences that are meant: `conformance/differences.toml`.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::compare::Difference;
use super::suite_folder;

/// The list of differences that are meant.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    #[serde(default, rename = "difference")]
    meant: Vec<Meant>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    /// The case; `*` stands for any number of characters.
    case: String,
    /// [`Difference::field`], likewise.
    field: String,
    /// What must come out instead, as compact JSON, where it is always the same.
    #[serde(default)]
    instead: Option<String>,
    /// Why it is better so.
    reason: String,
}

/// The list cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DifferencesError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not what it must be.
    #[error("{} is not valid", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A difference has no reason.
    #[error("the difference of {case} in {field} has no reason")]
    Reason {
        /// The case.
        case: String,
        /// The field.
        field: String,
    },
}

impl Differences {
    /// Reads the suite's list.
    pub fn read() -> Result<Differences, DifferencesError> {
        let path = suite_folder().join("differences.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| DifferencesError::Read { path: path.clone(), source })?;
        let all: Differences = toml::from_str(&text)
            .map_err(|source| DifferencesError::Toml { path, source: Box::new(source) })?;
        match all.meant.iter().find(|meant| meant.reason.trim().is_empty()) {
            Some(Meant { case, field, .. }) => {
                Err(DifferencesError::Reason { case: case.clone(), field: field.clone() })
            }
            None => Ok(all),
        }
    }

    /// Why `difference` of the case named `case` is meant; `None` where it is not.
    #[must_use]
    pub fn reason(&self, case: &str, difference: &Difference) -> Option<&str> {
        let meant = self.meant.iter().find(|meant| {
            matches(&meant.case, case)
                && matches(&meant.field, &difference.field)
                && meant.instead.as_ref().is_none_or(|instead| Some(instead) == difference.actual.as_ref())
        });
        meant.map(|meant| meant.reason.as_str())
    }

    /// The entries, as case and field, that are no reason for any of `found`: differences by the names of their cases.
    #[must_use]
    pub fn unused(&self, found: &[(String, Difference)]) -> Vec<String> {
        let unused = |meant: &&Meant| {
            !found
                .iter()
                .any(|(case, found)| matches(&meant.case, case) && matches(&meant.field, &found.field))
        };
        self.meant.iter().filter(unused).map(|meant| format!("{} {}", meant.case, meant.field)).collect()
    }

    /// The cases of the list that fit none of `names`.
    #[must_use]
    pub fn of_no_case(&self, names: &[String]) -> Vec<&str> {
        let unknown = self.meant.iter().filter(|meant| !names.iter().any(|name| matches(&meant.case, name)));
        unknown.map(|meant| meant.case.as_str()).collect()
    }

    /// The differences of a case that are not meant.
    #[must_use]
    pub fn without_meant(&self, case: &str, differences: Vec<Difference>) -> Vec<Difference> {
        differences.into_iter().filter(|difference| self.reason(case, difference).is_none()).collect()
    }
}

/// Whether `name` fits `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(first) else { return false };
    name.char_indices().map(|(start, _)| &name[start..]).chain([""]).any(|tail| matches(rest, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_meant_by_case_field_and_value() {
        let text = "[[difference]]\ncase = 'copy-*'\nfield = 'history.*.comment'\ninstead = '\"ours\"'\nreason = 'why'\n";
        let all: Differences = toml::from_str(text).unwrap();
        let difference = |field: &str, actual: &str| Difference {
            platform: "linux/amd64".to_owned(),
            field: field.to_owned(),
            expected: None,
            actual: Some(actual.to_owned()),
        };
        assert_eq!(all.reason("copy-a", &difference("history.12.comment", "\"ours\"")), Some("why"));
        assert_eq!(all.reason("copy-a", &difference("history.12.comment", "\"theirs\"")), None);
        assert_eq!(all.reason("copy-a", &difference("history.12.created_by", "\"ours\"")), None);
        let found = |case: &str| vec![(case.to_owned(), difference("history.12.comment", "\"ours\""))];
        assert_eq!(all.unused(&found("copy-a")), Vec::<String>::new());
        assert_eq!(all.unused(&found("add-a")), ["copy-* history.*.comment"]);
        assert_eq!(all.reason("add-a", &difference("history.12.comment", "\"ours\"")), None);
    }

    #[test]
    fn the_suites_own_list_is_valid() {
        Differences::read().unwrap();
    }
}
