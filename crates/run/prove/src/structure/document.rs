//! The file: container-structure-test's, schemaVersion 2.0.0, as YAML or JSON (its README, and `pkg/types/v2`).
//!
//! Where that tool takes a key that it does not know in silence, and so checks nothing, here it is an error with its line and the name that was
//! probably meant. So are tests without a name or path, and patterns that are none, before anything is checked.

use serde::Deserialize;

use crate::{Pattern, PatternError};

/// A file of structure tests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// `2.0.0`.
    pub schema_version: String,
    /// Variables of every command.
    #[serde(default)]
    pub global_env_vars: Vec<Variable>,
    /// Commands to run.
    #[serde(default)]
    pub command_tests: Vec<CommandTest>,
    /// Files that are or are not there.
    #[serde(default)]
    pub file_existence_tests: Vec<FileExistenceTest>,
    /// What stands in files.
    #[serde(default)]
    pub file_content_tests: Vec<FileContentTest>,
    /// The image's configuration.
    #[serde(default)]
    pub metadata_test: Option<MetadataTest>,
    /// Licences of packages and files.
    #[serde(default)]
    pub license_tests: Vec<LicenseTest>,
    /// How commands are run.
    #[serde(default)]
    pub container_run_options: RunOptions,
}

/// A variable or label.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value, or a pattern.
    #[serde(default)]
    pub value: String,
    /// Whether the value is a pattern; heeded where values are compared.
    #[serde(default)]
    pub is_regex: bool,
}

/// A command, and what it must do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub struct CommandTest {
    pub name: String,
    #[serde(default)]
    pub setup: Vec<Vec<String>>,
    #[serde(default)]
    pub teardown: Vec<Vec<String>>,
    #[serde(default)]
    pub env_vars: Vec<Variable>,
    #[serde(default)]
    pub exit_code: i32,
    pub command: String,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub expected_output: Vec<String>,
    #[serde(default)]
    pub excluded_output: Vec<String>,
    #[serde(default)]
    pub expected_error: Vec<String>,
    #[serde(default)]
    pub excluded_error: Vec<String>,
}

/// A file that is or is not there.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub struct FileExistenceTest {
    pub name: String,
    pub path: String,
    #[serde(default = "yes")]
    pub should_exist: bool,
    #[serde(default)]
    pub permissions: Option<String>,
    /// -1 is any.
    #[serde(default)]
    pub uid: Option<i64>,
    /// -1 is any.
    #[serde(default)]
    pub gid: Option<i64>,
    #[serde(default)]
    pub is_executable_by: Option<ExecutableBy>,
}

/// Whose permission to execute is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the format's own")]
pub enum ExecutableBy {
    Owner,
    Group,
    Other,
    Any,
}

/// What stands in a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub struct FileContentTest {
    pub name: String,
    pub path: String,
    #[serde(default)]
    pub expected_contents: Vec<String>,
    #[serde(default)]
    pub excluded_contents: Vec<String>,
}

/// The image's configuration. What is absent is not compared; an empty ENTRYPOINT or CMD must be empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub struct MetadataTest {
    #[serde(default)]
    pub env: Vec<Variable>,
    #[serde(default)]
    pub env_vars: Vec<Variable>,
    #[serde(default)]
    pub unbound_env: Vec<Variable>,
    #[serde(default)]
    pub labels: Vec<Variable>,
    #[serde(default)]
    pub exposed_ports: Vec<String>,
    #[serde(default)]
    pub unexposed_ports: Vec<String>,
    #[serde(default)]
    pub volumes: Vec<String>,
    #[serde(default)]
    pub unmounted_volumes: Vec<String>,
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    #[serde(default)]
    pub workdir: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
}

/// Licences that must not be there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicenseTest {
    /// Whether Debian's packages are looked through.
    #[serde(default)]
    pub debian: bool,
    /// Files to look through.
    #[serde(default)]
    pub files: Vec<String>,
}

/// How commands are run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the format's own")]
pub struct RunOptions {
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub privileged: bool,
    #[serde(default, rename = "allocateTty", alias = "tty")]
    pub allocate_tty: bool,
    #[serde(default)]
    pub env_vars: Vec<String>,
    #[serde(default)]
    pub env_file: Option<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub bind_mounts: Vec<String>,
}

fn yes() -> bool {
    true
}

/// A file of structure tests that is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {file}{}: {kind}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct DocumentError {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<u64>,
    /// Why.
    pub kind: DocumentErrorKind,
    hint: Option<String>,
}

