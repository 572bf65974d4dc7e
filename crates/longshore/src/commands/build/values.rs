//! Values of flags that take more than a word.

use std::path::PathBuf;
use std::str::FromStr;

use longshore_builder::ContextAddress;

use crate::location::ImageLocation;

/// `NAME=PLACE` of `--build-context`.
#[derive(Debug, Clone)]
pub(super) struct NamedContext {
    pub(super) name: String,
    pub(super) place: ContextPlace,
}

/// Where a named context is.
#[derive(Debug, Clone)]
pub(super) enum ContextPlace {
    Folder(PathBuf),
    Address(ContextAddress),
    Image(ImageLocation),
}

/// `id=ID,…` of `--secret`.
#[derive(Debug, Clone)]
pub(super) struct SecretSource {
    pub(super) id: String,
    pub(super) place: SecretPlace,
}

/// Where a secret is.
#[derive(Debug, Clone)]
pub(super) enum SecretPlace {
    File(PathBuf),
    Variable(String),
}

/// `ID[=SOCKET]` of `--ssh`.
#[derive(Debug, Clone)]
pub(super) struct AgentSource {
    pub(super) id: String,
    pub(super) socket: Option<PathBuf>,
}

/// `HOST:ADDRESS` of `--add-host`.
#[derive(Debug, Clone)]
pub(crate) struct HostAddress(pub(crate) String, pub(crate) String);

/// A size in bytes, with a unit or without.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    longshore_dockerfile::sizes::parse(text).map_err(|error| error.to_string())
}

impl FromStr for NamedContext {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, place)) =
            text.split_once('=').filter(|(name, place)| !name.is_empty() && !place.is_empty())
        else {
            return Err("expected NAME=PLACE, such as alpine=oci-layout://./bases:alpine".to_owned());
        };
        Ok(NamedContext { name: name.to_owned(), place: place.parse()? })
    }
}

impl FromStr for ContextPlace {
    type Err = String;

    fn from_str(place: &str) -> Result<Self, Self::Err> {
        let image = |text: &str| {
            let location = text.parse::<ImageLocation>();
            location.map(ContextPlace::Image).map_err(|error| error.to_string())
        };
        if let Some(layout) = place.strip_prefix("oci-layout://") {
            return image(&format!("oci:{layout}"));
        }
        if let Some(name) = place.strip_prefix("docker-image://") {
            return image(&format!("docker://{name}"));
        }
        if ["oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "podman:"]
            .iter()
            .any(|start| place.starts_with(start))
        {
            return image(place);
        }
        let folder = PathBuf::from(place);
        match ContextAddress::read(place).filter(|_| !folder.is_dir()) {
            Some(address) => address.map(ContextPlace::Address).map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                format!("{error}{}", cause.unwrap_or_default())
            }),
            None => Ok(ContextPlace::Folder(folder)),
        }
    }
}

/// The words of Go's `strconv.ParseBool`, which BuildKit and buildx read switches with.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl FromStr for SecretSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut id, mut file, mut variable) = (None, None, None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("id", value)) if !value.is_empty() => id = Some(value.to_owned()),
                Some(("src" | "source", value)) if !value.is_empty() => file = Some(PathBuf::from(value)),
                Some(("env", value)) if !value.is_empty() => variable = Some(value.to_owned()),
                Some(("type", "file" | "env")) => {}
                // What was typed may be the secret itself, so it is not repeated.
                _ => return Err("expected id=ID with src=FILE or env=VARIABLE".to_owned()),
            }
        }
        let id = id.ok_or("expected id=ID with src=FILE or env=VARIABLE")?;
        let place = match (file, variable) {
            (Some(file), _) => SecretPlace::File(file),
            (None, Some(variable)) => SecretPlace::Variable(variable),
            (None, None) => SecretPlace::Variable(id.clone()),
        };
        Ok(SecretSource { id, place })
    }
}

impl FromStr for AgentSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, socket) = text.split_once('=').map_or((text, None), |(id, socket)| (id, Some(socket)));
        if id.is_empty() || socket == Some("") {
            return Err("expected ID or ID=SOCKET".to_owned());
        }
        Ok(AgentSource { id: id.to_owned(), socket: socket.map(PathBuf::from) })
    }
}

impl FromStr for HostAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, address) = text.split_once(['=', ':']).ok_or("expected HOST:ADDRESS")?;
        let plain = address.trim_start_matches('[').trim_end_matches(']');
        plain.parse::<std::net::IpAddr>().map_err(|_| format!("`{address}` is no address"))?;
        Ok(HostAddress(host.to_owned(), plain.to_owned()))
    }
}
/// Processors, in thousandths of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cpus(pub(crate) u64);

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Cpus, String> {
        let refused = || format!("`{text}` is no number of processors, such as 2 or 0.5");
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        if part.is_empty() || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let whole: u64 = whole.parse().map_err(|_| refused())?;
        let part: u64 = format!("{part:0<3}").parse().map_err(|_| refused())?;
        match whole.checked_mul(1000).and_then(|whole| whole.checked_add(part)) {
            Some(count) if count > 0 => Ok(Cpus(count)),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_in_thousandths() {
        let read = |text: &str| text.parse::<Cpus>().map(|cpus| cpus.0);
        let cases = [("2", 2000), ("0.5", 500), ("1.25", 1250), ("0.001", 1)];
        for (text, count) in cases {
            assert_eq!(read(text), Ok(count), "{text}");
        }
        for text in ["", "0", "-1", "1.", "1.0000", "x", "1e3", "99999999999999999999"] {
            assert_eq!(read(text), Err(format!("`{text}` is no number of processors, such as 2 or 0.5")));
        }
    }
}
