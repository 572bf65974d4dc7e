//! Sizes as docker/go-units' `RAMInBytes` reads them: `64m`, `1.5GiB`, always in powers of 1024.

use crate::expand::shortened;

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid size `{}`", shortened(.text))]
pub struct SizeError {
    /// The text.
    pub text: String,
}

/// Reads a size in bytes.
///
/// Errors: the text is none, is negative, or does not fit.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    read(text).ok_or_else(|| SizeError { text: text.to_owned() })
}

fn read(text: &str) -> Option<u64> {
    let last = text.rfind(|character: char| character.is_ascii_digit() || matches!(character, '.' | ' '))?;
    let suffix = text[last + 1..].to_ascii_lowercase();
    let number = if text.as_bytes()[last] == b' ' { &text[..last] } else { &text[..=last] };
    let number: f64 = number.parse().ok()?;
    let power = match suffix.as_str() {
        "" | "b" => 0,
        _ => {
            let (unit, rest) = suffix.split_at_checked(1)?;
            if !["", "b", "ib"].contains(&rest) {
                return None;
            }
            1 + i32::try_from("kmgtp".find(unit)?).ok()?
        }
    };
    let bytes = number * 1024f64.powi(power);
    // Beyond this, a size in bytes is no whole number any more.
    let fits = (0.0..9.0e18).contains(&bytes);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    fits.then_some(bytes as u64)
}
