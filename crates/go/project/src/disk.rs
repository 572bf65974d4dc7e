//! Bounded reads, and paths as the project's reader wants to see them.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::error::ProjectError;

/// The most that is read of a go.mod, go.work or modules.txt, in bytes.
const MODULE_FILE_LIMIT: u64 = 16 << 20;

/// Reads a module file whole.
pub(crate) fn read_module_file(path: &Path) -> Result<Vec<u8>, ProjectError> {
    let unreadable = |source| ProjectError::Unreadable { path: path.to_owned(), source };
    match read_up_to(path, MODULE_FILE_LIMIT).map_err(unreadable)? {
        Some(bytes) => Ok(bytes),
        None => Err(ProjectError::TooLarge { path: path.to_owned(), limit: MODULE_FILE_LIMIT }),
    }
}

/// Reads a file of at most `limit` bytes; none if it is longer.
pub(crate) fn read_up_to(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let bytes = read_front(path, limit + 1)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Reads the first `limit` bytes of a regular file. Pipes and devices, which could block, are refused.
pub(crate) fn read_front(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A path without `.` and `..`, by its words alone.
pub(crate) fn normalize(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// A path relative to a folder, with `/` between its parts and `..` where it lies outside; `.` for the folder itself.
pub(crate) fn relative(path: &Path, base: &Path) -> String {
    let path: Vec<_> = path.components().collect();
    let base: Vec<_> = base.components().collect();
    let shared = path.iter().zip(&base).take_while(|(a, b)| a == b).count();
    let mut parts = vec!["..".to_owned(); base.len() - shared];
    parts.extend(path[shared..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()));
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Joins two parts of a relative path, of which either may be `.`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    match (dir, name) {
        (".", name) => name.to_owned(),
        (dir, ".") => dir.to_owned(),
        (dir, name) => format!("{dir}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_go_up_where_they_must() {
        let table =
            [("/a/b", "/a/b", "."), ("/a/b/c/d.go", "/a/b", "c/d.go"), ("/a/x/y", "/a/b/c", "../../x/y")];
        for (path, base, expected) in table {
            assert_eq!(relative(Path::new(path), Path::new(base)), expected);
        }
        assert_eq!(normalize(Path::new("/a/./b/../c")), Path::new("/a/c"));
    }
}
