//! What the interpreter came across, each thing once, in the order of the source.

use std::collections::{BTreeMap, BTreeSet};

use super::value::Text;
use crate::facts::{EnvironmentVariable, Evidence, Fact, Facts, HealthCommand, Port, Protocol};

/// Words that ask a program about its own health.
const HEALTH_WORDS: [&str; 7] =
    ["health", "healthcheck", "health-check", "healthz", "health_check", "check-health", "ready"];

#[derive(Default)]
pub(crate) struct Findings {
    ports: Vec<Port>,
    /// Servers that nobody was seen to start.
    perhaps: Vec<Port>,
    ports_muted: bool,
    services: BTreeMap<String, Evidence>,
    /// By name: the first place and the default.
    variables: BTreeMap<String, (Option<Evidence>, Option<String>)>,
    health: Option<HealthCommand>,
    signals: BTreeMap<String, Evidence>,
    time_zones: BTreeSet<(Evidence, Option<String>)>,
    tls_clients: BTreeSet<(Evidence, String)>,
    /// Clients that were made, and URLs: they tell something only where no request does.
    clients: BTreeSet<Evidence>,
    https: BTreeSet<Evidence>,
    /// Whether there was a request over plain HTTP.
    plain_requests: bool,
    commands: BTreeSet<(Evidence, Option<String>)>,
    temporary: BTreeSet<(Evidence, String)>,
}

impl Findings {
    /// Whether a listener was found.
    pub(super) fn listens(&self) -> bool {
        !self.ports.is_empty() || !self.perhaps.is_empty()
    }

    /// From now on, ports are not noted.
    pub(super) fn mute_ports(&mut self, muted: bool) {
        self.ports_muted = muted;
    }

    pub(super) fn port(&mut self, port: Port) {
        if !self.ports_muted {
            merge_port(&mut self.ports, port);
        }
    }

    pub(super) fn perhaps_port(&mut self, port: Port) {
        if !self.ports_muted {
            merge_port(&mut self.perhaps, port);
        }
    }

    pub(super) fn service(&mut self, name: &str, evidence: Evidence) {
        self.services.entry(name.to_owned()).or_insert(evidence);
    }

    pub(super) fn variable(&mut self, name: &str, default: Option<&str>, evidence: Evidence) {
        let entry = self.variables.entry(name.to_owned()).or_default();
        entry.0.get_or_insert(evidence);
        if let Some(default) = default {
            entry.1.get_or_insert_with(|| default.to_owned());
        }
    }

    pub(super) fn default_of(&mut self, name: &str, default: &str) {
        let entry = self.variables.entry(name.to_owned()).or_default();
        entry.1.get_or_insert_with(|| default.to_owned());
    }

    /// A word that a command-line argument is compared with, or the name of a flag with a dash in front.
    pub(super) fn argument(&mut self, word: &str, evidence: Evidence) {
        let name = word.trim_start_matches('-').to_ascii_lowercase();
        let asks = HEALTH_WORDS.contains(&name.as_str()) && !(name == "ready" && word.starts_with('-'));
        if asks && self.health.is_none() {
            self.health = Some(HealthCommand { arguments: vec![word.to_owned()], evidence });
        }
    }

    pub(super) fn signal(&mut self, name: String, evidence: Evidence) {
        self.signals.entry(name).or_insert(evidence);
    }

    pub(super) fn time_zone(&mut self, zone: Option<String>, evidence: Evidence) {
        self.time_zones.insert((evidence, zone));
    }

    pub(super) fn tls_client(&mut self, what: &str, evidence: Evidence) {
        self.tls_clients.insert((evidence, what.to_owned()));
    }

    /// A client that somebody may use for TLS.
    pub(super) fn client(&mut self, evidence: Evidence) {
        self.clients.insert(evidence);
    }

    /// A request over plain HTTP, such as a health check of the program itself.
    pub(super) fn plain_request(&mut self) {
        self.plain_requests = true;
    }

    pub(super) fn https_literal(&mut self, evidence: Evidence) {
        self.https.insert(evidence);
    }

    pub(super) fn command(&mut self, program: Option<String>, evidence: Evidence) {
        self.commands.insert((evidence, program));
    }

    pub(super) fn temporary(&mut self, function: &str, evidence: Evidence) {
        self.temporary.insert((evidence, function.to_owned()));
    }

