//! The choice: which toolchain a request gets, and whether it must be fetched.
//!
//! The order is Go's own: the installed Go unless a line or GOTOOLCHAIN asks for another; then one of that name in the PATH; then
//! the cache; then the network. Two things differ. Any installed Go that satisfies the lines is taken, not the PATH's alone, since
//! lines are minimums. And a machine without Go is served, where Go has nobody to start with.

use std::path::PathBuf;

use longshore_events::Events;
use longshore_files::FileError;
use longshore_golang::{GoToolchain, SelectedBy, Switching, ToolchainName};
use longshore_http::Client;

use crate::environment::GoEnvironment;
use crate::error::{HashSource, ToolchainError, ToolchainErrorKind, Wanted, WantedBy};
use crate::fetch::Fetcher;
use crate::installed::{Installed, in_module_cache, installed, installed_as};
use crate::remote::Remote;
use crate::request::{ModuleVersion, Pin, Source, Toolchain, ToolchainRequest};
use crate::shelf::{CachedToolchain, Shelf};

/// The oldest toolchain that Go itself ever fetches, and the first whose releases are reproducible. Older `go` lines are
/// satisfied by it.
const OLDEST_FETCHED: &str = "go1.21.0";

/// What the search for toolchains depends on.
#[derive(Debug, Clone)]
pub struct ToolchainSettings {
    /// Fetched toolchains are kept in `toolchains/` below this folder, the checksum database's state in `sumdb/`.
    pub cache_dir: PathBuf,
    /// The environment that Go would see.
    pub environment: GoEnvironment,
    /// What speaks to proxies and databases.
    pub http: Client,
    /// Whether the network is left alone.
    pub offline: bool,
    /// Whether a Go that is installed on the machine may be used.
    pub use_installed: bool,
}

/// What a request gets.
#[derive(Debug, Clone)]
pub enum Choice {
    /// A toolchain that is there.
    Ready(Toolchain),
    /// One that is not there yet and will be fetched; without a version, the newest release.
    Fetch {
        /// Its version.
        version: Option<ModuleVersion>,
        /// What asks for it.
        wanted: Wanted,
    },
}

/// Finds and fetches toolchains.
#[derive(Debug)]
pub struct Toolchains {
    settings: ToolchainSettings,
    shelf: Shelf,
}

/// Which installed toolchains will do.
enum Need {
    /// The one of this name.
    Exactly(ToolchainName),
    /// One of this version or newer.
    AtLeast(ToolchainName),
    /// Any.
    Any,
}

impl Need {
    fn is_met_by(&self, installed: &Installed) -> bool {
        match self {
            // Experiments stand behind a space and do not make it another toolchain.
            Need::Exactly(name) => installed.name.as_str().split(' ').next() == Some(name.as_str()),
            Need::AtLeast(name) => installed.name.version() >= name.version(),
            Need::Any => true,
        }
    }
}

impl Toolchains {
    /// The toolchains that these settings reach.
    pub fn new(settings: ToolchainSettings) -> Self {
        let shelf = Shelf::new(settings.cache_dir.join("toolchains"));
        Toolchains { settings, shelf }
    }

    /// Every toolchain that is installed on this machine, in the order in which they are tried.
    pub fn installed(&self, events: &Events) -> Vec<Installed> {
        installed(&self.settings.environment, events).collect()
    }

    /// What a request would get, without fetching anything.
    ///
    /// Errors: what is wanted may not be fetched, GOTOOLCHAIN has no meaning, the pin is too old, a file cannot be read.
    pub fn choose(&self, request: &ToolchainRequest, events: &Events) -> Result<Choice, ToolchainError> {
        self.decide(request, events).map(|(choice, _)| choice)
    }

