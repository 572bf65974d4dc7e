//! A service as the settings of a container.

use std::collections::HashSet;
use std::sync::Arc;

use longshore_runtime::{
    Capabilities, ContainerSettings, HealthSettings, LogSettings, NetworkMode, Protocol, Seccomp,
};

use crate::document::{Node, Problem, Value};
use crate::fields::{Fields, Findings};
use crate::lowered::{Lowered, Note};
use crate::values::{bytes, duration, words};

use super::merge::named;
use super::mounts::{Given, Places};
use super::{DIALECT, Inputs, Project, environment, ports, resources};

/// The container that the service `name`, which is `node` in `root`, asks for.
pub(super) fn lower(
    project: &Project,
    root: &Node,
    (name, node): (&str, &Node),
    inputs: Inputs<'_>,
    findings: &Findings,
) -> Lowered {
    let path = format!("services.{name}");
    let mut lowered = Lowered::default();
    let Some(service) = Fields::of(node, path, findings, DIALECT) else { return lowered };
    let places = Places { project, root, inputs, findings };
    let settings = &mut lowered.settings;
    settings.image = service.string("image").unwrap_or_default();
    settings.name = service.string("container_name");
    settings.entrypoint = command(&service, "entrypoint");
    settings.command = command(&service, "command");
    settings.environment = variables(&service, &places);
    settings.folder = service.string("working_dir");
    settings.user = service.string("user");
    settings.groups =
        service.list("group_add").iter().filter_map(|item| Some(item.scalar()?.text.clone())).collect();
    settings.hostname = service.string("hostname");
    settings.hosts = hosts(&service);
    settings.labels = labels(&service, &places);
    settings.network = network(&service);
    settings.read_only = service.boolean("read_only").unwrap_or_default();
    settings.terminal = service.boolean("tty").unwrap_or_default();
    settings.interactive = service.boolean("stdin_open").unwrap_or_default();
    let plain = |name: String| name.trim_start_matches("CAP_").to_owned();
    let names = |key| service.strings(key).into_iter().map(|name| plain(name.to_ascii_uppercase())).collect();
    settings.capabilities = Capabilities { add: names("cap_add"), drop: names("cap_drop") };
    security(&service, &places, settings);
    settings.resources = resources::resources(&service);
    settings.restart = resources::restart(&service);
    settings.init = service.boolean("init").unwrap_or_default();
    settings.stop_signal = service.string("stop_signal");
    settings.stop_timeout = service.parsed("stop_grace_period", duration);
    settings.health = health(&service);
    settings.log = log(&service);
    published(&service, settings);
    mounted(&service, &places, &mut lowered);
    lowered.asked.grace = lowered.settings.stop_timeout;
    lowered.asked.platform = service.string("platform");
    let exposed = service
        .list("expose")
        .iter()
        .filter_map(|port| port.scalar()?.text.trim_end_matches("/tcp").parse().ok());
    let tcp = lowered.settings.ports.iter().find(|port| port.protocol == Protocol::Tcp);
    lowered.asked.port = tcp.map(|port| port.container).or_else(|| exposed.min());
    left_out(&service);
    service.finish();
    lowered
}

/// A command: one string, which is taken apart, or a list. `None` is the image's own.
fn command(service: &Fields<'_>, key: &'static str) -> Option<Vec<String>> {
    let node = service.get(key)?;
    let Some(scalar) = node.scalar() else {
        let Value::Sequence(items) = &node.value else {
            service.findings.problem(service.wrong(node, key, "a string or a list"));
            return None;
        };
        return Some(items.iter().filter_map(|item| service.string_of(item, key)).collect());
    };
    match words(&scalar.written(DIALECT)) {
        Ok(words) => Some(words),
        Err(reason) => {
            let message = format!("{}: {reason}", service.path(key));
            service.findings.problem(Problem::new(node.span, message));
            None
        }
    }
}

