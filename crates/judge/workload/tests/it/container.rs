//! A container as the recorded cases have it.

use std::time::Duration;

use longshore_runtime::{ContainerSettings, MountSource, NetworkMode, Protocol, RestartPolicy, Seccomp};
use longshore_workload::{Content, Lowered, ProvidedFile};
use serde_json::{Map, Value, json};

/// The recorded form of what was lowered. `folder` is where the case stands.
pub(crate) fn container(lowered: &Lowered, folder: &str) -> Value {
    let settings = &lowered.settings;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (capabilities, resources) = (&settings.capabilities, &settings.resources);
    let file = |path: &str, file: &ProvidedFile| format!("{path} {}", String::from_utf8_lossy(&file.bytes));
    let files = lowered.files.iter().flat_map(|provided| match &provided.content {
        Content::File(one) => vec![file(&provided.target, one)],
        Content::Folder(files) => {
            files.iter().map(|(name, one)| file(&format!("{}/{name}", provided.target), one)).collect()
        }
    });
    json!({
        "image": settings.image,
        "entrypoint": settings.entrypoint,
        "command": settings.command,
        "environment": pairs(&settings.environment),
        "folder": text(&settings.folder),
        "user": text(&settings.user),
        "groups": settings.groups,
        "hostname": text(&settings.hostname),
        "hosts": sorted(settings.hosts.iter().map(|(name, address)| format!("{name} {address}"))),
        "labels": pairs(&settings.labels),
        "network": match settings.network {
            NetworkMode::Own => "own",
            NetworkMode::Host => "host",
            NetworkMode::None => "none",
        },
        "ports": sorted(ports(settings)),
        "mounts": sorted(mounts(settings, folder)),
        "files": sorted(files),
        "read_only": settings.read_only,
        "terminal": settings.terminal,
        "interactive": settings.interactive,
        "cap_add": sorted(capabilities.add.iter().cloned()),
        "cap_drop": sorted(capabilities.drop.iter().cloned()),
        "no_new_privileges": settings.no_new_privileges,
        "seccomp": match settings.seccomp {
            Seccomp::Unconfined => "unconfined",
            _ => "default",
        },
        "memory": resources.memory.unwrap_or_default(),
        "processors": resources.processors.unwrap_or_default(),
        "processes": resources.processes.unwrap_or_default(),
        "shared_memory": resources.shared_memory.unwrap_or_default(),
        "ulimits": sorted(ulimits(settings)),
        "restart": match settings.restart {
            RestartPolicy::No => "no".to_owned(),
            RestartPolicy::Always => "always".to_owned(),
            RestartPolicy::UnlessStopped => "unless-stopped".to_owned(),
            RestartPolicy::OnFailure(None) => "on-failure".to_owned(),
            RestartPolicy::OnFailure(Some(most)) => format!("on-failure:{most}"),
        },
        "init": settings.init,
        "stop_signal": text(&settings.stop_signal),
        "stop_millis": millis(settings.stop_timeout),
        "health": health(settings),
        "log": log(settings),
    })
}

fn millis(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| time.as_secs() * 1000 + u64::from(time.subsec_millis()))
}

fn sorted(list: impl Iterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = list.collect();
    list.sort();
    list
}

fn pairs(pairs: &[(String, String)]) -> Value {
    let mut pairs: Vec<_> = pairs.to_vec();
    pairs.sort();
    Value::Object(pairs.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>())
}

fn ports(settings: &ContainerSettings) -> impl Iterator<Item = String> {
    settings.ports.iter().map(|port| {
        let address = port.address.map_or(String::new(), |address| format!("{address} "));
        let host = port.host.map_or("-".to_owned(), |host| host.to_string());
        let protocol = if port.protocol == Protocol::Udp { "udp" } else { "tcp" };
        format!("{address}{host} {} {protocol}", port.container)
    })
}

fn mounts(settings: &ContainerSettings, folder: &str) -> impl Iterator<Item = String> {
    settings.mounts.iter().map(move |mount| {
        let source = match &mount.source {
            MountSource::Bind(path) => format!("bind {}", placed(&path.display().to_string(), folder)),

            MountSource::Volume(name) => format!("volume {}", name.as_deref().unwrap_or_default()),
            MountSource::Tmpfs { size, mode, .. } => {
                format!("tmpfs {} {:o}", size.unwrap_or_default(), mode.unwrap_or_default())
            }
        };
        format!("{} {source}{}", mount.target, if mount.read_only { " ro" } else { "" })
    })
}

/// A path as it is recorded, wherever the case stands.
fn placed(path: &str, folder: &str) -> String {
    let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
    path.replace(folder, "$DIR").replace(parent, "$PARENT")
}

fn ulimits(settings: &ContainerSettings) -> impl Iterator<Item = String> {
    let number = |value: u64| if value == u64::MAX { -1 } else { value as i64 };
    settings
        .resources
        .ulimits
        .iter()
        .map(move |limit| format!("{} {} {}", limit.name, number(limit.soft), number(limit.hard)))
}

fn health(settings: &ContainerSettings) -> Value {
    let Some(health) = &settings.health else { return Value::Null };
    json!({
        "test": health.test,
        "interval": millis(health.interval),
        "timeout": millis(health.timeout),
        "start_period": millis(health.start_period),
        "start_interval": millis(health.start_interval),
        "retries": health.retries.unwrap_or_default(),
    })
}

fn log(settings: &ContainerSettings) -> String {
    let log = &settings.log;
    match (log.max_size, log.max_files) {
        (None, None) => String::new(),
        (size, files) => {
            format!("{} {}", size.unwrap_or_default(), files.map_or(String::new(), |files| files.to_string()))
        }
    }
}
