//! Comparison with what BuildKit's own frontend makes of the same inputs. Its answers are recorded in tests/data by the program in
//! tests/oracle, which says how to record them again. `DOCKERFILE_ANSWERS` names another folder of answers.

mod dump;

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine;
use longshore_dockerfile::{
    Diagnostic, Expander, IgnoreRules, StageGraph, StageOptions, detect_syntax, parse, wildcard,
};
use serde_json::{Value, json};

const OPTIONS: StageOptions<'_> = StageOptions {
    build_args: &[],
    target: None,
    build_platform: "linux/amd64",
    target_platform: "linux/amd64",
    contexts: &[],
};

fn answers(name: &str) -> Vec<Value> {
    let folder = std::env::var_os("DOCKERFILE_ANSWERS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")), PathBuf::from);
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(answers.len() >= 100, "{} answers", answers.len());
    answers
}

fn report(failures: &[String], count: usize) {
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{}",
        failures.len(),
        failures[..failures.len().min(12)].join("\n")
    );
}

#[test]
fn files_are_read_as_upstream_reads_them() {
    let answers = answers("parse.jsonl");
    let mut failures = Vec::new();
    for answer in &answers {
        let source =
            base64::engine::general_purpose::STANDARD.decode(answer["source"].as_str().unwrap()).unwrap();
        let parsed = parse(&source);
        let mut problems: Vec<Diagnostic> = parsed.diagnostics.clone();
        problems.extend(
            StageGraph::of(&parsed.file, &OPTIONS)
                .err()
                .into_iter()
                .flatten()
                .filter(|problem| ["before-first-stage", "no-stages"].contains(&problem.code)),
        );
        // Upstream looks at the fields of a mount, and at the check directive, only when it builds.
        let upstream_mounts = answer["instructions"].as_array().into_iter().flatten();
        let has_bad_mount =
            upstream_mounts.clone().any(|instruction| instruction.get("mounts_error").is_some());
        let errors: Vec<_> = problems
            .iter()
            .filter(|problem| {
                problem.is_error()
                    && problem.code != "invalid-check"
                    && !(has_bad_mount && problem.code == "invalid-mount")
            })
            .collect();
        let text = String::from_utf8_lossy(&source);
        let syntax = detect_syntax(&source)
            .map(|directive| Value::from(directive.value.text.split(' ').next().unwrap_or_default()));
        if syntax.as_ref() != answer.get("syntax") {
            failures.push(format!("{text:?}\n  syntax {syntax:?}, upstream {:?}", answer.get("syntax")));
        }
        let upstream_error = answer.get("error");
        if upstream_error.is_some() == errors.is_empty() {
            failures.push(format!("{text:?}\n  ours {errors:?}\n  upstream {upstream_error:?}"));
            continue;
        }
        if upstream_error.is_some() {
            continue;
        }
        let warnings = problems.iter().filter(|problem| problem.code == "empty-continuation").count();
        let ours = json!({
            "source": answer["source"], "escape": parsed.file.escape.to_string(), "warnings": warnings,
            "instructions": parsed.file.instructions.iter().map(dump::instruction).collect::<Vec<_>>(),
        });
        for name in ["escape", "warnings", "instructions"] {
            let (ours, theirs) = (dump::comparable(&ours[name]), dump::comparable(&answer[name]));
            if ours != theirs && !has_bad_mount {
                failures.push(format!("{text:?}\n  ours     {ours}\n  upstream {theirs}"));
            }
        }
    }
    report(&failures, answers.len());
}

