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
pub use run::{BuildError, build_with_longshore, builds_dockerfiles, line_of};

/// Where the suite's data is.
fn suite_folder() -> PathBuf {
    crate::repository().join("conformance")
}
