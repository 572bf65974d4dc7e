//! The first place where two tars differ.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;

use serde::Serialize;

use crate::layer::{TarEntry, TarError, TarErrorKind, TarReader, entries};

/// Bytes that are shown of contents that differ.
const SHOWN: usize = 16;

/// The first difference of tar `a` and tar `b`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstDifference {
    /// Path of the entry that differs, as it stands in `a`, or in `b` where `a` has ended; empty after the last entry.
    pub path: PathBuf,
    /// What differs: "entry", "kind", "mode", "uid", "gid", "user name", "group name", "mtime", "link", "attributes",
    /// "content", "size", "header" (the form of it, with all fields the same) or "end" (what follows the last entry).
    pub field: &'static str,
    /// Where in `a`, in bytes from the start of the tar.
    pub offset: u64,
    /// Where in the file, where contents differ.
    pub content_offset: Option<u64>,
    /// What `a` has, for a person; bytes in hexadecimal.
    pub a: String,
    /// What `b` has.
    pub b: String,
}

impl fmt::Display for FirstDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} at byte {}", self.path.display(), self.field, self.offset)?;
        if let Some(offset) = self.content_offset {
            write!(formatter, " (byte {offset} of the file)")?;
        }
        write!(formatter, ": {} and {}", self.a, self.b)
    }
}

/// Which of two tars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// Two tars that could not be compared.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the {} layer", if *side == Side::A { "first" } else { "second" })]
pub struct ComparisonError {
    /// The one that could not be read.
    pub side: Side,
    /// Why not.
    #[source]
    pub source: TarError,
}

/// Compares two layers' tars and names the first entry, field and byte that differ; `None` where there is none. The padding
/// after contents is not looked at.
///
/// Errors: one cannot be read up to there.
pub fn first_difference(a: impl Read, b: impl Read) -> Result<Option<FirstDifference>, ComparisonError> {
    let (mut a, mut b) = (entries(a), entries(b));
    loop {
        let left = a.next_entry().map_err(of(Side::A))?;
        let right = b.next_entry().map_err(of(Side::B))?;
        match (left, right) {
            (None, None) => return Ok(compare_ends(&a, &b)),
            (Some(left), Some(right)) if left.path == right.path => {
                let found = compare_fields(&left, &right);
                if found.is_some() {
                    return Ok(found);
                }
                let found = compare_contents(&left, &mut a, &mut b)?;
                // Said after the content, since what differs there tells more.
                let found = found.or_else(|| compare_headers(&left, &right));
                if found.is_some() {
                    return Ok(found);
                }
            }
            (left, right) => return Ok(other_entry(left.as_ref(), right.as_ref())),
        }
    }
}

fn of(side: Side) -> impl Fn(TarError) -> ComparisonError {
    move |source| ComparisonError { side, source }
}

fn other_entry(left: Option<&TarEntry>, right: Option<&TarEntry>) -> Option<FirstDifference> {
    let show = |entry: Option<&TarEntry>| {
        entry.map_or_else(|| "no more entries".to_owned(), |entry| entry.path.display().to_string())
    };
    let entry = left.or(right)?;
    let (offset, content_offset) = (entry.header_offset, None);
    let path = entry.path.clone();
    Some(FirstDifference { path, field: "entry", offset, content_offset, a: show(left), b: show(right) })
}

fn compare_fields(left: &TarEntry, right: &TarEntry) -> Option<FirstDifference> {
    let mode = |entry: &TarEntry| format!("{:04o}", entry.mode);
    let time = |entry: &TarEntry| format!("{}.{:09}", entry.mtime, entry.mtime_nanos);
    let xattrs = |entry: &TarEntry| {
        let show = |(name, value): (&String, &Vec<u8>)| format!("{name}={}", String::from_utf8_lossy(value));
        entry.xattrs.iter().map(show).collect::<Vec<_>>().join(" ")
    };
    let shown: [(&'static str, [String; 2]); 8] = [
        ("kind", [left, right].map(|entry| format!("{:?}", entry.kind))),
        ("mode", [left, right].map(mode)),
        ("uid", [left, right].map(|entry| entry.uid.to_string())),
        ("gid", [left, right].map(|entry| entry.gid.to_string())),
        ("user name", [left, right].map(|entry| entry.user_name.clone())),
        ("group name", [left, right].map(|entry| entry.group_name.clone())),
        ("mtime", [left, right].map(time)),
        ("attributes", [left, right].map(xattrs)),
    ];
    let (field, [a, b]) = shown.into_iter().find(|(_, [a, b])| a != b)?;
    Some(difference(left, field, a, b))
}

fn compare_headers(left: &TarEntry, right: &TarEntry) -> Option<FirstDifference> {
    if left.size != right.size {
        return Some(difference(left, "size", left.size.to_string(), right.size.to_string()));
    }
    let differs = left.header_checksum != right.header_checksum;
    let form = |entry: &TarEntry| {
        format!(
            "{} bytes of header with CRC-32 {:08x}",
            entry.data_offset - entry.header_offset,
            entry.header_checksum
        )
    };
    differs.then(|| difference(left, "header", form(left), form(right)))
}

fn difference(entry: &TarEntry, field: &'static str, a: String, b: String) -> FirstDifference {
    let (path, offset) = (entry.path.clone(), entry.header_offset);
    FirstDifference { path, field, offset, content_offset: None, a, b }
}

fn compare_contents<A: Read, B: Read>(
    entry: &TarEntry,
    a: &mut TarReader<A>,
    b: &mut TarReader<B>,
) -> Result<Option<FirstDifference>, ComparisonError> {
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut done = 0_u64;
    loop {
        let io = |source| TarError { offset: entry.data_offset + done, kind: TarErrorKind::Io(source) };
        let count_a = fill(&mut a.content(), &mut left).map_err(io).map_err(of(Side::A))?;
        let count_b = fill(&mut b.content(), &mut right).map_err(io).map_err(of(Side::B))?;
        let common = count_a.min(count_b);
        if let Some(index) = (0..common).find(|index| left[*index] != right[*index]) {
            let show = |bytes: &[u8]| hexadecimal(&bytes[index..bytes.len().min(index + SHOWN)]);
            let at = done + index as u64;
            return Ok(Some(FirstDifference {
                path: entry.path.clone(),
                field: "content",
                offset: entry.data_offset + at,
                content_offset: Some(at),
                a: show(&left[..count_a]),
                b: show(&right[..count_b]),
            }));
        }
        // One is the beginning of the other: then their sizes differ, and that is said.
        if count_a != count_b || count_a < left.len() {
            return Ok(None);
        }
        done += common as u64;
    }
}

fn compare_ends<A: Read, B: Read>(a: &TarReader<A>, b: &TarReader<B>) -> Option<FirstDifference> {
    let (left, right) = (a.end().unwrap_or_default(), b.end().unwrap_or_default());
    let show = |end: crate::layer::TarEnd| match end.garbage {
        Some(offset) => format!("{} bytes in all, not all zero from byte {offset}", end.size),
        None => format!("{} bytes in all", end.size),
    };
    (left != right).then(|| FirstDifference {
        path: PathBuf::new(),
        field: "end",
        offset: left.size.min(right.size),
        content_offset: None,
        a: show(left),
        b: show(right),
    })
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
