//! The cases of the conformance suite, as far as reading them goes: what BuildKit builds has no faults here, and a fault that is found
//! here stands on the line that BuildKit names.

use std::path::{Path, PathBuf};

use longshore_dockerfile::{Diagnostic, StageGraph, StageOptions, parse};
use serde_json::Value;

struct Case {
    name: String,
    dockerfile: Vec<u8>,
    settings: toml::Table,
    expected: Value,
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../conformance/cases");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().filter_map(|folder| read(&folder)).collect()
}

/// Reads a case; `None` for one whose Dockerfile is not there as a file.
fn read(folder: &Path) -> Option<Case> {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let settings: toml::Table = text("case.toml").parse().unwrap();
    let name = settings.get("dockerfile").and_then(|name| name.as_str()).unwrap_or("Dockerfile");
    Some(Case {
        name: folder.file_name()?.to_string_lossy().into_owned(),
        dockerfile: std::fs::read(folder.join(name)).ok()?,
        expected: serde_json::from_str(&text("expected.json")).unwrap(),
        settings,
    })
}

/// What is wrong with a case, and on which lines.
fn faults(case: &Case) -> Vec<(usize, Diagnostic)> {
    let parsed = parse(&case.dockerfile);
    let given = case.settings.get("build-args").and_then(|given| given.as_table());
    let build_args: Vec<(String, String)> = given
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let contexts = case.settings.get("contexts").and_then(|contexts| contexts.as_array());
    let contexts: Vec<String> = contexts
        .into_iter()
        .flatten()
        .filter_map(|context| Some(context.get("name")?.as_str()?.to_owned()))
        .collect();
    let options = StageOptions {
        build_args: &build_args,
        target: case.settings.get("target").and_then(|target| target.as_str()),
        build_platform: "linux/amd64",
        target_platform: "linux/amd64",
        contexts: &contexts,
    };
    let mut found: Vec<Diagnostic> = parsed.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
    found.extend(StageGraph::of(&parsed.file, &options).err().into_iter().flatten());
    found.into_iter().map(|fault| (parsed.file.line_of(fault.span.start), fault)).collect()
}

#[test]
fn cases_are_read_as_they_are_built() {
    let cases = cases();
    let mut wrong = Vec::new();
    let mut refused = 0;
    for case in &cases {
        let found = faults(case);
        let failure = case.expected.get("failure");
        if failure.is_none() && !found.is_empty() {
            wrong.push(format!("{}: builds, but {found:?}", case.name));
        }
        let Some(failure) = failure.filter(|_| !found.is_empty()) else { continue };
        refused += 1;
        // BuildKit counts from the line before where a directive stands twice.
        let line =
            failure.get("line").and_then(Value::as_u64).filter(|_| case.name != "error-directive-twice");
        if line.is_some_and(|line| found.iter().all(|(ours, _)| u64::try_from(*ours) != Ok(line))) {
            wrong.push(format!("{}: BuildKit says {failure}, not {found:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() > 400 && refused > 30, "{} cases, {refused} refused", cases.len());
}
