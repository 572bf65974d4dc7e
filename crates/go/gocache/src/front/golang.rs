//! What the real Go says about itself, and which one it is.
//!
//! Go's cache tells toolchains apart by the version that they print, and trusts that two of one version are equal. A distribution's or
//! one's own patched toolchain breaks that, so the compartment of a cache is named by the tools' content.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use longshore_files::FileError;

use super::aside::Aside;
use super::memory::{self, Memory};

/// What is asked of `go env`, in this order.
const NAMES: [&str; 6] = ["CGO_ENABLED", "GOFLAGS", "GOVERSION", "GOROOT", "GOTOOLDIR", "GOCACHEPROG"];

/// Variables that change what tools do and that Go's cache does not ask about, or that name a cache already.
///
/// cmd/go knows of some of the compiler's debugging variables (internal/work, buildActionID); GODEBUG changes the compiler too, since it
/// is a Go program.
const VARIABLES: [&str; 4] = ["GOCACHE", "GOCACHEPROG", "GODEBUG", "GOTOOLDIR"];
const PREFIXES: [&str; 5] = ["GOSSA", "GO_SSA", "GOCLOBBER", "GOCOMPILE", "GO_GCFLAGS"];

/// The first release without compiled packages in GOROOT, which `-a` would not have used and which a build without it would.
const FIRST: u32 = 20;

/// The toolchain that a command would use.
#[derive(Debug)]
pub(crate) struct Golang {
    version: String,
    root: PathBuf,
    tools: PathBuf,
    /// GOFLAGS, from the environment or from Go's own files.
    pub(crate) flags: String,
}

/// Whether the environment is one in which the cache gives what a build without it gives.
pub(crate) fn check_environment(environment: &[(OsString, OsString)]) -> Result<(), Aside> {
    for (name, value) in environment {
        let name = name.to_string_lossy();
        let known = VARIABLES.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if known && !value.is_empty() {
            return Err(Aside::Variable(name.into_owned()));
        }
    }
    // Without these, Go has no place for its cache and refuses to build. So it must here.
    let has_place = |(name, value): &(OsString, OsString)| {
        (name == "HOME" || name == "XDG_CACHE_HOME") && Path::new(value).is_absolute()
    };
    environment.iter().any(has_place).then_some(()).ok_or_else(|| Aside::Variable("no home folder".into()))
}

