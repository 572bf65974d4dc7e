//! Files that assembly and C include from other folders than their package's, which `go list` does not name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::memory::Watch;

/// Files of a package that may include others.
const INCLUDING: [&str; 13] = ["s", "S", "sx", "c", "cc", "cpp", "cxx", "h", "hh", "hpp", "hxx", "m", "go"];
/// No source that a person wrote includes more.
const MOST: usize = 10_000;

/// Watches what the files of a package's folder include by a relative path, and what those files include.
pub(crate) fn watch_includes(package: &Path, watch: &mut Watch) {
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    let mut pending: Vec<PathBuf> = including_files(package);
    while let Some(file) = pending.pop() {
        let Ok(text) = fs::read(&file) else { continue };
        let own = file.parent().unwrap_or(package).to_owned();
        for name in included(&text) {
            // The compiler looks beside the including file, and in the package's folder (-I).
            for folder in [&own, &package.to_owned()] {
                let path = folder.join(&name);
                if seen.len() < MOST && seen.insert(path.clone()) {
                    watch.file(&path);
                    if path.is_file() {
                        pending.push(path);
                    }
                }
            }
        }
    }
}

fn including_files(package: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(package) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            INCLUDING.contains(&extension)
        })
        .collect()
}

/// The names in `#include "NAME"` lines, those without a folder excepted: they are files of the package.
fn included(text: &[u8]) -> Vec<String> {
    if memchr::memmem::find(text, b"include").is_none() {
        return Vec::new();
    }
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.trim_ascii_start();
        let line = line.strip_prefix(b"//").unwrap_or(line).trim_ascii_start();
        let rest = line.strip_prefix(b"#")?.trim_ascii_start().strip_prefix(b"include")?.trim_ascii_start();
        let name = rest.strip_prefix(b"\"")?.split(|byte| *byte == b'"').next()?;
        let name = std::str::from_utf8(name).ok()?;
        name.contains('/').then(|| name.to_owned())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_with_a_folder_are_found() {
        let text = b"#include \"textflag.h\"\n # include \"../x/y.h\"\n// #include \"sub/z.h\"\n#include <a/b.h>\n#includ\n";
        assert_eq!(included(text), ["../x/y.h", "sub/z.h"]);
    }
}