/// Names with values, as a list of `NAME=VALUE` or a mapping.
fn pairs(service: &Fields<'_>, key: &'static str) -> Vec<(String, String)> {
    optional_pairs(service, key).into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()
}

fn optional_pairs(service: &Fields<'_>, key: &'static str) -> Vec<(String, Option<String>)> {
    let Some(node) = service.get(key) else { return Vec::new() };
    if node.scalar().is_some() {
        service.findings.problem(service.wrong(node, key, "a list or a mapping"));
        return Vec::new();
    }
    let mut found = Vec::new();
    for entry in named(node).entries() {
        let Some(scalar) = entry.value.scalar() else {
            let path = service.path(&format!("{key}.{}", entry.key));
            let message = format!("{path} must be a single value, and is {}", entry.value.kind());
            service.findings.problem(Problem::new(entry.value.span, message));
            continue;
        };
        found.push((entry.key.clone(), (!scalar.is_null()).then(|| scalar.written(DIALECT))));
    }
    found
}

/// Labels of files, then its own.
fn labels(service: &Fields<'_>, places: &Places<'_>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for file in &several(service, "label_file") {
        let labels = variable_file(file, (service, "label_file"), places, &|_| None);
        found.extend(labels.into_iter().map(|(name, value)| (name, value.unwrap_or_default())));
    }
    let own = pairs(service, "labels");
    found.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
    found.extend(own);
    found
}

/// One value, or a list of them.
fn several(service: &Fields<'_>, key: &'static str) -> Vec<Arc<Node>> {
    match service.get(key) {
        Some(node) if node.scalar().is_some() => vec![Arc::clone(node)],
        Some(_) => service.list(key).to_vec(),
        None => Vec::new(),
    }
}

/// Variables of files, then its own. One without a value is taken over from the environment, or left out.
fn variables(service: &Fields<'_>, places: &Places<'_>) -> Vec<(String, String)> {
    let outer = |name: &str| (places.inputs.variable)(name).or_else(|| places.project.own_variable(name));
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for file in &several(service, "env_file") {
        found.extend(variable_file(file, (service, "env_file"), places, &outer));
    }
    found.extend(optional_pairs(service, "environment"));
    // The last of a name counts.
    let mut seen = HashSet::new();
    found.reverse();
    found.retain(|(name, _)| seen.insert(name.clone()));
    found.reverse();
    let value = |(name, value): (String, Option<String>)| Some((value.or_else(|| outer(&name))?, name));
    found.into_iter().filter_map(value).map(|(value, name)| (name, value)).collect()
}

