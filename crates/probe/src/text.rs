//! Bytes that are put together in a fixed space: lines for people, requests for servers.

use crate::system;

/// The longest line that is written.
const LINE: usize = 400;
/// The longest part of a line that the user's own words may be, so that what is wrong with them is seen.
pub(crate) const SHOWN: usize = 200;

/// Puts parts one behind the other, as many bytes as there is space for; returns how many.
#[inline(never)]
pub(crate) fn join(space: &mut [u8], parts: &[&[u8]]) -> usize {
    let mut length = 0;
    for part in parts {
        for byte in *part {
            let Some(place) = space.get_mut(length) else { return length };
            *place = *byte;
            length += 1;
        }
    }
    length
}

/// Writes a line to stderr, at once, so that lines of several processes do not mix. What a terminal could take for a command is replaced.
#[inline(never)]
pub(crate) fn line(parts: &[&[u8]]) {
    let mut space = [0; LINE];
    let length = join(&mut space, parts).min(LINE - 1);
    for byte in &mut space {
        if *byte < b' ' || *byte > b'~' {
            *byte = b'?';
        }
    }
    if let Some(end) = space.get_mut(length) {
        *end = b'\n';
    }
    system::write(system::STDERR, first(&space, length + 1));
}

/// The first bytes of a text, so many or all. As `get`, but shorter where it is clear that there are as many.
#[expect(clippy::indexing_slicing, reason = "the end is inside")]
pub(crate) fn first(text: &[u8], count: usize) -> &[u8] {
    &text[..count.min(text.len())]
}

/// What stands behind the first bytes of a text.
#[expect(clippy::indexing_slicing, reason = "the beginning is inside")]
pub(crate) fn behind(text: &[u8], count: usize) -> &[u8] {
    &text[count.min(text.len())..]
}

/// What stands before the first of a byte, and what stands behind it; none if it is not there.
#[inline(never)]
pub(crate) fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        if *byte == at {
            return (first(text, text.len() - rest.len()), Some(after));
        }
        rest = after;
    }
    (text, None)
}

/// The place of a word in a list of words with spaces between.
#[inline(never)]
pub(crate) fn place(list: &[u8], word: &[u8]) -> Option<u8> {
    let mut place = 0;
    let mut rest = list;
    loop {
        let (known, after) = cut(rest, b' ');
        if known == word {
            return Some(place);
        }
        rest = after?;
        place += 1;
    }
}

/// A number in decimal digits.
pub(crate) struct Digits {
    space: [u8; 10],
    start: usize,
}

impl Digits {
    pub(crate) fn new(mut number: u32) -> Digits {
        let mut digits = Digits { space: [0; 10], start: 10 };
        for place in digits.space.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            digits.start -= 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        digits
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        behind(&self.space, self.start)
    }
}

/// A number in decimal digits at the beginning of a text, and what follows it. It is below ten thousand million.
#[inline(never)]
pub(crate) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = text;
    let mut value = 0;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = u64::wrapping_add(u64::wrapping_mul(value, 10), (digit - b'0').into());
        rest = after;
    }
    match text.len() - rest.len() {
        1..=10 => Some((value, rest)),
        _ => None,
    }
}

/// A number that is the whole text, and at most this.
pub(crate) fn whole_number(text: &[u8], most: u64) -> Option<u64> {
    match number(text) {
        Some((value, [])) if value <= most => Some(value),
        _ => None,
    }
}

/// A time as Go and Docker write them, in milliseconds: `500ms`, `5s`, `1m30s`. A number alone is in seconds. At most a year.
pub(crate) fn milliseconds(text: &[u8]) -> Option<u64> {
    let (mut rest, mut total) = (text, 0_u64);
    loop {
        let (value, unit) = number(rest)?;
        let (factor, after) = match unit {
            [b'm', b's', after @ ..] => (1, after),
            [b's', after @ ..] => (1000, after),
            [b'm', after @ ..] => (60_000, after),
            [b'h', after @ ..] => (3_600_000, after),
            [] if rest.len() == text.len() => (1000, unit),
            _ => return None,
        };
        total += value * factor;
        if total > 366 * 24 * 3_600_000 {
            return None;
        }
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut() {
        assert_eq!(cut(b"a=b=c", b'='), (&b"a"[..], Some(&b"b=c"[..])));
        assert_eq!(cut(b"a=", b'='), (&b"a"[..], Some(&b""[..])));
        assert_eq!(cut(b"a", b'='), (&b"a"[..], None));
        let places = [("a", Some(0)), ("bc", Some(1)), ("d", Some(2)), ("b", None), ("", None)];
        for (word, expected) in places {
            assert_eq!(place(b"a bc d", word.as_bytes()), expected, "{word}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut space = [0; 4];
        assert_eq!(join(&mut space, &[b"ab", b"", b"cde"]), 4);
        assert_eq!(&space, b"abcd");
        for number in [0, 7, 10, 4096, u32::MAX] {
            assert_eq!(Digits::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn times_are_read() {
        let cases = [
            ("500ms", Some(500)),
            ("5s", Some(5000)),
            ("5", Some(5000)),
            ("0", Some(0)),
            ("1m30s", Some(90_000)),
            ("2h", Some(7_200_000)),
            ("1h1m1s1ms", Some(3_661_001)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("5 s", None),
            ("5d", None),
            ("1s1", None),
            ("999999h", None),
            ("99999999999999999999s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(milliseconds(text.as_bytes()), expected, "{text}");
        }
    }
}
