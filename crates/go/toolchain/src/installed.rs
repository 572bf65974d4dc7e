//! Go toolchains that somebody installed on this machine.
//!
//! A toolchain's version stands in its VERSION file, and reading that takes no time; asking `go` itself takes 5 ms and more, and is
//! done only where there is no such file: for wrappers (pyenv-like shims, `golang.org/dl/go1.22.3`) and development builds. Asking is
//! done with GOTOOLCHAIN=local, or another toolchain might answer.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_events::Events;
use longshore_files::FileError;
use longshore_golang::{ToolchainName, VersionError};
use longshore_process::{Command, Environment, ProcessError, find_program};

use crate::environment::GoEnvironment;
use crate::request::{MODULE, ModuleVersion, Source, Toolchain};

/// Where Go's own instructions put it.
const USUAL_ROOT: &str = "/usr/local/go";
/// How long an installed `go` may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// An installed toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its GOROOT; the command is `bin/go` below it.
    pub goroot: PathBuf,
    /// What it calls itself.
    pub name: ToolchainName,
}

/// An installed `go` does not say what it is.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the Go at {}", path.display())]
pub(crate) struct InstalledError {
    path: PathBuf,
    #[source]
    kind: InstalledErrorKind,
}

#[derive(Debug, thiserror::Error)]
enum InstalledErrorKind {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("its answer to \"go env\" is not one: {0:?}")]
    Answer(String),
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// The installed toolchains in the order in which they are preferred, each looked at only when it is reached: what the PATH holds,
/// GOROOT, /usr/local/go, the user's ~/go/bin and ~/sdk (where `golang.org/dl` puts them).
///
/// One that is there but cannot be used is told as a warning and passed over.
pub(crate) fn installed<'a>(
    environment: &'a GoEnvironment,
    events: &'a Events,
) -> impl Iterator<Item = Installed> + 'a {
    let mut seen: Vec<PathBuf> = Vec::new();
    candidates(environment, Path::new(USUAL_ROOT)).filter_map(move |go| {
        let real = fs::canonicalize(&go).ok()?;
        if seen.contains(&real) {
            return None;
        }
        seen.push(real);
        inspect(&go, environment, events).map_err(|error| warn(&error, events)).ok()
    })
}

/// The toolchain that the PATH offers under its own name, such as `go1.22.3`.
pub(crate) fn installed_as(
    name: &ToolchainName,
    environment: &GoEnvironment,
    events: &Events,
) -> Option<Installed> {
    let go = find_program(name.as_str(), environment.variable("PATH")?)?;
    inspect(&go, environment, events).map_err(|error| warn(&error, events)).ok()
}

