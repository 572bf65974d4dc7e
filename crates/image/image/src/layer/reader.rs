//! The entries of a tar as they stand in it, in one pass, with bounded memory and byte offsets.
//!
//! Written for bytes that nobody vouches for: names and extended headers are bounded, a size that lies is an error, and the
//! reader goes on to the end of the stream after the tar's own end, so that a verifying reader below gets to its check.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use crate::layer::header::{BLOCK, Extension, Header, until_nul};
use crate::layer::sparse::{self, Expanded, MapReader, Piece};

/// Largest extended header, in bytes; Go's archive/tar has the same bound.
const MAX_EXTENDED: u64 = 1024 * 1024;

/// Longest path or link target, in bytes: four times Linux's PATH_MAX.
const MAX_PATH: usize = 16 * 1024;

/// A tar that cannot be read on.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tar at byte {offset}")]
pub struct TarError {
    /// Where in the tar, in bytes from its start.
    pub offset: u64,
    /// What is wrong there.
    #[source]
    pub kind: TarErrorKind,
}

/// What can be wrong with a tar.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarErrorKind {
    /// The block is no header.
    #[error("its checksum is wrong: this is no tar header")]
    Checksum,
    /// A numeric field is not a number, or not one that makes sense there.
    #[error("its {0} is not a number that can stand there")]
    Number(&'static str),
    /// An extended header is malformed.
    #[error("its extended header is malformed")]
    Pax,
    /// An extended header or a name is longer than any real one.
    #[error("its {what} has {size} bytes, and at most {limit} are read")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The tar ends in the middle of something.
    #[error("the tar ends in the middle of an entry")]
    Truncated,
    /// The bytes cannot be read: they are not there, not what their descriptor says, or no compressed stream.
    #[error(transparent)]
    Io(io::Error),
}

/// One entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Path as it stands in the tar; [`inside`] says where it would be unpacked.
    pub path: PathBuf,
    /// What it is.
    pub kind: TarKind,
    /// Bytes of content when unpacked; zero unless it is a file.
    pub size: u64,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Name of the owner, where the tar has it.
    pub user_name: String,
    /// Name of the group, where the tar has it.
    pub group_name: String,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds past [`TarEntry::mtime`].
    pub mtime_nanos: u32,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Whether the tar holds a file without its holes: then its content here is its pieces, one after another ([`TarEntry::expand`]).
    pub sparse: bool,
    /// Where the pieces of a sparse file go; empty for all others.
    pub pieces: Vec<Piece>,
    /// Where its first header starts, in bytes from the start of the tar.
    pub header_offset: u64,
    /// Where its content starts.
    pub data_offset: u64,
    /// CRC-32 of its header blocks, extended ones included: differs where anything about the entry but its content does.
    pub header_checksum: u32,
}

impl TarEntry {
    /// The file's content, holes and all, out of what [`TarReader::content`] gives.
    pub fn expand<R: Read>(&self, content: R) -> Expanded<R> {
        let whole = || vec![Piece { offset: 0, length: self.size }];
        Expanded::new(content, if self.sparse { self.pieces.clone() } else { whole() }, self.size)
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TarKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link to what stands here.
    Symlink(PathBuf),
    /// Another name of the file at this path of the tar.
    Hardlink(PathBuf),
    /// A character device, major and minor number.
    CharacterDevice(u32, u32),
    /// A block device, major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// Something that engines do not unpack, by its type flag.
    Other(u8),
}

/// What follows a tar's last entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TarEnd {
    /// Whether the end was marked, by at least one block of zeros.
    pub marked: bool,
    /// Where the first byte stands that is not zero, after the end.
    pub garbage: Option<u64>,
    /// Bytes in all.
    pub size: u64,
}

/// Reads a tar's entries. `entries(reader)` makes one.
pub struct TarReader<R> {
    inner: R,
    skip: fn(&mut R, u64) -> io::Result<u64>,
    position: u64,
    content: u64,
    padding: u64,
    end: Option<TarEnd>,
}

impl<R> std::fmt::Debug for TarReader<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TarReader").field("position", &self.position).finish_non_exhaustive()
    }
}

/// The entries of a layer's tar, uncompressed; see [`crate::Image::open_layer`].
pub fn entries<R: Read>(tar: R) -> TarReader<R> {
    TarReader { inner: tar, skip: skip_reading, position: 0, content: 0, padding: 0, end: None }
}

/// The entries of a tar on disk, whose contents are passed over without being read.
pub(crate) fn entries_of_file(file: File) -> TarReader<BufReader<File>> {
    let skip = |reader: &mut BufReader<File>, count: u64| {
        let distance = i64::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        reader.seek_relative(distance)?;
        Ok(count)
    };
    TarReader { inner: BufReader::new(file), skip, position: 0, content: 0, padding: 0, end: None }
}

