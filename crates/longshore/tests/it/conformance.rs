//! The conformance suite: each case is built, and held against what BuildKit made of it.
//!
//! docs/conformance.md says what is compared; `cargo xtask conformance check CASE` shows one case at a time.

use std::sync::OnceLock;

use longshore_testkit::bases::{Bases, BasesError};
use longshore_testkit::conformance::{
    Case, Differences, build_with_longshore, builds_dockerfiles, cases, compare,
};
use longshore_testkit::{Folder, Skip, Stop, Suite, TestResult};

use crate::run::user;

/// A test for each case, or one that says why there are none.
pub(crate) fn add(mut suite: Suite) -> Suite {
    let cases = match runnable().and_then(|()| Ok(cases()?)) {
        Ok(cases) => cases,
        Err(stop) => return suite.test("conformance", &[], || Err(stop)),
    };
    for case in cases {
        let name = format!("conformance::{}", case.name);
        suite = suite.test(&name, &[], move || check(&case));
    }
    suite
}

fn runnable() -> TestResult {
    builds_dockerfiles(&user()?)?;
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Skip("the outcomes were recorded on linux/amd64".into()).into());
    }
    Ok(())
}

/// The base images, made once for all tests.
pub(crate) fn bases() -> Result<&'static Bases, Stop> {
    static BASES: OnceLock<Result<Bases, Stop>> = OnceLock::new();
    let made = BASES.get_or_init(|| match Bases::make(&Folder::new()?.until_end().join("bases")) {
        Ok(bases) => Ok(bases),
        Err(BasesError::Missing(skip)) => Err(skip.into()),
        Err(error) => Err(error.into()),
    });
    match made {
        Ok(bases) => Ok(bases),
        Err(Stop::Skipped(reason)) => Err(Stop::Skipped(reason.clone())),
        Err(Stop::Failed(message)) => Err(Stop::failed(message.clone())),
    }
}

fn check(case: &Case) -> TestResult {
    let bases = bases()?;
    let prepared = case.prepare()?;
    let outcome = build_with_longshore(&user()?, &prepared, bases)?;
    let differences = Differences::read()?.without_meant(&case.name, compare(&case.expected()?, &outcome));
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    Err(Stop::failed(format!("{}\n  {}", case.description(), lines.join("\n  "))))
}
