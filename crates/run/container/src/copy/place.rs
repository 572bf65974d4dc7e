//! Where things come from and go to, by the rules of `docker cp` (its reference, "Extended description"; docker/cli: `cli/command/container/cp.go`;
//! moby: `pkg/archive/copy.go`).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use longshore_files::Reach;
use rustix::fs::{FileType, OFlags, Stat, fstat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::{CopyError, shown};

/// Links that are followed before it is a circle; the kernel's number.
const MOST_LINKS: usize = 40;

/// A path as it was typed: absolute, without `.` and `..`, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPath {
    /// Bytes, since JSON has texts only.
    path: Vec<u8>,
    ending: Ending,
}

/// What the last characters of a path say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Ending {
    Plain,
    /// `/`: it is a folder.
    Slash,
    /// `/.`: it is a folder, and its contents are meant.
    Dot,
}

impl CopyPath {
    /// A path that counts from `folder` where it is relative.
    pub fn new(folder: &Path, typed: &OsStr) -> CopyPath {
        let mut clean = PathBuf::from("/");
        for component in folder.join(typed).components() {
            match component {
                Component::Normal(name) => clean.push(name),
                Component::ParentDir => drop(clean.pop()),
                _ => {}
            }
        }
        let bytes = typed.as_bytes();
        let ending = match bytes.iter().rposition(|byte| *byte != b'/') {
            // Nothing but slashes.
            None => {
                if bytes.is_empty() {
                    Ending::Plain
                } else {
                    Ending::Slash
                }
            }
            Some(last) if bytes[last] == b'.' && (last == 0 || bytes[last - 1] == b'/') => Ending::Dot,
            Some(last) if last + 1 < bytes.len() => Ending::Slash,
            Some(_) => Ending::Plain,
        };
        CopyPath { path: clean.into_os_string().into_vec(), ending }
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// Whether it says that it is a folder's.
    fn asserts_folder(&self) -> bool {
        self.ending != Ending::Plain
    }

    /// The name that it gives to what is copied; none where the contents of a folder are meant.
    pub(super) fn name(&self) -> Option<&OsStr> {
        if self.ending == Ending::Dot { None } else { self.path().file_name() }
    }

    /// As it was typed, but absolute.
    fn shown(&self) -> String {
        let end = match self.ending {
            _ if self.path == b"/" => "",
            Ending::Plain => "",
            Ending::Slash => "/",
            Ending::Dot => "/.",
        };
        format!("{}{end}", self.path().display())
    }

    /// Opens what it stands for, as a mere place. A link at its end is followed if `follow` or if the path says that it is a folder.
    pub(super) fn open(
        &self,
        reach: &Reach,
        follow: bool,
    ) -> Result<(std::os::fd::OwnedFd, Stat), CopyError> {
        let mut flags = OFlags::PATH;
        if self.asserts_folder() {
            flags |= OFlags::DIRECTORY;
        } else if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let opened = reach.open(self.path(), flags).map_err(CopyError::opening(self.shown()))?;
        let stat = fstat(&opened).map_err(CopyError::at("look at", self.path()))?;
        Ok((opened, stat))
    }
}

/// What stands where something is to be copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Found {
    Nothing,
    Folder,
    /// Anything else.
    File,
}

/// A destination, links at its end followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Destination {
    path: Vec<u8>,
    pub(super) found: Found,
    asserts_folder: bool,
}

