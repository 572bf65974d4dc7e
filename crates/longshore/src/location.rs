//! Where an image is, as people type it.
//!
//! A plain name means the store for commands that look at images and the registry for those that transfer them. Everything else says
//! what it is, with the names of skopeo's transports (containers-transports(5)): `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
//! `docker-archive:FILE[:NAME]`, `docker://NAME`, `docker-daemon:NAME`; and `podman:NAME` for an engine that skopeo reaches otherwise.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use longshore_oci::Reference;

/// A place that holds an image, or takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageLocation {
    /// A name or digest without a transport.
    Plain(ImageName),
    /// `docker://NAME`: a repository of a registry.
    Registry(Reference),
    /// `oci:DIR[:TAG]`: an OCI image layout.
    Layout(Place),
    /// `oci-archive:FILE[:TAG]`: an OCI image layout in a tar file.
    OciArchive(Place),
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive(Place),
    /// `docker-daemon:NAME` or `podman:NAME`: an engine's own store.
    Engine(EngineKind, Reference),
}

/// A file or folder, and which of the images in it is meant; without a name, the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// The image's name or tag in it.
    pub(crate) name: Option<String>,
}

/// A kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// A name without a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    typed: String,
    /// Read as a reference; nothing where only a digest or the beginning of one was typed.
    pub(crate) reference: Option<Reference>,
}

/// What was typed names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImageLocationError {
    /// A transport without a file, folder or name.
    #[error("`{typed}` names no {wanted} after `{transport}:`")]
    Nothing {
        /// What was typed.
        typed: String,
        /// The transport.
        transport: &'static str,
        /// What should follow.
        wanted: &'static str,
    },
    /// A path without a transport.
    #[error("`{0}` is a path: write oci:{0} for a layout, oci-archive:{0} or docker-archive:{0} for a file")]
    Path(String),
    /// A transport of skopeo that is not supported.
    #[error("`{transport}:` is not supported: use {known}", known = TRANSPORTS)]
    Transport {
        /// The transport.
        transport: String,
    },
    /// A malformed reference.
    #[error(transparent)]
    Reference(#[from] longshore_oci::ReferenceError),
}

const TRANSPORTS: &str =
    "a plain name, docker://, oci:, oci-archive:, docker-archive:, docker-daemon: or podman:";
/// Of skopeo's transports, those that a plain name is likely to be mistaken for.
const FOREIGN: [&str; 5] = ["containers-storage", "dir", "ostree", "sif", "atomic"];

/// Transports that are known.
const KNOWN: [&str; 5] = ["oci", "oci-archive", "docker-archive", "docker-daemon", "podman"];

impl ImageLocation {
    /// Whether a text begins as a transport does, known or not, rather than being a plain name or a path.
    pub(crate) fn has_transport(typed: &str) -> bool {
        let start = typed.split_once(':').map(|(start, _)| start);
        typed.starts_with("docker://")
            || start.is_some_and(|start| KNOWN.contains(&start) || FOREIGN.contains(&start))
    }
}

impl ImageName {
    /// What was typed.
    pub(crate) fn typed(&self) -> &str {
        &self.typed
    }
}

impl FromStr for ImageName {
    type Err = ImageLocationError;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        // The store knows digests by their beginning; as a reference this would be the tag of a repository called sha256.
        let digits = typed.strip_prefix("sha256:");
        if digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Ok(ImageName { typed: typed.to_owned(), reference: None });
        }
        if typed.starts_with(['.', '/', '~']) {
            return Err(ImageLocationError::Path(typed.to_owned()));
        }
        let reference = typed.parse::<Reference>()?;
        Ok(ImageName { typed: typed.to_owned(), reference: Some(reference) })
    }
}

impl FromStr for ImageLocation {
    type Err = ImageLocationError;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        if let Some(name) = typed.strip_prefix("docker://") {
            return Ok(ImageLocation::Registry(name.parse()?));
        }
        let Some((transport, rest)) = typed.split_once(':') else {
            return Ok(ImageLocation::Plain(typed.parse()?));
        };
        let place = |transport, wanted| place(typed, transport, rest, wanted);
        let engine = |kind| Ok(ImageLocation::Engine(kind, rest.parse()?));
        match transport {
            "oci" => Ok(ImageLocation::Layout(place("oci", "folder")?)),
            "oci-archive" => Ok(ImageLocation::OciArchive(place("oci-archive", "file")?)),
            "docker-archive" => Ok(ImageLocation::DockerArchive(place("docker-archive", "file")?)),
            "docker-daemon" => engine(EngineKind::Docker),
            "podman" => engine(EngineKind::Podman),
            foreign if FOREIGN.contains(&foreign) => {
                Err(ImageLocationError::Transport { transport: foreign.to_owned() })
            }
            _ => Ok(ImageLocation::Plain(typed.parse()?)),
        }
    }
}

