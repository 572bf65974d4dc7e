//! Compose files against compose-go.

use std::path::{Path, PathBuf};

use longshore_testkit::Suite;
use longshore_workload::compose::{Inputs, load};
use serde_json::{Map, Value};

use crate::container::container;

/// Where we differ from compose-go on purpose.
const MEANT: [(&str, &str); 1] = [("wrong-restart", "the engine refuses such a policy later")];

/// What every case is read with; the oracle has the same.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/user",
        "TAG" => "1.2",
        "EMPTY" => "",
        "PORT" => "9000",
        "FLAG" => "true",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Where the cases are; `LONGSHORE_WORKLOAD_CASES` names others, recorded likewise.
pub(crate) fn data(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::env::var_os("LONGSHORE_WORKLOAD_CASES").map_or(own, PathBuf::from).join(name)
}

pub(crate) fn recorded(name: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(data(name)).expect("the cases are recorded");
    match serde_json::from_str(&text).expect("the record is JSON") {
        Value::Object(cases) => cases,
        other => panic!("the record is no object: {other}"),
    }
}

/// The containers of a case, or what is wrong with it.
fn read(folder: &Path) -> Result<Map<String, Value>, Vec<String>> {
    let read = |path: &Path| std::fs::read(path);
    let inputs = Inputs { read: &read, variable: &variable };
    let files = ["compose.yaml", "compose.override.yaml"].map(|name| folder.join(name));
    let files: Vec<PathBuf> = files.into_iter().filter(|path| path.exists()).collect();
    let loaded = load(&files, inputs);
    let mut problems = loaded.problems.clone();
    let mut containers = Map::new();
    for service in loaded.project.services() {
        let lowered = loaded.project.service(&service.name, inputs).expect("it was listed");
        containers.insert(service.name, container(&lowered, &folder.display().to_string()));
        problems.extend(lowered.problems);
    }
    match problems.is_empty() {
        true => Ok(containers),
        false => Err(problems
            .iter()
            .map(|problem| format!("{}: {}", loaded.sources.place(problem.span), problem.message))
            .collect()),
    }
}

pub(crate) fn add(mut suite: Suite) -> Suite {
    let cases = recorded("compose.json");
    assert!(cases.len() > 40, "there are cases");
    for (name, expected) in cases {
        let folder = data("compose").join(&name);
        suite = suite.test(&format!("compose::{name}"), &[], move || {
            let meant = MEANT.iter().any(|(meant, _)| *meant == name);
            difference(read(&folder), &expected, meant);
            Ok(())
        });
    }
    suite
}

/// Compares what was read with what was recorded. Those that are `meant` to differ must: one of them takes what the other refuses.
pub(crate) fn difference(found: Result<Map<String, Value>, Vec<String>>, expected: &Value, meant: bool) {
    if meant {
        return assert_ne!(found.is_err(), expected.get("error").is_some(), "it is no difference any more");
    }
    match (found, expected.get("error")) {
        (Err(problems), None) => panic!("it is taken elsewhere; here: {problems:#?}"),
        (Ok(_), Some(error)) => panic!("it is refused elsewhere: {error}"),
        (Err(_), Some(_)) => {}
        (Ok(found), None) => {
            let none = Map::new();
            let expected = expected.get("containers").and_then(Value::as_object).unwrap_or(&none);
            let differences = differences(&found, expected);
            assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
    }
}

fn differences(found: &Map<String, Value>, expected: &Map<String, Value>) -> Vec<String> {
    let missing = expected.keys().filter(|name| !found.contains_key(*name));
    let mut differences: Vec<String> = missing.map(|name| format!("{name} is missing")).collect();
    for (name, own) in found {
        let Some(fields) = expected.get(name).and_then(Value::as_object) else {
            differences.push(format!("{name} is not there elsewhere"));
            continue;
        };
        let differs = |(field, value): (&String, &Value)| {
            (own[field] != *value).then(|| format!("{name}.{field}: {}, elsewhere {value}", own[field]))
        };
        differences.extend(fields.iter().filter_map(differs));
    }
    differences
}
