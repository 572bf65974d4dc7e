//! Whose files are.
//!
//! An owner belongs to a file, not to its name: package managers change the owner of a file first and give it its name afterwards.
//! So whoever got an owner while the step runs is known by its inode, or rather by the handle that the file system gives for it, which no
//! later file has. What stood there before the step is known by its path, since an overlay gives it another inode as soon
//! as it is changed; these entries move with what is renamed, and go with what is replaced.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;

use crate::sys;

/// User and group.
pub(super) type Owner = (u32, u32);

/// Owners by path.
pub(super) type Owners = BTreeMap<PathBuf, Owner>;

/// Whoever is not known is this one's.
pub(super) const ROOT: Owner = (0, 0);

/// The owners of one file system's part that the step sees: its root folder, or something that is mounted over it.
pub(super) struct Ledger {
    /// Where it begins in the step's root.
    at: PathBuf,
    /// Where else the same is seen.
    also: Vec<PathBuf>,
    /// The folder, or the file, that takes changes.
    changes: OwnedFd,
    inodes: HashMap<Vec<u8>, Owner>,
    paths: BTreeMap<PathBuf, Owner>,
}

impl Ledger {
    /// `owners` are those of what is there already, by the path from where it begins; root's is what is not among them.
    pub(super) fn new(at: PathBuf, changes: OwnedFd, owners: Owners) -> Ledger {
        let mut ledger =
            Ledger { at, also: Vec::new(), changes, inodes: HashMap::new(), paths: BTreeMap::new() };
        for (path, owner) in owners {
            ledger.paths.insert(join(&ledger.at, path.strip_prefix("/").unwrap_or(&path)), owner);
        }
        ledger
    }

    /// Notes that the same is seen at another place of the step's root.
    pub(super) fn seen_at(&mut self, place: PathBuf) {
        self.also.push(place);
    }