    /// Puts everything into the facts of a program.
    pub(super) fn finish(mut self, facts: &mut Facts) {
        for port in self.perhaps {
            // A server that is started was noted where it is started.
            let known =
                self.ports.iter().any(|known| known.number == port.number && known.protocol == port.protocol);
            let shared = !port.environment.is_empty()
                && self.ports.iter().any(|known| known.environment == port.environment);
            if !known && !shared {
                merge_port(&mut self.ports, port);
            }
        }
        // A port that nothing is known of adds nothing beside one that is known.
        if self.ports.iter().any(|port| port.number.is_some()) {
            self.ports.retain(|port| port.number.is_some() || !port.environment.is_empty());
        }
        self.ports.sort_by_key(|port| (port.number.is_none(), port.number, port.protocol));
        facts.ports = self.ports;
        facts.grpc_services = facts_of(self.services);
        facts.signals = facts_of(self.signals);
        facts.environment = self
            .variables
            .into_iter()
            .filter_map(|(name, (evidence, default))| {
                Some(EnvironmentVariable { name, default, evidence: evidence? })
            })
            .collect();
        facts.health_command = self.health;
        if self.tls_clients.is_empty() && !self.plain_requests {
            self.tls_clients
                .extend(self.clients.into_iter().map(|evidence| (evidence, "http.Client".to_owned())));
        }
        if self.tls_clients.is_empty() {
            // A URL alone is weak evidence, but a program without any other may still use it.
            self.tls_clients
                .extend(self.https.into_iter().map(|evidence| (evidence, "https:// URL".to_owned())));
        }
        facts.time_zones = places(self.time_zones);
        facts.tls_clients = places(self.tls_clients);
        facts.commands = places(self.commands);
        facts.temporary_files = places(self.temporary);
    }
}

fn merge_port(ports: &mut Vec<Port>, port: Port) {
    let same = |known: &&mut Port| {
        known.number == port.number
            && known.protocol == port.protocol
            && (known.number.is_some() || known.environment == port.environment)
    };
    match ports.iter_mut().find(same) {
        Some(known) => {
            known.tls |= port.tls;
            known.loopback &= port.loopback;
            for name in port.environment {
                if !known.environment.contains(&name) {
                    known.environment.push(name);
                }
            }
        }
        None => ports.push(port),
    }
}

fn facts_of(found: BTreeMap<String, Evidence>) -> Vec<Fact<String>> {
    found.into_iter().map(|(value, evidence)| Fact { value, evidence }).collect()
}

fn places<T>(found: BTreeSet<(Evidence, T)>) -> Vec<Fact<T>> {
    found.into_iter().map(|(evidence, value)| Fact { value, evidence }).collect()
}

/// The environment variable that a field's tag names, in the forms of the libraries that fill structs from the environment:
/// `env:"PORT" envDefault:"8080"`, `env:"PORT,default=8080"`, `envconfig:"PORT" default:"8080"`.
pub(super) fn tagged_variable(tag: &str) -> Option<Text> {
    let named = tag_value(tag, "env").or_else(|| tag_value(tag, "envconfig"))?;
    let mut parts = named.split(',');
    let name = parts.next().filter(|name| !name.is_empty())?.trim();
    let in_name = parts.find_map(|part| part.trim().strip_prefix("default=").map(str::to_owned));
    let known = in_name
        .or_else(|| ["envDefault", "env-default", "default"].iter().find_map(|key| tag_value(tag, key)));
    Some(Text { known, environment: vec![name.to_owned()], numeric: false })
}

/// The value of a key in a struct tag.
fn tag_value(tag: &str, key: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        rest = rest.trim_start();
        let (name, behind) = rest.split_once(":\"")?;
        let end = behind.find('"')?;
        if name == key {
            return Some(behind[..end].to_owned());
        }
        rest = &behind[end + 1..];
    }
}

/// The protocol's name, for a person.
impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn struct_tags_name_variables_in_the_forms_of_the_libraries() {
        let table = [
            ("env:\"PORT\" envDefault:\"8080\"", Some(("PORT", Some("8080")))),
            ("json:\"port\" env:\"PORT,required\"", Some(("PORT", None))),
            ("env:\"PORT,default=9000\"", Some(("PORT", Some("9000")))),
            ("envconfig:\"APP_PORT\" default:\"80\"", Some(("APP_PORT", Some("80")))),
            ("env:\"PORT\" env-default:\"1\"", Some(("PORT", Some("1")))),
            ("json:\"env\"", None),
            ("env:\"", None),
            ("", None),
        ];
        for (tag, expected) in table {
            let found = tagged_variable(tag);
            let found = found.as_ref().map(|text| (text.environment[0].as_str(), text.known.as_deref()));
            assert_eq!(found, expected, "{tag}");
        }
    }
}
