//! Words with a unit, and commands in one string, as the programs that read these files take them.

use std::time::Duration;

/// A duration as Compose takes it: Go's units, and `d` and `w`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration, such as 30s or 1m30s".to_owned();
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let amount: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return Err(wrong()),
        };
        seconds += amount * unit;
        rest = &rest[end..];
    }
    // Engines keep nanoseconds in an i64.
    match text.is_empty() || seconds > 9.2e9 {
        true => Err(wrong()),
        false => Duration::try_from_secs_f64(seconds).map_err(|_| wrong()),
    }
}

/// Bytes with Docker's units, each 1024 times the one before: `64m`, `1.5g`, `512KiB`, `1073741824`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "expected bytes, such as 64m or 1g".to_owned();
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let amount: f64 = lower[..end].parse().map_err(|_| wrong())?;
    let unit = lower[end..].trim_start();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    let bytes = amount * 1024_f64.powi(power);
    whole(bytes).ok_or_else(|| "it is more than any machine has".to_owned())
}

/// A number without what stands after the point, if it is none that a machine counts to.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
fn whole(number: f64) -> Option<u64> {
    (0.0..9.2e18).contains(&number).then_some(number as u64)
}

/// A number of processors, in thousandths.
pub(crate) fn processors(text: &str) -> Result<u64, String> {
    let count = text.parse::<f64>().ok().filter(|count| (0.0..1e6).contains(count));
    let count = count.and_then(|count| whole((count * 1000.0).round()));
    count.ok_or_else(|| "expected a number of processors, such as 1.5".to_owned())
}

/// A Kubernetes quantity in thousandths: `500m`, `1`, `1.5`, `2k`, `512Mi`, `1e3`.
///
/// Source: apimachinery, pkg/api/resource, Quantity: a decimal number, then a binary unit, a decimal one, or an exponent. What lies between two
/// thousandths is rounded up.
pub(crate) fn thousandths(text: &str) -> Result<u128, String> {
    let wrong = || "expected a quantity, such as 500m, 1.5 or 512Mi".to_owned();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') || whole.len() > 18 || part.len() > 18 {
        return Err(wrong());
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).map_err(|_| wrong())?);
    let value = format!("{whole}{part}").parse::<u128>().map_err(|_| wrong())?;
    let (up, down): (u128, u128) = match unit {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        "Pi" => (1_000 << 50, 1),
        "Ei" => (1_000 << 60, 1),
        _ => {
            let exponent = unit.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i32>().ok());
            let exponent = exponent.filter(|exponent| (-18..=18).contains(exponent)).ok_or_else(wrong)?;
            let power = 10_u128.pow(exponent.unsigned_abs());
            if exponent < 0 { (1_000, power) } else { (1_000 * power, 1) }
        }
    };
    let product = value.checked_mul(up).ok_or_else(wrong)?;
    Ok(product.div_ceil(scale * down))
}

/// The words of a command in one string, as Compose takes it apart: quotes and backslashes, no variables.
///
/// Source: compose-go's `shellwords`, which is mattn/go-shellwords without environment and backticks.
pub(crate) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_word, mut is_escaped, mut quote) = (false, false, None);
    for c in text.chars() {
        if is_escaped {
            word.push(c);
            (is_escaped, is_word) = (false, true);
            continue;
        }
        match (c, quote) {
            ('\\', None | Some('"')) => is_escaped = true,
            (' ' | '\t' | '\r' | '\n', None) => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            ('"' | '\'', None) => (quote, is_word) = (Some(c), true),
            (c, Some(open)) if c == open => quote = None,
            (c, _) => {
                word.push(c);
                is_word = true;
            }
        }
    }
    if is_escaped || quote.is_some() {
        return Err("a quote or an escape is not closed".to_owned());
    }
    if is_word {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_docker_s() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("100ms", Some(100)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text).ok().map(|found| found.as_millis()), expected, "{text}");
        }
        for (text, expected) in [
            ("64m", Some(64 << 20)),
            ("1G", Some(1 << 30)),
            ("1.5g", Some(3 << 29)),
            ("512KiB", Some(512 << 10)),
            ("10 MB", Some(10 << 20)),
            ("1024", Some(1024)),
            ("0.5", Some(0)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-1", None),
            ("9999999p", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn quantities_are_kubernetes_s() {
        for (text, expected) in [
            ("500m", Some(500)),
            ("1", Some(1_000)),
            ("0.1", Some(100)),
            (".5", Some(500)),
            ("1.", Some(1_000)),
            ("512Mi", Some((512 << 20) * 1_000)),
            ("1.5Gi", Some((3 << 29) * 1_000)),
            ("1G", Some(1_000_000_000_000)),
            ("1e3", Some(1_000_000)),
            ("1E2", Some(100_000)),
            ("1e-3", Some(1)),
            ("1n", Some(1)),
            ("100u", Some(1)),
            ("", None),
            ("Mi", None),
            ("1mi", None),
            ("1.2.3", None),
            ("1 Gi", None),
            ("-1", None),
            ("1KB", None),
        ] {
            assert_eq!(thousandths(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn commands_are_taken_apart() {
        let read = |text: &str| words(text).ok();
        let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read("/server --port 8080"), list(&["/server", "--port", "8080"]));
        assert_eq!(read("sh -c \"echo 'a b'\" ''"), list(&["sh", "-c", "echo 'a b'", ""]));
        assert_eq!(read("a\\ b 'c\\d' \"e\\\"f\""), list(&["a b", "c\\d", "e\"f"]));
        assert_eq!(read("  "), list(&[]));
        assert_eq!(read("'open"), None);
        assert_eq!(read("open\\"), None);
    }
}
