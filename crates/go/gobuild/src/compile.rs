//! `go build`: its command line, and what its failures mean.

use std::path::{Path, PathBuf};

use longshore_config::BuildMode;
use longshore_events::{Events, TaskKind};
use longshore_oci::Platform;
use longshore_process::{Command, Environment, Stream};

use crate::error::{BuildError, GoFailure, GoFailureKind, SettingsError};
use crate::flags;
use crate::resolved::Resolved;
use crate::vcs::Commit;

/// A `go list` of a large monorepo's dependencies stays far below.
const LIST_LIMIT: usize = 512 * 1024 * 1024;

/// A call of `go` for one platform.
#[derive(Debug, Clone)]
pub(crate) struct GoCall {
    /// The `go` command.
    pub(crate) go: PathBuf,
    /// The module's folder.
    pub(crate) folder: PathBuf,
    /// The service's name, for people.
    pub(crate) name: String,
    /// `./cmd/api`, or `.`.
    pub(crate) package: String,
    pub(crate) platform: Platform,
    pub(crate) environment: Environment,
    /// Flags that `build` and `list` share: what decides which files are taken.
    pub(crate) selection: Vec<String>,
    /// Flags of `build` alone.
    pub(crate) compilation: Vec<String>,
}

/// The flags that decide which files are taken.
pub(crate) fn selection_flags(resolved: &Resolved, followed: &[String]) -> Vec<String> {
    let mut arguments = vec!["-trimpath".to_owned()];
    arguments.extend(followed.iter().cloned());
    if !resolved.tags.is_empty() {
        arguments.push(format!("-tags={}", resolved.tags.join(",")));
    }
    if resolved.race {
        arguments.push("-race".to_owned());
    }
    if resolved.mode == BuildMode::Pie {
        arguments.push("-buildmode=pie".to_owned());
    }
    arguments
}

/// The flags that decide what becomes of the files.
pub(crate) fn compilation_flags(resolved: &Resolved, commit: &Commit) -> Result<Vec<String>, SettingsError> {
    let mut linker: Vec<String> = Vec::new();
    if resolved.strip {
        linker.extend(["-s".to_owned(), "-w".to_owned()]);
    }
    for (variable, value) in &resolved.stamp {
        linker.extend(["-X".to_owned(), format!("{variable}={}", commit.fill(value)?)]);
    }
    linker.extend(resolved.ldflags.iter().cloned());
    let mut arguments = Vec::new();
    if !linker.is_empty() {
        arguments.push(format!("-ldflags={}", flags::join(&linker)?));
    }
    if !resolved.gcflags.is_empty() {
        arguments.push(format!("-gcflags={}", flags::join(&resolved.gcflags)?));
    }
    Ok(arguments)
}

impl GoCall {
    /// Compiles the package to `output`. Errors: Go does not build it, or cannot be run.
    pub(crate) fn build(&self, output: &Path, events: &Events) -> Result<(), BuildError> {
        let task = events.task(TaskKind::Compile, format!("compile {} for {}", self.name, self.platform));
        let mut output_argument = std::ffi::OsString::from("-o=");
        output_argument.push(output);
        let command = self.command("build").arguments(&self.compilation).argument(output_argument);
        let command = command.argument("--").argument(&self.package);
        let finished = command.run_with(events, &mut |_, line| task.output(line))?;
        if !finished.status.is_success() {
            return Err(self.failure(&finished.stderr.text()).into());
        }
        task.done(String::new());
        Ok(())
    }

    /// Asks Go for the packages that the program is made of, as JSON with the given fields.
    ///
    /// Errors: Go does not list them, or cannot be run.
    pub(crate) fn list(&self, fields: &str, events: &Events) -> Result<Vec<u8>, BuildError> {
        let command = self.command("list").argument("-deps").argument(format!("-json={fields}"));
        let command = command.capture(Stream::Out, LIST_LIMIT).argument("--").argument(&self.package);
        let finished = command.run(events)?;
        if !finished.status.is_success() {
            return Err(self.failure(&finished.stderr.text()).into());
        }
        Ok(finished.into_stdout()?)
    }

    fn command(&self, verb: &str) -> Command {
        Command::new(&self.go, self.environment.clone())
            .folder(&self.folder)
            .argument(verb)
            .arguments(&self.selection)
    }

    fn failure(&self, said: &str) -> GoFailure {
        let lines = said.lines().filter(|line| !line.starts_with("go: downloading "));
        let message = lines.collect::<Vec<_>>().join("\n");
        GoFailure {
            package: self.package.clone(),
            platform: self.platform.to_string(),
            kind: classify(&message),
            message,
        }
    }
}

/// Tells a failure's kind from what Go says (messages of cmd/go in Go 1.21 to 1.26).
fn classify(message: &str) -> GoFailureKind {
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    match () {
        () if says(&["checksum mismatch", "SECURITY ERROR"]) => GoFailureKind::Verification,
        () if says(&["inconsistent vendoring"]) => GoFailureKind::Vendoring,
        () if says(&[
            "missing go.sum entry",
            "updates to go.mod needed",
            "updates to go.sum needed",
            "no required module provides package",
            "go mod tidy",
            "go mod download",
        ]) =>
        {
            GoFailureKind::Sums
        }
        () if says(&[
            "dial tcp",
            "module lookup disabled",
            "404 Not Found",
            "410 Gone",
            "unrecognized import path",
        ]) =>
        {
            GoFailureKind::Fetch
        }
        () if says(&["could not read Username", "reading https://", "i/o timeout", "unknown revision"]) => {
            GoFailureKind::Fetch
        }
        () if says(&["build constraints exclude all Go files"]) => GoFailureKind::Excluded,
        () if says(&[
            "no Go files in",
            "is not a main package",
            "directory not found",
            "cannot write multiple packages",
        ]) =>
        {
            GoFailureKind::NoProgram
        }
        () if says(&["/link: ", "relocation target", "function main is undeclared in the main package"]) => {
            GoFailureKind::Link
        }
        () if message.lines().any(is_position) => GoFailureKind::Compile,
        () => GoFailureKind::Other,
    }
}

/// Whether a line starts with `file.go:12:`.
fn is_position(line: &str) -> bool {
    let mut parts = line.splitn(3, ':');
    let file = parts.next().unwrap_or_default();
    let number = parts.next().unwrap_or_default();
    !file.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart() {
        let cases = [
            ("# example.com/a\n./main.go:3:5: undefined: x", GoFailureKind::Compile),
            (
                "main.go:4:2: missing go.sum entry for module providing package x; to add:\n\tgo mod download",
                GoFailureKind::Sums,
            ),
            (
                "main.go:4:2: no required module provides package example.com/x; to add it:",
                GoFailureKind::Sums,
            ),
            (
                "go: example.com/x@v1.0.0: Get \"https://p/x\": dial tcp 127.0.0.1:1: connect: refused",
                GoFailureKind::Fetch,
            ),
            ("verifying example.com/x@v1.0.0: checksum mismatch", GoFailureKind::Verification),
            ("package a\n\timports b: build constraints exclude all Go files in /x", GoFailureKind::Excluded),
            ("no Go files in /x", GoFailureKind::NoProgram),
            ("go: inconsistent vendoring in /x:", GoFailureKind::Vendoring),
            ("runtime: cannot allocate memory", GoFailureKind::Other),
        ];
        for (message, expected) in cases {
            assert_eq!(classify(message), expected, "{message}");
        }
    }
}
