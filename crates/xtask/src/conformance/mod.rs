//! `cargo xtask conformance`: the suite of Dockerfile builds, against BuildKit and against longshore.
//!
//! `record` asks a real buildkitd for the outcome of each case and writes it beside the case; `check` builds the cases with
//! longshore and compares; `live` does both now and compares, without touching what is recorded.

pub(crate) mod buildkit;
pub(crate) mod daemon;
mod solve;

use longshore_testkit::bases::Bases;
use longshore_testkit::conformance::{
    Case, Differences, Outcome, build_with_longshore, builds_dockerfiles, cases, compare,
};
use longshore_testkit::{Folder, Longshore};

use crate::command::{Result, cargo, context, newest_binary, run};
use daemon::Daemon;

/// Runs a sub-command on the named cases, or on all. Says whether all went well.
pub(crate) fn conformance(what: &str, names: &[&str]) -> Result<bool> {
    let chosen = choose(names)?;
    let folder = Folder::new().map_err(context("cannot make a folder"))?;
    let bases = Bases::make(&folder.join("bases")).map_err(context("cannot make the base images"))?;
    match what {
        "record" => record(&chosen, &bases),
        "check" => check(&chosen, &bases, |case| case.expected().map_err(|error| chain(&error))),
        "live" => {
            let daemon = Daemon::start()?;
            check(&chosen, &bases, |case| solve::build(&daemon, case, &bases))
        }
        other => Err(format!("conformance has no {other}; there are record, check and live")),
    }
}

fn choose(names: &[&str]) -> Result<Vec<Case>> {
    let all = cases().map_err(|error| chain(&error))?;
    let fits = |case: &Case, name: &str| match name.strip_suffix('*') {
        Some(start) => case.name.starts_with(start),
        None => case.name == name,
    };
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|case| fits(case, name))) {
        return Err(format!("there is no case {unknown}"));
    }
    Ok(all.into_iter().filter(|case| names.is_empty() || names.iter().any(|name| fits(case, name))).collect())
}

fn record(cases: &[Case], bases: &Bases) -> Result<bool> {
    let daemon = Daemon::start()?;
    let mut recorded = true;
    for case in cases {
        match solve::build(&daemon, case, bases) {
            Ok(outcome) => {
                outcome.write(&case.expected_path()).map_err(|error| chain(&error))?;
                println!("{}: {}", case.name, summary(&outcome));
            }
            Err(message) => {
                println!("{}: not recorded: {message}", case.name);
                recorded = false;
            }
        }
    }
    Ok(recorded)
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Images(images) => {
            let files: usize = images.values().map(|image| image.files.len()).sum();
            format!("{} images, {files} files", images.len())
        }
        Outcome::Failure(failure) => {
            let line = failure.line.map(|line| format!(" at line {line}")).unwrap_or_default();
            format!("fails{line}: {}", failure.message)
        }
    }
}

fn check(cases: &[Case], bases: &Bases, expected: impl Fn(&Case) -> Result<Outcome>) -> Result<bool> {
    let binary = match std::env::var_os("LONGSHORE_BINARY") {
        Some(path) => path.into(),
        None => {
            if !run(cargo().args(["build", "--locked", "--package", "longshore"]))? {
                return Err("longshore does not compile".into());
            }
            newest_binary("debug")?
        }
    };
    let user = || Longshore::at(&binary).map_err(context("cannot make a home"));
    builds_dockerfiles(&user()?).map_err(|skip| skip.0)?;
    let differences = Differences::read().map_err(|error| chain(&error))?;
    let (mut same, mut meant) = (0, 0);
    for case in cases {
        let expected = expected(case)?;
        let prepared = case.prepare().map_err(|error| chain(&error))?;
        let found = match build_with_longshore(&user()?, &prepared, bases) {
            Ok(outcome) => compare(&expected, &outcome),
            Err(error) => {
                println!("{}: {}", case.name, chain(&error));
                continue;
            }
        };
        let all = found.len();
        let unmeant = differences.without_meant(&case.name, found);
        meant += all - unmeant.len();
        if unmeant.is_empty() {
            same += 1;
            continue;
        }
        println!("{}: {}", case.name, case.description());
        for difference in unmeant {
            println!("  {difference}");
        }
    }
    println!("{same} of {} cases are as recorded; {meant} differences are meant.", cases.len());
    Ok(same == cases.len())
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
