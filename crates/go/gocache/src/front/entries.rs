//! Whether the files in Go's cache still are what their names say.
//!
//! Go names an output by the SHA-256 of its content (cmd/go/internal/cache, `-d` files) but looks only at its size when it uses it: a file
//! that a failing disk or a careless hand changed would go into a program. Here each is hashed once, and again whenever it changed. The
//! other half of the cache, the `-a` files that map questions to outputs, Go checks by itself.

use std::io;
use std::path::Path;

use longshore_files::FileError;

use super::memory::{self, Memory};

/// Removes every output whose content is not the one that its name promises, and returns how many there were.
///
/// Nobody may be writing to the cache. Go takes what is gone for something that never was there.
pub(crate) fn remove_damaged(cache: &Path, memory: &Path) -> Result<usize, FileError> {
    let mut known = Memory::read(memory)?;
    let mut damaged = 0;
    for byte in 0..=255_u8 {
        let folder = cache.join(format!("{byte:02x}"));
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(FileError::of("list", &folder)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(FileError::of("list", &folder))?;
            let name = entry.file_name();
            let Some(digest) = name.to_str().and_then(|name| name.strip_suffix("-d")) else { continue };
            let path = entry.path();
            let kind = entry.file_type().map_err(FileError::of("look at", &path))?;
            // Folders of this name hold executables of `go run` and `go tool`, which no build uses.
            let is_right =
                kind.is_dir() || kind.is_file() && known.digest(digest, &path, memory::sha256)? == digest;
            if !is_right {
                std::fs::remove_file(&path).map_err(FileError::of("remove", &path))?;
                damaged += 1;
            }
        }
    }
    known.write(memory)?;
    Ok(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn what_is_not_what_its_name_says_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, memory) = (folder.path().join("go"), folder.path().join("memory"));
        std::fs::create_dir_all(cache.join("ba")).unwrap();
        let write = |name: &str, content: &[u8]| {
            longshore_files::write_atomic(&cache.join("ba").join(name), content).unwrap();
        };
        let damaged = format!("ba{}-d", "0".repeat(62));
        let link = format!("ba{}-d", "1".repeat(62));
        write(&format!("{ABC}-d"), b"abc");
        write(&format!("{ABC}-a"), b"v1");
        write(&damaged, b"abc");
        std::os::unix::fs::symlink("/etc/passwd", cache.join("ba").join(&link)).unwrap();
        assert_eq!(remove_damaged(&cache, &memory).unwrap(), 2);
        assert!(cache.join("ba").join(format!("{ABC}-d")).exists());
        assert!(cache.join("ba").join(format!("{ABC}-a")).exists());
        assert!(!cache.join("ba").join(&damaged).exists());
        assert!(cache.join("ba").join(&link).symlink_metadata().is_err());

        write(&format!("{ABC}-d"), b"abd");
        assert_eq!(remove_damaged(&cache, &memory).unwrap(), 1, "same size, other content");
        assert_eq!(remove_damaged(&cache, &memory).unwrap(), 0);
    }
}
