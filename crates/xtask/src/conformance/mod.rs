//! `cargo xtask conformance`: the suite of Dockerfile builds, against BuildKit and against longshore.
//!
//! `record` asks a real buildkitd for the outcome of each case and writes it beside the case; `check` builds the cases with
//! longshore and compares; `live` does both now and compares, without touching what is recorded; `random` does the same with cases that
//! are made of numbers.

pub(crate) mod buildkit;
pub(crate) mod daemon;
mod random;
mod solve;

use std::path::{Path, PathBuf};

use longshore_testkit::bases::Bases;
use longshore_testkit::conformance::{
    Case, Differences, Outcome, build_with_longshore, builds_dockerfiles, cases, compare,
};
use longshore_testkit::{Folder, Longshore};

use crate::command::{Result, cargo, context, newest_binary, run};
use daemon::Daemon;

/// How many cases `random` makes unless told.
const DEFAULT_RANDOM: u64 = 50;

/// Runs a sub-command on the named cases, or on all. Says whether all went well.
pub(crate) fn conformance(what: &str, names: &[&str]) -> Result<bool> {
    let folder = Folder::new().map_err(context("cannot make a folder"))?;
    let chosen = if what == "random" { random_cases(names)? } else { choose(names)? };
    let bases = Bases::make(&folder.join("bases")).map_err(context("cannot make the base images"))?;
    match what {
        "record" => record(&chosen, &bases),
        "check" => check(&chosen, &bases, |case| case.expected().map_err(|error| chain(&error))),
        "live" | "random" => {
            let daemon = Daemon::start()?;
            check(&chosen, &bases, |case| {
                let mut outcome = solve::build(&daemon, case, &bases)?;
                // Where several lines of a case are impossible, it is chance which of them is met first.
                if let Outcome::Failure(failure) = &mut outcome {
                    failure.line = failure.line.filter(|_| what == "live");
                }
                Ok(outcome)
            })
        }
        other => Err(format!("conformance has no {other}; there are record, check, live and random")),
    }
}

/// The cases of so many numbers, from a first one on, or of one number: `target/conformance-random`.
fn random_cases(numbers: &[&str]) -> Result<Vec<Case>> {
    let read = |text: &str| text.parse::<u64>().map_err(context(format!("{text} is no number")));
    let (first, count) = match numbers {
        [] => (1, DEFAULT_RANDOM),
        [first] => (read(first)?, 1),
        [first, count] => (read(first)?, read(count)?),
        _ => return Err("random takes a first number and a count".into()),
    };
    (first..first.saturating_add(count)).map(|number| random::case(number, &random::folder())).collect()
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
    let binary = binary()?;
    builds_dockerfiles(&user(&binary)?).map_err(|skip| skip.0)?;
    let differences = Differences::read().map_err(|error| chain(&error))?;
    let mut same = 0;
    let mut all = Vec::new();
    for case in cases {
        let expected = expected(case)?;
        let prepared = case.prepare().map_err(|error| chain(&error))?;
        let found = match build_with_longshore(&user(&binary)?, &prepared, bases) {
            Ok(outcome) => compare(&expected, &outcome),
            Err(error) => {
                println!("{}: {}", case.name, chain(&error));
                continue;
            }
        };
        all.extend(found.iter().map(|difference| (case.name.clone(), difference.clone())));
        let unmeant = differences.without_meant(&case.name, found);
        if unmeant.is_empty() {
            same += 1;
            continue;
        }
        println!("{}: {}", case.name, case.description());
        for difference in unmeant {
            println!("  {difference}");
        }
    }
    let meant =
        all.iter().filter(|(case, difference)| differences.reason(case, difference).is_some()).count();
    println!("{same} of {} cases are as recorded; {meant} differences are meant.", cases.len());
    // A part of the cases cannot tell what is no longer a difference.
    let stale = if cases.len() == number_of_cases()? { differences.unused(&all) } else { Vec::new() };
    for entry in &stale {
        println!("differences.toml: {entry} is no longer a difference");
    }
    Ok(same == cases.len() && stale.is_empty())
}

fn number_of_cases() -> Result<usize> {
    Ok(cases().map_err(|error| chain(&error))?.len())
}

/// LONGSHORE_BINARY, or what cargo builds.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LONGSHORE_BINARY") {
        return Ok(path.into());
    }
    if !run(cargo().args(["build", "--locked", "--package", "longshore"]))? {
        return Err("longshore does not compile".into());
    }
    newest_binary("debug")
}

/// Each case has a home and a store of its own, so that none finds what another left.
fn user(binary: &Path) -> Result<Longshore> {
    Longshore::at(binary).map_err(context("cannot make a home"))
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
