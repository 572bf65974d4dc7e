//! Building a case with longshore.

use std::ffi::OsString;
use std::path::Path;

use super::observe::{ObserveError, observe};
use super::outcome::{Failure, Outcome};
use super::prepare::Prepared;
use crate::bases::Bases;
use crate::{Longshore, Ran, RunError, Skip};

/// A case that could not be built, as opposed to one whose build fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// longshore did not start or did not end, or ended with a code that says it was used wrongly.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What it wrote is no image.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

/// Whether this longshore builds Dockerfiles.
///
/// Errors: a [`Skip`] where it does not.
pub fn builds_dockerfiles(user: &Longshore) -> Result<(), Skip> {
    let help = user.run(["build", "--help"]);
    match help {
        Ok(help) if help.stdout.contains("--file") => Ok(()),
        Ok(_) => Err(Skip("this build of longshore has no Dockerfile builder".into())),
        Err(error) => Err(Skip(format!("longshore does not start: {error}"))),
    }
}

/// Builds a case, into a layout in the case's folder, and says what came out.
///
/// Errors: longshore could not be run to its end, or wrote what is no image.
pub fn build_with_longshore(
    user: &Longshore,
    prepared: &Prepared,
    bases: &Bases,
) -> Result<Outcome, BuildError> {
    let layout = prepared.folder().join(".output");
    let ran = user.run(arguments(prepared, bases, &layout))?;
    if ran.status.success() {
        return Ok(observe(&layout, prepared, bases)?);
    }
    // 1 says that the work failed; all others would hide that the work was never begun.
    let ran = ran.expect_code(1)?;
    Ok(Outcome::Failure(failure(&ran, prepared)))
}

/// What longshore is started with to build a case into a layout.
#[must_use]
pub fn arguments(prepared: &Prepared, bases: &Bases, layout: &Path) -> Vec<OsString> {
    let case = prepared.case();
    let mut arguments: Vec<OsString> = vec!["build".into(), "--file".into(), prepared.dockerfile().into()];
    let mut add = |flag: &str, value: String| arguments.extend([flag.into(), value.into()]);
    if let Some(target) = case.target() {
        add("--target", target.to_owned());
    }
    if !case.platforms().is_empty() {
        add("--platform", case.platforms().join(","));
    }
    for (name, value) in prepared.build_args() {
        add("--build-arg", format!("{name}={value}"));
    }
    for (name, value) in case.labels() {
        add("--label", format!("{name}={value}"));
    }
    for (name, value) in case.annotations() {
        add("--annotation", format!("{name}={value}"));
    }
    for host in case.add_hosts() {
        add("--add-host", host.clone());
    }
    for (id, path) in prepared.secrets() {
        add("--secret", format!("id={id},src={}", path.display()));
    }
    for (name, folder) in prepared.folders() {
        add("--build-context", format!("{name}={}", folder.display()));
    }
    for (name, base) in prepared.bases() {
        add("--build-context", format!("{name}=oci-layout://{}:{base}", bases.folder().display()));
    }
    add("--output", format!("oci:{}", layout.display()));
    arguments.push(prepared.context().into());
    arguments
}

fn failure(ran: &Ran, prepared: &Prepared) -> Failure {
    let line = line_of(&ran.stderr, prepared.case().dockerfile_name());
    // The message and its causes; what else is there is progress, the excerpt and hints.
    let said = |line: &&str| line.starts_with("error: ") || line.trim_start().starts_with("caused by: ");
    let said: Vec<&str> = ran.stderr.lines().filter(said).map(str::trim).collect();
    let message = if said.is_empty() {
        ran.stderr.lines().last().unwrap_or_default().to_owned()
    } else {
        said.join(", ")
    };
    Failure { line, message: prepared.steady(&message) }
}

/// The line that an error message names: `Dockerfile:3`.
#[must_use]
pub fn line_of(text: &str, name: &str) -> Option<usize> {
    text.match_indices(&format!("{name}:")).find_map(|(start, found)| {
        let rest = &text[start + found.len()..];
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_where_either_builder_puts_it() {
        for (text, line) in [
            ("Dockerfile:12\n-----\n  12 | >>> RUN false\n", Some(12)),
            ("error: x\n  --> /tmp/a/Dockerfile:3:1\n", Some(3)),
            ("#1 [internal] load build definition from Dockerfile: ok\nDockerfile:4\n", Some(4)),
            ("error: nothing", None),
        ] {
            assert_eq!(line_of(text, "Dockerfile"), line, "{text}");
        }
    }
}
