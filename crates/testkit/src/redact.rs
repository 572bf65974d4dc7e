//! Takes out of an output what differs from run to run, so that the rest can be compared exactly.

use std::path::Path;

/// What to replace; digests, times and ports of loopback always, paths as they are named.
#[derive(Debug, Clone, Default)]
pub struct Redactions {
    paths: Vec<(String, String)>,
}

impl Redactions {
    /// Digests (`sha256:[DIGEST]`), durations (`[TIME]`), dates (`[DATE]`) and ports (`127.0.0.1:[PORT]`).
    #[must_use]
    pub fn new() -> Redactions {
        Redactions::default()
    }

    /// Also a path: `.path(home, "HOME")` makes `/tmp/longshore-test-x1/a` into `[HOME]/a`.
    #[must_use]
    pub fn path(mut self, path: &Path, name: &str) -> Redactions {
        self.paths.push((path.display().to_string(), format!("[{name}]")));
        // The longest first: a store in a home is the store.
        self.paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        self
    }

    /// The text without what differs.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, name) in &self.paths {
            text = text.replace(path, name);
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let at_word = !result.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let found = if at_word { redaction(rest) } else { None };
            let (length, replacement) = found.unwrap_or((first.len_utf8(), &rest[..first.len_utf8()]));
            result.push_str(replacement);
            rest = &rest[length..];
        }
        result
    }
}

/// What to put in the place of the first bytes of `text`, and of how many.
fn redaction(text: &str) -> Option<(usize, &'static str)> {
    digest(text).or_else(|| port(text)).or_else(|| date(text)).or_else(|| duration(text))
}

fn run_of(text: &str, accept: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| accept(*byte)).count()
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn digest(text: &str) -> Option<(usize, &'static str)> {
    const PREFIX: &str = "sha256:";
    if let Some(rest) = text.strip_prefix(PREFIX) {
        let length = run_of(rest, is_hex);
        return (length >= 12).then_some((PREFIX.len() + length, "sha256:[DIGEST]"));
    }
    // Digests also stand alone, as file names of blobs.
    (run_of(text, is_hex) == 64).then_some((64, "[DIGEST]"))
}

fn port(text: &str) -> Option<(usize, &'static str)> {
    let hosts =
        [("127.0.0.1:", "127.0.0.1:[PORT]"), ("localhost:", "localhost:[PORT]"), ("[::1]:", "[::1]:[PORT]")];
    hosts.iter().find_map(|(host, replacement)| {
        let digits = run_of(text.strip_prefix(host)?, |byte| byte.is_ascii_digit());
        (digits > 0).then_some((host.len() + digits, *replacement))
    })
}

/// `2026-11-24T01:02:03Z`, also with fractions and offsets, also with a space for the T.
fn date(text: &str) -> Option<(usize, &'static str)> {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let fits = bytes.len() >= shape.len()
        && shape.iter().zip(bytes).all(|(expected, byte)| match expected {
            b'd' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b' '),
            other => byte == other,
        });
    if !fits {
        return None;
    }
    let mut length = shape.len();
    if bytes.get(length) == Some(&b'.') {
        length += 1 + run_of(&text[length + 1..], |byte| byte.is_ascii_digit());
    }
    match bytes.get(length) {
        Some(b'Z') => length += 1,
        Some(b'+' | b'-') => {
            length += 1 + run_of(&text[length + 1..], |byte| byte.is_ascii_digit() || byte == b':');
        }
        _ => {}
    }
    Some((length, "[DATE]"))
}

/// `12ms`, `1.5s`, `3.25 s`, `1m12s`.
fn duration(text: &str) -> Option<(usize, &'static str)> {
    let mut length = 0;
    loop {
        let number = run_of(&text[length..], |byte| byte.is_ascii_digit() || byte == b'.');
        let starts_with_digit = text[length..].starts_with(|c: char| c.is_ascii_digit());
        if number == 0 || !starts_with_digit {
            break;
        }
        let after = &text[length + number..];
        let spaces = usize::from(length == 0 && after.starts_with(' '));
        let unit = ["ms", "µs", "us", "ns", "min", "m", "s", "h"].into_iter().find(|unit| {
            let followed = after[spaces..].strip_prefix(unit).map(|rest| rest.chars().next());
            followed.is_some_and(|next| next.is_none_or(|next| !next.is_ascii_alphabetic() && next != '_'))
        });
        match unit {
            // "3 m" is no duration that a program of ours writes, and may be the begin of anything.
            Some(unit) if spaces == 0 || unit != "m" => length += number + spaces + unit.len(),
            _ => break,
        }
    }
    (length > 0).then_some((length, "[TIME]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        let hex = "0123456789abcdef".repeat(4);
        let redactions =
            Redactions::new().path(Path::new("/tmp/x"), "HOME").path(Path::new("/tmp/x/store"), "STORE");
        let cases = [
            (format!("sha256:{hex} done"), "sha256:[DIGEST] done"),
            (format!("blobs/sha256/{hex}"), "blobs/sha256/[DIGEST]"),
            (format!("a{hex}"), &format!("a{hex}")),
            ("built hello in 1.25s".into(), "built hello in [TIME]"),
            ("took 1m12s, 80 ms, 3 µs".into(), "took [TIME], [TIME], [TIME]"),
            ("12 models, 5 m, 3 seconds, go1.24s_x".into(), "12 models, 5 m, 3 seconds, go1.24s_x"),
            ("at 2026-11-24T01:02:03.5+01:00 and 2026-11-24 01:02:03".into(), "at [DATE] and [DATE]"),
            (
                "http://127.0.0.1:4711/v2/ on localhost:80".into(),
                "http://127.0.0.1:[PORT]/v2/ on localhost:[PORT]",
            ),
            ("/tmp/x/store/a /tmp/x/b".into(), "[STORE]/a [HOME]/b"),
            ("µ – ünïcode 3.1.4".into(), "µ – ünïcode 3.1.4"),
        ];
        for (text, expected) in cases {
            assert_eq!(redactions.apply(&text), expected, "{text}");
        }
    }
}
