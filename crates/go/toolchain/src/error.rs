//! What can stand between a module and its toolchain.

use std::fmt;
use std::path::PathBuf;

use longshore_events::Cancelled;
use longshore_files::FileError;
use longshore_golang::{GoVersion, ToolchainName, VersionError};

use crate::archive::ArchiveError;
use crate::proxies::ProxyListError;
use crate::remote::RemoteError;
use crate::request::ModuleVersion;
use crate::sumdb::{DatabaseError, SettingError};

/// A toolchain cannot be given.
#[derive(Debug, thiserror::Error)]
#[error("cannot provide {wanted}")]
pub struct ToolchainError {
    /// What was wanted, and by what.
    pub wanted: Wanted,
    /// Why it cannot be given.
    #[source]
    pub kind: ToolchainErrorKind,
}

/// A toolchain that is wanted, and by what: "go1.99.0, which the go line of go.mod asks for".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, if one was named.
    pub name: Option<ToolchainName>,
    /// What asks for it.
    pub by: WantedBy,
    /// The file with the lines, where one was given.
    pub file: Option<PathBuf>,
}

/// What asks for a toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedBy {
    /// The `go` line.
    GoLine,
    /// The `toolchain` line.
    ToolchainLine,
    /// GOTOOLCHAIN, in the environment or in a settings file.
    Setting,
    /// longshore.lock.
    Lock,
    /// Nothing asks for a certain one.
    Anybody,
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{name}")?,
            None => formatter.write_str("a Go toolchain")?,
        }
        let line = match self.by {
            WantedBy::GoLine => "go",
            WantedBy::ToolchainLine => "toolchain",
            WantedBy::Setting => return formatter.write_str(", which GOTOOLCHAIN asks for"),
            WantedBy::Lock => return formatter.write_str(", which longshore.lock pins"),
            WantedBy::Anybody => return Ok(()),
        };
        match &self.file {
            Some(file) => write!(formatter, ", which the {line} line of {} asks for", file.display()),
            None => write!(formatter, ", which the {line} line asks for"),
        }
    }
}

/// Why a toolchain cannot be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainErrorKind {
    /// GOTOOLCHAIN has a value that Go does not know.
    #[error("GOTOOLCHAIN has a value that Go does not know")]
    Setting(#[source] VersionError),
    /// No installed Go is new enough, and GOTOOLCHAIN forbids to fetch one.
    #[error("GOTOOLCHAIN={setting} forbids to fetch it, and {}", installed_is(.installed.as_deref()))]
    Forbidden {
        /// GOTOOLCHAIN's value.
        setting: String,
        /// The first Go that is installed.
        installed: Option<Box<(ToolchainName, PathBuf)>>,
    },
    /// The lock or GOTOOLCHAIN names a toolchain that is too old for the module.
    #[error("it is older than Go {needed}, which the go line asks for")]
    TooOld {
        /// The `go` line's version.
        needed: GoVersion,
    },
    /// It is not there, and nothing may be fetched.
    #[error("it is neither installed nor in the cache, and offline nothing is fetched")]
    Offline,
    /// Somebody removed it while it was about to be used, twice.
    #[error("it was removed from the cache as soon as it was fetched")]
    Removed,
    /// Its name cannot be a module's version.
    #[error("its name cannot be a module's version, so it cannot be fetched")]
    Unfetchable,
    /// No proxy has it.
    #[error("no proxy of GOPROXY has {version}{}", newest_is(.newest.as_deref()))]
    NoSuchVersion {
        /// The module's version that was asked for.
        version: Box<ModuleVersion>,
        /// The newest release for this platform that a proxy lists, where one lists any.
        newest: Option<Box<ToolchainName>>,
        /// What the proxy said.
        #[source]
        source: RemoteError,
    },
    /// The proxies could not be asked.
    #[error("cannot fetch it")]
    Remote(#[source] RemoteError),
    /// GOPROXY cannot be understood.
    #[error(transparent)]
    Proxies(#[from] ProxyListError),
    /// GOSUMDB cannot be understood, or switches the check off.
    #[error(transparent)]
    DatabaseSetting(#[from] SettingError),
    /// The checksum database gives no answer that can be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What was fetched, or is in the cache, is not what it should be.
    #[error("its hash is {found}, but {by} says {expected}")]
    HashMismatch {
        /// Who knows better.
        by: HashSource,
        /// The hash that it should have.
        expected: String,
        /// The hash that it has.
        found: String,
    },
    /// The lock and the checksum database contradict each other, so nothing was fetched.
    #[error("longshore.lock says its hash is {pinned}, but the checksum database says {proved}")]
    PinContradicted {
        /// The lock's hash.
        pinned: String,
        /// The database's.
        proved: String,
    },
    /// What was fetched cannot be unpacked.
    #[error("cannot unpack {version}")]
    Archive {
        /// The module's version.
        version: Box<ModuleVersion>,
        /// Why.
        #[source]
        source: ArchiveError,
    },
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Who says what hash a toolchain has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashSource {
    /// The checksum database, proved.
    Database,
    /// longshore.lock.
    Lock,
}

impl fmt::Display for HashSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            HashSource::Database => "the checksum database",
            HashSource::Lock => "longshore.lock",
        })
    }
}

