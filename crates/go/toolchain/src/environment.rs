//! The environment that Go reads: variables, the user's `go/env` file, and GOROOT's `go.env`.
//!
//! A setting is taken from the first of the three that has it and is not empty there, as `cmd/go/internal/cfg` does. The variables are
//! handed in, not read from the process, so that whoever calls decides what a build can see.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_files::FileError;

/// Where modules come from when nothing says otherwise: what the go.env of Go's own releases says.
const DEFAULT_PROXY: &str = "https://proxy.golang.org,direct";
/// The checksum database when nothing says otherwise.
const DEFAULT_DATABASE: &str = "sum.golang.org";

/// The settings that Go would see.
#[derive(Clone, Default)]
pub struct GoEnvironment {
    variables: BTreeMap<OsString, OsString>,
    user: BTreeMap<String, String>,
    root: BTreeMap<String, String>,
}

impl std::fmt::Debug for GoEnvironment {
    /// Names alone: values may hold credentials.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.variables.keys().map(|name| name.to_string_lossy());
        formatter
            .debug_struct("GoEnvironment")
            .field("variables", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl GoEnvironment {
    /// The variables alone, without any file.
    pub fn of_variables<Name: Into<OsString>, Value: Into<OsString>>(
        variables: impl IntoIterator<Item = (Name, Value)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        GoEnvironment { variables, ..GoEnvironment::default() }
    }

    /// The variables, and the user's `go/env` file where they say it is: GOENV, or below the user's configuration folder.
    ///
    /// Errors: the file is there and cannot be read.
    pub fn read<Name: Into<OsString>, Value: Into<OsString>>(
        variables: impl IntoIterator<Item = (Name, Value)>,
    ) -> Result<Self, FileError> {
        let mut environment = GoEnvironment::of_variables(variables);
        if let Some(file) = environment.user_file() {
            environment.user = read_settings(&file)?;
        }
        Ok(environment)
    }

    /// The same environment as a Go installed in `goroot` sees it, with that folder's `go.env` behind the rest.
    pub fn with_root(&self, goroot: &Path) -> Result<Self, FileError> {
        Ok(GoEnvironment { root: read_settings(&goroot.join("go.env"))?, ..self.clone() })
    }

    /// The user's settings file: GOENV's value, else `go/env` in the user's configuration folder. None under `GOENV=off`.
    pub fn user_file(&self) -> Option<PathBuf> {
        match self.value("GOENV") {
            Some("off") => None,
            Some(file) => Some(PathBuf::from(file)),
            None => match self.folder("XDG_CONFIG_HOME") {
                Some(folder) => Some(folder.join("go/env")),
                None => Some(self.folder("HOME")?.join(".config/go/env")),
            },
        }
    }

    /// A variable or setting, if it is not empty anywhere before it is found. Values that are not UTF-8 count as absent.
    pub fn value(&self, name: &str) -> Option<&str> {
        let variable = self.variables.get(OsStr::new(name)).and_then(|value| value.to_str());
        let files = || self.user.get(name).or_else(|| self.root.get(name)).map(String::as_str);
        variable.filter(|value| !value.is_empty()).or_else(files).filter(|value| !value.is_empty())
    }

    /// A variable of the process environment as it is, whatever its bytes.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables of the process environment, without the files.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// GOPROXY: a list separated by `,` and `|`.
    pub fn proxy(&self) -> &str {
        self.value("GOPROXY").unwrap_or(DEFAULT_PROXY)
    }

    /// GOSUMDB: a name, a name with a key, or either with a URL; or `off`.
    pub fn checksum_database(&self) -> &str {
        self.value("GOSUMDB").unwrap_or(DEFAULT_DATABASE)
    }

    /// GONOPROXY: patterns of modules that are not asked of a proxy.
    pub fn no_proxy(&self) -> &str {
        self.value("GONOPROXY").or_else(|| self.value("GOPRIVATE")).unwrap_or_default()
    }

    /// The home folder.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.folder("HOME")
    }

    /// GOMODCACHE, where Go keeps the toolchains that it fetched itself.
    pub(crate) fn module_cache(&self) -> Option<PathBuf> {
        if let Some(cache) = self.value("GOMODCACHE") {
            return Some(PathBuf::from(cache));
        }
        let first = |list: &str| std::env::split_paths(list).next().filter(|folder| folder.is_absolute());
        let path = self.value("GOPATH").and_then(first).or_else(|| Some(self.home()?.join("go")));
        Some(path?.join("pkg/mod"))
    }

    fn folder(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|folder| folder.is_absolute())
    }
}

