//! Values as Go prints them: histories of images hold them.

use std::fmt::Write;

/// `%q` of a list of strings: `["a" "b"]`.
pub(crate) fn quoted_list(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(" "))
}

/// `%q` of a string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            // Writing to a string cannot fail.
            character if (character as u32) < 0x20 || character == '\u{7f}' => {
                let _ = write!(quoted, "\\x{:02x}", character as u32);
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A duration in nanoseconds, as Go writes one: `1m30s`, `1.5s`, `250ms`.
pub(crate) fn seconds(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let rest = nanoseconds.unsigned_abs();
    if rest == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if rest < size * 1_000 && size < 1_000_000_000 {
            return format!("{sign}{}{unit}", decimal(rest, size));
        }
    }
    let whole = rest / 1_000_000_000;
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    let left = decimal(rest - (hours * 3600 + minutes * 60) * 1_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{left}s"),
        (0, minutes) => format!("{sign}{minutes}m{left}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{left}s"),
    }
}

/// `number / size`, without zeros at the end.
fn decimal(number: u64, size: u64) -> String {
    let (whole, fraction) = (number / size, number % size);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = size.ilog10() as usize;
    format!("{whole}.{fraction:0digits$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_durations_look_as_go_prints_them() {
        let words = ["/bin/sh", "-c", "echo \"a\\b\"\t$x\u{1}é"].map(str::to_owned);
        assert_eq!(quoted_list(&words), r#"["/bin/sh" "-c" "echo \"a\\b\"\t$x\x01é"]"#);
        assert_eq!(quoted_list(&[]), "[]");
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_001_000_000, "1h1m1.001s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(seconds(nanoseconds), expected);
        }
    }
}
