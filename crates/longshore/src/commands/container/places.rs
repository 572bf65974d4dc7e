//! Ports and mounts as they are typed, to Docker's rules.

use std::net::IpAddr;
use std::path::PathBuf;

use longshore_runtime::{MountSettings, MountSource, Protocol, PublishedPort};

use super::super::build::values::bytes;
use super::settings::{SettingsError, refuse};

/// `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`.
pub(super) fn port(text: &str) -> Result<PublishedPort, SettingsError> {
    let refused = |reason: &str| refuse("--publish", text, reason);
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Err(refused("the protocol is tcp or udp")),
    };
    let (before, container) =
        ports.rsplit_once(':').map_or((None, ports), |(before, last)| (Some(before), last));
    let number =
        |text: &str| text.parse::<u16>().map_err(|_| refused("expected [ADDRESS:][PORT:]PORT[/tcp|/udp]"));
    let container = number(container)?;
    if container == 0 {
        return Err(refused("port 0 of a container is none"));
    }
    let (address, host) = match before {
        None => (None, None),
        Some(before) => {
            let (address, host) = match before.rsplit_once(':') {
                Some((address, host)) => (Some(address), host),
                // An IPv4 address with a port that is chosen.
                None if before.parse::<IpAddr>().is_ok() => (Some(before), ""),
                None => (None, before),
            };
            let plain = address.map(|address| address.trim_start_matches('[').trim_end_matches(']'));
            let address = plain.filter(|address| !address.is_empty());
            let address = address.map(|address| address.parse().map_err(|_| refused("the address is none")));
            (address.transpose()?, if host.is_empty() { None } else { Some(number(host)?) })
        }
    };
    Ok(PublishedPort { address, host, container, protocol })
}

/// `[SOURCE:]TARGET[:OPTIONS]`: a source with a slash is a path, another the name of a volume.
pub(super) fn volume(text: &str) -> Result<MountSettings, SettingsError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] if target.starts_with('/') => (Some(*source), *target, ""),
        [target, options] => (None, *target, *options),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(refuse("--volume", text, "expected SOURCE:TARGET[:ro]")),
    };
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            // Labels of SELinux and copying are as they are by default.
            "rw" | "z" | "Z" => {}
            other => return Err(refuse("--volume", text, format!("the option {other} is unknown"))),
        }
    }
    let source = match source {
        None => MountSource::Volume(None),
        Some(source) if source.contains('/') || source == "." || source == ".." => {
            MountSource::Bind(PathBuf::from(source))
        }
        Some(source) => MountSource::Volume(Some(source.to_owned())),
    };
    Ok(MountSettings { target: target.to_owned(), source, read_only })
}

/// `type=…,source=…,target=…,readonly`.
pub(super) fn mount(text: &str) -> Result<MountSettings, SettingsError> {
    let (mut kind, mut source, mut target, mut read_only) = ("volume", None, None, false);
    let (mut size, mut mode) = (None, None);
    for part in text.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, "true"));
        match name {
            "type" => kind = value,
            "source" | "src" => source = Some(value),
            "target" | "dst" | "destination" => target = Some(value),
            "readonly" | "ro" => read_only = value != "false",
            "tmpfs-size" => size = Some(bytes(value).map_err(|reason| refuse("--mount", text, reason))?),
            "tmpfs-mode" => mode = Some(octal("--mount", text, value)?),
            other => return Err(refuse("--mount", text, format!("the key {other} is unknown"))),
        }
    }
    let target = target.ok_or_else(|| refuse("--mount", text, "it has no target"))?;
    let source = match (kind, source) {
        ("bind", Some(source)) => MountSource::Bind(PathBuf::from(source)),
        ("bind", None) => return Err(refuse("--mount", text, "it has no source")),
        ("volume", source) => MountSource::Volume(source.map(str::to_owned)),
        ("tmpfs", _) => MountSource::Tmpfs { size, mode, programs: false },
        (other, _) => return Err(refuse("--mount", text, format!("the type {other} is unknown"))),
    };
    Ok(MountSettings { target: target.to_owned(), source, read_only })
}

/// `TARGET[:OPTIONS]`.
pub(super) fn tmpfs(text: &str) -> Result<MountSettings, SettingsError> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut size, mut mode, mut read_only, mut programs) = (None, None, false, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => size = Some(bytes(value).map_err(|reason| refuse("--tmpfs", text, reason))?),
            ("mode", value) => mode = Some(octal("--tmpfs", text, value)?),
            ("ro", "") => read_only = true,
            // What every one of them has.
            ("exec", "") => programs = true,
            ("noexec", "") => programs = false,
            ("rw" | "nosuid" | "nodev", "") => {}
            (other, _) => return Err(refuse("--tmpfs", text, format!("the option {other} is unknown"))),
        }
    }
    Ok(MountSettings {
        target: target.to_owned(),
        source: MountSource::Tmpfs { size, mode, programs },
        read_only,
    })
}

fn octal(flag: &'static str, text: &str, value: &str) -> Result<u32, SettingsError> {
    u32::from_str_radix(value, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| refuse(flag, text, format!("`{value}` are no permission bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        let read = |text: &str| {
            port(text).map(|port| (port.address.map(|a| a.to_string()), port.host, port.container))
        };
        let local = || Some("127.0.0.1".to_owned());
        for (text, address, host, container) in [
            ("8080:80", None, Some(8080), 80),
            ("80", None, None, 80),
            ("127.0.0.1:8080:80", local(), Some(8080), 80),
            ("127.0.0.1::80", local(), None, 80),
            ("[::1]:8080:80/tcp", Some("::1".to_owned()), Some(8080), 80),
            ("0:80", None, Some(0), 80),
        ] {
            assert_eq!(read(text).unwrap(), (address, host, container), "{text}");
        }
        for text in ["", "x", "80:", "70000:80", "80:0", "1.2.3:80:80", "80/sctp", "1:2:3:4"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mounts_are_read_as_docker_reads_them() {
        let read = |text: &str| volume(text).map(|mount| (mount.source, mount.target, mount.read_only));
        let bind = |path: &str| MountSource::Bind(path.into());
        let named = |name: &str| MountSource::Volume(Some(name.to_owned()));
        for (text, source, target, read_only) in [
            ("/a:/b", bind("/a"), "/b", false),
            ("./a:/b:ro", bind("./a"), "/b", true),
            ("data:/b", named("data"), "/b", false),
            ("/b", MountSource::Volume(None), "/b", false),
        ] {
            assert_eq!(read(text).unwrap(), (source, target.to_owned(), read_only), "{text}");
        }
        assert!(read("a:b:c:d").is_err());
        assert!(read("/a:/b:rox").is_err());
        let memory = tmpfs("/tmp:rw,noexec,nosuid,size=64m,mode=1700").unwrap();
        assert_eq!(
            memory.source,
            MountSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1700), programs: false }
        );
        let keys = mount("type=bind,src=/a,dst=/b,readonly").unwrap();
        assert_eq!((keys.source, keys.read_only), (bind("/a"), true));
        assert!(mount("type=bind,dst=/b").is_err());
    }
}
