//! What an engine is told to make: `POST /containers/create`.

use std::time::Duration;

use longshore_runtime::{
    ContainerSettings, HealthSettings, MountSource, NetworkMode, Protocol, RestartPolicy, Seccomp,
};
use serde_json::{Map, Value, json};

/// The order for a container of these settings.
pub(super) fn order(settings: &ContainerSettings) -> Value {
    let pairs = |pairs: &[(String, String)]| -> Vec<String> {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
    };
    let labels: Map<String, Value> =
        settings.labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let mut order = json!({
        "Image": settings.image,
        "Env": pairs(&settings.environment),
        "Labels": labels,
        "Tty": settings.terminal,
        "OpenStdin": settings.interactive,
        "ExposedPorts": exposed(settings),
        "HostConfig": host(settings),
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            order[key] = value;
        }
    };
    set("Hostname", settings.hostname.as_ref().map(|name| json!(name)));
    set("User", settings.user.as_ref().map(|user| json!(user)));
    // No words at all are the image's to an engine; one that is empty takes them away.
    let entrypoint = settings.entrypoint.as_ref().map(|words| match words.is_empty() {
        true => json!([""]),
        false => json!(words),
    });
    set("Entrypoint", entrypoint);
    set("Cmd", settings.command.as_ref().map(|words| json!(words)));
    set("WorkingDir", settings.folder.as_ref().map(|folder| json!(folder)));
    set("StopSignal", settings.stop_signal.as_ref().map(|signal| json!(signal)));
    set("StopTimeout", settings.stop_timeout.map(|time| json!(time.as_secs())));
    set("Healthcheck", settings.health.as_ref().map(health));
    order
}

fn exposed(settings: &ContainerSettings) -> Value {
    let ports = settings.ports.iter().map(|port| (number(port.container, port.protocol), json!({})));
    Value::Object(ports.collect())
}

fn number(port: u16, protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => format!("{port}/tcp"),
        Protocol::Udp => format!("{port}/udp"),
    }
}

fn health(health: &HealthSettings) -> Value {
    // Nothing said is the image's.
    let time =
        |time: Option<Duration>| time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    json!({
        "Test": health.test,
        "Interval": time(health.interval),
        "Timeout": time(health.timeout),
        "StartPeriod": time(health.start_period),
        "StartInterval": time(health.start_interval),
        "Retries": health.retries.unwrap_or_default(),
    })
}

fn host(settings: &ContainerSettings) -> Value {
    let resources = &settings.resources;
    let hosts: Vec<String> =
        settings.hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    let limits = resources.ulimits.iter().map(|limit| {
        let value = |value: u64| i64::try_from(value).unwrap_or(-1);
        json!({ "Name": limit.name, "Soft": value(limit.soft), "Hard": value(limit.hard) })
    });
    let (mounts, memory) = mounts(settings);
    let mut host = json!({
        "NetworkMode": match settings.network {
            NetworkMode::Own => "default",
            NetworkMode::Host => "host",
            NetworkMode::None => "none",
        },
        "PortBindings": bindings(settings),
        "Mounts": mounts,
        "Tmpfs": memory,
        "ReadonlyRootfs": settings.read_only,
        "CapAdd": settings.capabilities.add,
        "CapDrop": settings.capabilities.drop,
        "SecurityOpt": security(settings),
        "ExtraHosts": hosts,
        "GroupAdd": settings.groups,
        "Ulimits": limits.collect::<Vec<_>>(),
        "Init": settings.init,
        "AutoRemove": settings.remove,
        "RestartPolicy": restart(settings.restart),
        "Memory": resources.memory.unwrap_or_default(),
        // As longshore's own containers have it: no swap beside the memory.
        "MemorySwap": resources.memory.unwrap_or_default(),
        "NanoCpus": resources.processors.unwrap_or_default().saturating_mul(1_000_000),
    });
    if let Some(processes) = resources.processes {
        host["PidsLimit"] = processes.into();
    }
    if let Some(size) = resources.shared_memory {
        host["ShmSize"] = size.into();
    }
    host
}