/// Why a file of structure tests is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentErrorKind {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// Not YAML or JSON, or of another form.
    #[error("{0}")]
    Form(String),
    /// A key that there is not.
    #[error("there is no key `{0}`")]
    UnknownKey(String),
    /// Another version of the format.
    #[error("schemaVersion `{0}` is not known")]
    Version(String),
    /// It checks nothing.
    #[error("it has no tests")]
    Empty,
    /// Something that is missing or empty in a test.
    #[error("{test}: {reason}")]
    Test {
        /// The test's kind and name.
        test: String,
        /// What is wrong.
        reason: String,
    },
    /// A pattern that is none.
    #[error("{test}: {source}")]
    Pattern {
        /// The test's kind and name.
        test: String,
        /// Why.
        source: PatternError,
    },
}

impl DocumentError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl Document {
    /// Reads a file, and checks all that can be checked without an image.
    ///
    /// Errors: it is not UTF-8, YAML or JSON; has keys that there are not; names another version; a test of it is incomplete.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Document, DocumentError> {
        let error = |line, kind, hint| DocumentError { file: file.to_owned(), line, kind, hint };
        let text = std::str::from_utf8(bytes).map_err(|_| error(None, DocumentErrorKind::Encoding, None))?;
        let is_json = text.trim_start().starts_with('{');
        let parsed: Result<Document, (Option<u64>, String)> = match is_json {
            true => serde_json::from_str(text)
                .map_err(|error| (u64::try_from(error.line()).ok(), error.to_string())),
            false => serde_saphyr::from_str(text).map_err(|error| {
                let line = error.location().map(|location| location.line());
                (line, error.without_snippet().to_string())
            }),
        };
        let document = parsed.map_err(|(line, message)| {
            let (kind, hint) = explain(&message);
            error(line, kind, hint)
        })?;
        document.validate().map_err(|(kind, hint)| error(None, kind, hint))?;
        Ok(document)
    }

    fn validate(&self) -> Result<(), (DocumentErrorKind, Option<String>)> {
        if self.schema_version != "2.0.0" {
            let hint = "write schemaVersion: 2.0.0".to_owned();
            return Err((DocumentErrorKind::Version(self.schema_version.clone()), Some(hint)));
        }
        let metadata = usize::from(self.metadata_test.is_some());
        let files = self.file_existence_tests.len() + self.file_content_tests.len();
        if files + self.command_tests.len() + self.license_tests.len() + metadata == 0 {
            return Err((DocumentErrorKind::Empty, None));
        }
        for test in &self.command_tests {
            let name = format!("command test `{}`", test.name);
            named(&name, &[("name", &test.name), ("command", &test.command)])?;
            if test.setup.iter().chain(&test.teardown).any(Vec::is_empty) {
                return Err(incomplete(&name, "a command of setup or teardown is empty"));
            }
            let patterns =
                [&test.expected_output, &test.excluded_output, &test.expected_error, &test.excluded_error];
            patterns.into_iter().flatten().try_for_each(|pattern| compiles(&name, pattern))?;
        }
        for test in &self.file_existence_tests {
            let name = format!("file existence test `{}`", test.name);
            named(&name, &[("name", &test.name), ("path", &test.path)])?;
        }
        for test in &self.file_content_tests {
            let name = format!("file content test `{}`", test.name);
            named(&name, &[("name", &test.name), ("path", &test.path)])?;
            let mut patterns = test.expected_contents.iter().chain(&test.excluded_contents);
            patterns.try_for_each(|pattern| compiles(&name, pattern))?;
        }
        let variables =
            self.metadata_test.iter().flat_map(|test| [&test.env, &test.env_vars, &test.labels]).flatten();
        for variable in variables {
            named("metadata test", &[("key", &variable.key)])?;
            if variable.is_regex {
                compiles("metadata test", &variable.value)?;
            }
        }
        Ok(())
    }
}

fn incomplete(test: &str, reason: &str) -> (DocumentErrorKind, Option<String>) {
    (DocumentErrorKind::Test { test: test.to_owned(), reason: reason.to_owned() }, None)
}

fn named(test: &str, parts: &[(&str, &String)]) -> Result<(), (DocumentErrorKind, Option<String>)> {
    match parts.iter().find(|(_, value)| value.is_empty()) {
        Some((key, _)) => Err(incomplete(test, &format!("`{key}` is empty"))),
        None => Ok(()),
    }
}

fn compiles(test: &str, pattern: &str) -> Result<(), (DocumentErrorKind, Option<String>)> {
    match Pattern::new(pattern) {
        Ok(_) => Ok(()),
        Err(source) => Err((DocumentErrorKind::Pattern { test: test.to_owned(), source }, None)),
    }
}

