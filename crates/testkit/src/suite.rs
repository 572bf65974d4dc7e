//! A test harness whose tests may say, while they run, that they cannot.
//!
//! It looks and counts as Rust's own does (`test NAME ... ok`, the same flags, the same last line), so that whoever reads
//! that reads this; what was skipped is listed at the end with its reasons.

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{Requirement, Skip};

/// What a test of a [`Suite`] returns.
pub type TestResult = Result<(), Stop>;

/// Why a test did not pass. Any error turns into one; a [`Skip`] into a skipped test, all others into a failed one.
#[derive(Debug)]
pub enum Stop {
    /// The test could not run; the reason is the end of a sentence.
    Skipped(String),
    /// The test failed; the message holds the whole chain of causes.
    Failed(String),
}

impl<E: Error + 'static> From<E> for Stop {
    fn from(error: E) -> Stop {
        if let Some(Skip(reason)) = (&error as &dyn Any).downcast_ref() {
            return Stop::Skipped(reason.clone());
        }
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            message.push_str("\n  caused by: ");
            message.push_str(&next.to_string());
            cause = next.source();
        }
        Stop::Failed(message)
    }
}

impl Stop {
    /// A failure in the test's own words.
    pub fn failed(message: impl Into<String>) -> Stop {
        Stop::Failed(message.into())
    }
}

type Skipped = Arc<Mutex<BTreeMap<String, String>>>;

/// The tests of one binary: built up in `main`, then run.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    skipped: Skipped,
}

impl Suite {
    /// An empty suite.
    #[must_use]
    pub fn new() -> Suite {
        Suite::default()
    }

    /// Adds a test that runs only where every requirement is met.
    #[must_use]
    pub fn test<F>(mut self, name: &str, requirements: &'static [Requirement], body: F) -> Suite
    where
        F: FnOnce() -> TestResult + Send + 'static,
    {
        let skipped = Arc::clone(&self.skipped);
        let own_name = name.to_owned();
        self.trials.push(Trial::ignorable_test(name, move || {
            let outcome = Requirement::check_all(requirements).map_err(Stop::from).and_then(|()| body());
            match outcome {
                Ok(()) => Ok(Completion::Completed),
                Err(Stop::Skipped(reason)) => {
                    let mut skipped = skipped.lock().unwrap_or_else(PoisonError::into_inner);
                    skipped.insert(own_name, reason.clone());
                    Ok(Completion::ignored_with(format!("skipped, because {reason}")))
                }
                Err(Stop::Failed(message)) => Err(Failed::from(message)),
            }
        }));
        self
    }

    /// Runs what the command line asks for, prints the skipped tests with their reasons, and returns the exit code.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let conclusion = libtest_mimic::run(&Arguments::from_args(), self.trials);
        crate::Folder::remove_shared();
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = format!("{} skipped\n", skipped.len());
        for (name, reason) in skipped.iter() {
            lines.push_str(&format!("  {name}: {reason}\n"));
        }
        // Whoever closed the pipe does not want to know.
        let _ = std::io::stdout().write_all(lines.as_bytes());
        conclusion.exit_code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_skips_and_an_error_fails_with_its_causes() {
        let skip: Stop = Skip("skopeo is not installed".into()).into();
        assert!(matches!(skip, Stop::Skipped(reason) if reason == "skopeo is not installed"));

        #[derive(Debug, thiserror::Error)]
        #[error("cannot pull")]
        struct Outer(#[source] std::io::Error);
        let failed: Stop = Outer(std::io::Error::other("reset")).into();
        assert!(matches!(failed, Stop::Failed(message) if message == "cannot pull\n  caused by: reset"));
    }
}
