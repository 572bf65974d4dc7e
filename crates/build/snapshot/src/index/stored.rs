//! The index as a file: records one after another, and a digest that tells whether they are whole.
//!
//! Numbers are LEB128, texts have their length before them. The file is read whole: a layer of ten thousand files has one of a megabyte.

use std::collections::BTreeMap;

use longshore_oci::{Algorithm, Digester};

use super::Index;
use super::record::{Record, RecordKind};

/// Raised whenever the form changes; files of another form are made again.
const MAGIC: &[u8] = b"longshore layer index 2\n";

const DIGEST: usize = 64;

impl Index {
    /// The index as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        number(&mut out, self.records.len() as u64);
        for record in &self.records {
            write(&mut out, record);
        }
        number(&mut out, self.held.len() as u64);
        for (offset, content) in &self.held {
            number(&mut out, *offset);
            text(&mut out, content);
        }
        let digest = digest(&out);
        out.extend_from_slice(digest.as_bytes());
        out
    }

    /// The index that [`Index::to_bytes`] wrote; `None` where the bytes are none, or damaged.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Index> {
        let body = bytes.get(..bytes.len().checked_sub(DIGEST)?)?;
        if digest(body).as_bytes() != &bytes[body.len()..] {
            return None;
        }
        let mut rest = Rest(body.strip_prefix(MAGIC)?);
        let count = usize::try_from(rest.number()?).ok()?;
        let mut records = Vec::with_capacity(count.min(body.len()));
        for _ in 0..count {
            records.push(rest.record()?);
        }
        let mut held = BTreeMap::new();
        for _ in 0..rest.number()? {
            held.insert(rest.number()?, rest.text()?.to_vec());
        }
        Some(Index { records, held })
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.update(bytes);
    digester.finish().encoded().to_owned()
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write(out: &mut Vec<u8>, record: &Record) {
    text(out, &record.path);
    match &record.kind {
        RecordKind::File { size, offset, sparse } => {
            numbers(out, b'f', &[*size, *offset, u64::from(*sparse)]);
        }
        RecordKind::Directory { opaque, implied } => {
            numbers(out, b'd', &[u64::from(*opaque), u64::from(*implied)]);
        }
        RecordKind::Symlink(target) => {
            out.push(b'l');
            text(out, target);
        }
        RecordKind::CharacterDevice(major, minor) => {
            numbers(out, b'c', &[u64::from(*major), u64::from(*minor)]);
        }
        RecordKind::BlockDevice(major, minor) => numbers(out, b'b', &[u64::from(*major), u64::from(*minor)]),
        RecordKind::Fifo => out.push(b'p'),
        RecordKind::Whiteout => out.push(b'w'),
        RecordKind::Foreign(target) => {
            out.push(b'h');
            text(out, target);
        }
    }
    let (seconds, nanos) = record.mtime;
    for value in [record.mode, record.uid, record.gid, nanos, record.inode, u32::from(record.linked)] {
        number(out, u64::from(value));
    }
    number(out, seconds.cast_unsigned());
    number(out, record.xattrs.len() as u64);
    for (name, value) in &record.xattrs {
        text(out, name);
        text(out, value);
    }
}

fn numbers(out: &mut Vec<u8>, kind: u8, values: &[u64]) {
    out.push(kind);
    for value in values {
        number(out, *value);
    }
}

/// What is left to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn kind(&mut self) -> Option<RecordKind> {
        Some(match self.byte()? {
            b'f' => {
                RecordKind::File { size: self.number()?, offset: self.number()?, sparse: self.number()? == 1 }
            }
            b'd' => RecordKind::Directory { opaque: self.number()? == 1, implied: self.number()? == 1 },
            b'l' => RecordKind::Symlink(self.text()?.into()),
            b'c' => RecordKind::CharacterDevice(self.small()?, self.small()?),
            b'b' => RecordKind::BlockDevice(self.small()?, self.small()?),
            b'p' => RecordKind::Fifo,
            b'w' => RecordKind::Whiteout,
            b'h' => RecordKind::Foreign(self.text()?.into()),
            _ => return None,
        })
    }

    fn record(&mut self) -> Option<Record> {
        let path = self.text()?.into();
        let kind = self.kind()?;
        let (mode, uid, gid) = (self.small()?, self.small()?, self.small()?);
        let (nanos, inode, linked) = (self.small()?, self.small()?, self.small()? == 1);
        let mtime = (self.number()?.cast_signed(), nanos);
        let mut xattrs = Vec::new();
        for _ in 0..self.number()? {
            xattrs.push((self.text()?.into(), self.text()?.into()));
        }
        Some(Record { path, kind, mode, uid, gid, mtime, inode, linked, xattrs })
    }
}
