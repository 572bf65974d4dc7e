//! The kernel's error numbers, in words. Both architectures have the same numbers (Linux: `include/uapi/asm-generic/errno.h`).
//!
//! System calls answer with a number of their own or, if they fail, with an error's number, negated.

use crate::text;

pub(crate) const NOENT: isize = -2;
pub(crate) const INTR: isize = -4;
pub(crate) const NOEXEC: isize = -8;
pub(crate) const ACCES: isize = -13;
pub(crate) const NOTDIR: isize = -20;
pub(crate) const CONNREFUSED: isize = -111;

/// The errors that a user can do something about; each is its number as a byte, and its words, as they stand behind what failed.
const WORDS: &[u8] = b"\0~\x01: not permitted~\x02: no such file~\x04: time is over~\x08: not a program~\x0d: permission denied~\
    \x65: network unreachable~\x68: connection reset~\x6e: no answer~\
    \x6f: connection refused~\x71: no route to host";

/// An error in words, with a colon before them. Nothing for 0, and something for those that are not expected.
pub(crate) fn words(error: isize) -> &'static [u8] {
    let mut rest = WORDS;
    loop {
        let (entry, after) = text::cut(rest, b'~');
        match entry {
            [number, words @ ..] if isize::from(*number) == -error => return words,
            _ => {}
        }
        match after {
            Some(after) => rest = after,
            None => return b": system error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_words() {
        let cases: [(isize, &[u8]); 6] = [
            (0, b""),
            (-1, b": not permitted"),
            (NOEXEC, b": not a program"),
            (CONNREFUSED, b": connection refused"),
            (-113, b": no route to host"),
            (-133, b": system error"),
        ];
        for (error, expected) in cases {
            assert_eq!(words(error), expected, "{error}");
        }
    }
}
