//! Whether what a finished folder holds is still all there.
//!
//! Nothing is synced when a folder is finished, since that would take longer than making it. A kill harms nothing, but after a power
//! failure a file may be there without its content: file systems write a file's size together with its last bytes. So the number of
//! files and their sizes are noted, together with the boot in which that was; in another boot they are counted once more.

use std::fs;
use std::io;
use std::path::Path;

use longshore_files::{write_atomic, write_unsynced};
use rustix::fs::FileType;

use crate::beneath::Beneath;
use crate::error::SnapshotError;

/// Names the running system, differently after each start.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Name of the note in a finished folder.
const NOTE: &str = "checked";

/// How many files a tree has, and how many bytes these hold.
fn tally(tree: &Path) -> Result<(u64, u64), SnapshotError> {
    let tree = Beneath::open(tree).map_err(SnapshotError::of("open", tree))?;
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![std::path::PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for (name, kind) in tree.names(&folder).map_err(SnapshotError::of("list", &folder))? {
            let path = folder.join(name);
            files += 1;
            if kind == FileType::Directory {
                folders.push(path);
                continue;
            }
            let stat = tree.stat(&path).map_err(SnapshotError::of("look at", &path))?;
            let Some(stat) = stat else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => bytes += u64::try_from(stat.st_size).unwrap_or_default(),
                // Where listings do not say what is a folder.
                FileType::Directory => folders.push(path),
                _ => {}
            }
        }
    }
    Ok((files, bytes))
}

fn boot() -> String {
    // Without /proc all boots look the same: then nothing is counted again.
    fs::read_to_string(BOOT).map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// Notes what a folder holds that is about to be finished.
pub(crate) fn note(folder: &Path) -> Result<(), SnapshotError> {
    let (files, bytes) = tally(&folder.join(crate::shelf::TREE))?;
    let note = folder.join(NOTE);
    let text = format!("{} {files} {bytes}\n", boot());
    Ok(write_unsynced(&note, text.as_bytes())?)
}

/// Whether a finished folder holds what it held when it was finished.
pub(crate) fn is_whole(folder: &Path) -> Result<bool, SnapshotError> {
    let note = folder.join(NOTE);
    let text = match fs::read_to_string(&note) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            return Ok(false);
        }
        Err(error) => return Err(SnapshotError::of("read", note)(error)),
    };
    let now = boot();
    let Some((then, counted)) = text.trim_end().split_once(' ') else { return Ok(false) };
    if then == now {
        return Ok(true);
    }
    let (files, bytes) = tally(&folder.join(crate::shelf::TREE))?;
    if counted != format!("{files} {bytes}") {
        return Ok(false);
    }
    // Not once more in this boot. On a read-only disk it is counted every time.
    match write_atomic(&note, format!("{now} {counted}\n").as_bytes()) {
        Err(error) if error.source.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(true),
        other => Ok(other.map(|()| true)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_short_in_another_boot_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree/a");
        fs::create_dir_all(&tree).unwrap();
        write_atomic(&tree.join("file"), b"12345").unwrap();
        assert!(!is_whole(folder.path()).unwrap(), "there is no note");
        note(folder.path()).unwrap();
        assert!(is_whole(folder.path()).unwrap());
        let set_boot = |text: &str| write_atomic(&folder.path().join(NOTE), text.as_bytes()).unwrap();
        set_boot("earlier 2 5\n");
        assert!(is_whole(folder.path()).unwrap());
        let text = fs::read_to_string(folder.path().join(NOTE)).unwrap();
        assert_eq!(text, format!("{} 2 5\n", boot()));
        for damaged in ["earlier 2 6\n", "earlier 3 5\n", "", "earlier"] {
            set_boot(damaged);
            assert!(!is_whole(folder.path()).unwrap(), "{damaged:?}");
        }
    }
}
