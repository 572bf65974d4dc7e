//! Manifests against Kubernetes' own types.

use std::path::Path;

use longshore_testkit::Suite;
use longshore_workload::kubernetes::Manifests;
use serde_json::{Map, Value};

use crate::compose::{data, difference, recorded};
use crate::container::container;

/// Where we differ from kubectl and the API server on purpose.
const MEANT: [(&str, &str); 1] = [("duplicate-key", "kubectl takes the last one in silence")];

/// The containers of a case, or what is wrong with it.
fn read(folder: &Path) -> Result<Map<String, Value>, Vec<String>> {
    let path = folder.join("manifest.yaml");
    let mut manifests = Manifests::default();
    manifests.add(&path, std::fs::read(&path).expect("it is there"));
    let mut problems = manifests.problems.clone();
    let mut containers = Map::new();
    for workload in manifests.workloads() {
        for one in &workload.containers {
            let lowered = manifests.container(&workload, &one.name).expect("it was listed");
            let name = format!("{}/{}/{}", workload.kind, workload.name, one.name);
            containers.insert(name, container(&lowered, &folder.display().to_string()));
            problems.extend(lowered.problems);
        }
    }
    match problems.is_empty() {
        true => Ok(containers),
        false => Err(problems
            .iter()
            .map(|problem| format!("{}: {}", manifests.sources.place(problem.span), problem.message))
            .collect()),
    }
}

pub(crate) fn add(mut suite: Suite) -> Suite {
    let cases = recorded("kubernetes.json");
    assert!(cases.len() > 25, "there are cases");
    for (name, expected) in cases {
        let folder = data("kubernetes").join(&name);
        suite = suite.test(&format!("kubernetes::{name}"), &[], move || {
            let meant = MEANT.iter().any(|(meant, _)| *meant == name);
            difference(read(&folder), &expected, meant);
            Ok(())
        });
    }
    suite
}