/// A toolchain that Go itself fetched and verified before, whole and ready to run.
pub(crate) fn in_module_cache(
    version: &ModuleVersion,
    environment: &GoEnvironment,
) -> Result<Option<Toolchain>, FileError> {
    let Some(cache) = environment.module_cache() else { return Ok(None) };
    let goroot = cache.join(format!("{MODULE}@{version}"));
    let records = cache.join(format!("cache/download/{MODULE}/@v"));
    let command = fs::metadata(goroot.join("bin/go"));
    let is_ready = command.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
        && goroot.join("src/go.mod").is_file()
        && !records.join(format!("{version}.partial")).exists();
    if !is_ready {
        return Ok(None);
    }
    let path = records.join(format!("{version}.ziphash"));
    match fs::read_to_string(&path) {
        Ok(hash) => {
            let source = Source::Fetched { version: Box::new(version.clone()), hash: hash.trim().to_owned() };
            Ok(Some(Toolchain::at(&goroot, version.name().clone(), source)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of("read", &path)(error)),
    }
}

fn warn(error: &InstalledError, events: &Events) {
    let reasons = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let reasons: String = reasons.map(|reason| format!(": {reason}")).collect();
    events.warn(format!("{error}{reasons}"));
}

fn candidates<'a>(environment: &'a GoEnvironment, usual: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    let path = environment.variable("PATH").map(std::env::split_paths).into_iter().flatten();
    let from_path = path.filter(|folder| folder.is_absolute()).map(|folder| folder.join("go"));
    let root = environment.value("GOROOT").map(|root| Path::new(root).join("bin/go"));
    let home = environment.home();
    let user = home.clone().map(|home| home.join("go/bin/go"));
    let downloaded =
        std::iter::once_with(move || home.map(|home| sdks(&home.join("sdk"))).unwrap_or_default());
    let single = root.into_iter().chain([usual.join("bin/go")]).chain(user);
    from_path.chain(single).chain(downloaded.flatten()).filter(|go| go.is_file())
}

/// The toolchains of `golang.org/dl`, newest first.
fn sdks(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut found: Vec<ToolchainName> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    found.sort_by(|a, b| b.version().cmp(a.version()));
    found.into_iter().map(|name| folder.join(name.as_str()).join("bin/go")).collect()
}

fn inspect(go: &Path, environment: &GoEnvironment, events: &Events) -> Result<Installed, InstalledError> {
    let error = |kind| InstalledError { path: go.to_owned(), kind };
    let real = fs::canonicalize(go).unwrap_or_else(|_| go.to_owned());
    if let Some(goroot) = real.parent().and_then(Path::parent)
        && goroot.join("pkg/tool").is_dir()
        && let Ok(version) = fs::read_to_string(goroot.join("VERSION"))
        && let Ok(name) = ToolchainName::of_installed(version.lines().next().unwrap_or_default())
    {
        return Ok(Installed { goroot: goroot.to_owned(), name });
    }
    ask(go, environment, events).map_err(error)
}

fn ask(go: &Path, environment: &GoEnvironment, events: &Events) -> Result<Installed, InstalledErrorKind> {
    let variables = environment.variables().filter(|(name, _)| *name != "GOROOT" && *name != "GOFLAGS");
    let clean = Environment::empty().with_all(variables).with("GOTOOLCHAIN", "local");
    let command =
        Command::new(go, clean).arguments(["env", "GOVERSION", "GOROOT"]).folder("/").timeout(PATIENCE);
    let answer = command.run(events)?.success()?.stdout.text();
    let mut lines = answer.lines();
    match (lines.next(), lines.next().map(Path::new)) {
        (Some(version), Some(goroot)) if goroot.join("bin/go").is_file() => {
            Ok(Installed { goroot: goroot.to_owned(), name: ToolchainName::of_installed(version)? })
        }
        _ => Err(InstalledErrorKind::Answer(answer.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        longshore_files::write_atomic(path, text.as_bytes()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn toolchain(root: &Path, version: &str) {
        fs::create_dir_all(root.join("pkg/tool")).unwrap();
        write(&root.join("VERSION"), &format!("{version}\ntime 2026-08-28T16:20:06Z\n"), 0o644);
        write(&root.join("bin/go"), "#!/bin/sh\nexit 1\n", 0o755);
    }

    fn names(environment: &GoEnvironment) -> Vec<String> {
        let events = Events::silent();
        let found = installed(environment, &events);
        found.filter(|go| !go.goroot.starts_with("/usr")).map(|go| go.name.to_string()).collect()
    }

    #[test]
    fn every_place_is_searched_in_order_and_none_twice() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        toolchain(&at("path/one"), "go1.24.1");
        toolchain(&at("path/two"), "devel go1.27-abc");
        toolchain(&at("root"), "go1.23.0 X:jsonv2");
        toolchain(&at("home/sdk/go1.21.3"), "go1.21.3");
        toolchain(&at("home/sdk/go1.22.0"), "go1.22.0");
        fs::create_dir_all(at("links")).unwrap();
        std::os::unix::fs::symlink(at("path/one/bin/go"), at("links/go")).unwrap();
        let path = format!("relative:{0}/links:{0}/path/one/bin:{0}/path/two/bin", folder.path().display());
        let variables = [
            ("PATH", path),
            ("GOROOT", at("root").display().to_string()),
            ("HOME", at("home").display().to_string()),
        ];
        let environment = GoEnvironment::of_variables(variables);
        let expected = ["go1.24.1", "go1.27-abc", "go1.23.0 X:jsonv2", "go1.22.0", "go1.21.3"];
        assert_eq!(names(&environment), expected);
    }

    #[test]
    fn a_wrapper_is_asked_and_cannot_switch() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("real");
        toolchain(&root, "go1.22.3");
        let answer =
            format!("#!/bin/sh\n[ \"$GOTOOLCHAIN\" = local ] && echo go1.22.3 && echo {}\n", root.display());
        write(&folder.path().join("bin/go1.22.3"), &answer, 0o755);
        write(&folder.path().join("bin/go"), "#!/bin/sh\necho nonsense\n", 0o755);
        let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
        let environment = GoEnvironment::of_variables([("PATH", path), ("GOTOOLCHAIN", "go1.99.0".into())]);
        let found = installed_as(&"go1.22.3".parse().unwrap(), &environment, &Events::silent()).unwrap();
        assert_eq!((found.name.as_str(), found.goroot), ("go1.22.3", root));
        assert!(names(&environment).is_empty());
    }

    #[test]
    fn what_go_fetched_itself_is_used_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let version = ModuleVersion::new(&"go1.22.3".parse().unwrap(), "linux-amd64").unwrap();
        let goroot = folder.path().join("golang.org/toolchain@v0.0.1-go1.22.3.linux-amd64");
        let records = folder.path().join("cache/download/golang.org/toolchain/@v");
        let environment = GoEnvironment::of_variables([("GOMODCACHE", folder.path())]);
        let find = || in_module_cache(&version, &environment).unwrap();
        write(&goroot.join("src/go.mod"), "module std\n", 0o644);
        write(&records.join("v0.0.1-go1.22.3.linux-amd64.ziphash"), "h1:hash=", 0o644);
        assert!(find().is_none(), "no command");
        write(&goroot.join("bin/go"), "", 0o644);
        assert!(find().is_none(), "Go makes it executable when it first runs it");
        write(&goroot.join("bin/go"), "", 0o755);
        let found = find().unwrap();
        assert_eq!((found.goroot.as_path(), found.name.as_str()), (goroot.as_path(), "go1.22.3"));
        assert_eq!(
            found.source,
            Source::Fetched { version: Box::new(version.clone()), hash: "h1:hash=".into() }
        );
        write(&records.join("v0.0.1-go1.22.3.linux-amd64.partial"), "", 0o644);
        assert!(find().is_none(), "half unpacked");
    }
}
