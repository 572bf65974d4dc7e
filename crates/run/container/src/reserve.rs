//! Room for a container's state on a disk that is full.
//!
//! A state is written to a new file that takes the name of the one before it, which takes room that a full disk has not; and what a program
//! ended with is told once. So a monitor keeps a file that has its blocks (fallocate(2)) from before its program is started, writes into that
//! where nothing else can be written, and lets it and the state's file change names (renameat2(2), `RENAME_EXCHANGE`), which takes no room either.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;

use crate::error::ContainerError;
use crate::folder::Container;

/// Bytes that are kept: a state has about one thousand, and at most 4 KiB of a health check's output in JSON.
const SIZE: usize = 16 * 1024;

/// A file with room for a state.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// Takes the room.
    ///
    /// Errors: the disk is full.
    pub(crate) fn take(container: &Container) -> Result<Reserve, ContainerError> {
        let reserve = Reserve { path: container.path("reserve") };
        reserve
            .fill()
            .map_err(ContainerError::at("take room for the container's state in", &reserve.path))?;
        Ok(reserve)
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, SIZE as u64) {
            // Not every file system can, but all can be written to.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.write_all(&[b' '; SIZE]),
            answer => Ok(answer?),
        }
    }

    /// Makes `content`, in JSON, the file at `path`, taking no room.
    ///
    /// Errors: there is not as much room as it needs, or the disk fails.
    pub(crate) fn replace(&self, path: &std::path::Path, content: &[u8]) -> io::Result<()> {
        let mut file = File::options().write(true).open(&self.path)?;
        let about = file.metadata()?;
        // One that had its name from a state before is shorter than the blocks that it has: stat(2) counts them by 512 bytes.
        let room = usize::try_from(about.len().max(about.blocks() * 512)).unwrap_or(SIZE);
        if content.len() > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Blocks that were given back would be gone for the next time; spaces at the end are no part of what JSON says.
        let mut whole = content.to_vec();
        whole.resize(room, b' ');
        file.write_all(&whole)?;
        match renameat_with(CWD, &self.path, CWD, path, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOENT) => fs::rename(&self.path, path)?,
            answer => answer?,
        }
        // What had the name before has less room. If it cannot grow, that must do for the next time.
        let _ = self.fill();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_replaced_again_and_again_and_one_that_has_no_room_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve { path: folder.path().join("reserve") };
        let state = folder.path().join("state");
        reserve.fill().unwrap();
        longshore_files::write_unsynced(&state, b"{\"first\":1}").unwrap();
        for number in 0..3 {
            let content = format!("[{number},\"{}\"]", "x".repeat(3000 * number));
            reserve.replace(&state, content.as_bytes()).unwrap();
            let read: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
            assert_eq!(read[0], number);
        }
        let before = fs::read(&state).unwrap();
        let error = reserve.replace(&state, &[b'1'; SIZE + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&state).unwrap(), before);
    }
}
