//! Fetching a toolchain: the hash it must have, the zip, the check, the place in the cache.
//!
//! Go asks the checksum database for this module even under GOSUMDB=off and GONOSUMDB, because no go.sum lists it; only a GOPROXY that is
//! one `file://` URL may go without (`cmd/go/internal/modfetch/sumdb.go`, useSumDB). The one addition here is longshore.lock: where the
//! database gives no answer, its hash is accepted instead, and where it gives one, both must agree.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use longshore_events::{Events, TaskKind};
use longshore_files::FileError;
use longshore_golang::ToolchainName;
use longshore_golang::module::matches_patterns;
use url::Url;

use crate::archive::{ArchiveError, LARGEST, ModuleZip};
use crate::environment::GoEnvironment;
use crate::error::{HashSource, ToolchainErrorKind};
use crate::proxies::{self, Attempt, Entry, Place, first_answer};
use crate::remote::{Remote, RemoteError, below, local, open};
use crate::request::{MODULE, ModuleVersion};
use crate::shelf::{LockError, Record, Shelf};
use crate::sumdb::{Database, DatabaseError, Server, Setting, SettingError};

/// The longest list of versions that is read, in bytes.
const LONGEST_LIST: u64 = 4 << 20;

type Outcome<T> = Result<T, ToolchainErrorKind>;

impl Attempt for RemoteError {
    fn is_not_found(&self) -> bool {
        // Go counts `off` as not found too, so that an earlier proxy's error is the one that is shown.
        self.is_missing() || matches!(self, RemoteError::Off)
    }
}

/// What fetching depends on.
pub(crate) struct Fetcher<'a> {
    pub(crate) environment: &'a GoEnvironment,
    pub(crate) shelf: &'a Shelf,
    /// Where the checksum database's state is kept.
    pub(crate) database_folder: PathBuf,
    pub(crate) remote: Remote,
    pub(crate) offline: bool,
    pub(crate) events: &'a Events,
}

/// The hash that a toolchain must have, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    hash: String,
    by: HashSource,
}

