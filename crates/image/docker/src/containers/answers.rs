//! What an engine says of a container: `GET /containers/ID/json` and `/stats`.

use std::time::{Duration, SystemTime};

use longshore_runtime::{
    ContainerState, ExitStatus, HealthState, HealthStatus, Protocol, PublishedPort, Statistics, Status, form,
};
use serde::Deserialize;
use serde_json::Value;

/// A year before which nothing of a container happened: what an engine says of what did not happen yet.
const NEVER: Duration = Duration::from_secs(1);

/// The state of a container.
pub(super) fn state(details: &Value) -> ContainerState {
    let state = &details["State"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let status = match state["Status"].as_str().unwrap_or_default() {
        "created" | "configured" | "initialized" => Status::Created,
        "running" | "paused" | "stopping" => Status::Running,
        "restarting" => Status::Restarting,
        "dead" => Status::Dead,
        _ => Status::Exited,
    };
    let exit = || ExitStatus {
        code: state["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
        out_of_memory: state["OOMKilled"] == true,
        reason: Some(text(&state["Error"])).filter(|reason| !reason.is_empty()),
    };
    ContainerState {
        id: text(&details["Id"]),
        name: text(&details["Name"]).trim_start_matches('/').to_owned(),
        status,
        process: state["Pid"].as_u64().and_then(|process| u32::try_from(process).ok()).filter(|one| *one > 0),
        created: time(&details["Created"]).unwrap_or(SystemTime::UNIX_EPOCH),
        started: time(&state["StartedAt"]),
        finished: time(&state["FinishedAt"]),
        exit: matches!(status, Status::Exited | Status::Dead).then(exit),
        health: health(&state["Health"]).or_else(|| health(&state["Healthcheck"])),
        restarts: details["RestartCount"]
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        ports: ports(&details["NetworkSettings"]["Ports"]),
        warnings: Vec::new(),
    }
}

/// A time, but for the year 1, which is that it did not happen.
fn time(value: &Value) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Time(#[serde(with = "form::time")] SystemTime);
    let time = Time::deserialize(value).ok()?.0;
    (time > SystemTime::UNIX_EPOCH + NEVER).then_some(time)
}

fn health(value: &Value) -> Option<HealthState> {
    let status = match value["Status"].as_str()? {
        "healthy" => HealthStatus::Healthy,
        "unhealthy" => HealthStatus::Unhealthy,
        "starting" => HealthStatus::Starting,
        _ => return None,
    };
    let last = value["Log"].as_array().and_then(|log| log.last());
    let code = last.and_then(|last| last["ExitCode"].as_i64()).and_then(|code| i32::try_from(code).ok());
    let output = last.and_then(|last| last["Output"].as_str()).unwrap_or_default();
    let streak = value["FailingStreak"].as_u64().and_then(|streak| u32::try_from(streak).ok());
    Some(HealthState {
        status,
        failing_streak: streak.unwrap_or_default(),
        last_code: code,
        last_output: output.to_owned(),
    })
}

fn ports(value: &Value) -> Vec<PublishedPort> {
    let mut found = Vec::new();
    for (key, bound) in value.as_object().into_iter().flatten() {
        let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        let Ok(container) = port.parse() else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        for binding in bound.as_array().into_iter().flatten() {
            let text = |key: &str| binding[key].as_str().unwrap_or_default();
            let (address, host) = (text("HostIp").parse().ok(), text("HostPort").parse().ok());
            found.push(PublishedPort { address, host, container, protocol });
        }
    }
    found
}

/// What a container uses; `None` of one that does not run.
pub(super) fn statistics(found: &Value) -> Option<Statistics> {
    let memory = &found["memory_stats"];
    let used = memory["usage"].as_u64()?;
    // As `docker stats` counts: files that could be dropped are none of it. The name differs between versions of control groups.
    let details = &memory["stats"];
    let dropped = details["total_inactive_file"].as_u64().or_else(|| details["inactive_file"].as_u64());
    Some(Statistics {
        processor_time: Duration::from_nanos(
            found["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap_or_default(),
        ),
        memory: used.saturating_sub(dropped.unwrap_or_default()),
        memory_limit: memory["limit"].as_u64(),
        processes: found["pids_stats"]["current"].as_u64().unwrap_or_default(),
        processes_limit: found["pids_stats"]["limit"].as_u64(),
    })
}
