//! Which room may use which: docs/architecture.md's table, as data, held against what cargo knows.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::repository;

/// Floor, room, the rooms it may use besides `events` and `oci`.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("base", "events", &[]),
    ("base", "files", &[]),
    ("base", "process", &[]),
    ("base", "http", &[]),
    ("image", "oci", &[]),
    ("image", "image", &["files"]),
    ("image", "store", &["image", "files"]),
    ("image", "registry", &["image", "store", "http", "process"]),
    ("image", "docker", &["image", "runtime", "http"]),
    ("go", "golang", &[]),
    ("go", "project", &["golang", "files"]),
    ("go", "toolchain", &["golang", "http", "store", "files", "process"]),
    ("go", "gobuild", &["project", "toolchain", "golang", "image", "store", "config", "process", "files"]),
    ("go", "gocache", &["builder", "dockerfile", "store", "registry", "files"]),
    ("build", "dockerfile", &[]),
    ("build", "sandbox", &["files"]),
    ("build", "snapshot", &["sandbox", "image", "store", "files"]),
    (
        "build",
        "builder",
        &["dockerfile", "snapshot", "sandbox", "image", "store", "http", "process", "files"],
    ),
    ("run", "runtime", &[]),
    ("run", "container", &["runtime", "sandbox", "snapshot", "image", "store", "files"]),
    ("run", "prove", &["runtime", "image", "snapshot"]),
    ("judge", "workload", &["runtime"]),
    ("ship", "config", &["golang", "files"]),
];

/// Packages outside the floors; they may use every room.
const OUTSIDE: [&str; 3] = ["longshore", "longshore-testkit", "xtask"];

/// Rooms that compute or write files, and therefore know no network and no async runtime, however far down.
const WITHOUT_NETWORK: [&str; 15] = [
    "events",
    "files",
    "process",
    "oci",
    "image",
    "store",
    "golang",
    "project",
    "dockerfile",
    "sandbox",
    "snapshot",
    "runtime",
    "prove",
    "workload",
    "config",
];
const NETWORK: [&str; 7] = ["tokio", "async-std", "smol", "reqwest", "hyper", "rustls", "ureq"];

/// What draws on a terminal or reads a command line: for the binary alone.
const TERMINAL: [&str; 7] = ["clap", "indicatif", "anstream", "inquire", "crossterm", "console", "dialoguer"];

/// For each package of the workspace, by name, what it is built from; development dependencies are not.
struct Graph {
    inner: BTreeMap<String, BTreeSet<String>>,
    all: BTreeMap<String, BTreeSet<String>>,
    folders: BTreeMap<String, String>,
}

fn strings<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(repository())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON");

    let names: BTreeMap<&str, &str> = list(&metadata["packages"])
        .map(|package| (strings(package, "id"), strings(package, "name")))
        .collect();
    let members: BTreeSet<&str> = list(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
    let is_built_in = |edge: &&Value| list(&edge["dep_kinds"]).any(|kind| kind["kind"] != "dev");
    let edges: BTreeMap<&str, Vec<&str>> = list(&metadata["resolve"]["nodes"])
        .map(|node| {
            let built_in = list(&node["deps"]).filter(is_built_in).map(|edge| strings(edge, "pkg"));
            (strings(node, "id"), built_in.collect())
        })
        .collect();

    let mut graph = Graph { inner: BTreeMap::new(), all: BTreeMap::new(), folders: BTreeMap::new() };
    for member in &members {
        let direct = edges[member].iter().filter(|id| members.contains(*id)).map(|id| names[id].to_owned());
        graph.inner.insert(names[member].to_owned(), direct.collect());
        let mut reached = BTreeSet::new();
        let mut next = vec![*member];
        while let Some(id) = next.pop() {
            next.extend(edges[id].iter().filter(|id| reached.insert(**id)));
        }
        graph.all.insert(names[member].to_owned(), reached.iter().map(|id| names[id].to_owned()).collect());
    }
    for package in list(&metadata["packages"]) {
        let folder = strings(package, "manifest_path").trim_end_matches("/Cargo.toml").to_owned();
        graph.folders.insert(strings(package, "name").to_owned(), folder);
    }
    graph
}

#[test]
fn every_package_stands_on_its_floor() {
    let graph = graph();
    assert!(graph.inner.len() > OUTSIDE.len(), "cargo metadata named no rooms");
    for package in graph.inner.keys().filter(|name| !OUTSIDE.contains(&name.as_str())) {
        let row = TABLE.iter().find(|(_, room, _)| *package == format!("longshore-{room}"));
        let Some((floor, room, _)) = row else { panic!("{package} has no row in the table of the walls") };
        let folder = &graph.folders[package];
        assert!(folder.ends_with(&format!("/crates/{floor}/{room}")), "{package} is in {folder}");
    }
}

#[test]
fn no_room_uses_what_the_table_does_not_allow() {
    let mut breaches = Vec::new();
    for (package, uses) in graph().inner {
        let Some((_, room, allowed)) =
            TABLE.iter().find(|(_, room, _)| package == format!("longshore-{room}"))
        else {
            continue;
        };
        for used in uses {
            let used = used.trim_start_matches("longshore-");
            if !allowed.contains(&used) && !["events", "oci"].contains(&used) {
                breaches.push(format!("{room} uses {used}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}\nSee \"The house\" in docs/architecture.md.");
}

#[test]
fn outside_crates_stay_where_they_belong() {
    let mut breaches = Vec::new();
    for (package, uses) in graph().all {
        let room = package.trim_start_matches("longshore-");
        let mut refuse = |crates: &[&str]| {
            let found = crates.iter().filter(|name| uses.contains(**name));
            breaches.extend(found.map(|name| format!("{room} brings {name}")));
        };
        if WITHOUT_NETWORK.contains(&room) {
            refuse(&NETWORK);
        }
        if TABLE.iter().any(|(_, name, _)| *name == room) {
            refuse(&TERMINAL);
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}\n`cargo tree --edges normal -p PACKAGE` shows by which way.");
}

#[test]
fn the_documented_table_is_this_one() {
    let path = repository().join("docs/architecture.md");
    let text = std::fs::read_to_string(&path).expect("docs/architecture.md can be read");
    let mut documented = Vec::new();
    let mut floor = String::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [own_floor, room, _, uses] = cells[..] else { continue };
        if !own_floor.is_empty() {
            floor = own_floor.to_owned();
        }
        let room = room.trim_matches('`');
        if floor == "–" || room == "room" {
            continue;
        }
        let uses: BTreeSet<&str> = uses.split(", ").filter(|name| *name != "–").collect();
        documented.push((floor.clone(), room.to_owned(), uses));
    }
    let own: Vec<_> = TABLE
        .iter()
        .map(|(floor, room, uses)| ((*floor).to_owned(), (*room).to_owned(), uses.iter().copied().collect()))
        .collect();
    assert_eq!(documented, own);
}
