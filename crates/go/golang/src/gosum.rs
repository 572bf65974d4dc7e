//! go.sum: the hashes of the modules that a build may use.
//!
//! Source: <https://go.dev/ref/mod#go-sum-files>.

use std::collections::BTreeMap;

use crate::error::{Problem, SyntaxError, SyntaxErrors};

/// A parsed go.sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoSum {
    /// Hashes by module path and version.
    entries: BTreeMap<(String, String), Vec<String>>,
}

impl GoSum {
    /// Reads a go.sum.
    ///
    /// Errors: lines that have not three words. Hashes of unknown kinds are kept, as Go keeps them.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyntaxErrors> {
        let text = String::from_utf8_lossy(bytes);
        let mut entries: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        let mut errors = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [path, version, hash] => {
                    let hashes = entries.entry((path.to_owned(), version.to_owned())).or_default();
                    if !hashes.iter().any(|known| known == hash) {
                        hashes.push(hash.to_owned());
                    }
                }
                _ => errors.push(SyntaxError {
                    line: number,
                    column: 1,
                    problem: Problem::SumWords(words.len()),
                }),
            }
        }
        SyntaxErrors::collect(errors)?;
        Ok(GoSum { entries })
    }

    /// The `h1:` hash of a module's content.
    pub fn content(&self, path: &str, version: &str) -> Option<&str> {
        self.h1(path, version.to_owned())
    }

    /// The `h1:` hash of a module's go.mod.
    pub fn go_mod(&self, path: &str, version: &str) -> Option<&str> {
        self.h1(path, format!("{version}/go.mod"))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn h1(&self, path: &str, version: String) -> Option<&str> {
        let hashes = self.entries.get(&(path.to_owned(), version))?;
        hashes.iter().map(String::as_str).find(|hash| hash.starts_with("h1:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_and_go_mods_are_told_apart() {
        let sum = GoSum::parse(
            b"a.b/c v1.0.0 h1:content=\na.b/c v1.0.0/go.mod h1:gomod=\n\na.b/d v1.0.0 h2:later=\n",
        )
        .unwrap();
        assert_eq!(sum.content("a.b/c", "v1.0.0"), Some("h1:content="));
        assert_eq!(sum.go_mod("a.b/c", "v1.0.0"), Some("h1:gomod="));
        assert_eq!(sum.go_mod("a.b/d", "v1.0.0"), None);
        assert_eq!(sum.content("a.b/d", "v1.0.0"), None);
        assert_eq!(sum.len(), 3);
    }

    #[test]
    fn a_merge_conflict_is_named_with_its_line() {
        let error = GoSum::parse(b"a.b/c v1.0.0 h1:x=\n<<<<<<< HEAD\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "2:1: malformed go.sum: expected module, version and hash, found 2 words"
        );
    }
}
