//! `cargo xtask test`: everything that must hold before a change is done.

use std::time::Instant;

use crate::command::{Result, cargo, lines, run};
use crate::totals::{Reader, Totals};
use crate::{bases, examples, prepare, probe};

/// Runs all checks and tests, one after the other, whether or not those before passed; says whether all did.
pub(crate) fn test() -> Result<bool> {
    let mut totals = Totals::default();
    let begin = Instant::now();
    heading("What the tests need");
    prepare::prepare()?;
    prepare::prepare_rust()?;

    heading("Base images");
    bases::prepare();

    heading("Formatting");
    totals.count("formatting (cargo fmt --check)", run(cargo().args(["fmt", "--all", "--check"]))?);

    heading("Lints");
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]);
    totals.count("lints (cargo clippy)", run(&mut clippy)?);

    heading("Tests");
    rust_tests(&mut totals)?;

    heading("Probe");
    probe::test(&mut totals)?;

    heading("Tests of the examples");
    examples::test(&mut totals)?;

    heading("Totals");
    for (name, reason) in &totals.skipped {
        println!("skipped: {name}, because {reason}");
    }
    for name in &totals.failed {
        println!("failed: {name}");
    }
    println!("All of it took {}.", minutes(begin));
    println!("{totals}");
    Ok(totals.failed.is_empty())
}

fn rust_tests(totals: &mut Totals) -> Result<()> {
    let mut reader = Reader::default();
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"]);
    let succeeded = lines(&mut command, |line| {
        if reader.line(line) {
            println!("{line}");
        }
    })?;
    let found = reader.totals();
    if !succeeded && found.failed.is_empty() {
        totals.count("cargo test (it did not compile, or a test binary ended early)", false);
    }
    totals.passed += found.passed;
    totals.failed.extend(found.failed);
    totals.skipped.extend(found.skipped);
    Ok(())
}

fn heading(text: &str) {
    println!("\n=== {text}");
}

fn minutes(since: Instant) -> String {
    let seconds = since.elapsed().as_secs();
    format!("{} min {} s", seconds / 60, seconds % 60)
}
