//! The environment that the `go` command gets: of our own making, so that nothing else decides what the program is.
//!
//! The user's go/env file is not seen by Go (GOENV=off); what of it concerns where modules come from is read here and passed on.
//! Every variable that could change the program is set, or kept away.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use longshore_oci::Platform;
use longshore_process::{Environment, find_program};
use longshore_toolchain::{GoEnvironment, Toolchain};

use crate::error::SettingsError;
use crate::resolved::Resolved;

/// Go's settings of where modules come from and where its folders are, from the environment or the user's go/env.
const SETTINGS: [&str; 15] = [
    "GOPROXY",
    "GOPRIVATE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOSUMDB",
    "GOINSECURE",
    "GOAUTH",
    "GOVCS",
    "GOCACHE",
    "GOMODCACHE",
    "GOPATH",
    "GOTMPDIR",
    "GOWORK",
    "GOCACHEPROG",
    "GOTELEMETRYDIR",
];

/// Variables of the process that reach Go as they are: none changes a program.
const PASSED: [&str; 26] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "NETRC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_SSL_CAINFO",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOGC",
];

/// Variables that a C compiler, and Go's use of one, may read. They reach Go with cgo alone, and are part of the key then.
const COMPILER: [&str; 24] = [
    "CC",
    "CXX",
    "FC",
    "AR",
    "PKG_CONFIG",
    "PKG_CONFIG_PATH",
    "PKG_CONFIG_LIBDIR",
    "PKG_CONFIG_SYSROOT_DIR",
    "CGO_CFLAGS",
    "CGO_CPPFLAGS",
    "CGO_CXXFLAGS",
    "CGO_FFLAGS",
    "CGO_LDFLAGS",
    "CGO_CFLAGS_ALLOW",
    "CGO_LDFLAGS_ALLOW",
    "CGO_CFLAGS_DISALLOW",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "SOURCE_DATE_EPOCH",
];

/// Variables that would change a program and that longshore.toml has keys for.
pub(crate) const CHANGING: [&str; 4] = ["GOEXPERIMENT", "GOFIPS140", "GOAMD64", "GOARM"];

/// What the surroundings say about Go.
pub(crate) struct GoSurroundings {
    settings: GoEnvironment,
    /// Go's files, where they would lie without a word from anybody.
    pub(crate) module_cache: Option<PathBuf>,
}

impl GoSurroundings {
    /// Reads the user's go/env. Where there is no home for Go's caches (a service account, a container), they lie in `fallback`.
    ///
    /// Errors: the file is there and cannot be read.
    pub(crate) fn read(
        variables: &BTreeMap<OsString, OsString>,
        fallback: &Path,
    ) -> Result<GoSurroundings, longshore_files::FileError> {
        let mut variables = variables.clone();
        let is_set = |name: &str| variables.get(OsStr::new(name)).is_some_and(|value| !value.is_empty());
        let has_home = variables.get(OsStr::new("HOME")).is_some_and(|home| Path::new(home).is_dir());
        if !has_home {
            let missing = [("GOCACHE", "go-build", "XDG_CACHE_HOME"), ("GOPATH", "go", "GOMODCACHE")];
            let missing =
                missing.map(|(name, folder, other)| (name, folder, !is_set(name) && !is_set(other)));
            for (name, folder, _) in missing.iter().filter(|(.., absent)| *absent) {
                variables.insert((*name).into(), fallback.join(folder).into());
            }
        }
        let settings = GoEnvironment::read(variables)?;
        let path = |name: &str| settings.value(name).map(PathBuf::from);
        let first = |list: PathBuf| std::env::split_paths(&list).next();
        let gopath = path("GOPATH").and_then(first).or_else(|| {
            let home = settings.variable("HOME").filter(|home| !home.is_empty())?;
            Some(Path::new(home).join("go"))
        });
        let module_cache = path("GOMODCACHE").or_else(|| gopath.map(|gopath| gopath.join("pkg/mod")));
        Ok(GoSurroundings { settings, module_cache })
    }

