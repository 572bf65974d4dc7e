//! Patterns of paths, for paths as the system has them.

use std::fmt;
use std::path::Path;

use longshore_dockerfile::Diagnostic;
use longshore_dockerfile::ignore::{FolderMatches, IgnoreRules};
use longshore_dockerfile::wildcard::PatternError;

/// Patterns, with their text: two equal texts choose the same files.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: IgnoreRules,
    text: String,
}

impl Rules {
    /// Reads a .dockerignore. Errors: each pattern that is malformed.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Rules, Vec<Diagnostic>> {
        Ok(Rules { rules: IgnoreRules::parse(bytes)?, text: String::from_utf8_lossy(bytes).into_owned() })
    }

    /// Patterns as flags give them. Errors: the first that is malformed.
    pub(crate) fn of(patterns: &[String]) -> Result<Rules, PatternError> {
        let rules = IgnoreRules::from_patterns(patterns.iter().map(String::as_str))?;
        Ok(Rules { rules, text: patterns.join("\n") })
    }

    /// Whether the last pattern that says something about a path, or about a folder that it lies in, takes it.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        !self.rules.is_empty() && self.rules.matches(&path.to_string_lossy())
    }

    /// The same for a path in a folder of which it is known what matched: see [`Rules::within`].
    pub(crate) fn matches_in(&self, above: &FolderMatches, path: &Path) -> bool {
        let is_top = path.as_os_str().is_empty();
        !is_top && !self.rules.is_empty() && self.rules.matches_in(above, &path.to_string_lossy())
    }

    /// What matched a folder in a folder of which that is known.
    pub(crate) fn enter(&self, above: &FolderMatches, folder: &Path) -> FolderMatches {
        self.rules.enter(above, &folder.to_string_lossy()).1
    }

    /// What matched a folder, as what is in it needs to know.
    pub(crate) fn within(&self, folder: &Path) -> FolderMatches {
        let mut matches = FolderMatches::default();
        if self.rules.is_empty() {
            return matches;
        }
        for place in folder.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !place.as_os_str().is_empty() {
                matches = self.enter(&matches, place);
            }
        }
        matches
    }

    /// Whether a pattern may take back something below a folder.
    pub(crate) fn may_reinclude_below(&self, folder: &Path) -> bool {
        self.rules.may_reinclude_below(&folder.to_string_lossy())
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
