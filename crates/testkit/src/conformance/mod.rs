//! The conformance suite of Dockerfile builds: cases as data, the outcome that BuildKit gave each, and the comparison.
//!
//! A case is a folder in `conformance/cases`: a Dockerfile, its context, `case.toml` (options, and files that git cannot keep),
//! and `expected.json`, which `cargo xtask conformance record` wrote from a real buildkitd. The parts meet here because two
//! programs use them: that command, and longshore's end-to-end tests.
//!
//! ```text
//! Case ──prepare──▶ Prepared (folders on disk) ──buildctl or longshore──▶ OCI layout ──observe──▶ Outcome ──compare──▶ differences
//! ```
//!
//! An outcome is what the Dockerfile brought about, not what the base had: files are those that differ from the base's, and the
//! history begins where the base's ends. So a recorded outcome holds on any machine, whatever its busybox.

mod case;
mod compare;
mod differences;
mod file;
mod observe;
mod outcome;
mod prepare;
mod run;

use std::path::PathBuf;

pub use case::{Case, CaseError, cases, cases_folder};
pub use compare::{Difference, compare};
pub use differences::{Differences, DifferencesError};
pub use file::FileRecord;
pub use observe::{ObserveError, observe};
pub use outcome::{Failure, HistoryRecord, ImageOutcome, Outcome, OutcomeError};
pub use prepare::{PrepareError, Prepared};
pub use run::{BuildError, arguments, build_with_longshore, builds_dockerfiles, line_of};

/// Where the suite's data is.
fn suite_folder() -> PathBuf {
    crate::repository().join("conformance")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_recorded_outcome_and_says_what_it_shows() {
        let cases = cases().unwrap();
        assert!(cases.len() >= 200, "only {} cases were found", cases.len());
        let mut failures = 0;
        for case in &cases {
            match case.expected() {
                Ok(Outcome::Failure(_)) => failures += 1,
                Ok(Outcome::Images(images)) => assert!(!images.is_empty(), "{}", case.name),
                Err(error) => panic!("{}: {error}", case.name),
            }
            assert!(!case.description().is_empty(), "{}", case.name);
        }
        assert!(failures > 50 && failures < cases.len() / 2, "{failures} of {} cases fail", cases.len());
    }

    #[test]
    fn a_meant_difference_is_of_a_case_that_exists() {
        let names: Vec<String> = cases().unwrap().into_iter().map(|case| case.name).collect();
        let all = Differences::read().unwrap();
        assert_eq!(all.of_no_case(&names), Vec::<&str>::new());
    }
}