#[test]
fn words_are_expanded_as_upstream_expands_them() {
    let values =
        [("A", "us/local/bin"), ("B", "b c"), ("E", ""), ("S", " lead  trail "), ("P", "aXb.a/a.tar.gz")];
    let lookup =
        |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let answers = answers("expand.jsonl");
    let mut failures = Vec::new();
    for answer in &answers {
        let word = answer["word"].as_str().unwrap();
        let flags = answer["flags"].as_u64().unwrap();
        let escape = answer["escape"].as_str().unwrap().chars().next().unwrap();
        let mut expander = Expander::new(escape, &lookup);
        if flags & 1 != 0 {
            expander = expander.keeping_quotes();
        }
        if flags & 2 != 0 {
            expander = expander.keeping_escapes();
        }
        if flags & 4 != 0 {
            expander = expander.ignoring_quotes();
        }
        if flags & 8 != 0 {
            expander = expander.keeping_unset();
        }
        let ours = match expander.expand(word) {
            Err(_) => json!({"error": true}),
            Ok(expansion) => json!({
                "result": expansion.text, "words": expansion.words, "used": expansion.used, "unset": expansion.unset,
            }),
        };
        let set = |value: &Value| -> BTreeSet<String> { serde_json::from_value(value.clone()).unwrap() };
        let theirs = match answer.get("error") {
            Some(_) => json!({"error": true}),
            None => json!({
                "result": answer["result"], "words": answer["words"], "used": set(&answer["used"]),
                "unset": set(&answer["unset"]),
            }),
        };
        if ours != theirs {
            failures.push(format!(
                "{word:?} {escape} {flags}\n  ours     {ours}\n  upstream {theirs} {:?}",
                answer.get("error")
            ));
        }
    }
    report(&failures, answers.len());
}

#[test]
fn paths_are_ignored_as_upstream_ignores_them() {
    let answers = answers("ignore.jsonl");
    let mut failures = Vec::new();
    for answer in &answers {
        let source = answer["source"].as_str().unwrap();
        let rules = match IgnoreRules::parse(source.as_bytes()) {
            Ok(rules) => rules,
            Err(problems) => {
                if answer.get("error").is_none() {
                    failures.push(format!("{source:?} {problems:?}"));
                }
                continue;
            }
        };
        if let Some(error) = answer.get("error") {
            failures.push(format!("{source:?} accepted, upstream {error}"));
            continue;
        }
        for result in answer["results"].as_array().unwrap() {
            let path = result[0].as_str().unwrap();
            if rules.matches(path) != result[1].as_bool().unwrap() {
                failures.push(format!("{source:?} {path:?} upstream {}", result[1]));
            }
            let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            for folder in folders.filter(|folder| rules.matches(folder)) {
                if !rules.matches(path) && !rules.may_reinclude_below(folder) {
                    failures.push(format!("{source:?} {path:?} would be lost below {folder:?}"));
                }
            }
        }
    }
    report(&failures, answers.len());
}

#[test]
fn wildcards_match_as_upstream_has_them() {
    let answers = answers("match.jsonl");
    let mut failures = Vec::new();
    for answer in &answers {
        let (pattern, name) = (answer["pattern"].as_str().unwrap(), answer["name"].as_str().unwrap());
        let ours = wildcard::matches(pattern, name);
        let theirs = (!answer["malformed"].as_bool().unwrap()).then(|| answer["matched"].as_bool().unwrap());
        // Upstream does not look at what is behind the place where a name stops matching.
        if ours.as_ref().ok() != theirs.as_ref() && !(ours.is_err() && theirs == Some(false)) {
            failures.push(format!("{pattern:?} {name:?} ours {ours:?} upstream {theirs:?}"));
        }
    }
    report(&failures, answers.len());
}

#[test]
fn stages_are_refused_as_upstream_refuses_them() {
    let answers = answers("graph.jsonl");
    let mut failures = Vec::new();
    for answer in &answers {
        let source = answer["source"].as_str().unwrap();
        let target = answer["target"].as_str().filter(|target| !target.is_empty());
        let parsed = parse(source.as_bytes());
        let graph = StageGraph::of(&parsed.file, &StageOptions { target, ..OPTIONS });
        // What an image may be called is not decided here.
        if answer["error"].as_str().is_some_and(|error| error.contains("invalid reference format")) {
            continue;
        }
        let is_error = parsed.has_errors() || graph.is_err();
        let is_meant = |problem: &Diagnostic| match problem.code {
            // Upstream counts images that stages copy from as stages too.
            "invalid-stage-index" => true,
            // A trigger that copies from its own stage copies from the stage as it is before.
            "circular-stages" | "stage-order" => source.contains("ONBUILD"),
            _ => false,
        };
        if graph.as_ref().is_err_and(|problems| problems.iter().all(is_meant)) {
            continue;
        }
        if is_error != answer.get("error").is_some() {
            let ours = graph.err();
            failures.push(format!(
                "{source}target {target:?}\n  ours {ours:?} {:?}\n  upstream {:?}",
                parsed.diagnostics,
                answer.get("error")
            ));
        }
    }
    report(&failures, answers.len());
}
