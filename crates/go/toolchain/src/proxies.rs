//! GOPROXY: where modules are asked for, and in which order.
//!
//! After a comma, the next place is asked only if the one before does not have the module (404 or 410); after a bar, after any error
//! (<https://go.dev/ref/mod#environment-variables>, `cmd/go/internal/modfetch/proxy.go`).

use std::fmt;

use longshore_golang::module::matches_patterns;
use url::Url;

use crate::environment::GoEnvironment;
use crate::request::MODULE;

/// What `direct` means for toolchains: <https://golang.org/toolchain?go-get=1> answers Go that the module is served by this proxy.
const DIRECT: &str = "https://go.dev/dl/mod";

/// A place that modules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A module proxy: `https`, `http` or `file`.
    Proxy(Url),
    /// The module's own server.
    Direct,
    /// Nowhere: asking is an error.
    Off,
}

impl Place {
    /// Where to ask for a toolchain.
    pub(crate) fn url(&self) -> Option<Url> {
        match self {
            Place::Proxy(url) => Some(url.clone()),
            Place::Direct => Url::parse(DIRECT).ok(),
            Place::Off => None,
        }
    }
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// Whether the next entry is asked after any error, not only after "not found".
    pub(crate) falls_back: bool,
}

/// GOPROXY cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("GOPROXY has an entry that is no URL of a proxy: {entry:?} ({reason})")]
pub struct ProxyListError {
    entry: String,
    reason: &'static str,
}

impl ProxyListError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        Some("GOPROXY is a list of https://, http:// or file:// URLs, `direct` and `off`, separated by commas or bars".into())
    }
}

/// Where this environment has toolchains come from.
pub(crate) fn for_toolchains(environment: &GoEnvironment) -> Result<Vec<Entry>, ProxyListError> {
    if matches_patterns(environment.no_proxy(), MODULE) {
        return Ok(vec![Entry { place: Place::Direct, falls_back: false }]);
    }
    parse(environment.proxy())
}

/// Reads a list. What follows `off` or `direct` is never asked.
pub(crate) fn parse(list: &str) -> Result<Vec<Entry>, ProxyListError> {
    let mut entries = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let end = rest.find([',', '|']).unwrap_or(rest.len());
        let falls_back = rest[end..].starts_with('|');
        let text = rest[..end].trim();
        rest = rest.get(end + 1..).unwrap_or_default();
        let place = match text {
            "" => continue,
            "off" => Place::Off,
            "direct" => Place::Direct,
            text => Place::Proxy(parse_proxy(text)?),
        };
        let is_last = !matches!(place, Place::Proxy(_));
        entries.push(Entry { place, falls_back });
        if is_last {
            break;
        }
    }
    if entries.is_empty() {
        return Err(ProxyListError { entry: list.to_owned(), reason: "the list has no entries" });
    }
    Ok(entries)
}

fn parse_proxy(text: &str) -> Result<Url, ProxyListError> {
    let error = |entry: String, reason| ProxyListError { entry, reason };
    let shown = || redacted(text);
    // Go reserves single words and takes anything with a dot, colon or slash as a host without a scheme.
    let is_host = text.contains(['.', ':', '/']) && !text.contains(":/") && !text.starts_with('/');
    let full = if is_host { format!("https://{text}") } else { text.to_owned() };
    let url = Url::parse(&full).map_err(|_| error(shown(), "not a URL"))?;
    let plain = url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        "file" if !plain || url.host().is_some() => {
            Err(error(shown(), "a file:// URL has a path and nothing else"))
        }
        "http" | "https" if !plain => Err(error(shown(), "a proxy's URL has no query")),
        "file" | "http" | "https" => Ok(url),
        _ => Err(error(shown(), "the scheme must be https, http or file")),
    }
}

/// The text without what may be a password.
fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://[credentials]@{host}")
        }
        None => text.to_owned(),
    }
}

/// The answer of an attempt that did not succeed: whether the place merely does not have what was asked for.
pub(crate) trait Attempt: fmt::Debug {
    /// Whether the next place may be asked although the list says "only if not found".
    fn is_not_found(&self) -> bool;
}

