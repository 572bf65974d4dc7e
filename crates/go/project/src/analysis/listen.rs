//! Addresses that a program listens on.

use super::Analyzer;
use super::value::{Text, Value};
use crate::facts::{Port, Protocol};

/// Names of ports that Go's `net` knows without asking the system.
const NAMED: [(&str, u16); 6] =
    [("http", 80), ("https", 443), ("domain", 53), ("ssh", 22), ("smtp", 25), ("syslog", 514)];

impl<'a> Analyzer<'a> {
    /// `host:port` over a protocol; an empty address means `empty`.
    pub(super) fn listen(&mut self, address: &Value<'a>, protocol: Protocol, empty: Option<u16>, line: u32) {
        if let Some(port) = self.port(address, protocol, empty, line) {
            self.findings.port(port);
        }
    }

    pub(super) fn listen_tls(&mut self, address: &Value<'a>, empty: Option<u16>, line: u32) {
        if let Some(port) = self.port(address, Protocol::Tcp, empty, line) {
            self.findings.port(Port { tls: true, ..port });
        }
    }

    /// A server that has an address, whether or not somebody is seen to start it.
    pub(super) fn listen_perhaps(&mut self, address: &Value<'a>, line: u32) {
        if let Some(port) = self.port(address, Protocol::Tcp, None, line) {
            self.findings.perhaps_port(port);
        }
    }

    /// The functions that take a network's name first.
    pub(super) fn listen_network(&mut self, network: &Value<'a>, address: &Value<'a>, tls: bool, line: u32) {
        let protocol = match network.known() {
            Some(name) if name.starts_with("tcp") => Protocol::Tcp,
            Some(name) if name.starts_with("udp") => Protocol::Udp,
            // Unix sockets and raw IP have no ports.
            Some(_) => return,
            None => Protocol::Tcp,
        };
        let address = match address.field("Port") {
            Some(port) => Value::Text(super::evaluate::concatenate(&[Text::literal(":"), port.as_text()])),
            None => address.clone(),
        };
        if let Some(port) = self.port(&address, protocol, None, line) {
            self.findings.port(Port { tls, ..port });
        }
    }

    fn port(&self, address: &Value<'a>, protocol: Protocol, empty: Option<u16>, line: u32) -> Option<Port> {
        let text = address.as_text();
        let (host, number) = match text.known.as_deref() {
            Some("") => (String::new(), Some(empty?)),
            Some(known) => {
                let (host, port) = known.rsplit_once(':').unwrap_or(("", known));
                let named = NAMED.iter().find(|(name, _)| *name == port).map(|(_, number)| *number);
                let number = named.or_else(|| port.parse().ok());
                // Port zero asks the system for any free one.
                if number == Some(0) {
                    return None;
                }
                (host.trim_matches(['[', ']']).to_owned(), number)
            }
            None => (String::new(), None),
        };
        Some(Port {
            number,
            protocol,
            loopback: host == "localhost" || host == "::1" || host.starts_with("127."),
            host,
            environment: text.environment,
            tls: false,
            evidence: self.evidence(line),
        })
    }
}
