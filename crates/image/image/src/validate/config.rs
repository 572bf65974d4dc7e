//! An image's config: the shapes of its values, and whether layers, diff ids and history agree.

use longshore_oci::{ImageConfig, Manifest, Platform};

use crate::validate::Findings;

/// Checks a config by itself.
pub(super) fn check_config(config: &ImageConfig, findings: &mut Findings) {
    for (name, value) in [("architecture", &config.architecture), ("os", &config.os)] {
        if value.is_empty() {
            findings.error("config-platform", name, format!("{name} is empty"));
        }
    }
    if config.rootfs.kind != "layers" {
        let message = format!("rootfs.type is `{}`, and must be `layers`", config.rootfs.kind);
        findings.error("config-rootfs-type", "rootfs.type", message);
    }
    check_dates(config, findings);
    let container = &config.config;
    for (number, variable) in container.env.iter().enumerate() {
        let name = variable.split_once('=').map(|(name, _)| name);
        if name.is_none_or(str::is_empty) {
            let message = format!("`{}` is not NAME=VALUE", shorten(variable));
            findings.error("config-env", format!("config.Env[{number}]"), message);
        }
        if variable.contains('\0') {
            findings.error("config-env", format!("config.Env[{number}]"), "it has a NUL character in it");
        }
    }
    for port in container.exposed_ports.keys().filter(|port| !is_port(port)) {
        let message = format!("`{}` is not PORT, PORT/tcp, PORT/udp or PORT/sctp", shorten(port));
        findings.error("config-port", "config.ExposedPorts", message);
    }
    for volume in container.volumes.keys().filter(|volume| !volume.starts_with('/')) {
        let message = format!("`{}` is not an absolute path", shorten(volume));
        findings.notice("config-volume", "config.Volumes", message);
    }
    if !is_user(&container.user) {
        let message = format!("`{}` is not USER or USER:GROUP", shorten(&container.user));
        findings.error("config-user", "config.User", message);
    }
    if !container.working_dir.is_empty() && !container.working_dir.starts_with('/') {
        let message = format!("`{}` is not an absolute path", shorten(&container.working_dir));
        findings.error("config-working-dir", "config.WorkingDir", message);
    }
    if container.stop_signal.as_ref().is_some_and(|signal| !is_signal(signal)) {
        let message =
            format!("`{}` is no signal", shorten(container.stop_signal.as_deref().unwrap_or_default()));
        findings.error("config-stop-signal", "config.StopSignal", message);
    }
}

fn check_dates(config: &ImageConfig, findings: &mut Findings) {
    let own = config.created.iter().map(|date| ("created".to_owned(), date));
    let history = config.history.iter().enumerate();
    let history = history.filter_map(|(n, h)| Some((format!("history[{n}].created"), h.created.as_ref()?)));
    for (path, date) in own.chain(history) {
        if !is_date(date) {
            let message = format!("`{}` is not an RFC 3339 date", shorten(date));
            findings.error("config-date", path, message);
        }
    }
}

/// Checks that a config belongs to its manifest, and says the platform that the manifest's descriptor says.
pub(super) fn check_agreement(
    config: &ImageConfig,
    manifest: &Manifest,
    platform: Option<&Platform>,
    findings: &mut Findings,
) {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != diff_ids {
        let message = format!("the manifest has {layers} layers, and the config {diff_ids} diff ids");
        findings.error("layer-count", "rootfs.diff_ids", message);
    }
    let told = config.history.iter().filter(|history| !history.empty_layer).count();
    if !config.history.is_empty() && told != diff_ids {
        let message = format!("the history tells of {told} layers, and there are {diff_ids} diff ids");
        findings.error("history-count", "history", message);
    }
    let Some(platform) = platform else { return };
    let own = config.platform();
    let same_variant = platform.variant == own.variant || platform.variant.is_none() || own.variant.is_none();
    if platform.os != own.os || platform.architecture != own.architecture || !same_variant {
        let message = format!("its descriptor says {platform}, and its config {own}");
        findings.error("platform-mismatch", "architecture", message);
    }
}

/// At most sixty characters of a value that may be of any length.
fn shorten(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// `8080`, `8080/tcp`, and the ranges `8080-8090/udp` that Docker knows.
fn is_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let range = match ports.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(ports).is_some(),
    };
    range && matches!(protocol, "tcp" | "udp" | "sctp")
}

fn is_user(text: &str) -> bool {
    let name =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == ':' || c == '/');
    match text.split_once(':') {
        Some((user, group)) => name(user) && name(group),
        None => text.is_empty() || name(text),
    }
}

/// `SIGTERM`, `TERM`, `SIGRTMIN+3` or a number.
fn is_signal(text: &str) -> bool {
    let number = |text: &str| text.parse::<u8>().is_ok_and(|signal| (1..=64).contains(&signal));
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '+' | '-');
    number(text) || (name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(plain))
}

/// RFC 3339: `2006-01-02T15:04:05[.999](Z|±07:00)`, with days that exist.
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |start: usize, count: usize| -> Option<u32> {
        let part =
            text.get(start..start + count).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse().ok()
    };
    let date = || -> Option<bool> {
        let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
        let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
        let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        let separated = separators.iter().all(|(at, byte)| bytes.get(*at) == Some(byte));
        let time_follows = matches!(bytes.get(10)?, b'T' | b't');
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return Some(false),
        };
        // A leap second is the sixtieth.
        let clock = hour < 24 && minute < 60 && second <= 60;
        Some(separated && time_follows && (1..=days).contains(&day) && clock)
    };
    date() == Some(true) && is_offset(text.get(19..).unwrap_or_default())
}

fn is_offset(text: &str) -> bool {
    let offset = match text.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            if end == 0 {
                return false;
            }
            &fraction[end..]
        }
        None => text,
    };
    if matches!(offset, "Z" | "z") {
        return true;
    }
    let (Some(sign), Some(clock)) = (offset.get(..1), offset.get(1..)) else { return false };
    let Some((hours, minutes)) = clock.split_once(':') else { return false };
    let below = |text: &str, limit: u32| {
        text.len() == 2
            && text.bytes().all(|b| b.is_ascii_digit())
            && text.parse::<u32>().is_ok_and(|n| n < limit)
    };
    matches!(sign, "+" | "-") && below(hours, 24) && below(minutes, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for good in ["1970-01-01T00:00:00Z", "2024-02-29T23:59:60.5+14:00", "2026-11-24t02:00:00.000000001z"]
        {
            assert!(is_date(good), "{good}");
        }
        for bad in [
            "",
            "now",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T24:00:00Z",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
        for bad in [
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+1:00",
            "2024-01-01T00:00:00é",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
        for good in ["80", "8080/tcp", "53/udp", "9/sctp", "7000-8000/tcp"] {
            assert!(is_port(good), "{good}");
        }
        for bad in ["", "0", "65536", "http", "80/icmp", "80/", "9-8", "+80", "-/tcp"] {
            assert!(!is_port(bad), "{bad}");
        }
        for good in ["", "root", "65532", "65532:65532", "www-data:www-data"] {
            assert!(is_user(good), "{good}");
        }
        for bad in [":", "a:", ":b", "a:b:c", "a b", "a/b"] {
            assert!(!is_user(bad), "{bad}");
        }
        for good in ["SIGTERM", "15", "SIGRTMIN+3", "INT"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "0", "65", "sigterm", "SIG TERM", "-9"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
