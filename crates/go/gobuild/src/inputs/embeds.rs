//! `//go:embed` patterns: which folders were looked into, so that a new match is noticed.
//!
//! The rules are those of `cmd/go/internal/load.resolveEmbed` (Go 1.26): a pattern is matched below the package's folder,
//! component by component; a match that is a folder stands for all files below it; a go.mod on the way makes it an error.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::memory::{Filter, Watch};

/// Deeper folders than these are no embedded files.
const DEEPEST: usize = 64;

/// Watches everything that the meaning of `pattern` in a package's folder depends on.
pub(crate) fn watch_pattern(package: &Path, pattern: &str, watch: &mut Watch) {
    let pattern = pattern.strip_prefix("all:").unwrap_or(pattern);
    let mut level = vec![package.to_owned()];
    for component in pattern.split('/').filter(|component| !component.is_empty() && *component != ".") {
        let mut next = Vec::new();
        for folder in &level {
            if component.contains(['*', '?', '[', '\\']) {
                let filter = Filter::Matching(component.to_owned());
                watch.folder(folder, &filter);
                next.extend(matches(folder, &filter));
            } else {
                let path = folder.join(component);
                watch.presence(&path);
                next.push(path);
            }
        }
        for path in &next {
            watch.presence(&path.join("go.mod"));
        }
        level = next;
    }
    for path in level {
        watch_tree(&path, watch, 0);
    }
}

fn matches(folder: &Path, filter: &Filter) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter(|name| filter.takes(name.as_bytes(), false)).map(|name| folder.join(name)).collect()
}

fn watch_tree(path: &Path, watch: &mut Watch, depth: usize) {
    // A link is not followed: Go embeds neither links nor what they lead to.
    let Ok(about) = fs::symlink_metadata(path) else { return };
    if !about.is_dir() || depth > DEEPEST {
        return;
    }
    watch.folder(path, &Filter::All);
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            watch_tree(&entry.path(), watch, depth + 1);
        }
    }
}
