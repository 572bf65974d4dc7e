//! Module paths: their form in proxies and caches, their major versions, and the patterns of GOPRIVATE.
//!
//! Source: <https://go.dev/ref/mod#goproxy-protocol>, `golang.org/x/mod/module`.

use crate::error::Problem;

/// A module path or version in the form that proxies and the module cache use: each capital letter becomes `!` and its small
/// one, so that file systems that do not tell them apart cannot mix up two modules. None if the text holds `!` or a character
/// outside ASCII, which no module path has.
pub fn escape(text: &str) -> Option<String> {
    let mut escaped = String::with_capacity(text.len() + 4);
    for character in text.chars() {
        match character {
            'A'..='Z' => escaped.extend(['!', character.to_ascii_lowercase()]),
            '!' => return None,
            _ if character.is_ascii() => escaped.push(character),
            _ => return None,
        }
    }
    Some(escaped)
}

/// The text that [`escape`] made `escaped` of. None if nothing escapes to it.
pub fn unescape(escaped: &str) -> Option<String> {
    let mut text = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        match character {
            '!' => match characters.next() {
                Some(letter @ 'a'..='z') => text.push(letter.to_ascii_uppercase()),
                _ => return None,
            },
            'A'..='Z' => return None,
            _ if character.is_ascii() => text.push(character),
            _ => return None,
        }
    }
    Some(text)
}

/// Splits a module path into what comes before its major version and the version with its separator: `/v2`, or `.v3` under
/// gopkg.in; empty for v0 and v1. None if the suffix is malformed: `/v1`, `/v02`, `/v2.1`, or none at all under gopkg.in.
pub fn split_major(path: &str) -> Option<(&str, &str)> {
    if path.starts_with("gopkg.in/") {
        let end = path.strip_suffix("-unstable").unwrap_or(path);
        let front = end.trim_end_matches(|character: char| character.is_ascii_digit());
        let digits = &end[front.len()..];
        let prefix = front.strip_suffix(".v")?;
        let malformed = digits.is_empty() || (digits.starts_with('0') && digits != "0");
        return (!malformed).then(|| (prefix, &path[prefix.len()..]));
    }
    let front = path.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    let digits = &path[front.len()..];
    let Some(prefix) = front.strip_suffix("/v").filter(|_| !digits.is_empty()) else {
        return Some((path, ""));
    };
    let malformed = digits.contains('.') || digits.starts_with('0') || digits == "1";
    (!malformed).then(|| (prefix, &path[prefix.len()..]))
}

/// The major version of a semantic version: `v2` of `v2.3.4`. None if it is none.
fn major(version: &str) -> Option<&str> {
    let digits = version.strip_prefix('v')?;
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    let whole = end > 0 && (end == digits.len() || matches!(digits.as_bytes()[end], b'.' | b'-' | b'+'));
    whole.then(|| &version[..=end])
}

/// Checks that a version may belong to a path: v2 and later stand in the path. Versions that are no semantic versions, such as
/// branches, pass.
pub(crate) fn check_major(path: &str, version: &str) -> Result<(), Problem> {
    let (_, suffix) = split_major(path).ok_or_else(|| Problem::PathSuffix(path.to_owned()))?;
    let suffix = suffix.strip_suffix("-unstable").unwrap_or(suffix);
    let Some(major) = major(version) else { return Ok(()) };
    let fits = if suffix.is_empty() {
        matches!(major, "v0" | "v1") || version.ends_with("+incompatible")
    } else {
        // An old bug gave v0 pseudo-versions to gopkg.in's v1; they are still in use.
        major == &suffix[1..] || (suffix == ".v1" && version.starts_with("v0.0.0-"))
    };
    if fits {
        return Ok(());
    }
    let wanted = if suffix.is_empty() { "v0 or v1" } else { &suffix[1..] };
    Err(Problem::MajorMismatch {
        path: path.to_owned(),
        version: version.to_owned(),
        wanted: wanted.to_owned(),
        major: major.to_owned(),
    })
}

/// Whether a replacement or an argument means a folder: it is rooted or starts with `./` or `../`. Windows' forms count too,
/// since go.mod files travel.
pub fn is_folder(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(text, "." | "..")
        || ["./", "../", "/", ".\\", "..\\", "\\"].iter().any(|prefix| text.starts_with(prefix))
        || (bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':')
}

/// Whether a module path matches a comma-separated list of patterns, the form of GOPRIVATE, GONOPROXY and GONOSUMDB. A pattern
/// of N elements is held against the first N elements of the path; `*`, `?` and `[…]` match within an element.
pub fn matches_patterns(patterns: &str, path: &str) -> bool {
    patterns.split(',').map(|pattern| pattern.strip_suffix('/').unwrap_or(pattern)).any(|pattern| {
        let slashes = pattern.matches('/').count();
        let prefix = match path.match_indices('/').nth(slashes) {
            Some((end, _)) => &path[..end],
            None => path,
        };
        !pattern.is_empty() && prefix.matches('/').count() == slashes && glob_matches(pattern, prefix)
    })
}

