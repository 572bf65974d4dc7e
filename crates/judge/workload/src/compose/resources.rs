//! Limits of a service, which stand in two places: `deploy.resources.limits`, and the older keys beside it.

use longshore_runtime::{Resources, RestartPolicy, Ulimit};

use crate::document::Problem;
use crate::fields::Fields;
use crate::values::{bytes, processors};

/// The limits.
pub(super) fn resources(service: &Fields<'_>) -> Resources {
    let mut found = Resources {
        memory: service.parsed("mem_limit", bytes).filter(|bytes| *bytes > 0),
        processors: service.parsed("cpus", processors).filter(|count| *count > 0),
        processes: service
            .integer("pids_limit")
            .and_then(|count| u64::try_from(count).ok())
            .filter(|count| *count > 0),
        shared_memory: service.parsed("shm_size", bytes).filter(|bytes| *bytes > 0),
        ulimits: ulimits(service),
    };
    for key in
        ["cpu_quota", "cpu_period", "cpu_rt_runtime", "cpu_rt_period", "cpuset", "cpu_count", "cpu_percent"]
    {
        service.missing(key, "it is not heeded; use `cpus`");
    }
    service.known(&["cpu_shares", "mem_reservation", "mem_swappiness", "memswap_limit"]);
    service.known(&["oom_kill_disable", "oom_score_adj", "blkio_config"]);
    let Some(deploy) = service.fields("deploy") else { return found };
    if let Some(resources) = deploy.fields("resources") {
        if let Some(limits) = resources.fields("limits") {
            found.memory = limits.parsed("memory", bytes).filter(|bytes| *bytes > 0).or(found.memory);
            found.processors =
                limits.parsed("cpus", processors).filter(|count| *count > 0).or(found.processors);
            found.processes = limits.number::<u64>("pids").filter(|count| *count > 0).or(found.processes);
            limits.finish();
        }
        if let Some(reservations) = resources.fields("reservations") {
            reservations.missing("devices", "devices cannot be had");
            reservations.known(&["cpus", "memory", "generic_resources"]);
            reservations.finish();
        }
        resources.finish();
    }
    deploy.known(&["mode", "replicas", "endpoint_mode", "placement", "labels", "update_config"]);
    deploy.known(&["rollback_config", "restart_policy"]);
    deploy.finish();
    found
}

fn ulimits(service: &Fields<'_>) -> Vec<Ulimit> {
    let Some(node) = service.get("ulimits") else { return Vec::new() };
    let mut limits = Vec::new();
    let value = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
    for entry in node.entries() {
        let path = service.path(&format!("ulimits.{}", entry.key));
        let written = entry.value.scalar().map(|scalar| scalar.written(service.dialect));
        let both = match written {
            Some(text) => match text.parse::<i64>() {
                Ok(number) => Some((value(number), value(number))),
                Err(_) => {
                    let message = format!("{path}: `{text}` is no number");
                    service.findings.problem(Problem::new(entry.value.span, message));
                    None
                }
            },
            None => Fields::of(&entry.value, path, service.findings, service.dialect).and_then(|fields| {
                let both = (fields.integer("soft"), fields.integer("hard"));
                fields.finish();
                both.0.zip(both.1).map(|(soft, hard)| (value(soft), value(hard)))
            }),
        };
        limits.extend(both.map(|(soft, hard)| Ulimit { name: entry.key.clone(), soft, hard }));
    }
    limits
}

/// What happens when it ends: `restart`, or what `deploy` says.
pub(super) fn restart(service: &Fields<'_>) -> RestartPolicy {
    if let Some(text) = service.string("restart") {
        return match text.split_once(':').unwrap_or((&text, "")) {
            ("always", "") => RestartPolicy::Always,
            ("unless-stopped", "") => RestartPolicy::UnlessStopped,
            ("on-failure", most) => RestartPolicy::OnFailure(most.parse().ok()),
            ("no" | "", _) => RestartPolicy::No,
            _ => {
                let span = service.get("restart").map_or(service.span(), |node| node.span);
                let message = format!("{}: `{text}` is none", service.path("restart"));
                let hint = "no, on-failure[:MOST], always and unless-stopped are";
                service.findings.problem(Problem::new(span, message).hinted(hint));
                RestartPolicy::No
            }
        };
    }
    let policy = service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
    let Some(policy) = policy else { return RestartPolicy::No };
    let text = |key: &str| policy.get(key).and_then(|node| Some(node.scalar()?.text.clone()));
    match text("condition").as_deref() {
        Some("none") => RestartPolicy::No,
        Some("on-failure") => {
            RestartPolicy::OnFailure(text("max_attempts").and_then(|most| most.parse().ok()))
        }
        // "any" is what it is when nothing is said.
        _ => RestartPolicy::UnlessStopped,
    }
}
