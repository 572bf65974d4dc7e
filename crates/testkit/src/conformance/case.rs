//! Cases: what stands in a case's folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::outcome::{Outcome, OutcomeError};
use super::suite_folder;

/// A case of the suite.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// What `case.toml` says.
    pub(crate) settings: Settings,
}

/// A case that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A file or folder of it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its `case.toml` is not what it must be.
    #[error("{} is not valid", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: Box<toml::de::Error>,
    },
}

/// `case.toml`. Paths are relative to the case's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// What the case shows, in a sentence.
    pub(crate) description: String,
    /// `--file`.
    #[serde(default = "dockerfile")]
    pub(crate) dockerfile: String,
    /// The context's folder, made empty where there is none.
    #[serde(default = "context")]
    pub(crate) context: String,
    #[serde(default)]
    pub(crate) target: Option<String>,
    #[serde(default)]
    pub(crate) build_args: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) platforms: Vec<String>,
    /// `NAME:ADDRESS` each.
    #[serde(default)]
    pub(crate) add_hosts: Vec<String>,
    /// Whether modification times are part of the outcome.
    #[serde(default)]
    pub(crate) times: bool,
    #[serde(default)]
    pub(crate) contexts: Vec<NamedContext>,
    #[serde(default)]
    pub(crate) secrets: Vec<Secret>,
    #[serde(default)]
    pub(crate) files: Vec<DeclaredFile>,
    #[serde(default)]
    pub(crate) archives: Vec<DeclaredArchive>,
    #[serde(default)]
    pub(crate) served: Vec<Served>,
}

fn dockerfile() -> String {
    "Dockerfile".to_owned()
}

fn context() -> String {
    "context".to_owned()
}

/// `--build-context`: a folder, or one of the base images under another name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedContext {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) source: ContextSource,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ContextSource {
    Folder(String),
    Base(String),
}

/// `--secret`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// What a web server answers; the build argument SERVER says where it is. All else is answered with 404.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Served {
    /// Path and query.
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) text: String,
    /// A file of the case's folder instead of the text.
    #[serde(default)]
    pub(crate) file: Option<PathBuf>,
    #[serde(default = "found")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

fn found() -> u16 {
    200
}

/// A file that git does not keep as it must be. One of the kinds is given; without any, a file that git keeps gets a mode,
/// a time or attributes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredFile {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// A sparse file of this size.
    #[serde(default)]
    pub(crate) hole: Option<u64>,
    /// A symbolic link.
    #[serde(default)]
    pub(crate) link: Option<String>,
    /// Another name of this file.
    #[serde(default)]
    pub(crate) hard: Option<PathBuf>,
    #[serde(default)]
    pub(crate) folder: bool,
    #[serde(default)]
    pub(crate) pipe: bool,
    /// Octal.
    #[serde(default)]
    pub(crate) mode: Option<String>,
    /// Seconds since 1970.
    #[serde(default)]
    pub(crate) time: Option<i64>,
    /// Hexadecimal values.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A tar that is written when the case is prepared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredArchive {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) gzip: bool,
    pub(crate) entries: Vec<DeclaredEntry>,
}

/// An entry of such a tar.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredEntry {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) link: Option<PathBuf>,
    #[serde(default)]
    pub(crate) hard: Option<PathBuf>,
    #[serde(default)]
    pub(crate) folder: bool,
    #[serde(default)]
    pub(crate) mode: Option<String>,
    #[serde(default)]
    pub(crate) uid: u64,
    #[serde(default)]
    pub(crate) gid: u64,
    #[serde(default)]
    pub(crate) time: i64,
}

/// The folder that holds a folder for each case.
#[must_use]
pub fn cases_folder() -> PathBuf {
    suite_folder().join("cases")
}

/// All cases, sorted by name.
pub fn cases() -> Result<Vec<Case>, CaseError> {
    let folder = cases_folder();
    let failed = |source| CaseError::Read { path: folder.clone(), source };
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            cases.push(Case::read(&path)?);
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

impl Case {
    /// The case in `folder`.
    pub fn read(folder: &Path) -> Result<Case, CaseError> {
        let path = folder.join("case.toml");
        let text =
            fs::read_to_string(&path).map_err(|source| CaseError::Read { path: path.clone(), source })?;
        let settings =
            toml::from_str(&text).map_err(|source| CaseError::Settings { path, source: Box::new(source) })?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Case { name, folder: folder.to_owned(), settings })
    }

    /// What the case shows.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.settings.description
    }

    /// Whether the date of the build is given.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        self.settings.build_args.contains_key("SOURCE_DATE_EPOCH")
    }

    /// Whether modification times and dates are part of the outcome.
    #[must_use]
    pub fn compares_times(&self) -> bool {
        self.settings.times
    }

    /// `--target`.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.settings.target.as_deref()
    }

    /// `--platform`.
    #[must_use]
    pub fn platforms(&self) -> &[String] {
        &self.settings.platforms
    }

    /// `--label`.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.settings.labels
    }

    /// `--annotation`.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.settings.annotations
    }

    /// `--add-host`, as `NAME:ADDRESS`.
    #[must_use]
    pub fn add_hosts(&self) -> &[String] {
        &self.settings.add_hosts
    }

    /// The file's name that error messages have.
    #[must_use]
    pub fn dockerfile_name(&self) -> &str {
        self.settings.dockerfile.rsplit('/').next().unwrap_or(&self.settings.dockerfile)
    }

    /// Where its recorded outcome is.
    #[must_use]
    pub fn expected_path(&self) -> PathBuf {
        self.folder.join("expected.json")
    }

    /// Its recorded outcome.
    ///
    /// Errors: none was recorded, or it is not readable.
    pub fn expected(&self) -> Result<Outcome, OutcomeError> {
        Outcome::read(&self.expected_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_in_a_case_is_an_error() {
        let good = "description = 'x'\n[[contexts]]\nname = 'other'\nfolder = 'there'\n[[files]]\npath = 'context/a'\nmode = '600'\n";
        let settings: Settings = toml::from_str(good).unwrap();
        assert_eq!((settings.dockerfile.as_str(), settings.context.as_str()), ("Dockerfile", "context"));
        assert!(matches!(&settings.contexts[0].source, ContextSource::Folder(folder) if folder == "there"));
        assert_eq!(settings.files[0].mode.as_deref(), Some("600"));
        for bad in
            ["target = 'x'", "description = 'x'\ntagret = 'x'", "description = 'x'\n[[files]]\nmode = '1'"]
        {
            assert!(toml::from_str::<Settings>(bad).is_err(), "{bad}");
        }
    }
}
