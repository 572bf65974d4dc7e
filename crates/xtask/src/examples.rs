//! The examples' own tests: they are Go. Where the machine has none, they run with the one that longshore fetches.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command::{Result, cargo, command, context, find, lines, output, repository, run, target_folder};
use crate::totals::Totals;

/// Formats, vets and tests each module under examples/.
pub(crate) fn test(totals: &mut Totals) -> Result<()> {
    let examples = repository().join("examples");
    let mut modules = Vec::new();
    find_modules(&examples, &mut modules)?;
    modules.sort();
    let go = go();
    for module in modules {
        let name = module.strip_prefix(repository()).unwrap_or(&module).display().to_string();
        match &go {
            Ok(go) => test_module(go, &module, &name, totals)?,
            Err(reason) => totals.skip(format!("tests of {name}"), reason.as_str()),
        }
    }
    Ok(())
}

/// The machine's Go, or the one that longshore fetches for the first example. Errors: why there is none.
fn go() -> Result<PathBuf> {
    if let Some(go) = find("go").filter(|go| output(command(go).arg("version")).is_ok()) {
        return Ok(go);
    }
    println!("There is no Go on the PATH: longshore fetches one.");
    let store = target_folder().join("longshore-tests/store");
    let mut build = cargo();
    build.args(["run", "--quiet", "--locked", "--package", "longshore", "--", "build", "examples/hello"]);
    build.args(["-t", "hello:test", "--store"]).arg(&store);
    if !run(&mut build)? {
        return Err("there is no go on the PATH, and longshore could not fetch one".into());
    }
    let cache = store.join("cache");
    find_go(&cache, 4).ok_or_else(|| format!("no go/bin/go stands under {}", cache.display()))
}

/// A `go/bin/go` in a folder, or in folders of it.
fn find_go(folder: &Path, depth: usize) -> Option<PathBuf> {
    let go = folder.join("go/bin/go");
    if go.is_file() {
        return Some(go);
    }
    let entries = std::fs::read_dir(folder).ok().filter(|_| depth > 0)?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .find_map(|path| find_go(&path, depth - 1))
}

fn find_modules(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error| format!("cannot list {}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if path.ends_with("go.mod") {
            found.push(folder.to_owned());
        }
    }
    Ok(())
}

fn test_module(go: &Path, module: &Path, name: &str, totals: &mut Totals) -> Result<()> {
    let tool = |arguments: &[&str]| -> Command {
        let mut command = command(go);
        // A newer toolchain than the one that is here would be fetched otherwise.
        command.args(arguments).current_dir(module).env("GOFLAGS", "-mod=readonly -buildvcs=false");
        command
    };
    // gofmt stands beside go in every release, and does not hang on a PATH.
    let gofmt = go.canonicalize().unwrap_or_else(|_| go.to_owned()).with_file_name("gofmt");
    let unformatted = output(command(gofmt).args(["-l", "."]).current_dir(module));
    match &unformatted {
        Ok(files) if files.is_empty() => {}
        Ok(files) => println!("not formatted:\n{files}"),
        Err(message) => println!("{message}"),
    }
    totals.count(&format!("gofmt of {name}"), unformatted.is_ok_and(|files| files.is_empty()));

    println!("{name}");
    totals.count(&format!("go vet of {name}"), run(&mut tool(&["vet", "./..."]))?);

    let mut failed = Vec::new();
    let succeeded = lines(&mut tool(&["test", "-json", "./..."]), |line| {
        if let Err(message) = event(line, name, totals, &mut failed) {
            println!("{message}");
        }
    })?;
    if !succeeded && failed.is_empty() {
        failed.push(format!("go test of {name}"));
    }
    totals.failed.extend(failed);
    Ok(())
}

/// Counts one event of `go test -json` (`go doc test2json`).
fn event(line: &str, module: &str, totals: &mut Totals, failed: &mut Vec<String>) -> Result<()> {
    let event: Value = serde_json::from_str(line).map_err(context(format!("not an event: {line}")))?;
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let test = text("Test");
    // A test's sub-tests are counted with it.
    let is_test = !test.is_empty() && !test.contains('/');
    match text("Action") {
        "pass" if is_test => totals.passed += 1,
        "fail" if is_test => failed.push(format!("{test} of {}", text("Package"))),
        "skip" if is_test => totals.skip(format!("{test} of {module}"), "it says so"),
        "output" | "build-output" => {
            let output = text("Output");
            let is_chatter =
                ["=== ", "--- PASS", "PASS"].iter().any(|begin| output.trim_start().starts_with(begin));
            if !is_chatter {
                print!("{output}");
            }
        }
        _ => {}
    }
    Ok(())
}
