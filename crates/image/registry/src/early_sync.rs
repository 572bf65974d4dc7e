//! Large files on their way to the disk while they are still being written.
//!
//! A blob is synced before it gets its name. Done at the end alone, that makes a pull wait for the disk after it waited for the
//! network; a thread that syncs now and then has both going on at once.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes between two syncs, and the size from which on a file is worth a thread.
const STEP: u64 = 64 * 1024 * 1024;

/// Syncs a file in the background. Dropped early, it stops by itself.
pub(crate) struct EarlySync {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
    next: u64,
}

impl EarlySync {
    /// Begins to look after a file that will have `size` bytes; `None` where that is not worth it.
    pub(crate) fn of(file: &File, size: u64) -> io::Result<Option<EarlySync>> {
        if size < STEP {
            return Ok(None);
        }
        let file = file.try_clone()?;
        let (wake, woken) = sync_channel::<()>(1);
        let thread = std::thread::Builder::new().name("sync".to_owned()).spawn(move || {
            // The system tells a failed write once: what is seen here must not get lost.
            woken.iter().try_for_each(|()| file.sync_data())
        })?;
        Ok(Some(EarlySync { wake, thread, next: STEP }))
    }

    /// Says how many bytes were written.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        if bytes >= self.next {
            self.next = bytes + STEP;
            // Full: a sync is due already. Disconnected: one failed, which the end tells.
            let _ = self.wake.try_send(());
        }
    }

    /// Ends it. Errors: what was written did not get to the disk.
    pub(crate) fn finish(self) -> io::Result<()> {
        drop(self.wake);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs ended early")))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_large_files_are_looked_after_and_their_end_is_awaited() {
        let folder = longshore_testkit::Folder::new().unwrap();
        let path = folder.write("file", "").unwrap();
        let mut file = File::options().write(true).open(path).unwrap();
        assert!(EarlySync::of(&file, STEP - 1).unwrap().is_none());
        let mut sync = EarlySync::of(&file, STEP).unwrap().unwrap();
        for step in 1..4 {
            file.write_all(b"bytes").unwrap();
            sync.wrote(step * STEP);
        }
        sync.finish().unwrap();
    }
}
