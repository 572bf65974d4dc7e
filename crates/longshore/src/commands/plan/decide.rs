//! The decisions about one service. What only the compiled program can tell is said to be expected, since the build reads it there.

use longshore_config::{BaseChoice, HealthcheckChoice, ImageFormat, Presence, Settings};
use longshore_oci::Platform;
use longshore_project::{Evidence, Facts};

use super::Decision;
use crate::health;
use crate::services::{Service, Services};
use crate::ui::count;

/// Decisions as they are made, with where each setting came from.
struct Decisions<'a> {
    service: &'a Service,
    made: Vec<Decision>,
}

/// All that is decided about a service.
pub(super) fn decisions(service: &Service, services: &Services) -> Vec<Decision> {
    let mut decisions = Decisions { service, made: Vec::new() };
    decisions.package(services);
    decisions.compilation();
    decisions.base();
    decisions.needs();
    decisions.process();
    decisions.network();
    decisions.surroundings();
    decisions.made
}

impl Decisions<'_> {
    fn push(
        &mut self,
        what: &'static str,
        value: impl Into<String>,
        reason: impl Into<String>,
        evidence: Option<&Evidence>,
    ) {
        self.made.push(Decision {
            what,
            value: value.into(),
            reason: reason.into(),
            evidence: evidence.cloned(),
        });
    }

    fn settings(&self) -> &Settings {
        &self.service.settings
    }

    fn facts(&self) -> &Facts {
        &self.service.main.facts
    }

    /// Where a setting comes from; nothing where it has its default.
    fn origin(&self, is_set: impl Fn(&Settings) -> bool) -> Option<&'static str> {
        if is_set(&self.service.typed) {
            Some("command line")
        } else {
            is_set(&self.service.settings).then_some("longshore.toml")
        }
    }

    fn package(&mut self, services: &Services) {
        let main = &self.service.main;
        let value = format!("./{}", main.dir.trim_start_matches("./"));
        let value = if main.dir == "." { ".".to_owned() } else { value };
        self.push("package", value, format!("package main of {}", count(main.files.len(), "file")), None);
        if services.has_config {
            let file = services.root.join(longshore_config::CONFIG_FILE);
            self.push("configuration", file.display().to_string(), "", None);
        }
    }

    fn compilation(&mut self) {
        let platforms = self.settings().platforms.clone();
        let origin = self.origin(|settings| settings.platforms.is_some()).unwrap_or("this machine's");
        let value = platforms.map_or_else(|| Platform::host().to_string(), |platforms| platforms.join(", "));
        self.push("platform", value, origin, None);
        let needs: Vec<_> = self.facts().cgo.iter().filter(|need| !need.optional).cloned().collect();
        let cgo = self.settings().cgo.unwrap_or(false);
        match (cgo, needs.first()) {
            (true, need) => {
                let origin = self.origin(|settings| settings.cgo.is_some()).unwrap_or_default();
                self.push("cgo", "on", origin, need.map(|need| &need.evidence));
            }
            (false, Some(need)) => {
                let reason = format!(
                    "{} ({}) will not work or not compile without it: build with --cgo",
                    need.package, need.reason
                );
                self.push("cgo", "off", reason, Some(&need.evidence));
            }
            (false, None) => self.push("cgo", "off", "nothing needs it: the program will be static", None),
        }
        if let Some(tags) = self.settings().tags.clone().filter(|tags| !tags.is_empty()) {
            let origin = self.origin(|settings| settings.tags.is_some()).unwrap_or_default();
            self.push("tags", tags.join(", "), origin, None);
        }
        let embeds = self.facts().embeds.clone();
        for embed in &embeds {
            self.push(
                "embedded",
                count(embed.count, "file"),
                format!("pattern {}", embed.pattern),
                Some(&embed.evidence),
            );
        }
    }

    fn base(&mut self) {
        let origin = self.origin(|settings| settings.base.is_some());
        match self.settings().base.clone() {
            Some(BaseChoice::Image(image)) => self.push("base", image, origin.unwrap_or_default(), None),
            _ => self.push(
                "base",
                "built-in",
                origin.unwrap_or("default: nothing but what the program needs"),
                None,
            ),
        }
    }

    /// What goes into the built-in base because the program needs it.
    fn needs(&mut self) {
        let tls = self.facts().tls_clients.first().cloned();
        let found = tls.as_ref().map(|fact| (format!("it uses {}", fact.value), &fact.evidence));
        let certificates = self.settings().certificates;
        self.presence(
            "certificates",
            certificates,
            found,
            "no TLS client in the source; the linked program decides",
        );
        let zone = self.facts().time_zones.first().cloned();
        let found = zone.as_ref().map(|fact| {
            let name = fact.value.as_ref().map(|zone| format!(" {zone}")).unwrap_or_default();
            (format!("it loads the time zone{name}"), &fact.evidence)
        });
        let timezones = self.settings().timezones;
        match self.facts().tzdata.clone() {
            Some(evidence) if timezones.unwrap_or_default() == Presence::Auto => {
                self.push("time zones", "no", "time/tzdata is linked into the program", Some(&evidence));
            }
            _ => self.presence(
                "time zones",
                timezones,
                found,
                "no time zone is loaded in the source; the linked program decides",
            ),
        }
    }

    fn presence(
        &mut self,
        what: &'static str,
        setting: Option<Presence>,
        found: Option<(String, &Evidence)>,
        absent: &str,
    ) {
        match (setting.unwrap_or_default(), found) {
            (Presence::On, _) => self.push(what, "yes", "longshore.toml", None),
            (Presence::Off, _) => self.push(what, "no", "longshore.toml", None),
            (Presence::Auto, Some((reason, evidence))) => self.push(what, "expected", reason, Some(evidence)),
            (Presence::Auto, None) => self.push(what, "not expected", absent, None),
        }
    }

    fn process(&mut self) {
        let origin = self.origin(|settings| settings.user.is_some()).unwrap_or("default: not root");
        let user = self.settings().user.clone().unwrap_or_else(|| "65532:65532".to_owned());
        self.push("user", user, origin, None);
        let signal = self.settings().stop_signal.clone().unwrap_or_else(|| "SIGTERM".to_owned());
        let handler = self.facts().signals.iter().find(|fact| fact.value == signal).cloned();
        match handler {
            Some(fact) => self.push("stop signal", signal, "the program handles it", Some(&fact.evidence)),
            None => {
                let reason = "no handler in the source: requests under way are cut off when it stops";
                self.push("stop signal", signal, reason, None);
            }
        }
        self.health();
    }

    fn health(&mut self) {
        let is_docker = self.settings().image_format == Some(ImageFormat::Docker);
        let carried = |reason: &str| match is_docker {
            true => reason.to_owned(),
            false => format!("{reason}; OCI images cannot carry it: --image-format docker does"),
        };
        let command = self.facts().health_command.clone();
        match (self.settings().healthcheck.clone(), command) {
            (Some(HealthcheckChoice::Off), _) => self.push("health check", "no", "longshore.toml", None),
            (Some(HealthcheckChoice::On(check)), _) if check.command.is_some() => {
                let command = check.command.unwrap_or_default().join(" ");
                self.push("health check", command, carried("longshore.toml"), None);
            }
            (_, Some(command)) => {
                let value = format!("{} {}", self.service.name, command.arguments.join(" "));
                self.push(
                    "health check",
                    value,
                    carried("the program has the sub-command"),
                    Some(&command.evidence),
                );
            }
            (_, None) => match health::url_of(self.facts(), self.settings()) {
                Some((url, evidence)) => {
                    let reason = carried("the program has the route, and the probe asks for it");
                    self.push("health check", format!("probe {url}"), reason, Some(&evidence));
                }
                None => {
                    let reason = "the program has no health sub-command, and no route that could be asked";
                    self.push("health check", "no", reason, None);
                }
            },
        }
    }

    fn network(&mut self) {
        if let Some(ports) = self.settings().ports.clone() {
            let origin = self.origin(|settings| settings.ports.is_some()).unwrap_or_default();
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            self.push("ports", ports.join(", "), origin, None);
        }
        let is_set = self.settings().ports.is_some();
        for port in self.facts().ports.clone() {
            let number = port.number.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
            let protocol = match port.protocol {
                longshore_project::Protocol::Tcp => "tcp",
                longshore_project::Protocol::Udp => "udp",
            };
            let mut reason = if port.loopback {
                "on loopback only: not exposed".to_owned()
            } else {
                "the program listens there".to_owned()
            };
            if !port.environment.is_empty() {
                reason.push_str(&format!("; {} changes it", port.environment.join(", ")));
            }
            let what = if is_set || port.loopback || port.number.is_none() { "listens" } else { "port" };
            self.push(what, format!("{number}/{protocol}"), reason, Some(&port.evidence));
        }
        for route in self.facts().routes.clone() {
            let method = route.method.as_deref().unwrap_or("any");
            let reason = match route.health {
                Some(_) => "tells about its health",
                None => "",
            };
            self.push("route", format!("{method} {}", route.path), reason, Some(&route.evidence));
        }
        for service in self.facts().grpc_services.clone() {
            self.push("grpc service", service.value, "", Some(&service.evidence));
        }
    }

    fn surroundings(&mut self) {
        for variable in self.facts().environment.clone() {
            let reason = variable.default.map(|value| format!("default {value}")).unwrap_or_default();
            self.push("reads", variable.name, reason, Some(&variable.evidence));
        }
        for command in self.facts().commands.clone() {
            let name = command.value.unwrap_or_else(|| "a program".to_owned());
            self.push("starts", name, "the built-in base has no other program", Some(&command.evidence));
        }
        if let Some(file) = self.facts().temporary_files.first().cloned() {
            self.push("temporary files", "/tmp", format!("it uses {}", file.value), Some(&file.evidence));
        }
        if let Some(plugin) = self.facts().plugins.first().cloned() {
            self.push("plug-ins", "yes", "they need cgo and a dynamic program", Some(&plugin));
        }
    }
}