/// `PATH[:NAME]`; as skopeo has it, a path holds no colon, while a name may.
fn place(
    typed: &str,
    transport: &'static str,
    rest: &str,
    wanted: &'static str,
) -> Result<Place, ImageLocationError> {
    let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
    if path.is_empty() || name == Some("") {
        let wanted = if path.is_empty() { wanted } else { "tag or name at its end" };
        return Err(ImageLocationError::Nothing { typed: typed.to_owned(), transport, wanted });
    }
    Ok(Place { path: PathBuf::from(path), name: name.map(str::to_owned) })
}

impl From<EngineKind> for longshore_docker::EngineKind {
    fn from(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Docker => longshore_docker::EngineKind::Docker,
            EngineKind::Podman => longshore_docker::EngineKind::Podman,
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            EngineKind::Docker => "docker-daemon",
            EngineKind::Podman => "podman",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{}:{name}", self.path.display()),
            None => write!(formatter, "{}", self.path.display()),
        }
    }
}

/// As it can be typed.
impl fmt::Display for ImageLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageLocation::Plain(name) => formatter.write_str(name.typed()),
            ImageLocation::Registry(reference) => write!(formatter, "docker://{reference}"),
            ImageLocation::Layout(place) => write!(formatter, "oci:{place}"),
            ImageLocation::OciArchive(place) => write!(formatter, "oci-archive:{place}"),
            ImageLocation::DockerArchive(place) => write!(formatter, "docker-archive:{place}"),
            ImageLocation::Engine(kind, reference) => write!(formatter, "{kind}:{}", reference.familiar()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, name: Option<&str>) -> Place {
        Place { path: path.into(), name: name.map(str::to_owned) }
    }

    #[test]
    fn transports_are_read_as_skopeo_reads_them() {
        let reference = |name: &str| name.parse::<Reference>().unwrap();
        for (typed, expected) in [
            ("oci:out", ImageLocation::Layout(place("out", None))),
            ("oci:/a/b:v1", ImageLocation::Layout(place("/a/b", Some("v1")))),
            ("oci:a:host:5000/x:v1", ImageLocation::Layout(place("a", Some("host:5000/x:v1")))),
            ("oci-archive:a.tar", ImageLocation::OciArchive(place("a.tar", None))),
            ("docker-archive:a.tar:x:1", ImageLocation::DockerArchive(place("a.tar", Some("x:1")))),
            ("docker://alpine:3", ImageLocation::Registry(reference("alpine:3"))),
            ("docker-daemon:x:1", ImageLocation::Engine(EngineKind::Docker, reference("x:1"))),
            ("podman:x", ImageLocation::Engine(EngineKind::Podman, reference("x"))),
        ] {
            let location: ImageLocation = typed.parse().unwrap();
            assert_eq!(location, expected, "{typed}");
            assert_eq!(location.to_string().parse::<ImageLocation>().unwrap(), expected, "{typed}");
        }
    }

    #[test]
    fn a_plain_name_is_a_reference_unless_it_is_a_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (typed, is_reference) in [
            ("app:1", true),
            ("localhost:5000/app", true),
            ("oci/app", true),
            ("cafe", true),
            ("sha256:abcd", false),
            (&digest, false),
            ("sha256:latest", true),
        ] {
            let ImageLocation::Plain(name) = typed.parse().unwrap() else { panic!("{typed}") };
            assert_eq!(name.reference.is_some(), is_reference, "{typed}");
            assert_eq!(name.typed(), typed);
        }
    }

    #[test]
    fn what_names_no_place_is_told_what_would() {
        for (typed, message) in [
            ("oci:", "`oci:` names no folder after `oci:`"),
            ("oci:dir:", "`oci:dir:` names no tag or name at its end after `oci:`"),
            (
                "./out",
                "`./out` is a path: write oci:./out for a layout, oci-archive:./out or docker-archive:./out for a file",
            ),
            (
                "dir:/x",
                "`dir:` is not supported: use a plain name, docker://, oci:, oci-archive:, docker-archive:, docker-daemon: or podman:",
            ),
            ("docker://", "`` is not an image reference: it names no repository"),
            ("App", "`App` is not an image reference: a repository's name must be lower-case"),
        ] {
            assert_eq!(typed.parse::<ImageLocation>().unwrap_err().to_string(), message);
        }
    }
}