/// All keys of the format.
const KEYS: [&str; 48] = [
    "schemaVersion",
    "globalEnvVars",
    "commandTests",
    "fileExistenceTests",
    "fileContentTests",
    "metadataTest",
    "licenseTests",
    "containerRunOptions",
    "key",
    "value",
    "isRegex",
    "name",
    "setup",
    "teardown",
    "envVars",
    "exitCode",
    "command",
    "args",
    "expectedOutput",
    "excludedOutput",
    "expectedError",
    "excludedError",
    "path",
    "shouldExist",
    "permissions",
    "uid",
    "gid",
    "isExecutableBy",
    "expectedContents",
    "excludedContents",
    "env",
    "unboundEnv",
    "labels",
    "exposedPorts",
    "unexposedPorts",
    "volumes",
    "unmountedVolumes",
    "entrypoint",
    "cmd",
    "workdir",
    "user",
    "debian",
    "files",
    "privileged",
    "allocateTty",
    "envFile",
    "capabilities",
    "bindMounts",
];

/// Makes of serde's words about a key that there is not an error with the name that was probably meant.
fn explain(message: &str) -> (DocumentErrorKind, Option<String>) {
    let key = message.contains("unknown field").then(|| message.split('`').nth(1)).flatten();
    let Some(key) = key else {
        return (DocumentErrorKind::Form(message.lines().next().unwrap_or_default().to_owned()), None);
    };
    let close = |name: &str| strsim::jaro_winkler(&key.to_lowercase(), &name.to_lowercase());
    let nearest = KEYS.iter().max_by(|one, other| close(one).total_cmp(&close(other)));
    let hint = nearest.filter(|name| close(name) > 0.8).map(|name| match *name == key {
        true => format!("`{name}` does not belong here"),
        false => format!("did you mean `{name}`?"),
    });
    (DocumentErrorKind::UnknownKey(key.to_owned()), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_test_is_refused_with_its_line() {
        for (text, line, message, hint) in [
            (
                "schemaVersion: 2.0.0\nfileExistenceTest: []\n",
                Some(2),
                "there is no key `fileExistenceTest`",
                Some("did you mean `fileExistenceTests`?"),
            ),
            (
                "schemaVersion: 2.0.0\nfileExistenceTests:\n- name: a\n  path: /a\n  shouldexist: true\n",
                Some(5),
                "no key `shouldexist`",
                Some("did you mean `shouldExist`?"),
            ),
            (
                "{\"schemaVersion\": \"2.0.0\",\n\"metadataTest\": {\"entryPoint\": []}}",
                Some(2),
                "no key `entryPoint`",
                Some("did you mean `entrypoint`?"),
            ),
            (
                "schemaVersion: 2.0.0\npath: /a\n",
                Some(2),
                "no key `path`",
                Some("`path` does not belong here"),
            ),
            (
                "schemaVersion: 1.0.0\nlicenseTests: [{debian: true}]\n",
                None,
                "schemaVersion `1.0.0`",
                Some("write schemaVersion: 2.0.0"),
            ),
            ("schemaVersion: 2.0.0\n", None, "it has no tests", None),
            (
                "schemaVersion: 2.0.0\ncommandTests: [{name: a, command: ''}]\n",
                None,
                "command test `a`: `command` is empty",
                None,
            ),
            (
                "schemaVersion: 2.0.0\nfileContentTests: [{name: a, path: /a, expectedContents: ['(']}]\n",
                None,
                "`(` is no regular expression",
                None,
            ),
            (
                "schemaVersion: 2.0.0\nfileExistenceTests: [{name: a, path: /a, isExecutableBy: me}]\n",
                Some(2),
                "",
                None,
            ),
            ("a: [", Some(1), "", None),
        ] {
            let error = Document::parse("t.yaml", text.as_bytes()).expect_err(text);
            let shown = error.to_string();
            assert!(shown.starts_with("cannot use t.yaml") && shown.contains(message), "{text}: {shown}");
            assert_eq!((error.line, error.hint().as_deref()), (line, hint), "{text}: {shown}");
        }
        assert!(Document::parse("t.yaml", b"\xff").is_err());
    }

    #[test]
    fn every_key_is_known() {
        let text = include_str!("document.rs");
        let fields = text.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": "));
        let mut found = 0;
        for (name, _) in
            fields.filter(|(name, _)| !name.contains(['(', ' ']) && !["file", "line", "kind"].contains(name))
        {
            let mut words = name.split('_');
            let first = words.next().unwrap_or_default().to_owned();
            let key = words.fold(first, |key, word| key + &word[..1].to_uppercase() + &word[1..]);
            assert!(KEYS.contains(&key.as_str()), "{key} is not among the keys");
            found += 1;
        }
        assert!(found > KEYS.len(), "{found} fields were found");
    }
}
