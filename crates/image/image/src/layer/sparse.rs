//! Files that a tar stores without their holes.
//!
//! GNU tar has four forms of the map that says where the stored pieces go: in the header and blocks after it (type `S`), and three in
//! extended records (GNU tar manual, "Storing Sparse Files"). Go's archive/tar reads all of them, so engines do.

use std::io::{self, Read};

use crate::layer::header::BLOCK;
use crate::layer::reader::TarErrorKind;

/// Most pieces of one file.
pub(super) const MAX_PIECES: usize = 1_000_000;

/// A piece of a file that is stored; all else is zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where in the file it starts, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Adds a piece. Errors: there are more than any file has.
pub(super) fn push(pieces: &mut Vec<Piece>, offset: u64, length: u64) -> Result<(), TarErrorKind> {
    if pieces.len() >= MAX_PIECES {
        let (size, limit) = (pieces.len() as u64 + 1, MAX_PIECES as u64);
        return Err(TarErrorKind::TooLong { what: "map of holes", size, limit });
    }
    pieces.push(Piece { offset, length });
    Ok(())
}

/// Sees to it that pieces stand one after another, in the file, and are together what is stored.
pub(super) fn check(pieces: &[Piece], size: u64, stored: u64) -> Result<(), TarErrorKind> {
    let wrong = TarErrorKind::Number("map of holes");
    let (mut end, mut total) = (0_u64, 0_u64);
    for piece in pieces {
        let next = piece.offset.checked_add(piece.length).filter(|next| *next <= size);
        let (Some(next), true) = (next, piece.offset >= end) else { return Err(wrong) };
        (end, total) = (next, total + piece.length);
    }
    if total == stored { Ok(()) } else { Err(wrong) }
}

/// The map of form 0.1: `OFFSET,LENGTH,OFFSET,LENGTH`.
pub(super) fn parse_list(text: &[u8]) -> Result<Vec<Piece>, TarErrorKind> {
    let mut pieces = Vec::new();
    let mut numbers = text.split(|byte| *byte == b',').filter(|part| !part.is_empty());
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or(TarErrorKind::Pax)?;
        push(&mut pieces, decimal(offset)?, decimal(length)?)?;
    }
    Ok(pieces)
}

fn decimal(digits: &[u8]) -> Result<u64, TarErrorKind> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.and_then(|text| text.parse().ok()).ok_or(TarErrorKind::Number("map of holes"))
}

/// The map of form 1.0, which stands before the content: a count, then offsets and lengths, each on a line of its own.
#[derive(Default)]
pub(super) struct MapReader {
    line: Vec<u8>,
    numbers: Vec<u64>,
}

impl MapReader {
    /// Takes a block of the map. True when it was the last.
    pub(super) fn take(&mut self, block: &[u8; BLOCK]) -> Result<bool, TarErrorKind> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                // No number has more digits.
                if self.line.len() > 20 {
                    return Err(TarErrorKind::Number("map of holes"));
                }
                continue;
            }
            let number = decimal(&std::mem::take(&mut self.line))?;
            self.numbers.push(number);
            let limit = MAX_PIECES as u64;
            if self.numbers[0] > limit {
                return Err(TarErrorKind::TooLong { what: "map of holes", size: self.numbers[0], limit });
            }
            if self.numbers.len() as u64 == 1 + 2 * self.numbers[0] {
                // The rest of the block is padding.
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn pieces(&self) -> Vec<Piece> {
        let pairs = self.numbers.get(1..).unwrap_or_default().chunks_exact(2);
        pairs.map(|pair| Piece { offset: pair[0], length: pair[1] }).collect()
    }
}

/// Reads a file with its holes as zeros, out of its stored pieces.
#[derive(Debug)]
pub struct Expanded<R> {
    stored: R,
    pieces: Vec<Piece>,
    next: usize,
    position: u64,
    size: u64,
}

impl<R: Read> Expanded<R> {
    /// A file of `size` bytes whose `pieces` stand one after another in `stored`.
    pub(super) fn new(stored: R, pieces: Vec<Piece>, size: u64) -> Self {
        Expanded { stored, pieces, next: 0, position: 0, size }
    }
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pieces.get(self.next).is_some_and(|piece| piece.offset + piece.length <= self.position) {
            self.next += 1;
        }
        let most = |end: u64| usize::try_from(end - self.position).unwrap_or(usize::MAX).min(buffer.len());
        let count = match self.pieces.get(self.next) {
            Some(piece) if piece.offset <= self.position => {
                let count = most(piece.offset + piece.length);
                let count = self.stored.read(&mut buffer[..count])?;
                if count == 0 && !buffer.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                count
            }
            gap => {
                let count = most(gap.map_or(self.size, |piece| piece.offset));
                buffer[..count].fill(0);
                count
            }
        };
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_must_stand_in_order_and_in_the_file() {
        let pieces = |list: &[(u64, u64)]| -> Vec<Piece> {
            list.iter().map(|(offset, length)| Piece { offset: *offset, length: *length }).collect()
        };
        for (list, size, stored, good) in [
            (&[(0, 2), (4, 1), (9, 0)][..], 9, 3, true),
            (&[], 9, 0, true),
            (&[(0, 2), (1, 1)], 9, 3, false),
            (&[(8, 2)], 9, 2, false),
            (&[(0, 2)], 9, 3, false),
            (&[(u64::MAX, 2)], u64::MAX, 2, false),
        ] {
            assert_eq!(check(&pieces(list), size, stored).is_ok(), good, "{list:?}");
        }
        assert_eq!(parse_list(b"0,2,4,1").unwrap(), pieces(&[(0, 2), (4, 1)]));
        for bad in [&b"0"[..], b"0,-1", b"0,x", b"0,99999999999999999999999"] {
            assert!(parse_list(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn holes_are_zeros() {
        let pieces = parse_list(b"1,2,5,1,9,0").unwrap();
        let mut all = Vec::new();
        Expanded::new(&b"abc"[..], pieces.clone(), 9).read_to_end(&mut all).unwrap();
        assert_eq!(all, b"\0ab\0\0c\0\0\0");
        let error = Expanded::new(&b"ab"[..], pieces, 9).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
