//! What must not be shown.

use std::fmt;

use url::Url;

/// Parameters of a query that say nothing secret; the values of all others are masked.
const HARMLESS: &[&str] = &[
    "service",
    "scope",
    "n",
    "last",
    "digest",
    "from",
    "mount",
    "tag",
    "artifactType",
    "go-get",
    "client_id",
];

/// A string that does not print: a password, a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps what must not be shown.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// A URL as it may be shown: without user and password, and with the values of query parameters masked that may be signatures
/// or tokens.
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    // Fails for URLs that cannot have a user, which then have none.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if url.query().is_none() {
        return shown.to_string();
    }
    shown.set_query(None);
    let masked = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        if HARMLESS.contains(&&*name) { format!("{name}={value}") } else { format!("{name}=…") }
    };
    let parameters: Vec<String> = url.query_pairs().map(masked).collect();
    format!("{shown}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_signatures_are_not_shown() {
        for (url, shown) in [
            ("https://user:pass@host/v2/", "https://host/v2/"),
            (
                "https://host:5000/a?X-Amz-Signature=abc&X-Amz-Date=1",
                "https://host:5000/a?X-Amz-Signature=…&X-Amz-Date=…",
            ),
            (
                "https://host/token?service=reg&scope=repository:a:pull",
                "https://host/token?service=reg&scope=repository:a:pull",
            ),
            ("https://host/a#token", "https://host/a"),
            ("file:///tmp/x", "file:///tmp/x"),
        ] {
            assert_eq!(redacted(&url.parse().unwrap()), shown);
        }
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
