//! Archives that cannot be read in place: compressed ones and streams go into a temporary file first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_events::{Events, TaskKind};
use longshore_oci::media_type::Compression;

use crate::archive::ArchiveErrorKind;
use crate::layer::{decompress, sniff};

/// Below this size a ratio says nothing.
const BOMB_FLOOR: u64 = 1024 * 1024 * 1024;

/// Programs compress to a third; even debugging symbols and sources do not come near this.
const BOMB_RATIO: u64 = 200;

/// What is left free on the disk, in bytes.
const RESERVE: u64 = 256 * 1024 * 1024;

/// How often the disk is asked, in bytes written.
const ASK_EVERY: u64 = 64 * 1024 * 1024;

/// How an archive's first bytes say it is compressed. Errors: in a way that is not read.
pub(super) fn compression(start: &[u8]) -> Result<Compression, ArchiveErrorKind> {
    match start {
        [b'B', b'Z', b'h', ..] => Err(ArchiveErrorKind::Compression("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(ArchiveErrorKind::Compression("xz")),
        _ => Ok(sniff(start).unwrap_or(Compression::None)),
    }
}

/// Copies a stream, decompressed where it is compressed, into a file of `folder` that has no name.
pub(super) fn spool(
    mut stream: impl Read + Send + 'static,
    folder: &Path,
    events: &Events,
) -> Result<File, ArchiveErrorKind> {
    let task = events.task(TaskKind::Work, "read the archive");
    let mut start = Vec::new();
    (&mut stream).take(8).read_to_end(&mut start)?;
    let compression = compression(&start)?;
    let stream = io::Cursor::new(start).chain(stream);
    let taken = Arc::new(AtomicU64::new(0));
    let mut tar = decompress(Counting { inner: stream, taken: Arc::clone(&taken) }, compression)?;
    let mut file = tempfile::tempfile_in(folder)?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut size, mut asked) = (0_u64, 0);
    loop {
        events.check()?;
        let count = match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        size += count as u64;
        let times = size / taken.load(Ordering::Relaxed).max(1);
        if size > BOMB_FLOOR && times > BOMB_RATIO {
            return Err(ArchiveErrorKind::Bomb { size, times });
        }
        if size - asked >= ASK_EVERY {
            asked = size;
            check_space(&file, folder)?;
        }
        file.write_all(&buffer[..count])?;
        task.progress(size, None);
    }
    task.done("");
    Ok(file)
}

fn check_space(file: &File, folder: &Path) -> Result<(), ArchiveErrorKind> {
    let system = rustix::fs::fstatvfs(file).map_err(io::Error::from)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if free < RESERVE {
        return Err(ArchiveErrorKind::Space { folder: folder.to_owned(), free });
    }
    Ok(())
}

struct Counting<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
