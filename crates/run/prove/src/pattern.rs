//! Regular expressions as Go's `regexp` reads them (RE2: github.com/google/re2/wiki/Syntax), matched by the `regex` crate.
//!
//! Both are of the same family, and differ in details that tests of images are full of: Go takes a `{` that begins no count as itself (JSON!), a `[` in a
//! class too, knows `\Q…\E`, and means ASCII by `\d`, `\w`, `\s` and `\b`. So a pattern is rewritten before it is compiled. Not covered: a class
//! whose range is built with an escaped class at one end, which both refuse, each in its own words.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

/// A compiled expression. A match anywhere in the text counts.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// A text that is no regular expression.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {reason}")]
pub struct PatternError {
    /// As it was written.
    pub pattern: String,
    /// Why not.
    pub reason: String,
}

impl Pattern {
    /// Compiles a pattern in Go's syntax. Errors: it is none, or would take too much memory.
    pub fn new(pattern: &str) -> Result<Pattern, PatternError> {
        let compiled = RegexBuilder::new(&translate(pattern)).octal(true).size_limit(10 << 20).build();
        compiled.map(Pattern).map_err(|error| {
            let reason = match &error {
                // The message quotes the rewritten pattern over several lines; its last one is the reason.
                regex::Error::Syntax(text) => text.lines().last().unwrap_or_default(),
                regex::Error::CompiledTooBig(_) => "it is too large",
                _ => "it is not understood",
            };
            let reason = reason.trim().trim_start_matches("error: ").to_owned();
            PatternError { pattern: pattern.to_owned(), reason }
        })
    }

    /// Whether it matches somewhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The pattern in the `regex` crate's syntax.
fn translate(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut class = Class::Outside;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\\' => escape(rest, &class, &mut text),
            '[' if class == Class::Outside => {
                let negated = rest[1..].starts_with('^');
                text.push_str(if negated { "[^" } else { "[" });
                let opening = if negated { 2 } else { 1 };
                // A `]` at the beginning stands for itself, in both.
                let literal = rest[opening..].starts_with(']');
                if literal {
                    text.push_str("\\]");
                }
                class = Class::Inside;
                opening + usize::from(literal)
            }
            '[' => match rest.starts_with("[:").then(|| rest.find(":]")).flatten() {
                Some(end) => {
                    text.push_str(&rest[..end + 2]);
                    end + 2
                }
                None => {
                    text.push_str("\\[");
                    1
                }
            },
            ']' if class == Class::Inside => {
                class = Class::Outside;
                text.push(']');
                1
            }
            '&' | '~' if class == Class::Inside => {
                let _ = write!(text, "\\{first}");
                1
            }
            '{' if class == Class::Outside && !is_count(rest) => {
                text.push_str("\\{");
                1
            }
            other => {
                text.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    text
}

#[derive(PartialEq)]
enum Class {
    Outside,
    Inside,
}

/// Translates what begins with a backslash, and says how many bytes that was.
fn escape(rest: &str, class: &Class, text: &mut String) -> usize {
    let outside = *class == Class::Outside;
    let Some(next) = rest[1..].chars().next() else {
        text.push('\\');
        return 1;
    };
    let ascii = |inside: &str| if outside { format!("[{inside}]") } else { inside.to_owned() };
    match next {
        'd' => text.push_str(&ascii("0-9")),
        'w' => text.push_str(&ascii("0-9A-Za-z_")),
        's' => text.push_str(&ascii("\\t\\n\\f\\r ")),
        'D' => text.push_str("[^0-9]"),
        'W' => text.push_str("[^0-9A-Za-z_]"),
        'S' => text.push_str("[^\\t\\n\\f\\r ]"),
        'b' if outside => text.push_str("(?-u:\\b)"),
        'B' if outside => text.push_str("(?-u:\\B)"),
        'Q' if outside => {
            let quoted = &rest[2..];
            let end = quoted.find("\\E");
            text.push_str(&regex::escape(&quoted[..end.unwrap_or(quoted.len())]));
            return 2 + end.map_or(quoted.len(), |end| end + 2);
        }
        // A class or character by name: its braces are no count.
        'p' | 'P' | 'x' if rest[2..].starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            text.push_str(&rest[..end]);
            return end;
        }
        // In the other syntax these are the beginning and the end of a word.
        '<' | '>' => text.push(next),
        _ => {
            text.push('\\');
            text.push(next);
        }
    }
    1 + next.len_utf8()
}

/// Whether a text begins with `{n}`, `{n,}` or `{n,m}`.
fn is_count(text: &str) -> bool {
    let Some(end) = text.find('}') else { return false };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    match text[1..end].split_once(',') {
        Some((least, most)) => !least.is_empty() && digits(least) && digits(most),
        None => end > 1 && digits(&text[1..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            (r"v\d+\.\d+", "tool v1.24", true),
            (r"^\d$", "٣", false),
            (r"^\w+$", "größe", false),
            (r#"{"status":"ok"}"#, r#"{"status":"ok"}"#, true),
            ("a{2,3}b", "xaab", true),
            ("a{,3}", "a{,3}", true),
            ("x{", "x{", true),
            (r"\Qa.b*\E+", "a.b**", true),
            (r"\Qa.b", "a.b", true),
            ("[[]x[]]", "[x]", true),
            ("[]a]+$", "]a", true),
            ("[^]a]", "]a", false),
            ("[a&&b]", "&", true),
            (r"[\d\s]+x", "1 2x", true),
            (r"[^\d]", "12", false),
            ("[[:alpha:]]+", "abc", true),
            (r"\bfoo\b", "a foo b", true),
            (r"\<foo\>", "<foo>", true),
            (r"\x41\101", "AA", true),
            (r"\x{41}", "A", true),
            (r"\pL\p{Greek}", "aλ", true),
            ("(?i)ÄRGER", "ärger", true),
            ("(?P<name>x)", "x", true),
            ("(?s)a.b", "a\nb", true),
            ("a.b", "a\nb", false),
            ("a$", "a\nb", false),
            ("", "anything", true),
        ] {
            let compiled = Pattern::new(pattern).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(compiled.is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said_so() {
        for (pattern, reason) in
            [("(a", "unclosed group"), ("*a", "repetition"), ("[a", "unclosed"), ("a\\", "")]
        {
            let error = Pattern::new(pattern).map(|_| ()).expect_err(pattern);
            assert_eq!(error.pattern, pattern);
            assert!(error.reason.contains(reason), "{pattern}: {}", error.reason);
        }
    }
}
