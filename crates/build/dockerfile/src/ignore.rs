//! .dockerignore, and the `--exclude` of COPY and ADD.
//!
//! Reads patterns as moby/patternmatcher 0.6 and its `ignorefile` do, and matches as `MatchesUsingParentResults` does along a walk
//! from the top: the last pattern that matches decides, what matches a folder matches all below it, and `!` takes back. A pattern
//! that would change nothing is not looked at, so a folder's `!` does not reach what a later pattern excludes.

mod pattern;

use crate::diagnostic::Diagnostic;
use crate::source::{self, LogicalLine};
use crate::wildcard::PatternError;
use crate::{Span, paths};

use self::pattern::Pattern;

/// Patterns of paths that are left out.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    patterns: Vec<Pattern>,
}

/// Which patterns matched a folder, as what is in it needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderMatches {
    /// One for each pattern; empty at the top.
    matched: Vec<bool>,
}

impl IgnoreRules {
    /// Reads a .dockerignore.
    ///
    /// Errors: each pattern that is malformed.
    pub fn parse(source: &[u8]) -> Result<IgnoreRules, Vec<Diagnostic>> {
        let mut rules = IgnoreRules::default();
        let mut problems = Vec::new();
        for (text, span) in lines(source) {
            match Pattern::new(&text) {
                Ok(pattern) => rules.patterns.extend(pattern),
                Err(error) => {
                    let problem = Diagnostic::error("invalid-pattern", span, error.to_string());
                    problems.push(problem.with_hint(error.hint()));
                }
            }
        }
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    /// Takes patterns as `--exclude` gives them.
    ///
    /// Errors: the first pattern that is malformed.
    pub fn from_patterns<'p>(
        patterns: impl IntoIterator<Item = &'p str>,
    ) -> Result<IgnoreRules, PatternError> {
        let mut rules = IgnoreRules::default();
        for text in patterns {
            rules.patterns.extend(Pattern::new(text)?);
        }
        Ok(rules)
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether there are patterns that take back, so that something below a folder that is left out may be wanted.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.takes_back)
    }

    /// Whether the path is left out: relative to the context, with slashes, without `.` and `..`. The context itself never is.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.trim_matches('/');
        if path.is_empty() || path == "." {
            return false;
        }
        let mut parents = FolderMatches::default();
        for folder in above(path) {
            parents = self.enter(&parents, folder).1;
        }
        self.matches_in(&parents, path)
    }

    /// Whether a path in a folder is left out, given what matched the folder. Where nothing is known about the folder, by
    /// `FolderMatches::default()`, the folders above are looked at too.
    pub fn matches_in(&self, parents: &FolderMatches, path: &str) -> bool {
        self.evaluate(parents, path, |_| {})
    }

    /// The same for a folder, with what its own entries need. The top has `FolderMatches::default()`.
    pub fn enter(&self, parents: &FolderMatches, path: &str) -> (bool, FolderMatches) {
        let mut matched = Vec::with_capacity(self.patterns.len());
        let is_out = self.evaluate(parents, path, |pattern_matches| matched.push(pattern_matches));
        (is_out, FolderMatches { matched })
    }

    fn evaluate(&self, parents: &FolderMatches, path: &str, mut keep: impl FnMut(bool)) -> bool {
        let is_top = parents.matched.is_empty();
        let mut is_out = false;
        for (index, pattern) in self.patterns.iter().enumerate() {
            let by_parent = parents.matched.get(index).copied().unwrap_or(false);
            let looks = |path: &str| pattern.takes_back == is_out && pattern.matches(path);
            let matches = by_parent || looks(path) || (is_top && above(path).any(looks));
            if matches {
                is_out = !pattern.takes_back;
            }
            keep(matches);
        }
        is_out
    }

    /// Whether something below the folder `path`, which is left out, may be wanted all the same. Where not, a walk need not go
    /// into it. Never wrongly false.
    pub fn may_reinclude_below(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_matches('/'));
        self.patterns.iter().any(|pattern| pattern.takes_back && pattern.may_match_below(&folder))
    }
}

/// The folders that a path is in, from the outside in.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

/// The patterns of a file, cleaned, with where they stand.
fn lines(source: &[u8]) -> Vec<(String, Span)> {
    let mut patterns = Vec::new();
    for (index, line) in source::lines(source).iter().enumerate() {
        let mut span = source::without_end(source, line);
        if index == 0 && source.starts_with(source::BYTE_ORDER_MARK) {
            span.start += source::BYTE_ORDER_MARK.len();
        }
        let mut text = LogicalLine::default();
        text.push(source, &span);
        if text.text.starts_with('#') {
            continue;
        }
        let range = text.trim(&(0..text.text.len()));
        if range.is_empty() {
            continue;
        }
        let span = text.span(&range);
        let typed = &text.text[range];
        let (sign, typed) = typed.strip_prefix('!').map_or(("", typed), |rest| ("!", rest.trim()));
        let mut cleaned = if typed.is_empty() { String::new() } else { paths::clean(typed) };
        if cleaned.len() > 1 && cleaned.starts_with('/') {
            cleaned.remove(0);
        }
        patterns.push((format!("{sign}{cleaned}"), span));
    }
    patterns
}