fn skip_reading<R: Read>(reader: &mut R, count: u64) -> io::Result<u64> {
    io::copy(&mut reader.take(count), &mut io::sink())
}

impl<R: Read> TarReader<R> {
    /// The next entry, the rest of the one before passed over; `None` after the last, when the stream was read to its end.
    ///
    /// Errors: the tar is malformed or cannot be read; then nothing follows.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, TarError> {
        if self.end.is_some() {
            return Ok(None);
        }
        self.pass(self.content + self.padding)?;
        (self.content, self.padding) = (0, 0);
        let start = self.position;
        let mut extension = Extension::default();
        let mut extended = false;
        let mut checksum = crc32fast::Hasher::new();
        loop {
            let offset = self.position;
            let at = |kind| TarError { offset, kind };
            let block = self.read_block()?;
            match block {
                Some(block) if block.iter().any(|byte| *byte != 0) => {
                    checksum.update(&block);
                    let header = Header::parse(&block).map_err(at)?;
                    if self.read_extension(&header, &mut extension, &mut checksum)? {
                        extended = true;
                        continue;
                    }
                    let mut entry = self.entry(&header, extension).map_err(at)?;
                    entry.header_offset = start;
                    entry.header_checksum = checksum.finalize();
                    return Ok(Some(entry));
                }
                _ if extended => return Err(at(TarErrorKind::Truncated)),
                marker => {
                    self.end = Some(self.read_end(marker.is_some())?);
                    return Ok(None);
                }
            }
        }
    }

    /// The content of the entry that was returned last. A tar that ends inside it is an error of kind `UnexpectedEof`.
    pub fn content(&mut self) -> TarContent<'_, R> {
        TarContent { reader: self }
    }

    /// What follows the last entry, once [`TarReader::next_entry`] has returned `None`.
    pub fn end(&self) -> Option<TarEnd> {
        self.end
    }

    /// The reader below, where it stands.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Takes a header that belongs to the entry after it. False where the header is an entry's own.
    fn read_extension(
        &mut self,
        header: &Header<'_>,
        extension: &mut Extension,
        checksum: &mut crc32fast::Hasher,
    ) -> Result<bool, TarError> {
        let offset = self.position;
        let at = |kind| TarError { offset, kind };
        let flag = header.type_flag();
        if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
            return Ok(false);
        }
        let bytes = self.read_extended(header.size().map_err(at)?)?;
        checksum.update(&bytes);
        match flag {
            b'x' => extension.read_pax(&bytes).map_err(at)?,
            b'L' => extension.path = Some(until_nul(&bytes).to_vec()),
            b'K' => extension.link = Some(until_nul(&bytes).to_vec()),
            // Global records: engines do not apply them.
            _ => {}
        }
        Ok(true)
    }

    fn entry(&mut self, header: &Header<'_>, mut extension: Extension) -> Result<TarEntry, TarErrorKind> {
        let path = path(extension.path.take().unwrap_or_else(|| header.name()))?;
        let target = || path_of_link(&extension.link, header);
        let flag = header.type_flag();
        let kind = match flag {
            0 if path.as_os_str().as_encoded_bytes().ends_with(b"/") => TarKind::Directory,
            0 | b'0' | b'7' | b'S' => TarKind::File,
            b'1' => TarKind::Hardlink(target()?),
            b'2' => TarKind::Symlink(target()?),
            b'3' => header.device().map(|(major, minor)| TarKind::CharacterDevice(major, minor))?,
            b'4' => header.device().map(|(major, minor)| TarKind::BlockDevice(major, minor))?,
            b'5' => TarKind::Directory,
            b'6' => TarKind::Fifo,
            other => TarKind::Other(other),
        };
        // Links, folders and devices have no content, whatever their size field says.
        let has_content = matches!(kind, TarKind::File | TarKind::Other(_));
        let stored = if has_content { extension.size.map_or_else(|| header.size(), Ok)? } else { 0 };
        let sparse = kind == TarKind::File && (flag == b'S' || extension.sparse);
        let (size, map, pieces) = self.sparse(sparse, header, &extension, stored)?;
        self.content = stored - map;
        self.padding = stored.wrapping_neg() % BLOCK as u64;
        stored.checked_add(self.position + BLOCK as u64).ok_or(TarErrorKind::Number("size"))?;
        let (mtime, mtime_nanos) =
            extension.mtime.map_or_else(|| header.mtime().map(|time| (time, 0)), Ok)?;
        let name = |own: Option<Vec<u8>>, plain: &[u8]| {
            String::from_utf8_lossy(own.as_deref().unwrap_or(plain)).into_owned()
        };
        Ok(TarEntry {
            path,
            kind,
            size,
            mode: header.mode()?,
            uid: extension.uid.map_or_else(|| header.uid(), Ok)?,
            gid: extension.gid.map_or_else(|| header.gid(), Ok)?,
            user_name: name(extension.user_name, header.user_name()),
            group_name: name(extension.group_name, header.group_name()),
            mtime,
            mtime_nanos,
            xattrs: extension.xattrs,
            sparse,
            pieces,
            header_offset: 0,
            data_offset: self.position,
            header_checksum: 0,
        })
    }

    fn read_extended(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let offset = self.position;
        let at = |kind| TarError { offset, kind };
        if size > MAX_EXTENDED {
            let what = "extended header";
            return Err(at(TarErrorKind::TooLong { what, size, limit: MAX_EXTENDED }));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.inner).take(size).read_to_end(&mut bytes);
        let count = read.map_err(TarErrorKind::Io).map_err(at)? as u64;
        self.position += count;
        if count < size {
            return Err(at(TarErrorKind::Truncated));
        }
        self.pass(size.wrapping_neg() % BLOCK as u64)?;
        Ok(bytes)
    }

    /// The size of a file, the bytes of its content that are its map, and its pieces.
    fn sparse(
        &mut self,
        sparse: bool,
        header: &Header<'_>,
        extension: &Extension,
        stored: u64,
    ) -> Result<(u64, u64, Vec<Piece>), TarErrorKind> {
        if !sparse {
            return Ok((stored, 0, Vec::new()));
        }
        let (mut map, mut pieces) = (0, extension.pieces.clone());
        let mut size = extension.sparse_size;
        if header.type_flag() == b'S' {
            size = Some(header.sparse_size()?);
            pieces = header.own_pieces()?;
            let mut continues = header.sparse_continues();
            while continues {
                let block = self.map_block()?;
                for piece in Header::sparse_pieces(&block, true)? {
                    sparse::push(&mut pieces, piece.offset, piece.length)?;
                }
                continues = block[504] != 0;
            }
        } else if extension.map_in_content {
            let mut reader = MapReader::default();
            loop {
                map += BLOCK as u64;
                if map > stored {
                    return Err(TarErrorKind::Number("map of holes"));
                }
                let block = self.map_block()?;
                if reader.take(&block)? {
                    break;
                }
            }
            pieces = reader.pieces();
        }
        let size = size.ok_or(TarErrorKind::Pax)?;
        sparse::check(&pieces, size, stored - map)?;
        Ok((size, map, pieces))
    }

    fn map_block(&mut self) -> Result<[u8; BLOCK], TarErrorKind> {
        self.read_block().map_err(|error| error.kind)?.ok_or(TarErrorKind::Truncated)
    }

    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let offset = self.position;
        let at = |kind| TarError { offset, kind };
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(at(TarErrorKind::Truncated)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(at(TarErrorKind::Io(error))),
            }
        }
        self.position += BLOCK as u64;
        Ok(Some(block))
    }

    fn pass(&mut self, count: u64) -> Result<(), TarError> {
        let offset = self.position;
        let at = |kind| TarError { offset, kind };
        let passed = (self.skip)(&mut self.inner, count).map_err(TarErrorKind::Io).map_err(at)?;
        self.position += passed;
        if passed < count { Err(at(TarErrorKind::Truncated)) } else { Ok(()) }
    }

    fn read_end(&mut self, marked: bool) -> Result<TarEnd, TarError> {
        let mut garbage = None;
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let offset = self.position;
            match self.inner.read(&mut buffer) {
                Ok(0) => return Ok(TarEnd { marked, garbage, size: self.position }),
                Ok(count) => {
                    let first = buffer[..count].iter().position(|byte| *byte != 0);
                    garbage = garbage.or(first.map(|index| offset + index as u64));
                    self.position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError { offset, kind: TarErrorKind::Io(error) }),
            }
        }
    }
}

/// The content of one entry.
#[derive(Debug)]
pub struct TarContent<'a, R> {
    reader: &'a mut TarReader<R>,
}

impl<R: Read> Read for TarContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = &mut *self.reader;
        let most = usize::try_from(reader.content).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let count = reader.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar ends in the middle of a file"));
        }
        reader.content -= count as u64;
        reader.position += count as u64;
        Ok(count)
    }
}

/// Where a path of a layer would be unpacked: relative to the image's root, without `.` and `..`, empty for the root itself.
/// A leading slash does not count, as for the engines. `None` where the path leaves the root.
pub fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if !clean.pop() => return None,
            _ => {}
        }
    }
    Some(clean)
}

fn path_of_link(extended: &Option<Vec<u8>>, header: &Header<'_>) -> Result<PathBuf, TarErrorKind> {
    path(extended.clone().unwrap_or_else(|| header.link()))
}

fn path(bytes: Vec<u8>) -> Result<PathBuf, TarErrorKind> {
    if bytes.len() > MAX_PATH {
        let (size, limit) = (bytes.len() as u64, MAX_PATH as u64);
        return Err(TarErrorKind::TooLong { what: "path", size, limit });
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
