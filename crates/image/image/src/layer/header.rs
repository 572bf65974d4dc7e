//! One block of a tar: a header, and the extended records that may stand before it.
//!
//! POSIX.1-2001 (ustar, pax) and GNU tar's variants, read as Go's archive/tar reads them, since that is what engines unpack
//! images with: what they would see is what is reported.

use std::collections::BTreeMap;

use crate::layer::reader::TarErrorKind;
use crate::layer::sparse::{self, Piece};

/// Size of a block, in bytes.
pub(super) const BLOCK: usize = 512;

/// A header block whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self, TarErrorKind> {
        let header = Header(block);
        let expected = number(&block[148..156]).ok_or(TarErrorKind::Checksum)?;
        let sum = |of: fn(u8) -> i64| -> i64 {
            let blank = |(index, byte): (usize, &u8)| if (148..156).contains(&index) { b' ' } else { *byte };
            block.iter().enumerate().map(blank).map(of).sum()
        };
        // Some old writers summed signed bytes.
        if expected == sum(i64::from) || expected == sum(|byte| i64::from(byte.cast_signed())) {
            Ok(header)
        } else {
            Err(TarErrorKind::Checksum)
        }
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix = if &self.0[257..263] == b"ustar\0" { self.text(345, 155) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        self.text(157, 100).to_vec()
    }

    pub(super) fn user_name(&self) -> &[u8] {
        self.text(265, 32)
    }

    pub(super) fn group_name(&self) -> &[u8] {
        self.text(297, 32)
    }

    pub(super) fn mode(&self) -> Result<u32, TarErrorKind> {
        let mode = self.number("mode", 100, 8)?;
        u32::try_from(mode & 0o7777).map_err(|_| TarErrorKind::Number("mode"))
    }

    pub(super) fn uid(&self) -> Result<u64, TarErrorKind> {
        self.unsigned("uid", 108, 8)
    }

    pub(super) fn gid(&self) -> Result<u64, TarErrorKind> {
        self.unsigned("gid", 116, 8)
    }

    pub(super) fn size(&self) -> Result<u64, TarErrorKind> {
        self.unsigned("size", 124, 12)
    }

    pub(super) fn mtime(&self) -> Result<i64, TarErrorKind> {
        self.number("mtime", 136, 12)
    }

    pub(super) fn device(&self) -> Result<(u32, u32), TarErrorKind> {
        let part =
            |name, start| u32::try_from(self.number(name, start, 8)?).map_err(|_| TarErrorKind::Number(name));
        Ok((part("device major", 329)?, part("device minor", 337)?))
    }

    /// Size of a GNU sparse file when unpacked.
    pub(super) fn sparse_size(&self) -> Result<u64, TarErrorKind> {
        self.unsigned("real size", 483, 12)
    }

    /// The pieces that a GNU sparse file's header names, and those of a block after it.
    pub(super) fn sparse_pieces(block: &[u8; BLOCK], extended: bool) -> Result<Vec<Piece>, TarErrorKind> {
        let (start, count) = if extended { (0, 21) } else { (386, 4) };
        let mut pieces = Vec::with_capacity(count);
        for pair in block[start..start + count * 24].chunks_exact(24).take_while(|pair| pair[0] != 0) {
            let value = |field: &[u8]| {
                let value = number(field).and_then(|value| u64::try_from(value).ok());
                value.ok_or(TarErrorKind::Number("map of holes"))
            };
            pieces.push(Piece { offset: value(&pair[..12])?, length: value(&pair[12..])? });
        }
        Ok(pieces)
    }

    /// The pieces in this header.
    pub(super) fn own_pieces(&self) -> Result<Vec<Piece>, TarErrorKind> {
        Header::sparse_pieces(self.0, false)
    }

    /// Whether blocks with more of a GNU sparse file's map follow.
    pub(super) fn sparse_continues(&self) -> bool {
        self.0[482] != 0
    }

    fn text(&self, start: usize, length: usize) -> &'a [u8] {
        until_nul(&self.0[start..start + length])
    }

    fn unsigned(&self, name: &'static str, start: usize, length: usize) -> Result<u64, TarErrorKind> {
        u64::try_from(self.number(name, start, length)?).map_err(|_| TarErrorKind::Number(name))
    }

    fn number(&self, name: &'static str, start: usize, length: usize) -> Result<i64, TarErrorKind> {
        number(&self.0[start..start + length]).ok_or(TarErrorKind::Number(name))
    }
}