impl Destination {
    /// What a path leads to. A link that leads to nothing means what it leads to.
    pub(super) fn find(reach: &Reach, typed: &CopyPath) -> Result<Destination, CopyError> {
        let asserts_folder = typed.asserts_folder();
        let mut path = typed.path().to_owned();
        for _ in 0..MOST_LINKS {
            let made =
                |found| Destination { path: path.as_os_str().as_bytes().to_owned(), found, asserts_folder };
            let opened = match reach.open(&path, OFlags::PATH | OFlags::NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(made(Found::Nothing)),
                answer => answer.map_err(CopyError::opening(&path))?,
            };
            let stat = fstat(&opened).map_err(CopyError::at("look at", &path))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => return Ok(made(Found::Folder)),
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&opened, "", Vec::new())
                        .map_err(CopyError::at("read the link", &path))?;
                    // Not cleaned: where `..` leads depends on links before it.
                    path = path.parent().unwrap_or(Path::new("/")).join(OsStr::from_bytes(target.to_bytes()));
                }
                FileType::CharacterDevice | FileType::BlockDevice => {
                    return Err(CopyError::Unfit { path: shown(&path), what: "a device".to_owned() });
                }
                // A file with a slash behind it is nothing that is there.
                _ if asserts_folder => return Ok(made(Found::Nothing)),
                _ => return Ok(made(Found::File)),
            }
        }
        Err(CopyError::opening(typed.path())(Errno::LOOP))
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// How a copy is made: the folder that a tar is unpacked into, and the name of its topmost entry; none where the entries of that are put
/// into the folder themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) folder: PathBuf,
    pub(super) name: Option<OsString>,
}

impl Plan {
    /// What it means to copy this there (moby: `PrepareArchiveCopy`).
    pub(super) fn make(
        source: &CopyPath,
        is_folder: bool,
        destination: &Destination,
    ) -> Result<Plan, CopyError> {
        let path = destination.path();
        let renamed = || Plan {
            folder: path.parent().unwrap_or(Path::new("/")).to_owned(),
            name: path.file_name().map(OsStr::to_owned),
        };
        match destination.found {
            Found::Folder => Ok(Plan { folder: path.to_owned(), name: source.name().map(OsStr::to_owned) }),
            Found::File if is_folder => Err(CopyError::FolderOverFile(shown(path))),
            Found::Nothing if !is_folder && destination.asserts_folder => {
                Err(CopyError::NoFolder(shown(path)))
            }
            Found::File | Found::Nothing => Ok(renamed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_their_ends_told() {
        for (typed, path, name, folder) in [
            ("/a/b", "/a/b", Some("b"), false),
            ("b", "/cwd/b", Some("b"), false),
            ("./b/", "/cwd/b", Some("b"), true),
            ("b/.", "/cwd/b", None, true),
            ("b/./", "/cwd/b", None, true),
            (".", "/cwd", None, true),
            ("..", "/", None, false),
            ("/", "/", None, true),
            ("/a/../../c", "/c", Some("c"), false),
            ("a.", "/cwd/a.", Some("a."), false),
            ("", "/cwd", Some("cwd"), false),
        ] {
            let made = CopyPath::new(Path::new("/cwd"), OsStr::new(typed));
            let seen = (made.path(), made.name(), made.asserts_folder());
            assert_eq!(seen, (Path::new(path), name.map(OsStr::new), folder), "{typed}");
        }
    }

    #[test]
    fn the_plan_is_dockers() {
        let plan = |source: &str, is_folder, found, asserts_folder| {
            let destination = Destination { path: b"/to/x".to_vec(), found, asserts_folder };
            let source = CopyPath::new(Path::new("/"), OsStr::new(source));
            let plan = Plan::make(&source, is_folder, &destination).ok()?;
            Some((plan.folder.display().to_string(), plan.name.map(|name| name.into_string().unwrap())))
        };
        let is = |folder: &str, name: Option<&str>| Some((folder.to_owned(), name.map(str::to_owned)));
        for (source, is_folder, found, asserts, expected) in [
            ("f", false, Found::Folder, false, is("/to/x", Some("f"))),
            ("f", false, Found::File, false, is("/to", Some("x"))),
            ("f", false, Found::Nothing, false, is("/to", Some("x"))),
            ("f", false, Found::Nothing, true, None),
            ("d", true, Found::Folder, false, is("/to/x", Some("d"))),
            ("d/.", true, Found::Folder, false, is("/to/x", None)),
            ("/", true, Found::Folder, false, is("/to/x", None)),
            ("d", true, Found::File, false, None),
            ("d/.", true, Found::Nothing, false, is("/to", Some("x"))),
            ("d", true, Found::Nothing, true, is("/to", Some("x"))),
        ] {
            assert_eq!(plan(source, is_folder, found, asserts), expected, "{source} {found:?} {asserts}");
        }
    }
}
