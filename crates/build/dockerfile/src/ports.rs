//! What EXPOSE takes: `80`, `80/udp`, `8000-8010`, and the forms with addresses that have no meaning there.
//!
//! Follows BuildKit's dockerfile2llb/convert_expose.go.

use std::net::IpAddr;

use crate::expand::shortened;

/// A text that names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port `{}`: {reason}", shortened(.text))]
pub struct PortError {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub reason: &'static str,
}

impl PortError {
    /// What would mend it.
    pub fn hint(&self) -> String {
        "write it as 80, 80/udp or 8000-8010; the protocols are tcp, udp and sctp".to_owned()
    }
}

/// Ports of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last, which may be the first.
    pub last: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Whether an address or a port of the host was given, which EXPOSE does not use.
    pub has_host: bool,
}

impl Ports {
    /// Reads `[[address:]host:]port[-port][/protocol]`, expanded.
    ///
    /// Errors: a part that is none of these.
    pub fn parse(text: &str) -> Result<Ports, PortError> {
        let error = |reason| PortError { text: text.to_owned(), reason };
        let mut parts = text.rsplitn(3, ':');
        let container = parts.next().unwrap_or_default();
        let host = parts.next().unwrap_or_default();
        let address = parts.next().unwrap_or_default();
        let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
        if port.is_empty() {
            return Err(error("no port specified"));
        }
        let protocol = match protocol.to_lowercase().as_str() {
            "" => "tcp".to_owned(),
            known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
            _ => return Err(error("unknown protocol")),
        };
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        if !address.is_empty() && bare.parse::<IpAddr>().is_err() {
            return Err(error("invalid address"));
        }
        let (first, last) = range(port).ok_or_else(|| error("not a port, or a range of ports"))?;
        if !host.is_empty() {
            let (host_first, host_last) = range(host).ok_or_else(|| error("invalid port of the host"))?;
            if first != last && last - first != host_last - host_first {
                return Err(error("the ranges of host and container differ in length"));
            }
        }
        Ok(Ports { first, last, protocol, has_host: !address.is_empty() || !host.is_empty() })
    }

    /// Each port as an image's `ExposedPorts` names it: `80/tcp`.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        (self.first..=self.last).map(|port| format!("{port}/{}", self.protocol))
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
