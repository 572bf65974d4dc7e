//! Building a case with BuildKit.

use std::path::Path;
use std::process::Output;

use longshore_testkit::Folder;
use longshore_testkit::bases::Bases;
use longshore_testkit::conformance::{Case, Failure, Outcome, Prepared, line_of, observe};

use super::chain;
use super::daemon::Daemon;
use crate::command::{Result, command, context};

/// The store that `--oci-layout` gives a name, for `oci-layout://` references.
const STORE: &str = "bases";

/// What BuildKit makes of a case.
///
/// Errors: the case cannot be prepared, or BuildKit says neither that it built nor why it did not.
pub(super) fn build(daemon: &Daemon, case: &Case, bases: &Bases) -> Result<Outcome> {
    let prepared = case.prepare().map_err(|error| chain(&error))?;
    let output = Folder::new().map_err(context("cannot make a folder"))?;
    let layout = output.join("layout");
    let mut buildctl = command(&daemon.buildctl);
    buildctl
        .args(["--addr", &daemon.address(), "build", "--progress=plain", "--frontend=dockerfile.v0"])
        // A recorded outcome must not depend on what was recorded before.
        .arg("--no-cache")
        .args(arguments(&prepared, bases)?)
        .args(["--output", &exporter(case, &layout)]);
    let ended = buildctl.output().map_err(context("cannot start buildctl"))?;
    if ended.status.success() {
        return observe(&layout, &prepared, bases).map_err(|error| chain(&error));
    }
    failure(&ended, case, &prepared).map(Outcome::Failure)
}

fn exporter(case: &Case, layout: &Path) -> String {
    let mut exporter = format!("type=oci,tar=false,dest={}", layout.display());
    // What longshore does whenever a date is given, BuildKit does on request.
    if case.is_dated() {
        exporter.push_str(",rewrite-timestamp=true");
    }
    for (name, value) in case.annotations() {
        exporter.push_str(&format!(",annotation.{name}={value}"));
    }
    exporter
}

fn arguments(prepared: &Prepared, bases: &Bases) -> Result<Vec<String>> {
    let case = prepared.case();
    let dockerfile = prepared.dockerfile();
    let folder = dockerfile.parent().unwrap_or(&dockerfile);
    let mut arguments = Vec::new();
    let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
    add("--local", format!("context={}", prepared.context().display()));
    add("--local", format!("dockerfile={}", folder.display()));
    add("--opt", format!("filename={}", case.dockerfile_name()));
    if let Some(target) = case.target() {
        add("--opt", format!("target={target}"));
    }
    if !case.platforms().is_empty() {
        add("--opt", format!("platform={}", case.platforms().join(",")));
    }
    for (name, value) in prepared.build_args() {
        add("--opt", format!("build-arg:{name}={value}"));
    }
    for (name, value) in case.labels() {
        add("--opt", format!("label:{name}={value}"));
    }
    if !case.add_hosts().is_empty() {
        add("--opt", format!("add-hosts={}", hosts(case.add_hosts())));
    }
    for (id, path) in prepared.secrets() {
        add("--secret", format!("id={id},src={}", path.display()));
    }
    for (number, (name, path)) in prepared.folders().into_iter().enumerate() {
        add("--local", format!("named{number}={}", path.display()));
        add("--opt", format!("context:{name}=local:named{number}"));
    }
    add("--oci-layout", format!("{STORE}={}", bases.folder().display()));
    for (name, base) in prepared.bases() {
        let image = bases.image(&base).map_err(|error| chain(&error))?;
        let image = image.ok_or_else(|| format!("there is no base {base}"))?;
        add("--opt", format!("context:{name}=oci-layout://{STORE}@{}", image.digest()));
    }
    Ok(arguments)
}

/// `NAME=ADDRESS`, comma-separated, as the frontend reads them; people write a colon.
fn hosts(hosts: &[String]) -> String {
    let pairs: Vec<String> = hosts.iter().map(|host| host.replacen(':', "=", 1)).collect();
    pairs.join(",")
}

fn failure(ended: &Output, case: &Case, prepared: &Prepared) -> Result<Failure> {
    let text = String::from_utf8_lossy(&ended.stderr);
    let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let error = error.ok_or_else(|| format!("buildctl ended with {}:\n{text}", ended.status))?;
    let message = steady(&prepared.steady(error));
    Ok(Failure { line: named_line(&text, case.dockerfile_name()), message })
}

/// A message without what differs from run to run: BuildKit's own folders, names of its snapshots, addresses of machines.
fn steady(message: &str) -> String {
    let word = |word: &str| {
        let own_folder = word.find("/cachemounts/buildkit").and_then(|start| {
            let rest = &word[start + 1..];
            rest.find('/')
                .and_then(|end| rest[end + 1..].find('/').map(|next| rest[end + 1 + next..].to_owned()))
        });
        match own_folder {
            Some(rest) => format!("SNAPSHOT{rest}"),
            None if word.contains("::") && word.len() > 40 => "SNAPSHOT:".to_owned(),
            None if word.ends_with(":53:") => "RESOLVER:".to_owned(),
            None => word.to_owned(),
        }
    };
    message.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The line above the excerpt, which a line of dashes begins.
fn named_line(text: &str, name: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let excerpt = lines.windows(2).rfind(|pair| pair[0].starts_with(name) && pair[1].starts_with("-----"))?;
    line_of(excerpt[0], name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_in_every_run() {
        for (message, expected) in [
            (
                "cannot copy to non-directory: /tmp/x/root/runc-overlayfs/cachemounts/buildkit3793278173/dest",
                "cannot copy to non-directory: SNAPSHOT/dest",
            ),
            (
                "checksum of ref ao7vgbxgaxa14bubgpad1tdn8::1x4m8tkm1dwyn2vhd4loeqxqd: \"/nothing\": not found",
                "checksum of ref SNAPSHOT: \"/nothing\": not found",
            ),
            ("process \"sh -c a::b\" failed", "process \"sh -c a::b\" failed"),
        ] {
            assert_eq!(steady(message), expected);
        }
    }

    #[test]
    fn the_named_line_is_that_of_the_excerpt() {
        let text = "#1 load build definition from Dockerfile\nDockerfile:4\n-----\n   4 | >>> RUN false\n-----\nerror: x\n";
        assert_eq!(named_line(text, "Dockerfile"), Some(4));
        assert_eq!(named_line("error: x\n", "Dockerfile"), None);
    }
}