fn newest_is(newest: Option<&ToolchainName>) -> String {
    newest.map_or_else(String::new, |name| format!("; the newest release they have is {name}"))
}

fn installed_is(installed: Option<&(ToolchainName, PathBuf)>) -> String {
    match installed {
        Some((name, path)) => format!("the installed Go is {name} ({})", path.display()),
        None => "no Go is installed".into(),
    }
}

impl ToolchainError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            ToolchainErrorKind::Setting(error) => return error.hint(),
            ToolchainErrorKind::File(error) => return error.hint(),
            ToolchainErrorKind::Forbidden { .. } => {
                "set GOTOOLCHAIN=auto to let it be fetched (the value may stand in the environment, in `go env GOENV`, or in \
                 GOROOT/go.env), or install it"
            }
            ToolchainErrorKind::TooOld { .. } if self.wanted.by == WantedBy::Lock => {
                "build without --locked once to write a new longshore.lock"
            }
            ToolchainErrorKind::TooOld { .. } => "unset GOTOOLCHAIN, or append +auto to its value",
            ToolchainErrorKind::Offline => "run once with a network, or install it: https://go.dev/dl",
            ToolchainErrorKind::Removed => "let nothing prune the cache meanwhile, and try again",
            ToolchainErrorKind::Unfetchable => "install it, and put its folder into PATH",
            ToolchainErrorKind::NoSuchVersion { .. } => {
                "correct the line if the version does not exist; if it is only days old, the proxy may not have it yet"
            }
            ToolchainErrorKind::Remote(error) => return error.hint(),
            ToolchainErrorKind::Proxies(error) => return error.hint(),
            ToolchainErrorKind::DatabaseSetting(SettingError::Off) => {
                "unset GOSUMDB, or build once where it is not off and keep longshore.lock: its hash is accepted instead"
            }
            ToolchainErrorKind::DatabaseSetting(_) => {
                "GOSUMDB is sum.golang.org, or a database's key (name+hash+base64), and perhaps a URL behind it"
            }
            ToolchainErrorKind::Database(error) => return error.hint(),
            ToolchainErrorKind::HashMismatch { by: HashSource::Database, .. } => {
                "SECURITY: what the proxy gave is not what everybody else gets: do not use it, and try another GOPROXY"
            }
            ToolchainErrorKind::HashMismatch { by: HashSource::Lock, .. }
            | ToolchainErrorKind::PinContradicted { .. } => {
                "SECURITY: find out whether longshore.lock or the toolchain was changed before you build"
            }
            ToolchainErrorKind::Archive { source: ArchiveError::File(error), .. } => return error.hint(),
            ToolchainErrorKind::Archive { .. } => {
                "the proxy gave something else than Go's module: try another GOPROXY"
            }
            ToolchainErrorKind::Cancelled(_) => return None,
        };
        Some(hint.into())
    }

    /// Whether the work was cancelled rather than failed.
    pub fn is_cancelled(&self) -> bool {
        match &self.kind {
            ToolchainErrorKind::Cancelled(_) => true,
            ToolchainErrorKind::Remote(error) => error.is_cancelled(),
            ToolchainErrorKind::Archive { source, .. } => matches!(source, ArchiveError::Cancelled(_)),
            ToolchainErrorKind::Database(error) => error.is_cancelled(),
            _ => false,
        }
    }
}