    /// A path from where the ledger begins, for one that may lead to the same by another place.
    fn own<'p>(&self, path: &'p Path) -> Cow<'p, Path> {
        let places = self.also.iter().chain([&self.at]).filter(|place| path.starts_with(place));
        match places.max_by_key(|place| place.as_os_str().len()) {
            Some(place) if *place != self.at => {
                Cow::Owned(join(&self.at, path.strip_prefix(place).unwrap_or(path)))
            }
            _ => Cow::Borrowed(path),
        }
    }

    /// Whether all is root's.
    pub(super) fn is_empty(&self) -> bool {
        self.inodes.is_empty() && self.paths.is_empty()
    }

    /// Whose a file is.
    pub(super) fn owner(&self, path: &Path) -> Result<Owner, Errno> {
        let path = self.own(path);
        let path = path.as_ref();
        if !self.inodes.is_empty()
            && let Some(identity) = identity(&self.changes, self.relative(path))?
            && let Some(owner) = self.inodes.get(&identity)
        {
            return Ok(*owner);
        }
        Ok(self.paths.get(path).copied().unwrap_or(ROOT))
    }

    /// Notes whose a file is, which must be among the changes.
    pub(super) fn note(&mut self, path: &Path, owner: Owner) -> Result<(), Errno> {
        let identity = self.identity(path)?;
        self.keep(identity, owner);
        Ok(())
    }

    /// What a file is known by, which must be among the changes.
    pub(super) fn identity(&self, path: &Path) -> Result<Vec<u8>, Errno> {
        identity(&self.changes, self.relative(&self.own(path)))?.ok_or(Errno::NOENT)
    }

    /// Notes whose the file is that is known by this.
    pub(super) fn keep(&mut self, identity: Vec<u8>, owner: Owner) {
        self.inodes.insert(identity, owner);
    }

    /// Notes that nothing stands at a path.
    pub(super) fn gone(&mut self, path: &Path) {
        self.take(&self.own(path));
    }

    /// Whether something is known by its path here or below.
    pub(super) fn has(&self, path: &Path) -> bool {
        let path = &*self.own(path);
        self.paths.range(path.to_owned()..).next().is_some_and(|(first, _)| first.starts_with(path))
    }

    /// Notes that a file or folder has another path now.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path) {
        let (from, to) = (self.own(from).into_owned(), self.own(to).into_owned());
        let moved = self.take(&from);
        self.take(&to);
        self.put(&from, &to, moved);
    }

    /// Notes that two have changed places.
    pub(super) fn exchanged(&mut self, one: &Path, other: &Path) {
        let (one, other) = (self.own(one).into_owned(), self.own(other).into_owned());
        let (first, second) = (self.take(&one), self.take(&other));
        self.put(&one, &other, first);
        self.put(&other, &one, second);
    }

    /// Notes that a file has a further name.
    pub(super) fn linked(&mut self, from: &Path, to: &Path) {
        if let Some(owner) = self.paths.get(&*self.own(from)).copied() {
            self.paths.insert(self.own(to).into_owned(), owner);
        }
    }

    fn take(&mut self, path: &Path) -> Vec<(PathBuf, Owner)> {
        let here = self.paths.range(path.to_owned()..).take_while(|(other, _)| other.starts_with(path));
        let taken: Vec<(PathBuf, Owner)> = here.map(|(path, owner)| (path.clone(), *owner)).collect();
        for (path, _) in &taken {
            self.paths.remove(path);
        }
        taken
    }

    fn put(&mut self, from: &Path, to: &Path, entries: Vec<(PathBuf, Owner)>) {
        for (path, owner) in entries {
            if let Ok(below) = path.strip_prefix(from) {
                self.paths.insert(join(to, below), owner);
            }
        }
    }

    /// All owners but root, by the path from where it begins, at the end of the step.
    pub(super) fn finish(mut self) -> Result<Owners, Errno> {
        if !self.inodes.is_empty() {
            self.look_through()?;
        }
        let paths = std::mem::take(&mut self.paths).into_iter();
        let below = |path: &Path| join(Path::new("/"), path.strip_prefix(&self.at).unwrap_or(path));
        Ok(paths.map(|(path, owner)| (below(&path), owner)).collect())
    }

    /// Finds where the files are whose owners were noted. The depth of the tree is the step's choice, so no call goes into another here.
    fn look_through(&mut self) -> Result<(), Errno> {
        self.settle(self.at.clone())?;
        let mut folders = vec![self.at.clone()];
        while let Some(folder) = folders.pop() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = match openat(&self.changes, or_dot(self.relative(&folder)), flags, Mode::empty()) {
                // A single file is mounted; or no layer can have what is there, which whoever writes the layer says.
                Err(Errno::NOTDIR | Errno::NAMETOOLONG) => continue,
                opened => opened?,
            };
            for entry in Dir::read_from(&opened)? {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if name == "." || name == ".." {
                    continue;
                }
                let path = folder.join(name);
                if entry.file_type() == FileType::Directory {
                    folders.push(path.clone());
                }
                self.settle(path)?;
            }
        }
        Ok(())
    }

    /// A path as the kernel takes it, from the folder that takes changes; empty for that itself.
    fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.at).unwrap_or(path)
    }

    /// Gives a path the owner that its inode has.
    fn settle(&mut self, path: PathBuf) -> Result<(), Errno> {
        let identity = match identity(&self.changes, self.relative(&path)) {
            Ok(None) | Err(Errno::NAMETOOLONG) => return Ok(()),
            Ok(Some(identity)) => identity,
            Err(error) => return Err(error),
        };
        match self.inodes.get(&identity) {
            Some(&ROOT) => drop(self.paths.remove(&path)),
            Some(owner) => drop(self.paths.insert(path, *owner)),
            None => {}
        }
        Ok(())
    }
}

/// A path in a folder; the folder itself for an empty one.
fn join(folder: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { folder.to_owned() } else { folder.join(path) }
}

