//! Copies of files' contents, by the cheapest way that the file system offers.

use std::fs::File;
use std::io::{self, Read};

use rustix::io::Errno;

/// Bytes that are copied at once: a disk takes less than a second for them.
const PIECE: usize = 64 << 20;

/// Copies all of `source` into `target`, which is empty: by sharing blocks, by a copy in the kernel, or by reading and writing.
pub(crate) fn copy_file(source: &File, target: &mut File) -> io::Result<()> {
    copy_watched(source, target, &mut || Ok(()))
}

/// The same, for files of any size that somebody may get tired of: `go_on` is asked now and then, and its error ends the copy.
pub(crate) fn copy_watched(
    source: &File,
    target: &mut File,
    go_on: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(&*target, source).is_ok() {
        return Ok(());
    }
    let reader = source;
    let mut has_copied = false;
    loop {
        go_on()?;
        match rustix::fs::copy_file_range(source, None, &*target, None, PIECE) {
            Ok(0) if has_copied => return Ok(()),
            // Files of /proc and /sys say that they are empty and are not.
            Ok(0) => break,
            Ok(_) => has_copied = true,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::IO) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    loop {
        go_on()?;
        if io::copy(&mut reader.take(PIECE as u64), target)? == 0 {
            return Ok(());
        }
    }
}
