//! The way out: proxies and certificate authorities.

use std::path::Path;

use longshore_events::Events;

use super::{Check, State};
use crate::context::Context;

/// Where distributions keep their certificate authorities.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn checks(context: &Context, _: &Events) -> Vec<Check> {
    vec![proxy(context), authorities(context)]
}

fn check(name: &'static str, state: State, found: String, meaning: impl Into<String>) -> Check {
    Check { topic: "Network", name, state, found, meaning: meaning.into() }
}

fn proxy(context: &Context) -> Check {
    let variables = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let mut set = Vec::new();
    for name in variables {
        if let Some(value) = context.environment.variable(name) {
            set.push(format!("{name}={}", without_credentials(&value.to_string_lossy())));
        }
    }
    let except = ["NO_PROXY", "no_proxy"].iter().find_map(|name| context.environment.variable(name));
    let meaning = except.map(|hosts| format!("not for {}", hosts.to_string_lossy())).unwrap_or_default();
    if set.is_empty() {
        check("proxy", State::Good, "none set: connections are direct".to_owned(), "")
    } else {
        check("proxy", State::Good, set.join(", "), meaning)
    }
}

/// A proxy's URL without user and password.
pub(super) fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

fn authorities(context: &Context) -> Check {
    const NAME: &str = "authorities";
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = context.environment.variable(variable) {
            let found = format!("{} ({variable})", value.to_string_lossy());
            return if std::env::split_paths(value).any(|path| path.exists()) {
                check(NAME, State::Good, found, "these certificate authorities are trusted")
            } else {
                check(NAME, State::Limited, found, "it does not exist: HTTPS will fail")
            };
        }
    }
    match BUNDLES.iter().find(|path| Path::new(path).exists()) {
        Some(path) => check(NAME, State::Good, (*path).to_owned(), "the system's, found at its usual place"),
        None => {
            let meaning = "name a bundle with SSL_CERT_FILE, or install ca-certificates";
            check(NAME, State::Limited, "none found at the usual places".to_owned(), meaning)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_not_shown() {
        for (url, expected) in [
            ("http://me:secret@proxy:3128/", "http://proxy:3128/"),
            ("http://me:se@cret@proxy", "http://proxy"),
            ("proxy:3128", "proxy:3128"),
            ("me:secret@proxy:3128", "proxy:3128"),
            ("http://proxy/a@b", "http://proxy/a@b"),
        ] {
            assert_eq!(without_credentials(url), expected);
        }
    }
}