/// The folder itself, in the form that opens it.
fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// What tells a file from all others, now and later; `None` if it is not there.
fn identity(folder: &OwnedFd, path: &Path) -> Result<Option<Vec<u8>>, Errno> {
    match sys::file_handle(folder, &sys::c_string(path)?) {
        Ok(handle) => Ok(Some(handle)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        // File systems without handles: an inode's number, and when it was made, since numbers are used again.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::OVERFLOW) => numbered(folder, path),
        Err(error) => Err(error),
    }
}

fn numbered(folder: &OwnedFd, path: &Path) -> Result<Option<Vec<u8>>, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let about = match statx(folder, path, flags, StatxFlags::INO | StatxFlags::BTIME) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        answer => answer?,
    };
    let mut bytes = about.stx_ino.to_le_bytes().to_vec();
    bytes.extend_from_slice(&about.stx_btime.tv_sec.to_le_bytes());
    bytes.extend_from_slice(&about.stx_btime.tv_nsec.to_le_bytes());
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ledger(folder: &Path, paths: &[(&str, Owner)]) -> Ledger {
        let changes = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let owners = paths.iter().map(|(path, owner)| (PathBuf::from(path), *owner)).collect();
        Ledger::new("/".into(), changes, owners)
    }

    #[test]
    fn an_owner_follows_its_file_and_no_file_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let make = |name: &str| fs::File::create(at(name)).map(drop).unwrap();
        let mut ledger = ledger(folder.path(), &[("/old", (1, 1))]);
        make("a");
        ledger.note(Path::new("/a"), (2, 3)).unwrap();
        fs::rename(at("a"), at("b")).unwrap();
        fs::hard_link(at("b"), at("c")).unwrap();
        for number in 0..50 {
            // On most file systems the new file gets the number of the one that is gone.
            let name = format!("/d{number}");
            make("d");
            ledger.note(Path::new("/d"), (9, 9)).unwrap();
            fs::remove_file(at("d")).unwrap();
            make(&name[1..]);
            assert_eq!(ledger.owner(Path::new(&name)), Ok(ROOT), "{name}");
        }
        assert_eq!(ledger.owner(Path::new("/a")), Ok(ROOT));
        assert_eq!(ledger.owner(Path::new("/b")), Ok((2, 3)));
        assert_eq!(ledger.owner(Path::new("/old")), Ok((1, 1)));
        let all = ledger.finish().unwrap();
        let expected = [("/b", (2, 3)), ("/c", (2, 3)), ("/old", (1, 1))];
        assert_eq!(all, expected.map(|(path, owner)| (PathBuf::from(path), owner)).into());
    }

    #[test]
    fn what_is_mounted_has_paths_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let changes = rustix::fs::open(folder.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let owners = [("/", (1, 1)), ("/old", (2, 2))].map(|(path, owner)| (PathBuf::from(path), owner));
        let mut ledger = Ledger::new("/var/cache".into(), changes, owners.into());
        assert_eq!(ledger.owner(Path::new("/var/cache")), Ok((1, 1)));
        assert_eq!(ledger.owner(Path::new("/var/cache/old")), Ok((2, 2)));
        fs::File::create(folder.path().join("new")).unwrap();
        ledger.note(Path::new("/var/cache/new"), (3, 3)).unwrap();
        ledger.note(Path::new("/var/cache"), (4, 4)).unwrap();
        assert_eq!(ledger.owner(Path::new("/var/cache")), Ok((4, 4)));
        let expected = [("/", (4, 4)), ("/new", (3, 3)), ("/old", (2, 2))];
        assert_eq!(
            ledger.finish().unwrap(),
            expected.map(|(path, owner)| (PathBuf::from(path), owner)).into()
        );
    }

    #[test]
    fn what_is_seen_in_two_places_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path(), &[]);
        ledger.at = "/x".into();
        ledger.paths = [("/x/a", (1, 1)), ("/x/b", (2, 2))].map(|(path, owner)| (path.into(), owner)).into();
        ledger.seen_at("/x/below".into());
        ledger.seen_at("/y".into());
        fs::File::create(folder.path().join("new")).unwrap();
        ledger.note(Path::new("/y/new"), (3, 3)).unwrap();
        let at = |path: &str| ledger.owner(Path::new(path));
        assert_eq!([at("/x/new"), at("/y/a"), at("/x/below/b")], [Ok((3, 3)), Ok((1, 1)), Ok((2, 2))]);
        ledger.renamed(Path::new("/y/a"), Path::new("/x/c"));
        ledger.linked(Path::new("/x/below/b"), Path::new("/y/d"));
        ledger.gone(Path::new("/y/b"));
        let expected = [("/c", (1, 1)), ("/d", (2, 2)), ("/new", (3, 3))];
        assert_eq!(
            ledger.finish().unwrap(),
            expected.map(|(path, owner)| (PathBuf::from(path), owner)).into()
        );
    }

    #[test]
    fn what_stood_there_before_is_known_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(
            folder.path(),
            &[("/a", (1, 1)), ("/a/b", (2, 2)), ("/a-b", (3, 3)), ("/c", (4, 4)), ("/c/d", (5, 5))],
        );
        assert!(ledger.has(Path::new("/a")) && !ledger.has(Path::new("/b")));
        ledger.renamed(Path::new("/a"), Path::new("/x"));
        ledger.linked(Path::new("/a-b"), Path::new("/y"));
        ledger.exchanged(Path::new("/x"), Path::new("/c"));
        ledger.gone(Path::new("/c/b"));
        let expected = [("/a-b", (3, 3)), ("/c", (1, 1)), ("/x", (4, 4)), ("/x/d", (5, 5)), ("/y", (3, 3))];
        assert_eq!(
            ledger.finish().unwrap(),
            expected.map(|(path, owner)| (PathBuf::from(path), owner)).into()
        );
    }
}
