//! Archives that come through a pipe, on disk.

use std::ffi::OsString;
use std::io::{self, Read, Seek, Write};

use longshore_files::FileError;
use longshore_oci::{Algorithm, Digest, Digester};

use super::{CONTEXT, ContextError};
use crate::remote::Fetcher;
use crate::tree::SingleFile;

/// Keeps what a reader gives in a file without a name.
pub(super) fn spool(
    reader: &mut dyn Read,
    fetcher: &Fetcher<'_>,
) -> Result<(SingleFile, Digest), ContextError> {
    let folder = fetcher.builder.store.temporary_folder();
    let mut content = tempfile::tempfile_in(&folder).map_err(FileError::of("create a file in", &folder))?;
    let mut digester = Digester::new(Algorithm::Sha256);
    let (mut buffer, mut size) = (vec![0; 256 * 1024], 0);
    loop {
        fetcher.events.check()?;
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FileError::of("read", "the archive")(error).into()),
        };
        digester.update(&buffer[..count]);
        content.write_all(&buffer[..count]).map_err(FileError::of("write a file in", &folder))?;
        size += count as u64;
    }
    content.rewind().map_err(FileError::of("read a file in", &folder))?;
    let digest = digester.finish();
    Ok((SingleFile::fetched(OsString::from(CONTEXT), (content, size), 0, &digest), digest))
}