/// A numeric field: octal digits, or base 256 where the first bit is set. Fields have 12 bytes at most.
fn number(field: &[u8]) -> Option<i64> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => {
            let sign = if first & 0x40 != 0 { -64 } else { 0 };
            let start = i128::from(first & 0x3f) + sign;
            let value = rest.iter().fold(start, |value, byte| (value << 8) | i128::from(*byte));
            i64::try_from(value).ok()
        }
        _ => {
            let blank = |byte: &u8| matches!(byte, b' ' | 0);
            let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
            let digits = field[start..].split(blank).next().unwrap_or_default();
            digits.iter().try_fold(0_i64, |value, byte| match byte {
                b'0'..=b'7' => Some(value * 8 + i64::from(byte - b'0')),
                _ => None,
            })
        }
    }
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// What stands before an entry because its header has no room for it.
#[derive(Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) user_name: Option<Vec<u8>>,
    pub(super) group_name: Option<Vec<u8>>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) sparse: bool,
    pub(super) sparse_size: Option<u64>,
    pub(super) pieces: Vec<Piece>,
    /// Whether the map stands before the content.
    pub(super) map_in_content: bool,
}

impl Extension {
    /// Takes the records of one pax header: `LENGTH KEY=VALUE\n` each.
    pub(super) fn read_pax(&mut self, mut rest: &[u8]) -> Result<(), TarErrorKind> {
        let (mut sparse_name, mut offset) = (None, None);
        while !rest.is_empty() {
            let (key, value) = split_record(&mut rest).ok_or(TarErrorKind::Pax)?;
            let key = std::str::from_utf8(key).map_err(|_| TarErrorKind::Pax)?;
            match key {
                "GNU.sparse.name" => sparse_name = Some(text(value)?),
                "GNU.sparse.offset" => offset = Some(number_of(value)?),
                "GNU.sparse.numbytes" => {
                    let offset = offset.take().ok_or(TarErrorKind::Pax)?;
                    sparse::push(&mut self.pieces, offset, number_of(value)?)?;
                }
                _ => self.take(key, value)?,
            }
        }
        if sparse_name.is_some() {
            self.path = sparse_name;
        }
        Ok(())
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), TarErrorKind> {
        // An empty value takes a record back: the header's own field counts again.
        let some = !value.is_empty();
        let decimal = || -> Result<Option<u64>, TarErrorKind> {
            if !some {
                return Ok(None);
            }
            let digits =
                std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            Ok(Some(digits.and_then(|digits| digits.parse().ok()).ok_or(TarErrorKind::Pax)?))
        };
        match key {
            "path" => self.path = some.then(|| text(value)).transpose()?,
            "linkpath" => self.link = some.then(|| text(value)).transpose()?,
            "uname" => self.user_name = some.then(|| text(value)).transpose()?,
            "gname" => self.group_name = some.then(|| text(value)).transpose()?,
            "size" => self.size = decimal()?,
            "uid" => self.uid = decimal()?,
            "gid" => self.gid = decimal()?,
            "mtime" => self.mtime = some.then(|| time(value).ok_or(TarErrorKind::Pax)).transpose()?,
            "GNU.sparse.realsize" | "GNU.sparse.size" => {
                self.sparse_size = decimal()?;
                self.sparse = true;
            }
            "GNU.sparse.map" => {
                self.pieces = sparse::parse_list(value)?;
                self.sparse = true;
            }
            "GNU.sparse.major" => {
                self.map_in_content = value == b"1";
                self.sparse = true;
            }
            _ if key.starts_with("GNU.sparse.") => self.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.xattrs.insert(name.to_owned(), value.to_vec());
                }
            }
        }
        Ok(())
    }
}

fn split_record<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    // No record is longer than the largest header, so its length has seven digits at most.
    let space = rest.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
    *rest = &rest[length..];
    let equals = record.iter().position(|byte| *byte == b'=').filter(|equals| *equals > 0)?;
    Some((&record[..equals], &record[equals + 1..]))
}

fn number_of(value: &[u8]) -> Result<u64, TarErrorKind> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(TarErrorKind::Pax)
}

fn text(value: &[u8]) -> Result<Vec<u8>, TarErrorKind> {
    if value.contains(&0) { Err(TarErrorKind::Pax) } else { Ok(value.to_vec()) }
}

/// Seconds since 1970 with a decimal fraction. A negative time's fraction counts towards zero.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    match (nanos, whole.starts_with('-')) {
        (0, _) | (_, false) => Some((seconds, nanos)),
        (_, true) => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"0000689\0", None),
            (b"-1\0", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }

    #[test]
    fn pax_records_are_read_and_broken_ones_refused() {
        let mut extension = Extension::default();
        extension
            .read_pax(b"30 mtime=1350244992.023960108\n12 path=a/b\n24 SCHILY.xattr.user=\0\xff\n")
            .unwrap();
        assert_eq!(extension.mtime, Some((1_350_244_992, 23_960_108)));
        assert_eq!(extension.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(extension.xattrs["user"], [0, 0xff]);
        assert_eq!(time(b"-1.5"), Some((-2, 500_000_000)));
        for bad in [
            &b"12 path=a/b"[..],
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"3 a=b\n",
            b"6 a b\n",
            b"6 =ab\n",
            b"12 path=a\0b\n",
            b"9 size=1x\n",
            b"9 size=-1\n",
        ] {
            assert!(matches!(Extension::default().read_pax(bad), Err(TarErrorKind::Pax)), "{bad:?}");
        }
    }
}
