//! From what a program wrote and how it ended to what a person can do about it.

use std::path::Path;
use std::sync::LazyLock;

use longshore_runtime::{ExitStatus, RuntimeError, RuntimeErrorKind};
use regex::Regex;

use crate::check::Outcome;
use crate::structure::chain;

/// A runtime that refused: what the image did wrong is a failure; what the machine cannot do was not checked.
pub(crate) fn refused(error: &RuntimeError) -> Outcome {
    let hint = error.hint();
    match &error.kind {
        RuntimeErrorKind::NotStarted { .. } => {
            Outcome::failed("the program starts", chain(error)).hinted(hint)
        }
        _ => Outcome::unchecked(chain(error)).hinted(hint),
    }
}

/// A path, and the words that a refusal ends with.
static NAMED_PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // Go: "open /data/x: read-only file system"; shells and C: "cannot create /data/x: Read-only file system"; Python: "[Errno 30]
    // Read-only file system: '/data/x'".
    Regex::new(
        "(?i)(?:(?P<before>/[^ \\t:'\"]*)['\"]?: (?P<what>read-only file system|permission denied)|(?P<other>read-only file system|permission denied): ['\"]?(?P<after>/[^ \\t'\"]+))",
    )
    .ok()
});

/// Advice on how a program ended, by its last lines.
pub(crate) fn advice(logs: &[String], exit: Option<&ExitStatus>) -> Option<String> {
    if exit.is_some_and(|exit| exit.out_of_memory) {
        return Some(
            "it was ended for want of memory: raise the limit, or set GOMEMLIMIT below it".to_owned(),
        );
    }
    logs.iter().rev().find_map(|line| by_line(line))
}

fn by_line(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    if lower.contains("bind: permission denied") {
        return Some("listen on a port above 1023, or give it the capability NET_BIND_SERVICE".to_owned());
    }
    if let Some(found) = NAMED_PATH.as_ref().and_then(|regex| regex.captures(line)) {
        let path = found.name("before").or_else(|| found.name("after"))?.as_str();
        let what = found.name("what").or_else(|| found.name("other"))?.as_str().to_lowercase();
        let folder = Path::new(path).parent().filter(|folder| folder.components().count() > 1);
        let folder = folder.unwrap_or_else(|| Path::new(path)).display();
        return Some(match what.starts_with("read-only") {
            true => format!("it writes {path}: mount a tmpfs or a volume at {folder}"),
            false => format!(
                "it may not use {path}: give it to group 0 with the owner's permissions (chgrp -R 0 {folder} && chmod -R g=u {folder}), or to the user"
            ),
        });
    }
    if lower.contains("failed to create new os thread") || lower.contains("resource temporarily unavailable")
    {
        return Some(
            "it wants more threads or processes: raise the limit of processes, or set GOMAXPROCS".to_owned(),
        );
    }
    if lower.contains("operation not permitted") {
        return Some(
            "the kernel refused a call: it needs a capability, or the call is not in the seccomp profile"
                .to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_that_was_refused_is_named() {
        for (line, expected) in [
            (
                "2026/01/01 open /var/cache/app/x.db: read-only file system",
                "mount a tmpfs or a volume at /var/cache/app",
            ),
            ("sh: can't create /run/pid: Read-only file system", "mount a tmpfs or a volume at /run"),
            ("OSError: [Errno 30] Read-only file system: '/data/x'", "mount a tmpfs or a volume at /data"),
            ("mkdir /data: read-only file system", "mount a tmpfs or a volume at /data"),
            ("open /app/state/x: permission denied", "chgrp -R 0 /app/state"),
            ("listen tcp :80: bind: permission denied", "port above 1023"),
            ("runtime: failed to create new OS thread (have 5 already; errno=11)", "limit of processes"),
            ("chown /x: operation not permitted", "capability"),
        ] {
            let hint = advice(&[line.to_owned()], None).unwrap_or_default();
            assert!(hint.contains(expected), "{line}: {hint}");
        }
        assert_eq!(advice(&["all is well".to_owned()], None), None);
        let exit = ExitStatus { code: 137, out_of_memory: true, reason: None };
        assert!(advice(&[], Some(&exit)).is_some_and(|hint| hint.contains("GOMEMLIMIT")));
    }
}
