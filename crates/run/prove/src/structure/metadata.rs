//! The image's configuration against what is expected of it.

use longshore_oci::ContainerConfig;

use super::document::{MetadataTest, Variable};
use super::environment;
use crate::check::Problem;
use crate::pattern::Pattern;

pub(super) fn metadata(test: &MetadataTest, config: &ContainerConfig) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    let variables = environment(config);
    for expected in test.env.iter().chain(&test.env_vars) {
        let found = variables.iter().rev().find(|(key, _)| *key == expected.key);
        problems.value("variable", expected, found.map(|(_, value)| value.as_str()));
    }
    for expected in &test.unbound_env {
        if let Some((_, value)) = variables.iter().find(|(key, _)| *key == expected.key) {
            problems.add(format!("no variable {}", expected.key), format!("it is `{value}`"));
        }
    }
    for expected in &test.labels {
        let found = config.labels.iter().find(|(key, _)| **key == expected.key);
        problems.value("label", expected, found.map(|(_, value)| value.as_str()));
    }
    let ports: Vec<String> = config.exposed_ports.keys().map(|port| with_protocol(port)).collect();
    problems.present("exposed port", &test.exposed_ports, &ports, with_protocol);
    problems.absent("exposed port", &test.unexposed_ports, &ports, with_protocol);
    let volumes: Vec<String> = config.volumes.keys().map(|path| without_slash(path)).collect();
    problems.present("volume", &test.volumes, &volumes, without_slash);
    problems.absent("volume", &test.unmounted_volumes, &volumes, without_slash);
    for (what, expected, found) in
        [("ENTRYPOINT", &test.entrypoint, &config.entrypoint), ("CMD", &test.cmd, &config.cmd)]
    {
        let found = found.clone().unwrap_or_default();
        if let Some(expected) = expected.as_ref().filter(|expected| **expected != found) {
            problems.add(format!("{what} {expected:?}"), format!("{found:?}"));
        }
    }
    for (what, expected, found) in
        [("working folder", &test.workdir, &config.working_dir), ("user", &test.user, &config.user)]
    {
        if let Some(expected) = expected.as_ref().filter(|expected| *expected != found) {
            problems.add(format!("{what} `{expected}`"), format!("`{found}`"));
        }
    }
    problems.0
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, expected: String, found: String) {
        self.0.push(Problem { expected, found });
    }

    fn value(&mut self, what: &str, expected: &Variable, found: Option<&str>) {
        let Variable { key, value, is_regex } = expected;
        let fits = |found: &str| match is_regex {
            // It was compiled when the file was read.
            true => Pattern::new(value).is_ok_and(|pattern| pattern.is_match(found)),
            false => value == found,
        };
        let wanted = if *is_regex { format!("a match of `{value}`") } else { format!("`{value}`") };
        match found {
            Some(found) if fits(found) => {}
            Some(found) => self.add(format!("{what} {key}: {wanted}"), format!("`{found}`")),
            None => self.add(format!("{what} {key}: {wanted}"), "it is not set".to_owned()),
        }
    }

    fn present(&mut self, what: &str, wanted: &[String], found: &[String], normal: fn(&str) -> String) {
        for value in wanted.iter().filter(|value| !found.contains(&normal(value))) {
            self.add(format!("{what} {value}"), listed(found));
        }
    }

    fn absent(&mut self, what: &str, refused: &[String], found: &[String], normal: fn(&str) -> String) {
        for value in refused.iter().filter(|value| found.contains(&normal(value))) {
            self.add(format!("no {what} {value}"), listed(found));
        }
    }
}

fn listed(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

/// `8080` is `8080/tcp`.
fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_lowercase() } else { format!("{port}/tcp") }
}

/// `/data/` is `/data`.
fn without_slash(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path.to_owned() } else { trimmed.to_owned() }
}
