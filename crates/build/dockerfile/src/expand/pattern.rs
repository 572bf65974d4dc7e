//! The patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and escapes.
//!
//! BuildKit turns them into regular expressions of Go's `regexp`, so what they match is what such an expression matches; the
//! same is done here, with an engine that is linear in the value too. Brackets have no meaning.

use regex_lite::{Captures, Regex};

use super::ExpandErrorKind;

/// `value` without the shortest (or longest) start that `pattern` matches.
pub(super) fn trim_prefix(pattern: &str, value: &str, longest: bool) -> Result<String, ExpandErrorKind> {
    let expression = compile(pattern, longest, true)?;
    Ok(match expression.find(value) {
        Some(found) => value[found.end()..].to_owned(),
        None => value.to_owned(),
    })
}

/// `value` without the shortest (or longest) end that `pattern` matches. Both are turned round, since an expression finds what
/// is leftmost.
pub(super) fn trim_suffix(pattern: &str, value: &str, longest: bool) -> Result<String, ExpandErrorKind> {
    let reversed: String = value.chars().rev().collect();
    let trimmed = trim_prefix(&reverse_pattern(pattern), &reversed, longest)?;
    Ok(trimmed.chars().rev().collect())
}

/// `value` with the first (or each) match of `pattern` replaced.
pub(super) fn replace(
    pattern: &str,
    replacement: &str,
    value: &str,
    every: bool,
) -> Result<String, ExpandErrorKind> {
    let expression = compile(pattern, true, false)?;
    if every {
        let replaced =
            expression.replace_all(value, |captures: &Captures<'_>| template(replacement, &captures[0]));
        return Ok(replaced.into_owned());
    }
    Ok(match expression.find(value) {
        Some(found) => format!("{}{replacement}{}", &value[..found.start()], &value[found.end()..]),
        None => value.to_owned(),
    })
}

fn compile(pattern: &str, longest: bool, anchored: bool) -> Result<Regex, ExpandErrorKind> {
    let invalid = |reason: String| ExpandErrorKind::InvalidPattern { pattern: pattern.to_owned(), reason };
    let mut expression = String::with_capacity(pattern.len() + 4);
    if anchored {
        expression.push('^');
    }
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' => expression.push_str(if longest { ".*" } else { ".*?" }),
            '?' => expression.push('.'),
            '\\' => match characters.peek() {
                // Escaped only because they would have ended the substitution.
                Some('}' | '/') => {}
                Some('*' | '?' | '\\') => {
                    expression.push('\\');
                    expression.extend(characters.next());
                }
                Some(other) => return Err(invalid(format!("invalid escape \\{other}"))),
                None => return Err(invalid("the escape at its end escapes nothing".to_owned())),
            },
            '[' | ']' | '{' | '}' | '.' | '+' | '(' | ')' | '|' | '^' | '$' => {
                expression.push('\\');
                expression.push(character);
            }
            other => expression.push(other),
        }
    }
    Regex::new(&expression).map_err(|error| invalid(error.to_string()))
}

/// The pattern from its end to its start, escapes staying before what they escape.
fn reverse_pattern(pattern: &str) -> String {
    let mut units: Vec<(Option<char>, char)> = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match (character, (character == '\\').then(|| characters.next()).flatten()) {
            (escape, Some(escaped)) => units.push((Some(escape), escaped)),
            (character, None) => units.push((None, character)),
        }
    }
    units.into_iter().rev().flat_map(|(escape, character)| escape.into_iter().chain([character])).collect()
}

/// What Go's `Regexp.Expand` makes of a replacement for an expression without groups: `$0` is the match, every other `$name` and
/// `${name}` is nothing, `$$` is a dollar sign, and a dollar sign before anything else stays.
fn template(replacement: &str, matched: &str) -> String {
    let mut output = String::new();
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('$') {
        output.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            output.push('$');
            rest = after;
            continue;
        }
        let (braces, inner) = after.strip_prefix('{').map_or((false, after), |inner| (true, inner));
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        let name = &inner[..inner.find(|character| !is_name(character)).unwrap_or(inner.len())];
        let after_name = &inner[name.len()..];
        let end = if braces { after_name.strip_prefix('}') } else { Some(after_name) };
        match end {
            Some(end) if !name.is_empty() => {
                if name.parse() == Ok(0u32) {
                    output.push_str(matched);
                }
                rest = end;
            }
            _ => {
                output.push('$');
                rest = after;
            }
        }
    }
    output.push_str(rest);
    output
}
