//! Which entries of a folder matter, and their hash.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Which entries of a folder matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Filter {
    /// Those that Go may take into a package, and its profile.
    GoSources,
    /// All.
    All,
    /// Those that a pattern of `path.Match` matches.
    Matching(String),
    /// Folders, go.mod and Go sources: what finding main packages looks at.
    Tree,
}

/// File name endings that `go/build` looks at (Go 1.26, go/build/build.go, `fileListForExt`).
const EXTENSIONS: [&str; 18] = [
    "go", "c", "cc", "cpp", "cxx", "m", "h", "hh", "hpp", "hxx", "f", "F", "f90", "for", "s", "S", "sx",
    "syso",
];

impl Filter {
    pub(crate) fn takes(&self, name: &[u8], is_folder: bool) -> bool {
        match self {
            Filter::All => true,
            Filter::GoSources => !is_folder && is_source(name),
            Filter::Tree => is_folder || name == b"go.mod" || is_source(name),
            // A name that is no text may match too, and Go then refuses to embed it: it always counts.
            Filter::Matching(pattern) => std::str::from_utf8(name)
                .map_or(true, |name| longshore_golang::module::glob_matches(pattern, name)),
        }
    }

    /// The filter as bytes, for records.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Filter::GoSources => b"g".to_vec(),
            Filter::All => b"a".to_vec(),
            Filter::Tree => b"t".to_vec(),
            Filter::Matching(pattern) => [b"m", pattern.as_bytes()].concat(),
        }
    }

    /// What [`Filter::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        match bytes.split_first()? {
            (b'g', []) => Some(Filter::GoSources),
            (b'a', []) => Some(Filter::All),
            (b't', []) => Some(Filter::Tree),
            (b'm', pattern) => Some(Filter::Matching(String::from_utf8(pattern.to_vec()).ok()?)),
            _ => None,
        }
    }
}

fn is_source(name: &[u8]) -> bool {
    if name == b"default.pgo" {
        return true;
    }
    // Go takes files whose names are no text: the ending alone counts.
    let extension = name.rsplit(|byte| *byte == b'.').next().filter(|extension| extension.len() < name.len());
    let extension = extension.and_then(|extension| std::str::from_utf8(extension).ok());
    extension.is_some_and(|extension| {
        EXTENSIONS.contains(&extension) || extension == "swig" || extension == "swigcxx"
    })
}

/// The entries of `folder` that `filter` takes, sorted by name, each with the letter of its type.
///
/// Errors: the folder cannot be read.
pub(crate) fn entries(folder: &Path, filter: &Filter) -> io::Result<Vec<(Vec<u8>, u8)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name().as_bytes().to_vec();
        if filter.takes(&name, kind.is_dir()) {
            let letter = match () {
                () if kind.is_file() => b'f',
                () if kind.is_dir() => b'd',
                () if kind.is_symlink() => b'l',
                () => b'o',
            };
            names.push((name, letter));
        }
    }
    names.sort();
    Ok(names)
}

/// Hash of [`entries`].
pub(crate) fn hash(entries: &[(Vec<u8>, u8)]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for (name, letter) in entries {
        hasher.update(&[*letter]);
        hasher.update(name);
        hasher.update(&[0]);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_text_count_where_go_reads_them() {
        let matching = Filter::Matching("*.tmpl".to_owned());
        let cases: [(&Filter, &[u8], bool); 8] = [
            (&Filter::GoSources, b"a.go", true),
            (&Filter::GoSources, b"\xff.go", true),
            (&Filter::GoSources, b"a.\xff", false),
            (&Filter::GoSources, b"go", false),
            (&Filter::GoSources, b"default.pgo", true),
            (&matching, b"a.tmpl", true),
            (&matching, b"\xff.tmpl", true),
            (&matching, b"a.txt", false),
        ];
        for (filter, name, taken) in cases {
            assert_eq!(filter.takes(name, false), taken, "{filter:?} {}", name.escape_ascii());
        }
    }
}
