//! `WWW-Authenticate`: what a registry wants to see before it answers.
//!
//! RFC 9110, 11.6.1. Several challenges may stand in one header, separated by the same commas as their parameters.

/// One way to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Scheme in lower case: `bearer`, `basic`.
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value; its name is in lower case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the challenges in one header value. What makes no sense is passed over.
pub(crate) fn parse(value: &str) -> Vec<Challenge> {
    let mut rest = Cursor { bytes: value.as_bytes(), at: 0 };
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        rest.skip(|byte| byte == b',' || byte.is_ascii_whitespace());
        let word = rest.take(|byte| !matches!(byte, b'=' | b',' | b'"') && !byte.is_ascii_whitespace());
        if word.is_empty() {
            // A stray `=` or quote: one byte further, or the end.
            if rest.next().is_none() {
                return challenges;
            }
            continue;
        }
        let word = word.to_ascii_lowercase();
        let after_word = rest.at;
        rest.skip(|byte| byte.is_ascii_whitespace());
        if rest.peek() == Some(b'=') {
            rest.at += 1;
            rest.skip(|byte| byte.is_ascii_whitespace());
            let value = rest.value();
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word, value));
            }
        } else {
            rest.at = after_word;
            challenges.push(Challenge { scheme: word, parameters: Vec::new() });
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, fits: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
    }

    fn take(&mut self, fits: impl Fn(u8) -> bool) -> String {
        let start = self.at;
        self.skip(fits);
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    fn value(&mut self) -> String {
        if self.peek() != Some(b'"') {
            return self.take(|byte| byte != b',' && !byte.is_ascii_whitespace());
        }
        self.at += 1;
        let mut value = Vec::new();
        while let Some(byte) = self.next() {
            match byte {
                b'"' => break,
                b'\\' => value.extend(self.next()),
                other => value.push(other),
            }
        }
        String::from_utf8_lossy(&value).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let one = |challenge: &Challenge| {
            let parameters: Vec<_> =
                challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}({})", challenge.scheme, parameters.join(";"))
        };
        parse(value).iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        for (value, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                "bearer(realm=https://auth.docker.io/token;service=registry.docker.io;scope=repository:a/b:pull,push)",
            ),
            (r#"Basic realm="longshore""#, "basic(realm=longshore)"),
            ("BASIC", "basic()"),
            (
                r#"Basic realm="a", Bearer realm = "b" , service=c"#,
                "basic(realm=a) bearer(realm=b;service=c)",
            ),
            (r#"Bearer realm="say \"hi\", ok",error="x""#, r#"bearer(realm=say "hi", ok;error=x)"#),
            (r#"Negotiate, Basic realm="#, "negotiate() basic(realm=)"),
            (r#"Bearer realm="never ends"#, "bearer(realm=never ends)"),
            ("", ""),
            (r#"=,"=="#, ""),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }
}