    /// The choice, and the environment as the first installed Go sees it: its go.env may name a proxy and a database.
    fn decide(
        &self,
        request: &ToolchainRequest,
        events: &Events,
    ) -> Result<(Choice, GoEnvironment), ToolchainError> {
        let found = self.settings.use_installed.then(|| installed(&self.settings.environment, events));
        let mut found = found.into_iter().flatten().peekable();
        let local = found.peek().cloned();
        let environment = self.environment_of(local.as_ref()).map_err(|error| anybody(error.into()))?;
        let setting = match environment.value("GOTOOLCHAIN").map(str::parse::<GoToolchain>) {
            Some(Ok(setting)) => setting,
            Some(Err(error)) => return Err(anybody(ToolchainErrorKind::Setting(error))),
            None => GoToolchain::default(),
        };
        let (need, wanted) = self.need(request, &setting, local.as_ref());
        let fail = |kind| ToolchainError { wanted: wanted.clone(), kind };
        if let (Need::Exactly(name), Some(needed)) = (&need, &request.lines.go)
            && !request.lines.satisfied_by(name.version())
        {
            return Err(fail(ToolchainErrorKind::TooOld { needed: needed.clone() }));
        }
        let will_do = |go: &Installed| need.is_met_by(go) && request.lines.satisfied_by(go.name.version());
        if let Some(go) = found.find(will_do).or_else(|| self.in_path(&need, events)) {
            let toolchain = Toolchain::at(&go.goroot, go.name, Source::Installed);
            return Ok((Choice::Ready(toolchain), environment));
        }
        let may_fetch = setting.switching == Switching::Auto
            || (setting.switching == Switching::Never && setting.minimum.is_some());
        if !may_fetch {
            let installed = local.map(|go| Box::new((go.name, go.goroot)));
            return Err(fail(ToolchainErrorKind::Forbidden { setting: setting.to_string(), installed }));
        }
        Ok((self.fetched(request.pin.as_ref(), &need, wanted)?, environment))
    }

    /// What a request gets, fetched if need be. It stays in the cache as long as the [`Toolchain`] or a clone of it lives.
    ///
    /// Errors: those of [`Toolchains::choose`]; no proxy has it or can be asked; it is not proved to be what everybody gets.
    pub fn resolve(&self, request: &ToolchainRequest, events: &Events) -> Result<Toolchain, ToolchainError> {
        let (choice, environment) = self.decide(request, events)?;
        let (version, wanted) = match choice {
            Choice::Ready(toolchain) => return Ok(toolchain),
            Choice::Fetch { version, wanted } => (version, wanted),
        };
        let pinned = request.pin.as_ref().and_then(|pin| pin.hash.as_deref());
        self.fetch(version, pinned, &environment, events).map_err(|kind| ToolchainError { wanted, kind })
    }

    fn fetch(
        &self,
        version: Option<ModuleVersion>,
        pinned: Option<&str>,
        environment: &GoEnvironment,
        events: &Events,
    ) -> Result<Toolchain, ToolchainErrorKind> {
        let fetcher = Fetcher {
            environment,
            shelf: &self.shelf,
            database_folder: self.settings.cache_dir.join("sumdb"),
            remote: Remote::new(self.settings.http.clone(), environment, events)?,
            offline: self.settings.offline,
            events,
        };
        let version = match version {
            Some(version) => version,
            None => fetcher.newest(&host_platform())?,
        };
        // Between the fetch and the use somebody may remove it, once.
        for _ in 0..2 {
            fetcher.fetch(&version, pinned)?;
            if let Some(toolchain) = self.shelf.find(&version)? {
                return Ok(toolchain);
            }
        }
        Err(ToolchainErrorKind::Removed)
    }

    /// Every fetched toolchain of the cache, oldest version first.
    pub fn cached(&self) -> Result<Vec<CachedToolchain>, FileError> {
        self.shelf.list()
    }

    /// Removes a fetched toolchain. Gives the bytes that became free; none if a build uses it now.
    pub fn remove(&self, version: &ModuleVersion) -> Result<Option<u64>, FileError> {
        self.shelf.remove(version)
    }

    /// Removes what interrupted fetches left. Gives the bytes that became free.
    pub fn sweep(&self) -> Result<u64, FileError> {
        self.shelf.sweep()
    }

    fn environment_of(&self, local: Option<&Installed>) -> Result<GoEnvironment, FileError> {
        match local {
            Some(go) => self.settings.environment.with_root(&go.goroot),
            None => Ok(self.settings.environment.clone()),
        }
    }

