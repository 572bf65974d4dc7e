//! Files of variables: `.env`, and `env_file` of a service.
//!
//! Source: the Compose specification ("env_file", ".env"), and compose-go's `dotenv`: a name, `=` or `:`, and a value, which may be in quotes
//! and may then have several lines. Values without quotes and in double quotes know variables; single quotes keep all as it stands.

use std::collections::HashMap;

use super::Variables;
use super::interpolate::expand;

/// Bytes that the values of a file may come to: a few lines that name each other can come to more than any machine holds.
const MOST_BYTES: usize = 16 << 20;

/// A variable of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `None` if it is only named, and taken over from the environment.
    pub(super) value: Option<String>,
}

/// Reads a file of variables. Errors: the byte at which what is wrong begins, and what it is.
pub(super) fn parse(text: &str, outer: Variables<'_>) -> Result<Vec<Variable>, (usize, String)> {
    let mut found: Vec<Variable> = Vec::new();
    let (mut latest, mut bytes) = (HashMap::new(), 0);
    let mut rest = text.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let here = text.len() - rest.len();
        let wrong = |reason: &str| (here, reason.to_owned());
        let statement = rest.strip_prefix("export").filter(|after| after.starts_with([' ', '\t']));
        rest = statement.map_or(rest, str::trim_start);
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"_.-[]".contains(c)).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        if name.is_empty() {
            return Err(wrong("expected NAME=VALUE"));
        }
        rest = rest[end..].trim_start_matches([' ', '\t']);
        let Some(after) = rest.strip_prefix(['=', ':']) else {
            if !rest.is_empty() && !rest.starts_with(['\n', '\r', '#']) {
                return Err(wrong("expected NAME=VALUE"));
            }
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            latest.insert(name.clone(), found.len());
            found.push(Variable { name, value: None });
            continue;
        };
        let earlier = |asked: &str| {
            let own = || found.get(*latest.get(asked)?)?.value.clone();
            outer(asked).or_else(own)
        };
        let (value, after) =
            value(after.trim_start_matches([' ', '\t']), &earlier).map_err(|reason| wrong(&reason))?;
        rest = after;
        bytes += value.len();
        if bytes > MOST_BYTES {
            return Err(wrong(&format!("the values come to over {MOST_BYTES} bytes")));
        }
        latest.insert(name.clone(), found.len());
        found.push(Variable { name, value: Some(value) });
    }
}

/// A value, and what follows it.
fn value<'t>(text: &'t str, variables: Variables<'_>) -> Result<(String, &'t str), String> {
    let quote = text.chars().next().filter(|c| *c == '"' || *c == '\'');
    let Some(quote) = quote else {
        let (line, after) = text.split_once('\n').unwrap_or((text, ""));
        let end = line.find(" #").or_else(|| line.starts_with('#').then_some(0)).unwrap_or(line.len());
        return Ok((expand(line[..end].trim(), variables)?, after));
    };
    let inner = &text[1..];
    let mut is_escaped = false;
    let end = inner.char_indices().find_map(|(at, c)| {
        if is_escaped {
            is_escaped = false;
            return None;
        }
        is_escaped = c == '\\';
        (c == quote).then_some(at)
    });
    let end = end.ok_or("the quote is not closed")?;
    let after = &inner[end + 1..];
    let (remainder, after) = after.split_once('\n').unwrap_or((after, ""));
    if !remainder.trim().is_empty() && !remainder.trim_start().starts_with('#') {
        return Err("something follows the quotes".to_owned());
    }
    let value = match quote {
        '\'' => inner[..end].replace("\\'", "'"),
        _ => expand(&unescaped(&inner[..end]), variables)?,
    };
    Ok((value, after))
}

/// The escapes of double quotes. A dollar that is escaped is doubled, so that it begins no variable.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('$') => plain.push_str("$$"),
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_variables_are_read() {
        let text = "# comment\nA=1\nexport B = two words # not this\nC='$A'\nD=\"$A\\n\\$A\"\nE\nF=\nG: yes\nH=\"a\nb\"\nI=${A}x\r\nJ=a#b\nK='it\\'s'\nL=100$\n";
        let found = parse(text, &|name| (name == "A").then(|| "outer".to_owned())).unwrap();
        let pairs: Vec<(&str, Option<&str>)> =
            found.iter().map(|one| (one.name.as_str(), one.value.as_deref())).collect();
        assert_eq!(
            pairs,
            [
                ("A", Some("1")),
                ("B", Some("two words")),
                ("C", Some("$A")),
                ("D", Some("outer\n$A")),
                ("E", None),
                ("F", Some("")),
                ("G", Some("yes")),
                ("H", Some("a\nb")),
                ("I", Some("outerx")),
                ("J", Some("a#b")),
                ("K", Some("it's")),
                ("L", Some("100$")),
            ]
        );
        for (text, at) in [("A=1\n=2", 4), ("A='x", 0), ("A B", 0), ("A='x' y", 0), ("A=${", 0)] {
            assert_eq!(parse(text, &|_| None).unwrap_err().0, at, "{text}");
        }
    }
}
