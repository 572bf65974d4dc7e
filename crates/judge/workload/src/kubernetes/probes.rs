//! Probes: how a container is asked whether it is started, ready, alive.
//!
//! A container that becomes ready is what a rollout waits for, so the readiness probe is asked first, then the one for its start, then the one
//! for its life. A container that is not up in the time that the latter two leave is killed: that is the time it has.

use std::time::Duration;

use longshore_runtime::HealthSettings;

use crate::document::{Plain, Problem};
use crate::fields::Fields;
use crate::lowered::Lowered;

use super::DIALECT;

/// Takes over what the probes ask.
pub(super) fn probes(container: &Fields<'_>, lowered: &mut Lowered) {
    let start = container.fields("startupProbe").map(|fields| probe(container, fields));
    let ready = container.fields("readinessProbe").map(|fields| probe(container, fields));
    let live = container.fields("livenessProbe").map(|fields| probe(container, fields));
    lowered.asked.ready_within = start.as_ref().or(live.as_ref()).map(|probe| probe.patience);
    let Some(asked) = ready.or(start).or(live) else { return };
    match asked.kind {
        Kind::Http { path, port } => {
            lowered.asked.health_path = Some(path);
            lowered.asked.port = port.or(lowered.asked.port);
        }
        Kind::Port(port) => lowered.asked.port = port.or(lowered.asked.port),
        Kind::Command(command) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(command);
            lowered.settings.health =
                Some(HealthSettings { test, timeout: Some(asked.timeout), ..HealthSettings::default() });
        }
        Kind::None => {}
    }
}

enum Kind {
    Http { path: String, port: Option<u16> },
    Port(Option<u16>),
    Command(Vec<String>),
    None,
}

struct Probe {
    kind: Kind,
    timeout: Duration,
    /// Time after which a container that fails it is killed.
    patience: Duration,
}

fn probe(container: &Fields<'_>, fields: Fields<'_>) -> Probe {
    let seconds = |key, default| fields.number::<u32>(key).unwrap_or(default);
    let timeout = seconds("timeoutSeconds", 1);
    let patience = seconds("initialDelaySeconds", 0).saturating_add(
        seconds("periodSeconds", 10).max(1).saturating_mul(seconds("failureThreshold", 3).max(1)),
    );
    let kind = if let Some(http) = fields.fields("httpGet") {
        let path = http.string("path").filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        let port = port(container, &http);
        if http.string("scheme").as_deref() == Some("HTTPS") {
            http.missing("scheme", "it is asked without TLS");
        }
        http.ignored("httpHeaders", "it is asked without them");
        http.known(&["host"]);
        http.finish();
        Kind::Http { path: format!("/{}", path.trim_start_matches('/')), port }
    } else if let Some(tcp) = fields.fields("tcpSocket") {
        let port = port(container, &tcp);
        tcp.known(&["host"]);
        tcp.finish();
        Kind::Port(port)
    } else if let Some(grpc) = fields.fields("grpc") {
        grpc.ignored("service", "gRPC is not asked: that its port answers is");
        let port = grpc.number("port");
        grpc.finish();
        Kind::Port(port)
    } else if let Some(exec) = fields.fields("exec") {
        let command = exec.strings("command");
        exec.finish();
        Kind::Command(command)
    } else {
        let message = format!("{} asks nothing", fields.path("").trim_end_matches('.'));
        let hint = "httpGet, tcpSocket, grpc or exec say what is asked";
        fields.findings.problem(Problem::new(fields.span(), message).hinted(hint));
        Kind::None
    };
    fields.known(&["successThreshold", "terminationGracePeriodSeconds"]);
    fields.finish();
    Probe {
        kind,
        timeout: Duration::from_secs(u64::from(timeout.max(1))),
        patience: Duration::from_secs(u64::from(patience)),
    }
}

/// A port by its number, or by its name among the container's.
fn port(container: &Fields<'_>, fields: &Fields<'_>) -> Option<u16> {
    let node = fields.get("port")?;
    let scalar = node.scalar()?;
    if let Plain::Integer(number) = scalar.resolve(DIALECT) {
        return u16::try_from(number).ok();
    }
    let named = container.list("ports").iter().find(|port| {
        port.get("name").and_then(|name| name.scalar()).is_some_and(|name| name.text == scalar.text)
    });
    let number = named.and_then(|port| port.get("containerPort")?.scalar()?.text.parse().ok());
    if number.is_none() {
        let message = format!("{}: the container has no port {}", fields.path("port"), scalar.text);
        fields.findings.problem(Problem::new(node.span, message));
    }
    number
}