/// Go's `path.Match`: `*` is any run of characters but `/`, `?` one of them, `[a-z]` and `[^a-z]` classes, `\` takes the next
/// character as it is. A malformed pattern matches nothing.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to resume after the latest star: since a star crosses no slash, only the latest one needs retrying.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
            continue;
        }
        if p == pattern.len() && n == name.len() {
            return true;
        }
        let step = match name.get(n) {
            Some(&character) if p < pattern.len() => match_one(&pattern[p..], character),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((after, from))) if from < name.len() && name[from] != '/' => {
                star = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// Holds one character against the front of a pattern; how much of the pattern it used, if it matches.
fn match_one(pattern: &[char], character: char) -> Option<usize> {
    match pattern[0] {
        '?' => (character != '/').then_some(1),
        '\\' => (*pattern.get(1)? == character).then_some(2),
        '[' => {
            let negated = pattern.get(1) == Some(&'^');
            let mut at = if negated { 2 } else { 1 };
            let start = at;
            let mut inside = false;
            while *pattern.get(at)? != ']' || at == start {
                let low = class_character(pattern, &mut at)?;
                let mut high = low;
                if pattern.get(at) == Some(&'-') {
                    at += 1;
                    high = class_character(pattern, &mut at)?;
                }
                inside |= (low..=high).contains(&character);
            }
            (inside != negated).then_some(at + 1)
        }
        literal => (literal == character).then_some(1),
    }
}

fn class_character(pattern: &[char], at: &mut usize) -> Option<char> {
    let mut character = *pattern.get(*at)?;
    if matches!(character, '-' | ']') {
        return None;
    }
    if character == '\\' {
        *at += 1;
        character = *pattern.get(*at)?;
    }
    *at += 1;
    Some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_escaped_and_come_back() {
        let table = [
            ("github.com/Azure/azure-sdk", Some("github.com/!azure/azure-sdk")),
            ("github.com/BurntSushi/toml", Some("github.com/!burnt!sushi/toml")),
            ("v1.0.0-RC1", Some("v1.0.0-!r!c1")),
            ("example.com/a!b", None),
            ("example.com/é", None),
        ];
        for (path, escaped) in table {
            assert_eq!(escape(path).as_deref(), escaped, "{path}");
            if let Some(escaped) = escaped {
                assert_eq!(unescape(escaped).as_deref(), Some(path));
            }
        }
        for text in ["A", "a!", "a!B", "a!é", "é"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn major_versions_are_split_off() {
        let table = [
            ("example.com/a", Some(("example.com/a", ""))),
            ("example.com/a/v2", Some(("example.com/a", "/v2"))),
            ("example.com/a/v22", Some(("example.com/a", "/v22"))),
            ("example.com/a/v1", None),
            ("example.com/a/v0", None),
            ("example.com/a/v02", None),
            ("example.com/a/v2.1", None),
            ("example.com/av2", Some(("example.com/av2", ""))),
            ("example.com/a/v", Some(("example.com/a/v", ""))),
            ("gopkg.in/yaml.v3", Some(("gopkg.in/yaml", ".v3"))),
            ("gopkg.in/x.v0", Some(("gopkg.in/x", ".v0"))),
            ("gopkg.in/x.v2-unstable", Some(("gopkg.in/x", ".v2-unstable"))),
            ("gopkg.in/yaml", None),
        ];
        for (path, expected) in table {
            assert_eq!(split_major(path), expected, "{path}");
        }
    }

    #[test]
    fn versions_must_fit_their_path() {
        let table = [
            ("example.com/a", "v1.2.3", true),
            ("example.com/a", "v2.0.0", false),
            ("example.com/a", "v2.0.0+incompatible", true),
            ("example.com/a/v2", "v2.1.0", true),
            ("example.com/a/v2", "v1.1.0", false),
            ("gopkg.in/check.v1", "v0.0.0-20161208181325-20d25e280405", true),
            ("gopkg.in/yaml.v2", "v3.0.0", false),
            ("example.com/a", "master", true),
            ("example.com/a", "v2beta", true),
        ];
        for (path, version, fits) in table {
            assert_eq!(check_major(path, version).is_ok(), fits, "{path} {version}");
        }
    }

    /// `module.MatchPrefixPatterns` and `path.Match` answered these.
    #[test]
    fn private_patterns_match_leading_elements() {
        let table = [
            ("*/quote", "rsc.io/quote", true),
            ("*/quo*", "rsc.io/quote", true),
            ("*/quo??", "rsc.io/quote", true),
            ("*/*", "rsc.io/quote", true),
            ("*", "rsc.io/quote", true),
            ("rsc.io", "rsc.io/quote", true),
            ("*/quote,foo", "rsc.io/quote/v3", true),
            ("rsc.io/quote/v3/x", "rsc.io/quote/v3", false),
            ("*.corp.example,", "git.corp.example/team/app", true),
            ("corp.example/", "corp.example/app", true),
            ("corp.exampl", "corp.example/app", false),
            (",,", "corp.example/app", false),
            ("[a-d]orp.example", "corp.example/app", true),
            ("[^a-b]orp.example", "corp.example/app", true),
            ("[", "corp.example/app", false),
            ("a*b*c", "axbxbxc/d", true),
            ("a*/c", "ab/x/c", false),
            ("\\*", "*", true),
            ("", "x", false),
        ];
        for (patterns, path, expected) in table {
            assert_eq!(matches_patterns(patterns, path), expected, "{patterns} {path}");
        }
    }

    #[test]
    fn folders_are_told_from_modules() {
        for (text, folder) in [
            ("./a", true),
            ("..", true),
            ("/a", true),
            ("C:\\a", true),
            ("a/b", false),
            (".a", false),
            ("", false),
        ] {
            assert_eq!(is_folder(text), folder, "{text}");
        }
    }
}
