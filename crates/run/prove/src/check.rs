//! The one form that results of all suites have.

use std::time::Instant;

use longshore_events::Events;
use serde::Serialize;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// There was nothing to check, and nothing is wrong with that.
    Skipped,
    /// Something was to be checked, and could not be.
    Unchecked,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
}

/// What came of a check, before it has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// What is wrong; empty unless it failed.
    pub problems: Vec<Problem>,
    /// Why it was skipped or could not be made, or what was measured.
    pub reason: Option<String>,
    /// The last lines that the program wrote.
    pub logs: Vec<String>,
    /// What a person can do about it.
    pub hints: Vec<String>,
}

impl Outcome {
    fn of(verdict: Verdict) -> Outcome {
        Outcome { verdict, problems: Vec::new(), reason: None, logs: Vec::new(), hints: Vec::new() }
    }

    /// All is as it should be.
    pub fn passed() -> Outcome {
        Outcome::of(Verdict::Passed)
    }

    /// One thing is not as it should be.
    pub fn failed(expected: impl Into<String>, found: impl Into<String>) -> Outcome {
        Outcome::judged(vec![Problem { expected: expected.into(), found: found.into() }])
    }

    /// Failed if there is any problem.
    pub fn judged(problems: Vec<Problem>) -> Outcome {
        let verdict = if problems.is_empty() { Verdict::Passed } else { Verdict::Failed };
        Outcome { problems, ..Outcome::of(verdict) }
    }

    /// There was nothing to check.
    pub fn skipped(reason: impl Into<String>) -> Outcome {
        Outcome { reason: Some(reason.into()), ..Outcome::of(Verdict::Skipped) }
    }

    /// It could not be checked.
    pub fn unchecked(reason: impl Into<String>) -> Outcome {
        Outcome { reason: Some(reason.into()), ..Outcome::of(Verdict::Unchecked) }
    }

    /// The same with something said beside.
    #[must_use]
    pub fn saying(mut self, reason: impl Into<String>) -> Outcome {
        self.reason = Some(reason.into());
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn hinted(mut self, hint: Option<String>) -> Outcome {
        self.hints.extend(hint.filter(|hint| !self.hints.contains(hint)));
        self
    }

    /// The same with what the program wrote last.
    #[must_use]
    pub fn with_logs(mut self, logs: Vec<String>) -> Outcome {
        self.logs = logs;
        self
    }
}

/// A check that was made, or was to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The suite: "structure", "behaviour", "hardening".
    pub suite: String,
    /// What was checked.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// What is wrong; empty unless it failed.
    pub problems: Vec<Problem>,
    /// Why it was skipped or could not be made, or what was measured.
    pub reason: Option<String>,
    /// The last lines that the program wrote.
    pub logs: Vec<String>,
    /// What a person can do about it.
    pub hints: Vec<String>,
}

/// Collects checks, and knows when to stop.
#[derive(Debug, Default)]
pub struct Checks {
    made: Vec<Check>,
    fail_fast: bool,
    events: Option<Events>,
}

impl Checks {
    /// None yet. With `fail_fast`, nothing is checked after the first that fails or cannot be made.
    pub fn new(fail_fast: bool) -> Checks {
        Checks { made: Vec::new(), fail_fast, events: None }
    }

    /// The same; nothing is checked after the work was asked to stop either.
    #[must_use]
    pub fn interruptible(self, events: &Events) -> Checks {
        Checks { events: Some(events.clone()), ..self }
    }

    /// Whether nothing more is to be checked.
    pub fn is_over(&self) -> bool {
        let bad = |check: &Check| matches!(check.verdict, Verdict::Failed | Verdict::Unchecked);
        let is_interrupted = self.events.as_ref().is_some_and(Events::is_cancelled);
        is_interrupted || (self.fail_fast && self.made.iter().any(bad))
    }

    /// Makes a check, unless it is over. Returns what came of it.
    pub fn make(&mut self, suite: &str, name: &str, check: impl FnOnce() -> Outcome) -> Option<Verdict> {
        if self.is_over() {
            return None;
        }
        let start = Instant::now();
        let outcome = check();
        let verdict = outcome.verdict;
        self.made.push(Check {
            suite: suite.to_owned(),
            name: name.to_owned(),
            verdict,
            seconds: (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            problems: outcome.problems,
            reason: outcome.reason,
            logs: outcome.logs,
            hints: outcome.hints,
        });
        Some(verdict)
    }

    /// What was checked, in order.
    pub fn made(&self) -> &[Check] {
        &self.made
    }

    /// How many have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.made.iter().filter(|check| check.verdict == verdict).count()
    }
}
