//! The cases of the conformance suite, through a cache: whatever a Dockerfile does, its image comes out of a cache as it went in.

use std::ffi::OsString;

use longshore_testkit::conformance::{Case, arguments, builds_dockerfiles, cases};
use longshore_testkit::{Folder, Suite, TestResult};

use super::{Built, from, to};
use crate::conformance::bases;
use crate::run::user;

/// One of so many is built: all would take as long as the conformance suite itself, twice. LONGSHORE_ALL_CASES builds all.
const ONE_OF: usize = 9;

pub(super) fn add(suite: Suite) -> Suite {
    suite.test("cache::cases_come_out_of_a_cache_as_they_went_in", &[], through)
}

fn through() -> TestResult {
    builds_dockerfiles(&user()?)?;
    let step = if std::env::var_os("LONGSHORE_ALL_CASES").is_some() { 1 } else { ONE_OF };
    let mut images = 0;
    for case in cases()?.iter().step_by(step) {
        images += usize::from(goes_through(case)?);
    }
    assert!(images > 20, "{images} cases are images");
    Ok(())
}

/// Whether the case makes an image; then another store takes it from a cache.
fn goes_through(case: &Case) -> Result<bool, longshore_testkit::Stop> {
    let (prepared, caches) = (case.prepare()?, Folder::new()?);
    let (cache, name) = (caches.join("cache"), &case.name);
    let build = |flag: &str, value: String| {
        let mut all = arguments(&prepared, bases()?, &caches.join(flag));
        all.extend([OsString::from(flag), value.into()]);
        Ok::<_, longshore_testkit::Stop>(user()?.run(all)?)
    };
    let made = build("--cache-to", to(&cache, "max"))?;
    if !made.status.success() {
        return Ok(false);
    }
    let made = Built::of(made)?;
    let known = Built::of(build("--cache-from", from(&cache))?)?;
    assert_eq!((&known.digest, known.done), (&made.digest, 0), "{name}: {}\n{}", made.stderr, known.stderr);
    assert!(!known.stderr.contains("warning: the cache"), "{name}: {}", known.stderr);
    Ok(true)
}
