//! What is asked for, and what is given.

use std::fmt;
use std::path::{Path, PathBuf};

use longshore_golang::{GoVersion, ToolchainLines, ToolchainName};
use serde::{Deserialize, Serialize};

use crate::shelf::Lease;

/// The module that Go's toolchains are versions of.
pub(crate) const MODULE: &str = "golang.org/toolchain";

/// What a module or workspace asks of its toolchain.
#[derive(Debug, Clone, Default)]
pub struct ToolchainRequest {
    /// The `go` and `toolchain` lines of go.mod, or of go.work where there is one.
    pub lines: ToolchainLines,
    /// The file that holds the lines, for messages.
    pub file: Option<PathBuf>,
    /// What longshore.lock says, if the build must not drift from it.
    pub pin: Option<Pin>,
}

/// The exact toolchain that a lock file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its name.
    pub name: ToolchainName,
    /// The `h1:` hash of its module, if the toolchain was fetched when the lock was written.
    pub hash: Option<String>,
}

/// A toolchain as a version of Go's module `golang.org/toolchain`: `v0.0.1-go1.26.8.linux-amd64`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ModuleVersion {
    name: ToolchainName,
    platform: String,
}

/// The packaging's own version, which stands before every toolchain's name.
const PACKAGING: &str = "v0.0.1-";

impl ModuleVersion {
    /// The version of a toolchain that runs on a platform such as `linux-amd64`. None if the name has characters that a module's
    /// version may not have: they would need escaping in URLs and paths.
    pub fn new(name: &ToolchainName, platform: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let text = name.as_str();
        let is_plain =
            text.len() <= 100 && text.bytes().all(plain) && !text.contains("..") && !text.ends_with('.');
        is_plain.then(|| ModuleVersion { name: name.clone(), platform: platform.to_owned() })
    }

    /// The toolchain's name.
    pub fn name(&self) -> &ToolchainName {
        &self.name
    }

    /// The platform it runs on: `linux-amd64`.
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// The folder's name in the cache: `go1.26.8.linux-amd64`.
    pub(crate) fn folder(&self) -> String {
        format!("{}.{}", self.name, self.platform)
    }

    /// Reads a version as a proxy lists it. None if it is no toolchain's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, platform) = text.strip_prefix(PACKAGING)?.rsplit_once('.')?;
        let is_platform = platform.split('-').count() == 2
            && platform
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        ModuleVersion::new(&name.parse().ok()?, platform).filter(|_| is_platform)
    }
}

impl fmt::Display for ModuleVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PACKAGING}{}.{}", self.name, self.platform)
    }
}

impl From<ModuleVersion> for String {
    fn from(version: ModuleVersion) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for ModuleVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ModuleVersion::parse(&text).ok_or_else(|| format!("{text:?} is not a version of {MODULE}"))
    }
}

/// A toolchain that is there and can be run.
///
/// Run `go` with GOTOOLCHAIN=local and GOROOT unset or as given here: otherwise it may switch to another one by itself.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The `go` command.
    pub go: PathBuf,
    /// Its GOROOT.
    pub goroot: PathBuf,
    /// Its name: `go1.26.8`.
    pub name: ToolchainName,
    /// Where it comes from.
    pub source: Source,
    /// Keeps it in the cache while it is in use.
    pub lease: Lease,
}

impl Toolchain {
    /// Its version: `1.26.8`.
    pub fn version(&self) -> &GoVersion {
        self.name.version()
    }

    /// The archive of time zones that every Go brings.
    pub fn zoneinfo(&self) -> PathBuf {
        self.goroot.join("lib/time/zoneinfo.zip")
    }

    /// What a lock file should say of it.
    pub fn pin(&self) -> Pin {
        let hash = match &self.source {
            Source::Installed => None,
            Source::Fetched { hash, .. } => Some(hash.clone()),
        };
        Pin { name: self.name.clone(), hash }
    }

    pub(crate) fn at(goroot: &Path, name: ToolchainName, source: Source) -> Self {
        let lease = Lease::default();
        Toolchain { go: goroot.join("bin/go"), goroot: goroot.to_owned(), name, source, lease }
    }

    pub(crate) fn with_lease(self, lease: Lease) -> Self {
        Toolchain { lease, ..self }
    }
}

/// Where a toolchain comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Somebody installed it on this machine.
    Installed,
    /// It was fetched as a module and verified.
    Fetched {
        /// The module's version.
        version: Box<ModuleVersion>,
        /// Its verified hash, as go.sum writes it: `h1:…`.
        hash: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_versions_are_read_and_written_as_the_proxy_lists_them() {
        for text in
            ["v0.0.1-go1.26.8.linux-amd64", "v0.0.1-go1.9.linux-386", "v0.0.1-go1.21rc2.windows-arm64"]
        {
            assert_eq!(ModuleVersion::parse(text).unwrap().to_string(), text);
        }
        let version = ModuleVersion::parse("v0.0.1-go1.22.3-corp.linux-arm64").unwrap();
        assert_eq!((version.name().as_str(), version.platform()), ("go1.22.3-corp", "linux-arm64"));
        for text in [
            "",
            "v0.0.1",
            "v0.0.1-go1.26.8",
            "v0.0.2-go1.26.8.linux-amd64",
            "v0.0.1-x.linux-amd64",
            "v0.0.1-go1.2.linux-a/b",
        ] {
            assert_eq!(ModuleVersion::parse(text), None, "{text}");
        }
        for name in ["go1.2.3-Corp", "go1.2.3-a b", "go1.2.3-..", "go1.2.3-é"] {
            assert_eq!(ModuleVersion::new(&name.parse().unwrap(), "linux-amd64"), None, "{name}");
        }
    }
}
