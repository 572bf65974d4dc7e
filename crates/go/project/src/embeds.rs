//! The files that a `//go:embed` pattern matches.
//!
//! Source: <https://pkg.go.dev/embed#hdr-Directives>, `resolveEmbed` of `cmd/go/internal/load`: patterns are Go's globs; a
//! folder stands for the files in it, without those that start with `.` or `_` unless the pattern says `all:`; nested modules
//! and the folders of version control are never embedded.

use std::fs;
use std::path::Path;

use longshore_golang::module::glob_matches;

/// How many names of matched files are kept.
const KEPT: usize = 1000;
/// How many files are looked at before the count is given up.
const LIMIT: usize = 200_000;

/// The files of a pattern, relative to the package's folder and sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    pub files: Vec<String>,
    pub count: usize,
}

/// Finds the files of a pattern below a package's folder.
pub(crate) fn matches(package: &Path, pattern: &str) -> Matches {
    let (glob, hidden) = match pattern.strip_prefix("all:") {
        Some(glob) => (glob, true),
        None => (pattern, false),
    };
    let parts: Vec<&str> = glob.split('/').collect();
    if glob != "." && parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Matches::default();
    }
    let mut found = Vec::new();
    let mut roots = Vec::new();
    if glob == "." {
        roots.push(String::new());
    } else {
        expand(package, "", &parts, &mut roots);
    }
    for root in roots {
        let path = package.join(&root);
        let Ok(kind) = fs::symlink_metadata(&path) else { continue };
        if kind.is_file() {
            found.push(root);
        } else if kind.is_dir() && (root.is_empty() || !path.join("go.mod").is_file()) {
            collect(&path, &root, hidden, &mut found);
        }
    }
    found.sort();
    found.dedup();
    let count = found.len();
    found.truncate(KEPT);
    Matches { files: found, count }
}

/// Expands a glob part by part, so that only folders on its way are read.
fn expand(package: &Path, front: &str, parts: &[&str], found: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else {
        found.push(front.to_owned());
        return;
    };
    let under = |name: &str| if front.is_empty() { name.to_owned() } else { format!("{front}/{name}") };
    if !part.contains(['*', '?', '[', '\\']) {
        let path = under(part);
        if !is_repository(part) && package.join(&path).symlink_metadata().is_ok() {
            expand(package, &path, rest, found);
        }
        return;
    }
    let Ok(entries) = fs::read_dir(package.join(front)) else { return };
    for entry in entries.flatten().take(LIMIT) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if glob_matches(part, &name) && !is_repository(&name) {
            expand(package, &under(&name), rest, found);
        }
    }
}

fn collect(dir: &Path, shown: &str, hidden: bool, found: &mut Vec<String>) {
    let mut waiting = vec![(dir.to_owned(), shown.to_owned())];
    while let Some((dir, shown)) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if (!hidden && name.starts_with(['.', '_'])) || is_repository(&name) || found.len() >= LIMIT {
                continue;
            }
            let path = if shown.is_empty() { name.into_owned() } else { format!("{shown}/{name}") };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_file() {
                found.push(path);
            } else if kind.is_dir() && !entry.path().join("go.mod").is_file() {
                waiting.push((entry.path(), path));
            }
        }
    }
}

fn is_repository(name: &str) -> bool {
    matches!(name, ".bzr" | ".hg" | ".git" | ".svn")
}
