//! What a scalar without quotes is: the readers of these files do not agree.
//!
//! Docker Compose reads with Go's yaml v3 and later: YAML 1.2's booleans, numbers in the old octal form too. Kubernetes reads with v2: `yes`,
//! `on`, `y` are booleans. Both take `1_000` for a number.

use super::Scalar;

/// Whose reading counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Docker Compose's.
    Compose,
    /// kubectl's and the API server's.
    Kubernetes,
}

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plain<'s> {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(&'s str),
}

impl Scalar {
    /// What it is to whom.
    pub fn resolve(&self, dialect: Dialect) -> Plain<'_> {
        let text = self.text.as_str();
        if !self.plain {
            return Plain::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
            "true" | "True" | "TRUE" => Plain::Boolean(true),
            "false" | "False" | "FALSE" => Plain::Boolean(false),
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::Kubernetes => {
                Plain::Boolean(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::Kubernetes => {
                Plain::Boolean(false)
            }
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Plain::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => Plain::Float(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
            _ => number(text).unwrap_or(Plain::Text(text)),
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.resolve(Dialect::Compose) == Plain::Null
    }

    /// What it is, for a sentence.
    pub fn kind(&self, dialect: Dialect) -> &'static str {
        match self.resolve(dialect) {
            Plain::Null => "nothing",
            Plain::Boolean(_) => "a boolean",
            Plain::Integer(_) | Plain::Float(_) => "a number",
            Plain::Text(_) => "a string",
        }
    }

    /// As Go writes it where a string is wanted of any value (`%v`): `1.50` is `1.5`.
    pub fn written(&self, dialect: Dialect) -> String {
        match self.resolve(dialect) {
            Plain::Null => String::new(),
            Plain::Boolean(value) => value.to_string(),
            Plain::Integer(value) => value.to_string(),
            Plain::Float(value) => float(value),
            Plain::Text(text) => text.to_owned(),
        }
    }
}

/// A number as Go's readers of YAML see one: with underscores, in the bases that Go has, and octal by a leading zero.
fn number(text: &str) -> Option<Plain<'_>> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let digits = digits.replace('_', "");
    let in_base = |base: u32, digits: &str| {
        if digits.starts_with(['+', '-']) {
            return None;
        }
        i128::from_str_radix(digits, base).ok().map(|value| Plain::Integer(sign * value))
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let found = match lower.as_deref() {
        Some("0x") => in_base(16, &digits[2..]),
        Some("0o") => in_base(8, &digits[2..]),
        Some("0b") => in_base(2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => in_base(8, &digits[1..]),
        _ => in_base(10, &digits),
    };
    // YAML's floats, which are not all that Rust would take.
    let is_float = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let float = || match is_float {
        true => digits.parse::<f64>().ok().map(|value| Plain::Float(if sign < 0 { -value } else { value })),
        false => None,
    };
    // Whole numbers that no 64 bits hold are floats there.
    found
        .filter(|found| matches!(found, Plain::Integer(value) if i64::try_from(*value).is_ok() || u64::try_from(*value).is_ok()))
        .or_else(float)
}

/// Go's shortest form: an exponent below 1e-4 and from 1e21 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_go_reads() {
        let scalar = |text: &str| Scalar { text: text.to_owned(), plain: true };
        for (text, expected) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("true", Plain::Boolean(true)),
            ("yes", Plain::Text("yes")),
            ("8080", Plain::Integer(8080)),
            ("-1", Plain::Integer(-1)),
            ("+1", Plain::Integer(1)),
            ("0755", Plain::Integer(0o755)),
            ("0o755", Plain::Integer(0o755)),
            ("0x1F", Plain::Integer(31)),
            ("0b11", Plain::Integer(3)),
            ("1_000", Plain::Integer(1000)),
            ("0899", Plain::Float(899.0)),
            ("1e3", Plain::Float(1000.0)),
            ("1.50", Plain::Float(1.5)),
            (".5", Plain::Float(0.5)),
            (".inf", Plain::Float(f64::INFINITY)),
            ("1.2.3", Plain::Text("1.2.3")),
            ("22:22", Plain::Text("22:22")),
            ("1e", Plain::Text("1e")),
            ("--1", Plain::Text("--1")),
            ("+-1", Plain::Text("+-1")),
            (".", Plain::Text(".")),
            ("0x", Plain::Text("0x")),
            ("0x-1", Plain::Text("0x-1")),
            ("infinity", Plain::Text("infinity")),
            ("2026-01-01", Plain::Text("2026-01-01")),
            ("18446744073709551615", Plain::Integer(18_446_744_073_709_551_615)),
        ] {
            assert_eq!(scalar(text).resolve(Dialect::Compose), expected, "{text}");
        }
        assert_eq!(scalar("yes").resolve(Dialect::Kubernetes), Plain::Boolean(true));
        assert_eq!(Scalar { text: "1".into(), plain: false }.resolve(Dialect::Compose), Plain::Text("1"));
    }

    #[test]
    fn numbers_become_text_as_go_writes_them() {
        for (text, expected) in [
            ("1.50", "1.5"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("1e-5", "1e-05"),
            ("0.0001", "0.0001"),
            ("123456789012345680000.5", "123456789012345680000"),
            ("0755", "493"),
            ("-0.0", "-0"),
            ("null", ""),
        ] {
            let scalar = Scalar { text: text.to_owned(), plain: true };
            assert_eq!(scalar.written(Dialect::Compose), expected, "{text}");
        }
    }
}
