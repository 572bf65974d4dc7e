//! Proxies by the environment's rules.
//!
//! As Go's golang.org/x/net/http/httpproxy reads HTTP_PROXY, HTTPS_PROXY, NO_PROXY and their lower-case forms, so that
//! longshore reaches what `go` on the same machine reaches. ALL_PROXY, which curl reads, stands behind the two. Loopback is never
//! asked through a proxy.

use std::net::IpAddr;

use url::{Host, Url};

/// Which proxy stands before which hosts.
#[derive(Clone, Default)]
pub struct ProxySettings {
    /// Proxy for http.
    pub http: Option<Url>,
    /// Proxy for https.
    pub https: Option<Url>,
    /// Hosts that are asked directly: the words of NO_PROXY.
    pub direct: Vec<String>,
}

impl std::fmt::Debug for ProxySettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |url: &Option<Url>| url.as_ref().map(crate::redacted);
        formatter
            .debug_struct("ProxySettings")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("direct", &self.direct)
            .finish()
    }
}

impl ProxySettings {
    /// Reads the variables. What is no URL is passed over, as curl and Go do. A value without a scheme is an http proxy.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |upper: &str| {
            variable(upper).or_else(|| variable(&upper.to_lowercase())).filter(|v| !v.is_empty())
        };
        let proxy = |name: &str| either(name).or_else(|| either("ALL_PROXY")).and_then(|value| parse(&value));
        // In a CGI program HTTP_PROXY may be a header of a stranger's request (httpoxy).
        let http = if variable("REQUEST_METHOD").is_some() { None } else { proxy("HTTP_PROXY") };
        let words = either("NO_PROXY").unwrap_or_default();
        let direct = words
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        ProxySettings { http, https: proxy("HTTPS_PROXY"), direct }
    }

    /// The proxy to ask for `url`, if any.
    pub fn choose(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let host = url.host()?;
        let port = url.port_or_known_default()?;
        if self.is_direct(&host, port) { None } else { proxy.as_ref() }
    }

    fn is_direct(&self, host: &Host<&str>, port: u16) -> bool {
        let (name, address) = match host {
            Host::Domain(name) => (name.trim_end_matches('.').to_ascii_lowercase(), None),
            Host::Ipv4(address) => (address.to_string(), Some(IpAddr::V4(*address))),
            Host::Ipv6(address) => (address.to_string(), Some(IpAddr::V6(*address))),
        };
        if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.direct.iter().any(|word| covers(word, &name, address, port))
    }
}

fn parse(value: &str) -> Option<Url> {
    let known = ["http://", "https://", "socks5://", "socks5h://", "socks4://"];
    if known.iter().any(|scheme| value.starts_with(scheme)) {
        return value.parse().ok();
    }
    format!("http://{value}").parse().ok()
}

/// Whether a word of NO_PROXY covers a host: `*`, an address, a network, `.domain` and `*.domain` (below it only) or `domain`
/// (itself and below it), each but a network with an optional port.
fn covers(word: &str, name: &str, address: Option<IpAddr>, port: u16) -> bool {
    if word == "*" {
        return true;
    }
    if let Some((network, bits)) = word.split_once('/') {
        return address.is_some_and(|address| is_in_network(address, network, bits));
    }
    let (word, wanted) = split_port(word);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let (Ok(own), Some(address)) = (word.parse::<IpAddr>(), address) {
        return own == address;
    }
    let word = word.strip_prefix('*').unwrap_or(word);
    match word.strip_prefix('.') {
        Some(_) => name.len() > word.len() && name.ends_with(word),
        None => name == word || name.strip_suffix(word).is_some_and(|front| front.ends_with('.')),
    }
}

fn split_port(word: &str) -> (&str, Option<u16>) {
    if let Some((address, after)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, after.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match word.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (word, None),
    }
}

fn is_in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> ProxySettings {
        let find =
            |name: &str| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        ProxySettings::from_variables(find)
    }

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        let no_proxy =
            "example.com, .dot.io,*.star.io,10.0.0.0/8,1.2.3.4:8080,port.io:99,[2001:db8::1]:7,fe80::/10";
        let settings = settings(&[
            ("HTTPS_PROXY", "proxy:3128"),
            ("http_proxy", "http://u:p@proxy"),
            ("NO_PROXY", no_proxy),
        ]);
        for (url, proxied) in [
            ("https://other.com/", true),
            ("https://example.com/", false),
            ("https://a.example.com/", false),
            ("https://notexample.com/", true),
            ("https://dot.io/", true),
            ("https://a.dot.io/", false),
            ("https://a.star.io/", false),
            ("https://10.1.2.3/", false),
            ("https://11.1.2.3/", true),
            ("https://1.2.3.4:8080/", false),
            ("https://1.2.3.4/", true),
            ("https://port.io:99/", false),
            ("https://port.io/", true),
            ("https://[2001:db8::1]:7/", false),
            ("https://[fe80::1]/", false),
            ("http://localhost:5000/", false),
            ("http://127.0.0.9/", false),
            ("https://[::1]/", false),
            ("http://other.com/", true),
        ] {
            assert_eq!(settings.choose(&url.parse().unwrap()).is_some(), proxied, "{url}");
        }
        assert!(!format!("{settings:?}").contains("u:p"));
    }

    #[test]
    fn all_proxy_stands_behind_and_a_cgi_program_has_no_http_proxy() {
        let url: Url = "http://other.com".parse().unwrap();
        assert!(settings(&[("ALL_PROXY", "socks5h://p:1080")]).choose(&url).is_some());
        assert!(settings(&[("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")]).choose(&url).is_none());
        assert!(settings(&[]).choose(&url).is_none());
    }
}
