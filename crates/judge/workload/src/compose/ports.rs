//! `ports` of a service: `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]` with ranges, or a mapping.

use std::net::IpAddr;

use longshore_runtime::{Protocol, PublishedPort};

use crate::document::{Dialect, Node, Problem};
use crate::fields::{Fields, Findings};
use crate::lowered::Note;

/// More in one range is a mistake.
const MOST: u16 = 4096;

/// What makes two ports of two files the same one.
pub(super) fn key_of(node: &Node) -> Option<String> {
    let field = |name: &str| {
        let value = node.get(name).and_then(|value| value.scalar());
        value.map(|scalar| scalar.text.clone()).unwrap_or_default()
    };
    match node.scalar() {
        Some(scalar) => {
            let (ports, protocol) = scalar.text.split_once('/').unwrap_or((&scalar.text, "tcp"));
            Some(format!("{ports}/{protocol}"))
        }
        None => {
            let protocol = Some(field("protocol")).filter(|name| !name.is_empty());
            let parts = [field("host_ip"), field("published"), field("target")];
            let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            Some(format!("{}/{}", parts.join(":"), protocol.as_deref().unwrap_or("tcp")))
        }
    }
}

/// The ports that an item of `ports` publishes.
pub(super) fn ports(node: &Node, path: &str, findings: &Findings) -> Vec<PublishedPort> {
    let found = match node.scalar() {
        Some(scalar) => short(&scalar.written(Dialect::Compose)),
        None => long(node, path, findings),
    };
    match found {
        Ok((ports, wide)) => {
            if wide {
                let why = "a range of which one port is taken: one is chosen here";
                findings.note(Note::ignored(node.span, path, why));
            }
            ports
        }
        Err(reason) => {
            findings.problem(Problem::new(node.span, format!("{path}: {reason}")));
            Vec::new()
        }
    }
}

type Found = Result<(Vec<PublishedPort>, bool), String>;

fn short(text: &str) -> Found {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (before, container) = ports.rsplit_once(':').map_or(("", ports), |(before, last)| (before, last));
    let (address, host) = match before.rsplit_once(':') {
        Some((address, host)) => (address, host),
        None if before.parse::<IpAddr>().is_ok() => (before, ""),
        None => ("", before),
    };
    published(address, host, container, protocol)
}

fn long(node: &Node, path: &str, findings: &Findings) -> Found {
    let Some(fields) = Fields::of(node, path, findings, Dialect::Compose) else {
        return Ok((Vec::new(), false));
    };
    let text = |key| fields.text(key).unwrap_or_default();
    let (address, host, target) = (text("host_ip"), text("published"), text("target"));
    let protocol = fields.text("protocol").unwrap_or_else(|| "tcp".to_owned());
    fields.known(&["mode", "name", "app_protocol"]);
    fields.finish();
    published(&address, &host, &target, &protocol)
}

/// Ports of ranges, one for one; whether one of a range is to be chosen.
fn published(address: &str, host: &str, container: &str, protocol: &str) -> Found {
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(format!("the protocol {other} is not tcp or udp")),
    };
    let plain = address.trim_start_matches('[').trim_end_matches(']');
    let address = match plain {
        "" => None,
        plain => Some(plain.parse::<IpAddr>().map_err(|_| format!("`{plain}` is no address"))?),
    };
    let (first, last) = range(container)?;
    let host = if host.is_empty() { None } else { Some(range(host)?) };
    let (count, hosts) = (last - first, host.map(|(from, to)| to - from));
    let wide = first == last && hosts.is_some_and(|hosts| hosts > 0);
    if !wide && hosts.is_some_and(|hosts| hosts != count) {
        return Err("the ranges are not equally long".to_owned());
    }
    let port = |offset: u16| PublishedPort {
        address,
        host: host.filter(|_| !wide).map(|(from, _)| from + offset),
        container: first + offset,
        protocol,
    };
    Ok(((0..=count).map(port).collect(), wide))
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("`{text}` is no port");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    match first <= last && last - first < MOST {
        true => Ok((first, last)),
        false => Err(format!("`{text}` is no range of ports, or one of over {MOST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read() {
        let read = |text: &str| {
            let ports = short(text).map(|found| found.0)?;
            let one = |port: &PublishedPort| {
                let host = port.host.map_or("-".to_owned(), |host| host.to_string());
                let address = port.address.map_or(String::new(), |address| format!("{address} "));
                let protocol = if port.protocol == Protocol::Udp { " udp" } else { "" };
                format!("{address}{host} {}{protocol}", port.container)
            };
            Ok::<_, String>(ports.iter().map(one).collect::<Vec<_>>().join(", "))
        };
        for (text, expected) in [
            ("3000", "- 3000"),
            ("3000-3002", "- 3000, - 3001, - 3002"),
            ("8000:80", "8000 80"),
            ("9090-9091:8080-8081", "9090 8080, 9091 8081"),
            ("127.0.0.1:8001:80", "127.0.0.1 8001 80"),
            ("127.0.0.1::80", "127.0.0.1 - 80"),
            ("[::1]:8001:80", "::1 8001 80"),
            ("6060:53/udp", "6060 53 udp"),
            ("8000-8010:80", "- 80"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "x", "80:", "70000", "9-8", "1-3:1-2", "1.2.3:80:80", "80/sctp", "1-65535"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