fn variable_file(
    node: &Arc<Node>,
    (service, key): (&Fields<'_>, &str),
    places: &Places<'_>,
    outer: &dyn Fn(&str) -> Option<String>,
) -> Vec<(String, Option<String>)> {
    let (path, required, is_raw) = match node.scalar() {
        Some(scalar) => (scalar.text.clone(), true, false),
        None => {
            let path = service.path(key);
            let Some(fields) = Fields::of(node, path, service.findings, DIALECT) else { return Vec::new() };
            let format = fields.string("format");
            let parts = (
                fields.string("path").unwrap_or_default(),
                fields.boolean("required").unwrap_or(true),
                format.as_deref() == Some("raw"),
            );
            fields.finish();
            parts
        }
    };
    let span = node.get("path").map_or(node.span, |path| path.span);
    let path = places.project.path(&path, span, places.inputs.variable);
    let bytes = match (places.inputs.read)(&path) {
        Ok(bytes) => bytes,
        Err(_) if !required => return Vec::new(),
        Err(error) => {
            service.findings.problem(Problem::new(span, format!("cannot read {}: {error}", path.display())));
            return Vec::new();
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    if is_raw {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let pair = |line: &str| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (line.to_owned(), None),
        };
        return lines.map(pair).collect();
    }
    match environment::parse(&text, outer) {
        Ok(found) => found.into_iter().map(|variable| (variable.name, variable.value)).collect(),
        Err((at, reason)) => {
            // The place is one in the text, which is longer than the bytes where those are no UTF-8.
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            service.findings.problem(Problem::new(span, format!("{}:{line}: {reason}", path.display())));
            Vec::new()
        }
    }
}

fn hosts(service: &Fields<'_>) -> Vec<(String, String)> {
    let Some(node) = service.get("extra_hosts") else { return Vec::new() };
    let mut found = Vec::new();
    for item in node.items() {
        let Some(text) = item.scalar().map(|scalar| scalar.text.as_str()) else { continue };
        match text.split_once('=').or_else(|| text.split_once(':')) {
            // Several addresses stand together in this form alone.
            Some((name, text)) => {
                found.extend(text.split(',').map(|address| (name.to_owned(), bare(address))));
            }
            None => {
                let message = format!("{}: `{text}`: expected NAME=ADDRESS", service.path("extra_hosts"));
                service.findings.problem(Problem::new(item.span, message));
            }
        }
    }
    for entry in node.entries() {
        let single = entry.value.scalar().map(|scalar| scalar.text.clone());
        let several = entry.value.items().iter().filter_map(|item| Some(item.scalar()?.text.clone()));
        let all = single.into_iter().chain(several);
        found.extend(all.map(|address| (entry.key.clone(), bare(&address))));
    }
    found
}

/// An address without the brackets of IPv6.
fn bare(address: &str) -> String {
    address.trim().trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn network(service: &Fields<'_>) -> NetworkMode {
    match service.string("network_mode").as_deref() {
        Some("host") => NetworkMode::Host,
        Some("none") => NetworkMode::None,
        None | Some("bridge" | "default") => NetworkMode::Own,
        Some(other) => {
            let span = service.get("network_mode").map_or(service.span(), |node| node.span);
            let why = format!("the network of {other} cannot be had: it gets one of its own");
            service.findings.note(Note::missing(span, service.path("network_mode"), why));
            NetworkMode::Own
        }
    }
}

fn security(service: &Fields<'_>, places: &Places<'_>, settings: &mut ContainerSettings) {
    for item in service.list("security_opt") {
        let Some(text) = service.string_of(item, "security_opt") else { continue };
        let (name, value) = text.split_once([':', '=']).unwrap_or((&text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => settings.no_new_privileges = true,
            ("no-new-privileges", "false") => settings.no_new_privileges = false,
            ("seccomp", "unconfined") => settings.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin") => settings.seccomp = Seccomp::Default,
            ("seccomp", file) => {
                let path = places.project.path(file, item.span, places.inputs.variable);
                match (places.inputs.read)(&path) {
                    Ok(bytes) => {
                        let (name, text) =
                            (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
                        settings.seccomp = Seccomp::Profile { name, text };
                    }
                    Err(error) => {
                        let message = format!("cannot read {}: {error}", path.display());
                        service.findings.problem(Problem::new(item.span, message));
                    }
                }
            }
            ("apparmor" | "label", _) => {
                let why = format!("labels of {name} are not set");
                service.findings.note(Note::ignored(item.span, service.path("security_opt"), why));
            }
            _ => {
                let why = format!("{text} cannot be had");
                service.findings.note(Note::missing(item.span, service.path("security_opt"), why));
            }
        }
    }
}

fn health(service: &Fields<'_>) -> Option<HealthSettings> {
    let check = service.fields("healthcheck")?;
    let mut health = HealthSettings {
        interval: check.parsed("interval", duration),
        timeout: check.parsed("timeout", duration),
        start_period: check.parsed("start_period", duration),
        start_interval: check.parsed("start_interval", duration),
        retries: check.number("retries"),
        test: Vec::new(),
    };
    if let Some(test) = check.get("test") {
        match test.scalar() {
            Some(scalar) => health.test = vec!["CMD-SHELL".to_owned(), scalar.written(DIALECT)],
            None => {
                health.test = check.strings("test");
                let first = health.test.first().map(String::as_str);
                if !matches!(first, None | Some("NONE" | "CMD" | "CMD-SHELL")) {
                    let message = format!("{} begins with NONE, CMD or CMD-SHELL", check.path("test"));
                    let hint = "put CMD before the program";
                    service.findings.problem(Problem::new(test.span, message).hinted(hint));
                }
            }
        }
    }
    if check.boolean("disable") == Some(true) {
        health.test = vec!["NONE".to_owned()];
    }
    check.finish();
    Some(health)
}

fn log(service: &Fields<'_>) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(logging) = service.fields("logging") else { return settings };
    let driver = logging.string("driver");
    let is_kept = matches!(driver.as_deref(), None | Some("json-file" | "local" | ""));
    if !is_kept {
        logging.ignored("driver", "logs are kept as json-file keeps them");
    }
    if let Some(options) = logging.fields("options").filter(|_| is_kept) {
        settings.max_size = options.parsed("max-size", bytes);
        let count = |text: &str| text.parse::<u32>().map_err(|_| "expected a number".to_owned());
        settings.max_files = options.parsed("max-file", count);
    }
    logging.finish();
    settings
}

fn published(service: &Fields<'_>, settings: &mut ContainerSettings) {
    for item in service.list("ports") {
        for port in ports::ports(item, &service.path("ports"), service.findings) {
            if !settings.ports.contains(&port) {
                settings.ports.push(port);
            }
        }
    }
    if settings.network != NetworkMode::Own && !settings.ports.is_empty() {
        settings.ports.clear();
        service.ignored("ports", "ports are published from a network of its own alone");
    }
}

fn mounted(service: &Fields<'_>, places: &Places<'_>, lowered: &mut Lowered) {
    let mounts = &mut lowered.settings.mounts;
    for item in service.list("volumes") {
        mounts.extend(places.volume(item, &service.path("volumes")));
    }
    mounts.extend(
        several(service, "tmpfs").iter().filter_map(|item| places.tmpfs(item, &service.path("tmpfs"))),
    );
    for section in ["secrets", "configs"] {
        for item in service.list(section) {
            match places.provided(item, section) {
                Some(Given::Mount(mount)) => lowered.settings.mounts.push(mount),
                Some(Given::File(file)) => lowered.files.push(file),
                None => {}
            }
        }
    }
}

/// What a container of its own does not get, and what says nothing about it.
fn left_out(service: &Fields<'_>) {
    service.missing("privileged", "a container of its own gets no rights over the machine");
    service.missing("devices", "devices of the machine cannot be had");
    service.missing("device_cgroup_rules", "devices of the machine cannot be had");
    service.missing("gpus", "devices of the machine cannot be had");
    service.missing("pid", "namespaces are not shared");
    service.missing("ipc", "namespaces are not shared");
    service.missing("uts", "namespaces are not shared");
    service.missing("userns_mode", "the namespace is chosen with --isolation");
    service.missing("volumes_from", "mounts of another container cannot be had");
    service.missing("sysctls", "settings of the kernel are not set");
    service.missing("dns", "name servers are this machine's");
    service.missing("dns_search", "name servers are this machine's");
    service.missing("dns_opt", "name servers are this machine's");
    service.missing("runtime", "there is a single runtime");
    service.missing("credential_spec", "it cannot be had");
    service.missing("use_api_socket", "there is no engine's socket");
    service.missing("provider", "it is no container");
    service.missing("models", "models are not provided");
    service.ignored("depends_on", "other services are not started");
    service.ignored("links", "other services are not started");
    service.ignored("external_links", "other services are not started");
    service.ignored("networks", "other services are not started: a network of its own stands for them");
    service.missing("pre_start", "what runs before it is not run");
    service.ignored("post_start", "hooks are not run");
    service.ignored("pre_stop", "hooks are not run");
    service.known(&["build", "profiles", "scale", "pull_policy", "pull_refresh_after", "develop", "attach"]);
    service.known(&["annotations", "domainname", "mac_address", "isolation", "storage_opt"]);
    service.known(&["cgroup", "cgroup_parent", "extends"]);
}
