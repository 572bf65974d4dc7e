//! Parser directives: `# syntax=`, `# escape=` and `# check=` at the top of a file.
//!
//! As BuildKit's parser/directives.go has it: the first line that is not a known directive ends them, be it a comment, a blank
//! line or a directive nobody knows. `syntax` may also be found after a `#!` line, in a `//` comment, or in a file that is a JSON
//! object, since other frontends read other languages.

use crate::instruction::Word;
use crate::json::Json;
use crate::source::{self, LogicalLine};
use crate::{Diagnostic, Span};

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name, in lower case.
    pub name: Word,
    /// Its value.
    pub value: Word,
    /// Number of its line, from 1.
    pub line: usize,
    /// Where the line's text stands.
    pub span: Span,
}

/// Names of the directives, all of them.
pub const NAMES: [&str; 3] = ["syntax", "escape", "check"];

/// Reads one line as a directive. `span` is where it stands, without its end and, where the caller allows it, its indent.
pub(crate) fn read(source: &[u8], span: &Span, line: usize, comment: &str) -> Option<Directive> {
    let mut text = LogicalLine::default();
    text.push(source, span);
    let after = text.text.strip_prefix(comment)?;
    let start = text.text.len() - after.trim_start().len();
    let rest = &text.text[start..];
    let (name, value) = rest.split_once('=')?;
    // The pattern of upstream takes ASCII blanks around the sign and at the end, and none of the exotic ones.
    let blank = |character: char| matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0c');
    let name = name.trim_end_matches(blank);
    // Blanks alone are a value too: the last of them.
    let value = match value.trim_start_matches(blank) {
        "" => &value[value.len().saturating_sub(1)..],
        trimmed => trimmed,
    };
    let value_start = text.text.len() - value.len();
    let value = if value.len() > 1 { value.trim_end_matches(blank) } else { value };
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric());
    let lower = name.to_ascii_lowercase();
    if !is_name || value.is_empty() || !NAMES.contains(&lower.as_str()) {
        return None;
    }
    Some(Directive {
        name: Word { text: lower, span: text.span(&(start..start + name.len())) },
        value: text.word(&(value_start..value_start + value.len())),
        line,
        span: span.clone(),
    })
}

/// Finds the frontend that a file asks for, in any of the ways BuildKit knows. The frontend's name is the value up to the first
/// blank: [`Directive::value`] may hold arguments too.
pub fn detect_syntax(source: &[u8]) -> Option<Directive> {
    find(source, "syntax", "#").or_else(|| find(source, "syntax", "//")).or_else(|| in_json(source))
}

/// Finds the value of `# check=`, after a `#!` line too.
pub fn detect_check(source: &[u8]) -> Option<Directive> {
    find(source, "check", "#")
}

fn find(source: &[u8], name: &str, comment: &str) -> Option<Directive> {
    let mut seen = Vec::new();
    for (index, line) in source::lines(source).iter().enumerate() {
        let mut span = line.clone();
        if index == 0 {
            if source.starts_with(source::BYTE_ORDER_MARK) {
                span.start += source::BYTE_ORDER_MARK.len();
            }
            if source[span.clone()].starts_with(b"#!") {
                continue;
            }
        }
        let directive = read(source, &source::without_end(source, &span), index + 1, comment)?;
        if directive.name.text == name {
            return Some(directive);
        }
        // One that stands twice ends the search: upstream takes what it had read until then.
        if seen.contains(&directive.name.text) {
            return None;
        }
        seen.push(directive.name.text);
    }
    None
}

fn in_json(source: &[u8]) -> Option<Directive> {
    let start = if source.starts_with(source::BYTE_ORDER_MARK) { source::BYTE_ORDER_MARK.len() } else { 0 };
    let start = match &source[start..] {
        rest if rest.starts_with(b"#!") => start + rest.iter().position(|byte| *byte == b'\n')? + 1,
        _ => start,
    };
    let text = str::from_utf8(&source[start..]).ok()?;
    let Json::Object(fields) = Json::read(text)? else { return None };
    let (_, value, range) = fields.into_iter().rev().find_map(|(name, value, range)| match value {
        Json::String(value) if name == "syntax" => Some((name, value, range)),
        _ => None,
    })?;
    let span = start + range.start..start + range.end;
    Some(Directive {
        name: Word { text: "syntax".to_owned(), span: span.clone() },
        value: Word { text: value, span: span.clone() },
        line: 1 + source[..span.start].iter().filter(|byte| **byte == b'\n').count(),
        span,
    })
}

/// What `# check=` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Rules that are not checked; `["all"]` where none is.
    pub skip: Vec<String>,
    /// Experimental rules that are checked; `["all"]` where all are.
    pub experimental: Vec<String>,
    /// Whether a finding ends the build.
    pub error: bool,
}

impl CheckOptions {
    /// Reads the value of a `check` directive: `skip=A,B;error=true`. It ends at the first blank.
    ///
    /// Errors: an option that does not exist, or an `error` that is neither true nor false.
    pub fn read(value: &Word) -> Result<Self, Diagnostic> {
        let mut options = CheckOptions::default();
        let text = value.text.split(' ').next().unwrap_or_default();
        if text.is_empty() {
            return Ok(options);
        }
        let invalid = |option: &str| {
            let message = format!("invalid check option `{}`", option.trim());
            Diagnostic::error("invalid-check", value.span.clone(), message)
        };
        let list = |text: &str| text.trim().split(',').map(|rule| rule.trim().to_owned()).collect();
        for option in text.splitn(3, ';') {
            let (name, setting) = option.split_once('=').ok_or_else(|| invalid(option))?;
            match name.trim() {
                "skip" => options.skip = list(setting),
                "experimental" => options.experimental = list(setting),
                "error" => {
                    options.error = crate::values::boolean(setting.trim()).ok_or_else(|| invalid(option))?;
                }
                other => {
                    return Err(invalid(option).with_likely(other, ["skip", "experimental", "error"]));
                }
            }
        }
        Ok(options)
    }
}
