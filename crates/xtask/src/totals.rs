//! What all tests together came to, read from the output of the harnesses that ran them.

use std::fmt;

/// Counts of tests, and the names of those that did not pass.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: Vec<String>,
    /// Names and reasons.
    pub(crate) skipped: Vec<(String, String)>,
}

impl Totals {
    /// Counts one check or test.
    pub(crate) fn count(&mut self, name: &str, passed: bool) {
        match passed {
            true => self.passed += 1,
            false => self.failed.push(name.to_owned()),
        }
    }

    /// Counts one that could not run.
    pub(crate) fn skip(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push((name.into(), reason.into()));
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

/// Reads the lines of `cargo test -- --show-output`.
///
/// A test of Rust's own harness cannot say that it was skipped: it passes, and what it printed is shown afterwards. Such a
/// test prints "skipped, because …", and is counted as what it says.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    totals: Totals,
    /// The test whose output is being shown.
    showing: Option<String>,
    /// Tests of this binary that passed, but said that they were skipped.
    said_skipped: Vec<String>,
}

const SKIPPED: &str = "skipped, because ";

impl Reader {
    /// Takes one line; says whether it is worth showing.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.result(rest);
            return true;
        }
        if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            return self.outcome(name.trim(), outcome);
        }
        if let Some(name) = line.strip_prefix("---- ") {
            self.showing = Some(name.split(' ').next().unwrap_or_default().to_owned());
        }
        if let (Some(name), Some((_, reason))) = (&self.showing, line.split_once(SKIPPED))
            && !self.said_skipped.contains(name)
            && !self.totals.failed.contains(name)
        {
            self.said_skipped.push(name.clone());
            self.totals.skip(name.clone(), reason.trim());
        }
        true
    }

    fn outcome(&mut self, name: &str, outcome: &str) -> bool {
        if outcome.starts_with("FAILED") {
            self.totals.failed.push(name.to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            let reason = reason.trim_start_matches(", ").trim_start_matches(SKIPPED);
            let reason = if reason.is_empty() { "it is marked as ignored" } else { reason };
            self.totals.skip(name, reason);
        }
        // A thousand lines of "ok" hide the others; their number is in the result's line.
        !outcome.starts_with("ok")
    }

    /// `ok. 7 passed; 0 failed; 1 ignored; …`
    fn result(&mut self, line: &str) {
        let passed = line
            .split("passed;")
            .next()
            .and_then(|before| before.split_whitespace().last())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        self.totals.passed += u64::saturating_sub(passed, self.said_skipped.len() as u64);
        self.said_skipped.clear();
        self.showing = None;
    }

    /// What was counted.
    pub(crate) fn totals(self) -> Totals {
        self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test a::passes ... ok
test a::says_so ... ok
test a::breaks ... FAILED
test a::waits ... ignored, skipped, because skopeo is not installed

successes:

---- a::says_so stdout ----
skipped, because /dev/fuse is missing
skipped, because of that, twice over


successes:
    a::passes
    a::says_so

failures:

---- a::breaks stdout ----
thread 'a::breaks' panicked

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 2 tests
test b::passes   ... ok
test b::slow ... ignored

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn skipped_tests_are_not_counted_as_passed() {
        let mut reader = Reader::default();
        let shown = OUTPUT.lines().filter(|line| reader.line(line)).count();
        assert_eq!(shown, OUTPUT.lines().count() - 3);
        let totals = reader.totals();
        assert_eq!(totals.to_string(), "2 passed, 1 failed, 3 skipped");
        assert_eq!(totals.failed, ["a::breaks"]);
        let expected = [
            ("a::waits", "skopeo is not installed"),
            ("a::says_so", "/dev/fuse is missing"),
            ("b::slow", "it is marked as ignored"),
        ];
        assert_eq!(totals.skipped, expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
    }
}