fn bindings(settings: &ContainerSettings) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in &settings.ports {
        let address = port.address.map(|address| address.to_string()).unwrap_or_default();
        let host = port.host.filter(|port| *port > 0).map(|port| port.to_string()).unwrap_or_default();
        let binding = json!({ "HostIp": address, "HostPort": host });
        let bound = bindings.entry(number(port.container, port.protocol)).or_insert_with(|| json!([]));
        if let Value::Array(bound) = bound {
            bound.push(binding);
        }
    }
    Value::Object(bindings)
}

fn mounts(settings: &ContainerSettings) -> (Vec<Value>, Map<String, Value>) {
    let (mut mounts, mut memory) = (Vec::new(), Map::new());
    for mount in &settings.mounts {
        let (target, read_only) = (&mount.target, mount.read_only);
        match &mount.source {
            MountSource::Bind(path) => mounts.push(json!({
                "Type": "bind", "Source": path, "Target": target, "ReadOnly": read_only,
            })),
            MountSource::Volume(name) => mounts.push(json!({
                "Type": "volume", "Source": name.as_deref().unwrap_or_default(), "Target": target, "ReadOnly": read_only,
            })),
            MountSource::Tmpfs { size, mode, programs } => {
                let mut options = vec![if *programs { "exec" } else { "noexec" }.to_owned()];
                options.extend(size.map(|size| format!("size={size}")));
                options.extend(mode.map(|mode| format!("mode={mode:o}")));
                options.extend(read_only.then(|| "ro".to_owned()));
                memory.insert(target.clone(), options.join(",").into());
            }
        }
    }
    (mounts, memory)
}

fn security(settings: &ContainerSettings) -> Vec<String> {
    let mut options = Vec::new();
    if settings.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &settings.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => options.push("seccomp=unconfined".to_owned()),
        Seccomp::Profile { text, .. } => options.push(format!("seccomp={text}")),
    }
    options
}

fn restart(policy: RestartPolicy) -> Value {
    let (name, most) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::OnFailure(most) => ("on-failure", most.unwrap_or_default()),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    };
    json!({ "Name": name, "MaximumRetryCount": most })
}

#[cfg(test)]
mod tests {
    use longshore_runtime::{Capabilities, MountSettings, PublishedPort, Resources};

    use super::*;

    #[test]
    fn settings_are_docker_s_words() {
        let settings = ContainerSettings {
            image: "app:1".to_owned(),
            entrypoint: Some(Vec::new()),
            environment: vec![("A".to_owned(), "b=c".to_owned())],
            read_only: true,
            no_new_privileges: true,
            capabilities: Capabilities { add: Vec::new(), drop: vec!["ALL".to_owned()] },
            resources: Resources { memory: Some(64 << 20), processors: Some(500), ..Resources::default() },
            ports: vec![PublishedPort {
                address: Some([127, 0, 0, 1].into()),
                host: None,
                container: 80,
                protocol: Protocol::Tcp,
            }],
            mounts: vec![MountSettings {
                target: "/tmp".to_owned(),
                source: MountSource::Tmpfs { size: Some(1024), mode: Some(0o1777), programs: false },
                read_only: false,
            }],
            restart: RestartPolicy::OnFailure(Some(3)),
            ..ContainerSettings::default()
        };
        let order = order(&settings);
        let host = &order["HostConfig"];
        for (found, expected) in [
            (&order["Entrypoint"], json!([""])),
            (&order["Cmd"], Value::Null),
            (&order["Env"], json!(["A=b=c"])),
            (&order["ExposedPorts"], json!({ "80/tcp": {} })),
            (&host["PortBindings"], json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }] })),
            (&host["Tmpfs"], json!({ "/tmp": "noexec,size=1024,mode=1777" })),
            (&host["ReadonlyRootfs"], json!(true)),
            (&host["CapDrop"], json!(["ALL"])),
            (&host["SecurityOpt"], json!(["no-new-privileges"])),
            (&host["Memory"], json!(67_108_864)),
            (&host["NanoCpus"], json!(500_000_000)),
            (&host["RestartPolicy"], json!({ "Name": "on-failure", "MaximumRetryCount": 3 })),
            (&host["PidsLimit"], Value::Null),
        ] {
            assert_eq!(*found, expected, "{order}");
        }
    }
}
