//! Addresses as they may be shown: in messages, on the terminal, in an image's history.

/// Parts of a name that say that the value of a query's parameter is a secret.
const SECRET: &[&str] = &["token", "sig", "secret", "password", "passwd", "credential", "auth", "key"];

/// A text without the user and password of any URL in it, and without query values whose names say that they are secret.
///
/// Other values stay: what a line of the history says must be enough to tell two files of one server apart.
pub(crate) fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find("://") {
        let (before, after) = rest.split_at(index + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(after.len());
        let (url, later) = after.split_at(end);
        shown.push_str(&masked(url));
        rest = later;
    }
    shown.push_str(rest);
    shown
}

/// What follows `://` in a URL.
fn masked(url: &str) -> String {
    let authority_end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let (authority, rest) = url.split_at(authority_end);
    // The user of ssh is no secret, and means something.
    let host = match authority.rsplit_once('@') {
        Some((user, _)) if !user.contains(':') && is_plain(user) => authority,
        Some((_, host)) => host,
        None => authority,
    };
    let Some((path, query)) = rest.split_once('?') else { return format!("{host}{rest}") };
    let (query, fragment) = match query.split_once('#') {
        Some((query, fragment)) => (query, format!("#{fragment}")),
        None => (query, String::new()),
    };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=…"),
        _ => parameter.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(parameter).collect();
    format!("{host}{path}?{}{fragment}", query.join("&"))
}

/// Whether a user without a password is one that everybody has, and no token.
fn is_plain(user: &str) -> bool {
    matches!(user, "git" | "hg" | "ssh")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        for (text, expected) in [
            ("no address", "no address"),
            ("http://host/a?b=c#d", "http://host/a?b=c#d"),
            ("ADD https://user:pass@host/a /b", "ADD https://host/a /b"),
            ("ADD https://ghp_abc@host/a.git#main /b", "ADD https://host/a.git#main /b"),
            ("ssh://git@host/a.git", "ssh://git@host/a.git"),
            ("git@host:a.git", "git@host:a.git"),
            ("http://u:p@one/x http://u:p%40@two/y", "http://one/x http://two/y"),
            ("http://host?user=a@b", "http://host?user=a@b"),
            ("http://u:p@host?x=1", "http://host?x=1"),
            ("[\"http://u:p@host/x\", \"/y\"]", "[\"http://host/x\", \"/y\"]"),
            (
                "http://h/x?X-Amz-Signature=abc&part=1&Token=t#f",
                "http://h/x?X-Amz-Signature=…&part=1&Token=…#f",
            ),
            ("http://${USER}:${PASSWORD}@host/x", "http://host/x"),
            ("://", "://"),
        ] {
            assert_eq!(without_credentials(text), expected, "{text}");
        }
    }
}