    /// A setting of Go's, or a variable.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.settings.value(name)
    }

    /// The user's settings file, whether it is there or not.
    pub(crate) fn user_file(&self) -> Option<PathBuf> {
        self.settings.user_file()
    }

    /// The PATH.
    pub(crate) fn path(&self) -> &OsStr {
        self.settings.variable("PATH").unwrap_or_default()
    }

    /// Everything that may change which program comes out, for the key: sorted names and values.
    pub(crate) fn key(&self, cgo: bool) -> Vec<(String, OsString)> {
        let settings = ["GOFLAGS", "GOWORK", "GOMODCACHE", "GOPATH", "GOTOOLCHAIN"].iter();
        let mut key: Vec<(String, OsString)> =
            settings.filter_map(|name| Some(((*name).to_owned(), self.value(name)?.into()))).collect();
        for name in ["PATH", "HOME"] {
            key.extend(self.settings.variable(name).map(|value| (name.to_owned(), value.to_owned())));
        }
        if cgo {
            let own = |name: &OsStr| {
                let name = name.to_str()?;
                let relevant =
                    COMPILER.contains(&name) || name.starts_with("CC_FOR_") || name.starts_with("CXX_FOR_");
                relevant.then(|| name.to_owned())
            };
            key.extend(
                self.settings.variables().filter_map(|(name, value)| Some((own(name)?, value.to_owned()))),
            );
        }
        key.sort();
        key
    }

    /// The environment of a build for `platform` in `folder`.
    pub(crate) fn for_build(
        &self,
        resolved: &Resolved,
        platform: &Platform,
        toolchain: &Toolchain,
        folder: &Path,
    ) -> Environment {
        let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
        let passed = PASSED.iter().chain(if resolved.cgo { COMPILER.as_slice() } else { &[] });
        for name in passed {
            if let Some(value) = self.settings.variable(name) {
                all.insert((*name).into(), value.to_owned());
            }
        }
        for name in SETTINGS {
            if let Some(value) = self.value(name) {
                all.insert(name.into(), value.into());
            }
        }
        for (name, value) in &resolved.go_env {
            all.insert(name.into(), value.into());
        }
        if let Some(compiler) = self.cross_compiler(resolved, platform, "CC") {
            all.insert("CC".into(), compiler);
        }
        if let Some(compiler) = self.cross_compiler(resolved, platform, "CXX") {
            all.insert("CXX".into(), compiler);
        }
        let forced = [
            ("GOENV", "off"),
            ("GOTOOLCHAIN", "local"),
            ("GO111MODULE", "on"),
            // Not empty, or a GOFLAGS in GOROOT/go.env would hold.
            ("GOFLAGS", "-buildvcs=false"),
            ("GOTELEMETRY", "off"),
            ("CGO_ENABLED", if resolved.cgo { "1" } else { "0" }),
            ("GOOS", &platform.os),
            ("GOARCH", &platform.architecture),
        ];
        for (name, value) in forced {
            all.insert(name.into(), value.into());
        }
        for (name, value) in resolved.levels(platform) {
            all.insert(name.into(), value.into());
        }
        all.insert("GOROOT".into(), toolchain.goroot.clone().into());
        all.insert("PWD".into(), folder.into());
        Environment::empty().with_all(all)
    }

    /// The compiler for a platform: `CC_FOR_linux_arm64`, the names that Go's own build scripts use.
    fn cross_compiler(&self, resolved: &Resolved, platform: &Platform, kind: &str) -> Option<OsString> {
        if !resolved.cgo {
            return None;
        }
        let name = cross_variable(platform, kind);
        let configured = resolved.go_env.get(&name).map(OsString::from);
        configured.or_else(|| self.settings.variable(&name).map(OsStr::to_owned))
    }

    /// Whether cgo has what it needs for `platform`: the compiler's path where it has.
    ///
    /// Errors: there is no compiler, or none for a platform that is not this machine's.
    pub(crate) fn compiler(
        &self,
        resolved: &Resolved,
        platform: &Platform,
    ) -> Result<PathBuf, SettingsError> {
        let own = resolved.go_env.get("CC").map(OsString::from);
        let own = own
            .or_else(|| self.settings.variable("CC").filter(|value| !value.is_empty()).map(OsStr::to_owned));
        let named = self.cross_compiler(resolved, platform, "CC").or(own);
        let host = Platform::host();
        if named.is_none() && (host.os != platform.os || host.architecture != platform.architecture) {
            let variable = cross_variable(platform, "CC");
            return Err(SettingsError::NoCrossCompiler { platform: platform.to_string(), variable });
        }
        let command = named.unwrap_or_else(|| "gcc".into()).to_string_lossy().into_owned();
        let compiler = command.split_whitespace().next().unwrap_or("gcc").to_owned();
        let found = if compiler.contains('/') {
            Some(PathBuf::from(&compiler)).filter(|path| path.is_file())
        } else {
            find_program(&compiler, self.path())
        };
        found.ok_or(SettingsError::NoCompiler { compiler })
    }
}

fn cross_variable(platform: &Platform, kind: &str) -> String {
    format!("{kind}_FOR_{}_{}", platform.os, platform.architecture)
}
