//! The longshore under test, run as a user runs it, with a home and a store of its own.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Folder, Ran, RunError, Skip, run};

/// Longest time that one invocation may take: a first build fetches a toolchain.
const LIMIT: Duration = Duration::from_secs(600);

/// The binary under test: LONGSHORE_BINARY, or the one that cargo built beside the running test.
///
/// Errors: a [`Skip`] when there is none; `cargo test -p longshore` and `cargo build` make it.
pub fn longshore_binary() -> Result<PathBuf, Skip> {
    if let Some(path) = std::env::var_os("LONGSHORE_BINARY") {
        return Ok(path.into());
    }
    let test =
        std::env::current_exe().map_err(|error| Skip(format!("the test's own path is unknown: {error}")))?;
    // target/TARGET/debug/deps/it-0123456789abcdef
    test.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("longshore"))
        .find(|path| path.is_file())
        .ok_or_else(|| Skip("the longshore binary is not built".into()))
}

/// A number that no user has, and so no subordinate ids either.
pub(crate) const ORDINARY_USER: u32 = 54_321;

/// One user with one store: runs longshore with nothing of the real user's settings.
#[derive(Debug)]
pub struct Longshore {
    binary: PathBuf,
    home: Folder,
    store: PathBuf,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    is_ordinary: bool,
}

impl Longshore {
    /// A user of the binary at `path`, with an empty home and store.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Longshore> {
        let home = Folder::new()?;
        let store = home.join("store");
        Ok(Longshore {
            binary: path.into(),
            home,
            store,
            environment: Vec::new(),
            folder: None,
            is_ordinary: false,
        })
    }

    /// The same user in another working folder.
    #[must_use]
    pub fn inside(mut self, folder: &Path) -> Longshore {
        self.folder = Some(folder.to_owned());
        self
    }

    /// The same user with an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Longshore {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same user with a store that others use, too.
    #[must_use]
    pub fn with_store(mut self, store: &Path) -> Longshore {
        self.store = store.to_owned();
        self
    }

    /// The same user, who is not root but one without a name and subordinate ids. The home is theirs.
    ///
    /// Errors: this is not root, or the binary cannot be copied to where this user can start it.
    pub fn as_ordinary_user(self) -> io::Result<Longshore> {
        let binary = self.home.join("longshore");
        std::fs::copy(&self.binary, &binary)?;
        std::os::unix::fs::chown(self.home.path(), Some(ORDINARY_USER), Some(ORDINARY_USER))?;
        Ok(Longshore { binary, is_ordinary: true, ..self })
    }

    /// The user's home folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The store's folder: LONGSHORE_STORE.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// A command that is not started yet, for tests that kill it or read its outputs as they come.
    pub fn command<I, A>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let mut command = match self.is_ordinary {
            true => Command::new("setpriv"),
            false => Command::new(&self.binary),
        };
        if self.is_ordinary {
            let user = ORDINARY_USER.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&self.binary);
        }
        command.args(arguments).env_clear();
        // What leads to the network and to programs stays: a proxy, a private CA, Go's own settings.
        let passed = std::env::vars_os().filter(|(name, _)| is_passed(&name.to_string_lossy()));
        command.envs(passed).env("HOME", self.home.path()).env("LONGSHORE_STORE", &self.store);
        // Go's caches are shared by all tests: what is in them is checked by Go, and they are what takes time.
        for (name, folder) in [("GOCACHE", "go-build"), ("GOMODCACHE", "go-mod")] {
            if std::env::var_os(name).is_none() {
                command.env(name, shared_cache().join(folder));
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Runs it to its end.
    pub fn run<I, A>(&self, arguments: I) -> Result<Ran, RunError>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        run(&mut self.command(arguments), LIMIT)
    }
}

fn is_passed(name: &str) -> bool {
    const NAMES: [&str; 7] =
        ["PATH", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "LLVM_PROFILE_FILE"];
    let lower = name.to_ascii_lowercase();
    NAMES.contains(&name) || name.starts_with("GO") || lower.ends_with("_proxy")
}

/// Where Go's caches of all tests are: in cargo's target folder, so that `cargo clean` removes them.
fn shared_cache() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.map_or_else(std::env::temp_dir, Path::to_owned).join("longshore-tests")
}
