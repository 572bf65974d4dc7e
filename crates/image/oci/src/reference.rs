//! References: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
//!
//! The grammar is distribution's; short names are completed as Docker does: a first component without a dot, a colon or
//! the word `localhost` belongs to the repository, the registry defaults to docker.io and a repository of one component there
//! lives under `library/`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Digest, DigestError};

/// The registry that names without one mean.
pub const DEFAULT_REGISTRY: &str = "docker.io";

const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// The name of an image in a registry or in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A string that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not an image reference: {kind}")]
pub struct ReferenceError {
    /// What was read.
    pub value: String,
    /// What is wrong with it.
    pub kind: ReferenceErrorKind,
}

/// What can be wrong with a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceErrorKind {
    /// Nothing names a repository.
    #[error("it names no repository")]
    Empty,
    /// A URL stands where a name is expected.
    #[error("a name has no `://` in it: expected [HOST[:PORT]/]NAME[:TAG][@DIGEST]")]
    Url,
    /// Upper-case letters stand in the repository.
    #[error("a repository's name must be lower-case")]
    UpperCase,
    /// A component of the repository has characters or separators in the wrong place.
    #[error(
        "`{0}` is not a repository component: expected a-z, 0-9 and single separators (. _ __ -) between them"
    )]
    Component(String),
    /// The registry is not HOST or HOST:PORT.
    #[error("`{0}` is not a registry: expected HOST or HOST:PORT")]
    Registry(String),
    /// The tag has other characters than [A-Za-z0-9_.-], starts with . or -, or is longer than 128.
    #[error("`{0}` is not a tag: expected up to 128 of A-Z a-z 0-9 _ . -, not starting with . or -")]
    Tag(String),
    /// The digest is not one.
    #[error("{0}")]
    Digest(DigestError),
    /// The repository is longer than 255 characters.
    #[error("a repository's name may have up to {MAX_REPOSITORY} characters")]
    Length,
}

impl Reference {
    /// The registry: HOST or HOST:PORT.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in its registry, `library/alpine` for `alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same reference, tagged `latest` where it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with a tag and no digest. Errors: `tag` is not one.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            let kind = ReferenceErrorKind::Tag(tag.to_owned());
            return Err(ReferenceError { value: format!("{self}:{tag}"), kind });
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with a digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The name as people write it: without docker.io and library/.
    pub fn familiar(&self) -> String {
        let mut name = match (self.registry.as_str(), self.repository.strip_prefix("library/")) {
            (DEFAULT_REGISTRY, Some(short)) if !short.contains('/') => short.to_owned(),
            (DEFAULT_REGISTRY, _) => self.repository.clone(),
            _ => format!("{}/{}", self.registry, self.repository),
        };
        self.append_version(&mut name);
        name
    }

    fn append_version(&self, name: &mut String) {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
    }
}

/// The complete name: registry, repository, tag and digest.
impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = format!("{}/{}", self.registry, self.repository);
        self.append_version(&mut name);
        formatter.write_str(&name)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        parse(value).map_err(|kind| ReferenceError { value: value.to_owned(), kind })
    }
}

fn parse(value: &str) -> Result<Reference, ReferenceErrorKind> {
    if value.contains("://") {
        return Err(ReferenceErrorKind::Url);
    }
    let (rest, digest) = match value.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(ReferenceErrorKind::Digest)?)),
        None => (value, None),
    };
    // A colon after the last slash starts a tag; one before it belongs to the registry's port.
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[name_start..].find(':') {
        Some(colon) => (&rest[..name_start + colon], Some(&rest[name_start + colon + 1..])),
        None => (rest, None),
    };
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(ReferenceErrorKind::Tag(tag.to_owned()));
    }
    let (registry, repository) = split_registry(name);
    if repository.is_empty() {
        return Err(ReferenceErrorKind::Empty);
    }
    if !is_registry(registry) {
        return Err(ReferenceErrorKind::Registry(registry.to_owned()));
    }
    if let Some(component) = repository.split('/').find(|component| !is_component(component)) {
        let lower = component.to_ascii_lowercase();
        let only_case = lower != component && is_component(&lower);
        return Err(if only_case {
            ReferenceErrorKind::UpperCase
        } else {
            ReferenceErrorKind::Component(component.to_owned())
        });
    }
    let repository = match registry {
        DEFAULT_REGISTRY if !repository.contains('/') => format!("library/{repository}"),
        _ => repository.to_owned(),
    };
    if registry.len() + repository.len() + 1 > MAX_REPOSITORY {
        return Err(ReferenceErrorKind::Length);
    }
    Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
}

fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if looks_like_registry(first) => match first {
            "index.docker.io" | "registry-1.docker.io" => (DEFAULT_REGISTRY, rest),
            _ => (first, rest),
        },
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn looks_like_registry(component: &str) -> bool {
    component == "localhost"
        || component.contains(['.', ':', '['])
        || component.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return false };
            let digits = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
            if address.is_empty() || !address.bytes().all(digits) {
                return false;
            }
            return after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// alpha-numeric ( separator alpha-numeric )*, where a separator is `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut position = 0;
    loop {
        let start = position;
        while position < bytes.len() && plain(bytes[position]) {
            position += 1;
        }
        if position == start {
            return false;
        }
        if position == bytes.len() {
            return true;
        }
        let separator = bytes[position];
        let run = bytes[position..].iter().take_while(|byte| **byte == separator).count();
        match (separator, run) {
            (b'.', 1) | (b'_', 1 | 2) | (b'-', _) => position += run,
            _ => return false,
        }
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| word(byte) || matches!(byte, b'.' | b'-');
    tag.len() <= MAX_TAG && tag.bytes().next().is_some_and(word) && tag.bytes().all(rest)
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = std::borrow::Cow::<str>::deserialize(deserializer)?;
        value.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn short_names_are_completed_and_shortened_as_docker_does() {
        for (typed, complete, familiar) in [
            ("alpine", "docker.io/library/alpine", "alpine"),
            ("alpine:3.23", "docker.io/library/alpine:3.23", "alpine:3.23"),
            ("me/app:1", "docker.io/me/app:1", "me/app:1"),
            ("docker.io/me/app", "docker.io/me/app", "me/app"),
            ("index.docker.io/library/alpine", "docker.io/library/alpine", "alpine"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("localhost:5000/app:dev", "localhost:5000/app:dev", "localhost:5000/app:dev"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            (
                "gcr.io/distroless/static-debian12:nonroot",
                "gcr.io/distroless/static-debian12:nonroot",
                "gcr.io/distroless/static-debian12:nonroot",
            ),
            ("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f", "a__b/c--d.e_f"),
        ] {
            let reference: Reference = typed.parse().unwrap();
            assert_eq!(reference.to_string(), complete, "{typed}");
            assert_eq!(reference.familiar(), familiar, "{typed}");
            assert_eq!(complete.parse::<Reference>().unwrap(), reference, "{typed}");
        }
    }

    #[test]
    fn a_tag_and_a_digest_may_stand_together() {
        let reference: Reference = format!("app:1@{DIGEST}").parse().unwrap();
        assert_eq!(reference.tag(), Some("1"));
        assert_eq!(reference.digest().unwrap().to_string(), DIGEST);
        assert_eq!(reference.with_default_tag().tag(), Some("1"));
        assert_eq!("app".parse::<Reference>().unwrap().with_default_tag().tag(), Some("latest"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        use ReferenceErrorKind as Kind;
        for (bad, kind) in [
            ("", Kind::Empty),
            ("localhost:5000/", Kind::Empty),
            ("https://user:pass@example.com/app:1", Kind::Url),
            ("me/App", Kind::UpperCase),
            ("app:", Kind::Tag(String::new())),
            ("app:-x", Kind::Tag("-x".into())),
            ("app..x", Kind::Component("app..x".into())),
            ("a/../b", Kind::Component("..".into())),
            ("a//b", Kind::Component(String::new())),
            ("host:99999/a", Kind::Registry("host:99999".into())),
            ("-bad.io/a", Kind::Registry("-bad.io".into())),
            ("app@sha256:1", Kind::Digest("sha256:1".parse::<Digest>().unwrap_err())),
        ] {
            assert_eq!(bad.parse::<Reference>().unwrap_err().kind, kind, "{bad}");
        }
        let long = format!("me/{}", "a".repeat(255));
        assert_eq!(long.parse::<Reference>().unwrap_err().kind, Kind::Length);
    }
}