    fn need(
        &self,
        request: &ToolchainRequest,
        setting: &GoToolchain,
        local: Option<&Installed>,
    ) -> (Need, Wanted) {
        let wanted =
            |name: Option<&ToolchainName>, by| Wanted { name: name.cloned(), by, file: request.file.clone() };
        if let Some(pin) = &request.pin {
            return (Need::Exactly(pin.name.clone()), wanted(Some(&pin.name), WantedBy::Lock));
        }
        let selection = setting.select(local.map(|go| &go.name), &request.lines);
        // Where GOTOOLCHAIN or `toolchain default` forbid to follow the lines, the go line still is a minimum.
        let minimum = request.lines.go.as_ref().map(|go| go.first_toolchain());
        match (selection.by, selection.toolchain) {
            (SelectedBy::Setting, Some(name)) => {
                let wanted = wanted(Some(&name), WantedBy::Setting);
                (Need::Exactly(name), wanted)
            }
            (SelectedBy::GoLine, Some(name)) => {
                let wanted = wanted(Some(&name), WantedBy::GoLine);
                (Need::AtLeast(name), wanted)
            }
            (SelectedBy::ToolchainLine, Some(name)) => {
                let wanted = wanted(Some(&name), WantedBy::ToolchainLine);
                (Need::AtLeast(name), wanted)
            }
            _ => match minimum {
                Some(name) => (Need::Any, wanted(Some(&name), WantedBy::GoLine)),
                None => (Need::Any, wanted(None, WantedBy::Anybody)),
            },
        }
    }

    fn in_path(&self, need: &Need, events: &Events) -> Option<Installed> {
        let (Need::Exactly(name) | Need::AtLeast(name)) = need else { return None };
        let found = installed_as(name, &self.settings.environment, events);
        found.filter(|go| self.settings.use_installed && need.is_met_by(go))
    }

    /// What was fetched before, or will be.
    fn fetched(&self, pin: Option<&Pin>, need: &Need, wanted: Wanted) -> Result<Choice, ToolchainError> {
        let version = match need {
            Need::Exactly(name) => Some(self.module_version(name)),
            Need::AtLeast(name) => Some(self.module_version(&not_too_old(name))),
            Need::Any => wanted.name.as_ref().map(|name| self.module_version(&not_too_old(name))),
        };
        let fail = |kind| ToolchainError { wanted: wanted.clone(), kind };
        let version = match version {
            Some(None) => return Err(fail(ToolchainErrorKind::Unfetchable)),
            Some(version) => version,
            None => self.newest_cached().map_err(|error| fail(error.into()))?,
        };
        let there = version.as_ref().map(|version| self.find(version)).transpose();
        match there.map_err(|error| fail(error.into()))?.flatten() {
            None => Ok(Choice::Fetch { version, wanted }),
            Some(toolchain) => match (&toolchain.source, pin.and_then(|pin| pin.hash.clone())) {
                (Source::Fetched { hash, .. }, Some(expected)) if *hash != expected => {
                    let found = hash.clone();
                    Err(fail(ToolchainErrorKind::HashMismatch { by: HashSource::Lock, expected, found }))
                }
                _ => Ok(Choice::Ready(toolchain)),
            },
        }
    }

    fn find(&self, version: &ModuleVersion) -> Result<Option<Toolchain>, FileError> {
        match self.shelf.find(version)? {
            Some(toolchain) => Ok(Some(toolchain)),
            None if self.settings.use_installed => in_module_cache(version, &self.settings.environment),
            None => Ok(None),
        }
    }

    fn newest_cached(&self) -> Result<Option<ModuleVersion>, FileError> {
        let platform = host_platform();
        let mut versions = self.shelf.list()?.into_iter().map(|cached| cached.version);
        Ok(versions
            .rfind(|version| version.platform() == platform && !version.name().version().is_prerelease()))
    }

    fn module_version(&self, name: &ToolchainName) -> Option<ModuleVersion> {
        ModuleVersion::new(name, &host_platform())
    }
}

fn anybody(kind: ToolchainErrorKind) -> ToolchainError {
    ToolchainError { wanted: Wanted { name: None, by: WantedBy::Anybody, file: None }, kind }
}

fn not_too_old(name: &ToolchainName) -> ToolchainName {
    match OLDEST_FETCHED.parse::<ToolchainName>() {
        Ok(oldest) if name.version() < oldest.version() => oldest,
        _ => name.clone(),
    }
}

/// The platform of this machine in Go's words: `linux-amd64`.
pub(crate) fn host_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    };
    let system = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
    format!("{system}-{architecture}")
}