impl Golang {
    /// Asks `program`, in the folder and the environment in which the command is going to run.
    pub(crate) fn ask(
        program: &Path,
        folder: Option<&OsStr>,
        environment: &[(OsString, OsString)],
    ) -> Result<Golang, Aside> {
        let mut command = Command::new(program);
        command.arg("env");
        if let Some(folder) = folder {
            command.arg("-C").arg(folder);
        }
        command.args(NAMES).env_clear().envs(environment.iter().cloned()).stdin(Stdio::null());
        let output = command.output().map_err(|error| Aside::Silent(error.to_string()))?;
        if !output.status.success() {
            return Err(Aside::Silent(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let text = String::from_utf8(output.stdout).map_err(|error| Aside::Silent(error.to_string()))?;
        let values: Vec<&str> = text.lines().collect();
        let [cgo, flags, version, root, tools, cache_program] = values[..] else {
            return Err(Aside::Silent(format!("{} lines instead of {}", values.len(), NAMES.len())));
        };
        if cgo != "0" {
            return Err(Aside::Cgo);
        }
        if !cache_program.is_empty() {
            return Err(Aside::Variable("GOCACHEPROG".into()));
        }
        if minor(version).is_none_or(|minor| minor < FIRST) {
            return Err(Aside::Version(version.to_owned()));
        }
        Ok(Golang {
            version: version.to_owned(),
            root: root.into(),
            tools: tools.into(),
            flags: flags.to_owned(),
        })
    }

    /// A name for the toolchain that another toolchain does not have.
    pub(crate) fn identity(&self, memory: &mut Memory) -> Result<String, FileError> {
        let mut files = vec![self.root.join("bin/go")];
        files.extend(["compile", "asm", "link"].map(|tool| self.tools.join(tool)));
        // Packages of the standard library include these from each other's folders, where Go does not count them as inputs.
        for folder in ["pkg/include", "src/runtime", "src/runtime/cgo"] {
            files.extend(headers(&self.root.join(folder))?);
        }
        let mut identity = blake3::Hasher::new();
        identity.update(format!("{}\n{}\n", self.version, self.root.display()).as_bytes());
        for file in files {
            let digest = memory.digest(&file.to_string_lossy(), &file, memory::blake3)?;
            identity.update(format!("{digest} {}\n", file.display()).as_bytes());
        }
        Ok(identity.finalize().to_hex()[..32].to_owned())
    }
}

/// Headers in a folder, in order.
fn headers(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(FileError::of("list", folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(FileError::of("list", folder))?.path();
        if path.extension() == Some(OsStr::new("h")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// 21 for `go1.21.13`, also with a vendor's suffix; nothing for what is not a release.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// A file that Go's build would take for an earlier result, as far as its first bytes tell.
///
/// A target that carries the right build ID is left as it is by `go build`, whatever else is in it; with `-a` it is written anew.
pub(crate) fn present_target(output: Option<&OsStr>, folder: &Path) -> Result<Option<PathBuf>, FileError> {
    let target = output.map_or_else(|| folder.to_owned(), |output| folder.join(output));
    let metadata = match std::fs::metadata(&target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::of("look at", &target)(error)),
    };
    if !metadata.is_dir() {
        return Ok(Some(target));
    }
    for entry in std::fs::read_dir(&target).map_err(FileError::of("list", &target))? {
        let path = entry.map_err(FileError::of("list", &target))?.path();
        if is_object(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether a file begins like an executable of any system or an archive: those are what Go would overwrite.
fn is_object(path: &Path) -> Result<bool, FileError> {
    const STARTS: [&[u8]; 9] = [
        b"\x7fELF",
        b"MZ",
        b"!<arch>",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\0asm",
        b"\x01\xf7",
    ];

    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(false);
    }
    let mut file = File::open(path).map_err(FileError::of("open", path))?;
    let mut start = [0; 8];
    let count = io::Read::read(&mut file, &mut start).map_err(FileError::of("read", path))?;
    Ok(STARTS.iter().any(|magic| start[..count].starts_with(magic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_have_a_known_cache() {
        let rows = [
            ("go1.21.13", Some(21)),
            ("go1.26rc1", Some(26)),
            ("go1.22.4-suse", Some(22)),
            ("go1.20", Some(20)),
            ("devel go1.27-abc", None),
            ("go2", None),
            ("", None),
        ];
        for (version, expected) in rows {
            assert_eq!(minor(version), expected, "{version}");
        }
    }

    #[test]
    fn variables_that_steer_tools_or_name_a_cache_keep_go_alone() {
        let environment = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
        };
        let check = |pairs: &[(&str, &str)]| {
            check_environment(&environment(pairs)).map_err(|aside| aside.to_string())
        };
        assert_eq!(check(&[("HOME", "/root"), ("GOFLAGS", "-v"), ("GODEBUG", "")]), Ok(()));
        assert_eq!(check(&[("XDG_CACHE_HOME", "/cache")]), Ok(()));
        for name in ["GOCACHE", "GOCACHEPROG", "GODEBUG", "GOSSAFUNC", "GOCOMPILEDEBUG", "GOCLOBBERDEADHASH"]
        {
            let answer = check(&[("HOME", "/root"), (name, "x")]);
            assert_eq!(answer, Err(format!("{name} is set in the environment")));
        }
        assert_eq!(check(&[("HOME", "")]), Err("no home folder is set in the environment".to_owned()));
    }

    #[test]
    fn a_target_that_is_there_is_seen_under_its_name_or_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let find = |output: Option<&str>| present_target(output.map(OsStr::new), folder.path()).unwrap();
        longshore_files::write_atomic(&folder.path().join("main.go"), b"package main").unwrap();
        assert_eq!(find(None), None);
        assert_eq!(find(Some("main")), None);
        let main = folder.path().join("main");
        longshore_files::write_atomic(&main, b"\x7fELF...").unwrap();
        assert_eq!(find(Some("main")), Some(main.clone()));
        assert_eq!(find(Some(".")), Some(folder.path().join("./main")));
        assert_eq!(find(None), Some(main));
        assert_eq!(find(Some("other")), None);
    }
}