impl Fetcher<'_> {
    /// Fetches, verifies and unpacks a toolchain into the cache, unless another process did so meanwhile.
    pub(crate) fn fetch(&self, version: &ModuleVersion, pinned: Option<&str>) -> Outcome<()> {
        let entries = self.entries()?;
        let _lock = self.shelf.lock(version, self.events).map_err(|error| match error {
            LockError::File(error) => ToolchainErrorKind::File(error),
            LockError::Cancelled(error) => ToolchainErrorKind::Cancelled(error),
        })?;
        if self.shelf.holds(version)? {
            return Ok(());
        }
        let expected = self.expected(version, pinned)?;
        let zip = self.zip(version, &entries)?;
        let unpacked = self.unpack(version, &zip.file, expected.as_ref());
        // A zip that is good is no longer needed, and one that is not must not stay.
        if let Some(path) = &zip.temporary {
            fs::remove_file(path).map_err(FileError::of("remove", path))?;
        }
        unpacked
    }

    /// The newest release for a platform that the proxies list.
    pub(crate) fn newest(&self, platform: &str) -> Outcome<ModuleVersion> {
        let list = self.list(&self.entries()?)?;
        let newest = newest_of(&list, platform).and_then(|name| ModuleVersion::new(&name, platform));
        newest.ok_or_else(|| {
            ToolchainErrorKind::Remote(RemoteError::Missing { place: "every proxy of GOPROXY".into() })
        })
    }

    /// The places that may be asked.
    fn entries(&self) -> Outcome<Vec<Entry>> {
        let mut entries = proxies::for_toolchains(self.environment)?;
        if self.offline {
            entries.retain(|entry| matches!(&entry.place, Place::Proxy(url) if url.scheme() == "file"));
        }
        if entries.is_empty() { Err(ToolchainErrorKind::Offline) } else { Ok(entries) }
    }

    /// The hash that the toolchain must have; none where Go itself would not ask.
    fn expected(&self, version: &ModuleVersion, pinned: Option<&str>) -> Outcome<Option<Expected>> {
        let pinned = pinned.map(|hash| Expected { hash: hash.to_owned(), by: HashSource::Lock });
        if self.may_go_unchecked() {
            return Ok(pinned);
        }
        if self.offline {
            return pinned.map(Some).ok_or(ToolchainErrorKind::Offline);
        }
        let setting = match (Setting::parse(self.environment.checksum_database()), pinned.is_some()) {
            (Ok(setting), _) => setting,
            (Err(SettingError::Off), true) => return Ok(pinned),
            (Err(error), _) => return Err(error.into()),
        };
        match (self.look_up(&setting, version), pinned) {
            (Ok(hash), Some(pin)) if pin.hash != hash => {
                Err(ToolchainErrorKind::PinContradicted { pinned: pin.hash, proved: hash })
            }
            (Ok(hash), _) => Ok(Some(Expected { hash, by: HashSource::Database })),
            (Err(error), Some(pin)) if error.kind.is_unreachable() && !error.is_cancelled() => {
                self.events.warn(format!("{error}: the hash in longshore.lock is accepted instead"));
                Ok(Some(pin))
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Whether Go would take a toolchain without asking the database: from one folder of the user's own, where the check is off.
    fn may_go_unchecked(&self) -> bool {
        let proxy = self.environment.proxy();
        let is_own = proxy.starts_with("file://") && !proxy.contains([',', '|']);
        let patterns = self.environment.value("GONOSUMDB").or_else(|| self.environment.value("GOPRIVATE"));
        is_own
            && (self.environment.checksum_database() == "off"
                || patterns.is_some_and(|patterns| matches_patterns(patterns, MODULE)))
    }

    fn look_up(&self, setting: &Setting, version: &ModuleVersion) -> Result<String, DatabaseError> {
        let server = DatabaseServer { fetcher: self, setting, base: None };
        let mut database = Database::new(&setting.verifier, &self.database_folder, server);
        database.lookup(MODULE, &version.to_string(), self.events)
    }

    fn zip(&self, version: &ModuleVersion, entries: &[Entry]) -> Outcome<Zip> {
        let path = self.shelf.download(version);
        let task = self
            .events
            .task(TaskKind::Download, format!("fetch {} for {}", version.name(), version.platform()));
        let answer = first_answer(entries, |place| {
            let url = below(&place.url().ok_or(RemoteError::Off)?, &format!("{MODULE}/@v/{version}.zip"));
            if let Some(path) = local(&url) {
                return Ok(Zip { file: open(&path)?, temporary: None });
            }
            self.remote.download(&url, &path, LARGEST, &task)?;
            Ok(Zip { file: open(&path)?, temporary: Some(path.clone()) })
        });
        match answer {
            Some(Ok(zip)) => {
                task.done(
                    zip.file
                        .metadata()
                        .map_or_else(|_| String::new(), |about| format!("{} bytes", about.len())),
                );
                Ok(zip)
            }
            Some(Err(error)) => Err(self.not_fetched(version, entries, error)),
            None => Err(ToolchainErrorKind::Offline),
        }
    }

    /// Tells a version that does not exist from proxies that cannot be asked, by the list of those that do exist.
    fn not_fetched(
        &self,
        version: &ModuleVersion,
        entries: &[Entry],
        error: RemoteError,
    ) -> ToolchainErrorKind {
        if !error.is_refusal() {
            return ToolchainErrorKind::Remote(error);
        }
        match self.list(entries) {
            Ok(list) if !list.contains(version) => {
                let newest = newest_of(&list, version.platform()).map(Box::new);
                ToolchainErrorKind::NoSuchVersion {
                    version: Box::new(version.clone()),
                    newest,
                    source: error,
                }
            }
            _ if error.is_missing() => ToolchainErrorKind::NoSuchVersion {
                version: Box::new(version.clone()),
                newest: None,
                source: error,
            },
            _ => ToolchainErrorKind::Remote(error),
        }
    }

    fn list(&self, entries: &[Entry]) -> Outcome<Vec<ModuleVersion>> {
        let answer = first_answer(entries, |place| {
            let url = below(&place.url().ok_or(RemoteError::Off)?, &format!("{MODULE}/@v/list"));
            self.remote.read(&url, LONGEST_LIST, self.events)
        });
        let bytes = answer.unwrap_or(Err(RemoteError::Off)).map_err(ToolchainErrorKind::Remote)?;
        Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(|line| ModuleVersion::parse(line.trim()))
            .collect())
    }

    fn unpack(&self, version: &ModuleVersion, zip: &File, expected: Option<&Expected>) -> Outcome<()> {
        let archive_error = |source| match source {
            ArchiveError::Cancelled(error) => ToolchainErrorKind::Cancelled(error),
            source => ToolchainErrorKind::Archive { version: Box::new(version.clone()), source },
        };
        let task = self.events.task(TaskKind::Work, format!("verify and unpack {}", version.name()));
        let file = zip.try_clone().map_err(FileError::of("open the zip of", version.to_string()))?;
        let archive = ModuleZip::open(file, &format!("{MODULE}@{version}/")).map_err(archive_error)?;
        let workplace = self.shelf.workplace(version)?;
        let goroot = workplace.join("go");
        let finished =
            archive.unpack(&goroot, is_executable, &task).map_err(archive_error).and_then(|hash| {
                check(&hash, expected)?;
                finish(&goroot)?;
                let record = Record { version: version.clone(), hash: hash.clone(), size: archive.size() };
                self.shelf.put(&workplace, &record)?;
                Ok(hash)
            });
        match finished {
            Ok(hash) => {
                if expected.is_none() {
                    self.events.warn(format!(
                        "{} was not verified: GOPROXY is a folder, and GOSUMDB or GONOSUMDB switches the check off",
                        version.name()
                    ));
                }
                task.done(hash);
                Ok(())
            }
            Err(error) => {
                longshore_files::remove_tree(&workplace)?;
                Err(error)
            }
        }
    }
}

/// A zip that was fetched.
struct Zip {
    file: File,
    /// Where it was downloaded to; none if it is somebody's own file.
    temporary: Option<PathBuf>,
}

fn check(hash: &str, expected: Option<&Expected>) -> Outcome<()> {
    match expected {
        Some(expected) if expected.hash != hash => Err(ToolchainErrorKind::HashMismatch {
            by: expected.by,
            expected: expected.hash.clone(),
            found: hash.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The files that Go itself makes executable, since module zips carry no modes (`cmd/go/internal/toolchain/select.go`).
fn is_executable(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_runner = || {
        let middle = name.strip_prefix("go_").and_then(|rest| rest.strip_suffix("_exec"));
        middle
            .and_then(|middle| middle.split_once('_'))
            .is_some_and(|(system, architecture)| !system.is_empty() && !architecture.is_empty())
    };
    path.starts_with("bin/") || path.starts_with("pkg/tool/") || (path.starts_with("lib/") && is_runner())
}

/// Gives every `_go.mod` its real name: a module's zip may hold no other module, so Go's own are packed under this one.
fn finish(folder: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(FileError::of("list", folder))? {
        let entry = entry.map_err(FileError::of("list", folder))?;
        let path = entry.path();
        if entry.file_type().map_err(FileError::of("look at", &path))?.is_dir() {
            finish(&path)?;
        } else if entry.file_name() == "_go.mod" {
            fs::copy(&path, path.with_file_name("go.mod")).map_err(FileError::of("copy", &path))?;
        }
    }
    Ok(())
}

fn newest_of(list: &[ModuleVersion], platform: &str) -> Option<ToolchainName> {
    let releases = list.iter().filter(|version| version.platform() == platform).map(ModuleVersion::name);
    let plain = releases.filter(|name| !name.version().is_prerelease() && !name.as_str().contains('-'));
    plain.max_by(|a, b| a.version().cmp(b.version())).cloned()
}

/// The checksum database as this environment reaches it: where GOSUMDB says, else through the first proxy that serves it, else directly.
struct DatabaseServer<'a> {
    fetcher: &'a Fetcher<'a>,
    setting: &'a Setting,
    base: Option<Url>,
}

impl DatabaseServer<'_> {
    fn find_base(&self) -> Result<Url, RemoteError> {
        if let Some(url) = &self.setting.url {
            return Ok(url.clone());
        }
        // A list that cannot be read was an error before the database was asked.
        let entries = proxies::parse(self.fetcher.environment.proxy()).unwrap_or_default();
        let answer = first_answer(&entries, |place| -> Result<Url, RemoteError> {
            match place {
                Place::Proxy(url) => {
                    let base = below(url, &format!("sumdb/{}", self.setting.verifier.name()));
                    self.fetcher.remote.read(&below(&base, "supported"), 1 << 16, self.fetcher.events)?;
                    Ok(base)
                }
                Place::Direct | Place::Off => Ok(self.setting.direct.clone()),
            }
        });
        match answer {
            Some(Err(error)) if !error.is_not_found() => Err(error),
            Some(Ok(base)) => Ok(base),
            _ => Ok(self.setting.direct.clone()),
        }
    }
}

impl Server for DatabaseServer<'_> {
    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        if self.base.is_none() {
            self.base = Some(self.find_base()?);
        }
        let base = self.base.as_ref().unwrap_or(&self.setting.direct);
        self.fetcher.remote.read(&below(base, path), limit, self.fetcher.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_makes_executable_is_executable() {
        let cases = [
            ("bin/go", true),
            ("bin/gofmt", true),
            ("pkg/tool/linux_amd64/compile", true),
            ("pkg/include/textflag.h", false),
            ("lib/wasm/go_js_wasm_exec", true),
            ("misc/wasm/go_js_wasm_exec", false),
            ("lib/wasm/go__wasm_exec", false),
            ("lib/wasm/go_wasm_exec", false),
            ("lib/wasm/wasm_exec.js", false),
            ("src/make.bash", false),
            ("binary", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_executable(path), expected, "{path}");
        }
    }

    #[test]
    fn the_newest_release_is_found_among_all_that_is_listed() {
        let list = [
            "v0.0.1-go1.9.linux-amd64",
            "v0.0.1-go1.26.10.linux-amd64",
            "v0.0.1-go1.26.9.linux-amd64",
            "v0.0.1-go1.27rc1.linux-amd64",
            "v0.0.1-go1.27.0.linux-arm64",
            "v0.0.1-go1.28.0-corp.linux-amd64",
        ];
        let list: Vec<_> = list.iter().filter_map(|text| ModuleVersion::parse(text)).collect();
        assert_eq!(newest_of(&list, "linux-amd64").unwrap().as_str(), "go1.26.10");
        assert_eq!(newest_of(&list, "plan9-386"), None);
    }
}
