//! Durations as Go's `time.ParseDuration` reads them: `30s`, `1m30s`, `1.5h`.

use crate::expand::shortened;

/// A millisecond, in nanoseconds.
pub const MILLISECOND: i64 = 1_000_000;

/// Units and their nanoseconds. Both letters that look like a micro sign are taken.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form `1h2m3s`, or too large.
    #[error("invalid duration `{}`", shortened(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("missing unit in duration `{}`", shortened(.0))]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("unknown unit `{}` in duration `{}`", shortened(.unit), shortened(.text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole.
        text: String,
    },
}

impl DurationError {
    /// What would mend it.
    pub fn hint(&self) -> String {
        "write it as 30s or 1m30s; the units are h, m, s, ms, us and ns".to_owned()
    }
}

/// Reads a duration, in nanoseconds.
///
/// Errors: the text is none, or does not fit.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_end = after.find(|character: char| character == '.' || character.is_ascii_digit());
        let (unit, after) = after.split_at(unit_end.unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let (_, scale) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let value = whole.checked_mul(scale).and_then(|value| value.checked_add(part(fraction, scale)));
        let sum = value.and_then(|value| total.checked_add(value)).filter(|sum| *sum <= 1 << 63);
        total = sum.ok_or_else(invalid)?;
        rest = after;
    }
    if negative {
        return Ok(0i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

/// The nanoseconds of a fraction. Digits beyond what 63 bits hold are below a nanosecond and left out.
fn part(fraction: &str, scale: u64) -> u64 {
    let mut value: u128 = 0;
    let mut divisor: u128 = 1;
    for digit in fraction.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    u64::try_from(value * u128::from(scale) / divisor).unwrap_or(u64::MAX)
}