/// Asks each place until one answers. Of several errors the most telling is kept: that of `direct`, else the last that is not
/// merely "not found", else the last proxy's. None if the list is empty.
pub(crate) fn first_answer<Answer, Error: Attempt>(
    entries: &[Entry],
    mut ask: impl FnMut(&Place) -> Result<Answer, Error>,
) -> Option<Result<Answer, Error>> {
    let mut best: Option<(u8, Error)> = None;
    for entry in entries {
        let error = match ask(&entry.place) {
            Ok(answer) => return Some(Ok(answer)),
            Err(error) => error,
        };
        let not_found = error.is_not_found();
        let rank = match entry.place {
            Place::Direct => 3,
            _ if !not_found => 2,
            // That a proxy lacks it says more than that nobody else may be asked.
            Place::Proxy(_) => 1,
            Place::Off => 0,
        };
        if best.as_ref().is_none_or(|(best, _)| *best <= rank) {
            best = Some((rank, error));
        }
        if !entry.falls_back && !not_found {
            break;
        }
    }
    best.map(|(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(list: &str) -> Result<String, &'static str> {
        let entries = parse(list).map_err(|error| error.reason)?;
        let text = |entry: &Entry| {
            let place = match &entry.place {
                Place::Proxy(url) => url.to_string(),
                other => format!("{other:?}"),
            };
            format!("{place}{}", if entry.falls_back { " |" } else { "" })
        };
        Ok(entries.iter().map(text).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_are_read_as_go_reads_them() {
        let cases = [
            ("https://proxy.golang.org,direct", Ok("https://proxy.golang.org/ Direct")),
            (
                "https://a.example|https://b.example,off,https://c.example",
                Ok("https://a.example/ | https://b.example/ Off"),
            ),
            ("direct|https://a.example", Ok("Direct |")),
            (" , https://a.example ,, ", Ok("https://a.example/")),
            ("proxy.corp:8080/go", Ok("https://proxy.corp:8080/go")),
            ("http://127.0.0.1:3000", Ok("http://127.0.0.1:3000/")),
            ("file:///srv/modules", Ok("file:///srv/modules")),
            ("off", Ok("Off")),
            ("", Err("the list has no entries")),
            (",|", Err("the list has no entries")),
            ("noproxy", Err("not a URL")),
            ("/srv/modules", Err("not a URL")),
            ("ftp://a.example", Err("the scheme must be https, http or file")),
            ("file://host/srv", Err("a file:// URL has a path and nothing else")),
            ("https://a.example/?x=1", Err("a proxy's URL has no query")),
        ];
        for (list, expected) in cases {
            assert_eq!(shown(list), expected.map(str::to_owned), "{list}");
        }
    }

    #[test]
    fn an_error_shows_no_password() {
        for list in ["ftp://user:hunter2@a.example", "https://user:hunter2@a.example/?x=1"] {
            let text = parse(list).unwrap_err().to_string();
            assert!(!text.contains("hunter2") && text.contains("a.example"), "{text}");
        }
    }

    #[test]
    fn private_modules_pass_proxies_by() {
        let cases = [
            ("", "https://a.example/"),
            ("github.com/corp", "https://a.example/"),
            ("golang.org/*", "Direct"),
        ];
        for (patterns, expected) in cases {
            let variables = [("GOPROXY", "https://a.example"), ("GOPRIVATE", patterns)];
            let entries = for_toolchains(&GoEnvironment::of_variables(variables)).unwrap();
            let expected =
                if expected == "Direct" { Place::Direct } else { Place::Proxy(expected.parse().unwrap()) };
            assert_eq!(entries, [Entry { place: expected, falls_back: false }], "{patterns}");
        }
    }

    #[derive(Debug, Clone, PartialEq)]
    enum Failure {
        Missing(&'static str),
        Broken(&'static str),
    }

    impl Attempt for Failure {
        fn is_not_found(&self) -> bool {
            matches!(self, Failure::Missing(_))
        }
    }

    #[test]
    fn the_next_place_is_asked_when_the_list_says_so_and_the_best_error_kept() {
        use Failure::{Broken, Missing};
        let answers = |host: &str| match host {
            "has" => Ok("module"),
            "lacks" => Err(Missing("lacks")),
            "broken" => Err(Broken("broken")),
            "direct" => Err(Missing("direct")),
            other => panic!("{other} is asked"),
        };
        let cases = [
            ("https://has,https://never", Ok("module")),
            ("https://lacks,https://has", Ok("module")),
            ("https://lacks|https://has", Ok("module")),
            ("https://broken|https://has", Ok("module")),
            ("https://broken,https://never", Err(Broken("broken"))),
            ("https://broken|https://lacks", Err(Broken("broken"))),
            ("https://broken|direct", Err(Missing("direct"))),
            ("https://lacks,off", Err(Missing("lacks"))),
            ("off", Err(Missing("off"))),
        ];
        for (list, expected) in cases {
            let answer = first_answer(&parse(list).unwrap(), |place| match place {
                Place::Proxy(url) => answers(url.host_str().unwrap()),
                Place::Direct => answers("direct"),
                Place::Off => Err(Missing("off")),
            });
            assert_eq!(answer, Some(expected), "{list}");
        }
    }
}
