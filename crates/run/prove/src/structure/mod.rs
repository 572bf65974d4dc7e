//! Structure tests: container-structure-test's files, checked against an image of any platform.
//!
//! Files and metadata come straight from the image: nothing is unpacked, and no engine is asked. A command runs in a container of its own.

mod commands;
mod document;
mod files;
mod licenses;
mod metadata;

use longshore_oci::ContainerConfig;
use longshore_runtime::Runtime;
use longshore_snapshot::View;

use crate::check::{Checks, Outcome};

pub(crate) use files::chain;

pub use document::{
    CommandTest, Document, DocumentError, DocumentErrorKind, ExecutableBy, FileContentTest,
    FileExistenceTest, LicenseTest, MetadataTest, RunOptions, Variable,
};

/// The name of this suite.
const SUITE: &str = "structure";

/// What is tested.
pub struct Target<'t> {
    /// The image as the runtime finds it.
    pub image: &'t str,
    /// Its configuration.
    pub config: &'t ContainerConfig,
    /// Its files.
    pub view: &'t View,
    /// Where commands run; or why none can, and what to do about it.
    pub runtime: Result<&'t dyn Runtime, String>,
}

/// Makes all checks of a file.
pub fn structure(document: &Document, target: &Target<'_>, checks: &mut Checks) {
    let environment = environment(target.config);
    for test in &document.command_tests {
        let name = format!("command: {}", test.name);
        checks.make(SUITE, &name, || commands::command(document, test, target));
    }
    for test in &document.file_existence_tests {
        let path = expand(&test.path, &environment);
        let name = format!("file existence: {}", test.name);
        checks.make(SUITE, &name, || files::existence(test, &path, target.view));
    }
    for test in &document.file_content_tests {
        let path = expand(&test.path, &environment);
        let name = format!("file content: {}", test.name);
        checks.make(SUITE, &name, || files::content(test, &path, target.view));
    }
    for (index, test) in document.license_tests.iter().enumerate() {
        let name = format!("licences {}", index + 1);
        checks.make(SUITE, &name, || licenses::licenses(test, target.view));
    }
    if let Some(test) = &document.metadata_test {
        checks.make(SUITE, "metadata", || Outcome::judged(metadata::metadata(test, target.config)));
    }
}

/// The image's variables.
fn environment(config: &ContainerConfig) -> Vec<(String, String)> {
    let pairs = config.env.iter().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Puts the values of variables in the place of `$NAME` and `${NAME}`; one that is not set is nothing, as Go's os.Expand has it.
fn expand(text: &str, environment: &[(String, String)]) -> String {
    let value = |name: &str| {
        environment.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    };
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        if let Some((name, left)) = braced {
            expanded.push_str(value(name));
            rest = left;
            continue;
        }
        let end = after.find(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_');
        let (name, left) = after.split_at(end.unwrap_or(after.len()));
        if name.is_empty() {
            expanded.push('$');
        }
        expanded.push_str(value(name));
        rest = left;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let environment = [("HOME".to_owned(), "/root".to_owned()), ("A_1".to_owned(), "x".to_owned())];
        for (text, expected) in [
            ("$HOME/bin", "/root/bin"),
            ("${HOME}bin", "/rootbin"),
            ("$A_1.$A_1", "x.x"),
            ("a$none-b", "a-b"),
            ("costs 5$", "costs 5$"),
            ("${open", "${open"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(text, &environment), expected, "{text}");
        }
    }
}
