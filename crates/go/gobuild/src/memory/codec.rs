//! Records as bytes: little-endian numbers, byte strings with their length before them, and a checksum at the end.
//!
//! A record of a usual service has thousands of entries and is read by every build; this form costs a fraction of a
//! millisecond where JSON costs several.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::listing::Filter;
use super::record::{Entry, Record, Seen};
use longshore_files::{FileInstant, Stat};

/// Changes with the form of records; others are not read.
const MAGIC: &[u8; 8] = b"lsmem\0\0\x02";

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * 160 + self.value.len() + 64);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.taken.0.to_le_bytes());
        bytes.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        for entry in &self.entries {
            put_bytes(&mut bytes, entry.path.as_os_str().as_bytes());
            put_seen(&mut bytes, &entry.seen);
        }
        put_bytes(&mut bytes, &self.value);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    /// The record that `bytes` hold, unless they were cut, damaged, or written by another version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if blake3::hash(body).as_bytes() != checksum || !body.starts_with(MAGIC) {
            return None;
        }
        let mut reader = Reader { rest: body.get(MAGIC.len()..)? };
        let taken = FileInstant(reader.signed()?);
        let count = reader.number()?;
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(body.len() / 9));
        for _ in 0..count {
            let path = PathBuf::from(OsStr::from_bytes(reader.bytes()?));
            entries.push(Entry { path, seen: reader.seen()? });
        }
        let value = reader.bytes()?.to_vec();
        reader.rest.is_empty().then_some(Record { taken, entries, value })
    }
}

fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

fn put_stat(bytes: &mut Vec<u8>, stat: &Stat) {
    for number in [stat.device, stat.inode, stat.size, u64::from(stat.mode)] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&stat.modified.to_le_bytes());
    bytes.extend_from_slice(&stat.changed.to_le_bytes());
}

fn put_seen(bytes: &mut Vec<u8>, seen: &Seen) {
    match seen {
        Seen::Absent => bytes.push(0),
        Seen::File { stat, hash, header } => {
            bytes.push(1);
            put_stat(bytes, stat);
            bytes.extend_from_slice(hash);
            bytes.extend_from_slice(header);
        }
        Seen::Exactly { stat } => {
            bytes.push(2);
            put_stat(bytes, stat);
        }
        Seen::Folder { stat, filter, hash } => {
            bytes.push(3);
            put_stat(bytes, stat);
            put_bytes(bytes, &filter.to_bytes());
            bytes.extend_from_slice(hash);
        }
        Seen::Other { stat } => {
            bytes.push(4);
            put_stat(bytes, stat);
        }
        Seen::Present { kind } => {
            bytes.push(5);
            bytes.extend_from_slice(&u64::from(*kind).to_le_bytes());
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn signed(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count)
    }

    fn stat(&mut self) -> Option<Stat> {
        Some(Stat {
            device: self.number()?,
            inode: self.number()?,
            size: self.number()?,
            mode: u32::try_from(self.number()?).ok()?,
            modified: self.signed()?,
            changed: self.signed()?,
        })
    }

    fn seen(&mut self) -> Option<Seen> {
        let [kind] = self.array()?;
        Some(match kind {
            0 => Seen::Absent,
            1 => Seen::File { stat: self.stat()?, hash: self.array()?, header: self.array()? },
            2 => Seen::Exactly { stat: self.stat()? },
            3 => Seen::Folder {
                stat: self.stat()?,
                filter: Filter::from_bytes(self.bytes()?)?,
                hash: self.array()?,
            },
            4 => Seen::Other { stat: self.stat()? },
            5 => Seen::Present { kind: u32::try_from(self.number()?).ok()? },
            _ => return None,
        })
    }
}