/// Reads a settings file; one that is not there is empty.
fn read_settings(path: &Path) -> Result<BTreeMap<String, String>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(parse_settings(&bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(BTreeMap::new())
        }
        Err(error) => Err(FileError::of("read", path)(error)),
    }
}

/// Lines of `NAME=value`, taken as they are: no quotes, no trimming. Others are comments.
fn parse_settings(bytes: &[u8]) -> BTreeMap<String, String> {
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let named = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    let pairs = named.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables, and the path that follows from them.
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

    #[test]
    fn a_setting_comes_from_the_first_place_that_has_it() {
        let environment = GoEnvironment {
            variables: [("A", "variable"), ("B", ""), ("GOENV", "/x")]
                .map(|(a, b)| (a.into(), b.into()))
                .into(),
            user: parse_settings(b"# comment\nA=user\nB=user\nC=user\nbad line\nlower=case\nE= spaced \n"),
            root: parse_settings(b"A=root\nB=root\nC=root\nD=root"),
        };
        let cases = [("A", Some("variable")), ("B", Some("user")), ("C", Some("user")), ("D", Some("root"))];
        for (name, expected) in cases {
            assert_eq!(environment.value(name), expected, "{name}");
        }
        assert_eq!(environment.value("E"), Some(" spaced "));
        assert_eq!((environment.value("lower"), environment.value("F")), (None, None));
        assert_eq!(environment.proxy(), "https://proxy.golang.org,direct");
        assert!(!format!("{environment:?}").contains("variable\""), "{environment:?}");
    }

    #[test]
    fn the_users_file_is_where_go_looks_for_it() {
        let cases: &[Case] = &[
            (&[("HOME", "/home/u")], Some("/home/u/.config/go/env")),
            (&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", "/c")], Some("/c/go/env")),
            (&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", "relative")], Some("/home/u/.config/go/env")),
            (&[("HOME", "/home/u"), ("GOENV", "/e")], Some("/e")),
            (&[("HOME", "/home/u"), ("GOENV", "off")], None),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let environment = GoEnvironment::of_variables(variables.iter().copied());
            assert_eq!(environment.user_file(), expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn a_file_is_read_and_a_missing_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        let variables = [("GOENV", file.to_str().unwrap())];
        assert_eq!(GoEnvironment::read(variables).unwrap().value("GOPROXY"), None);
        longshore_files::write_atomic(&file, b"GOPROXY=https://corp.example\n").unwrap();
        assert_eq!(GoEnvironment::read(variables).unwrap().proxy(), "https://corp.example");
        let folder_as_file = [("GOENV", folder.path().to_str().unwrap())];
        assert!(GoEnvironment::read(folder_as_file).is_err());
    }

    #[test]
    fn the_module_cache_is_where_go_puts_it() {
        let cases: &[Case] = &[
            (&[("HOME", "/h")], Some("/h/go/pkg/mod")),
            (&[("HOME", "/h"), ("GOPATH", "/p:/q")], Some("/p/pkg/mod")),
            (&[("GOMODCACHE", "/m"), ("GOPATH", "/p")], Some("/m")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let environment = GoEnvironment::of_variables(variables.iter().copied());
            assert_eq!(environment.module_cache(), expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
