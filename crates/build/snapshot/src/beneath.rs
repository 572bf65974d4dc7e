//! Operations on one folder's tree that cannot leave it.
//!
//! Trees hold what strangers wrote: links that lead out of them above all. So a path is never given to the kernel whole without
//! `openat2(2)` being told to stay below the folder and to follow no link; what is done is done to the last name, in the folder that
//! was opened this way.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::node::{Metadata, NodeKind, is_kept};

/// A folder that nothing done through this leaves.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
    path: PathBuf,
}

const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl Beneath {
    pub(crate) fn open(path: &Path) -> io::Result<Beneath> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Beneath { root: rustix::fs::open(path, flags, Mode::empty())?, path: path.to_owned() })
    }

    /// The folder's own path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what stands at a path that has no link in it.
    pub(crate) fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // EAGAIN means that a rename raced with the resolution: openat2(2) asks callers to try again.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), RESOLVE) {
                Err(Errno::AGAIN) => {}
                other => return Ok(other?),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// A folder, to do something in it.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.at(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// A folder, to list it or to read its attributes.
    pub(crate) fn listed(&self, path: &Path) -> io::Result<OwnedFd> {
        self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// What stands at a path; `None` where nothing does, or what leads there is no folder.
    pub(crate) fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match absent(self.at(path, OFlags::PATH))? {
            Some(node) => Ok(Some(rustix::fs::fstat(node)?)),
            None => Ok(None),
        }
    }

    /// The names in a folder, in no order.
    pub(crate) fn names(&self, path: &Path) -> io::Result<Vec<(OsString, FileType)>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.listed(path)?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
            }
        }
        Ok(names)
    }

    /// Removes what stands at a path, with all below it. Returns whether anything did.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<bool> {
        let (folder, name) = split(path);
        let Some(folder) = absent(self.folder(folder))? else { return Ok(false) };
        remove_in(&folder, name)
    }
}

/// Removes a name of `folder`, and all below it. Neither by recursion nor with a descriptor for each level: a tree may be deeper than
/// the stack, and than a process may have files open.
fn remove_in(folder: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => return Ok(true),
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let mut way = vec![name.to_owned()];
    while let Some(name) = way.last() {
        match empty(&current)? {
            Some(below) => {
                current = rustix::fs::openat(&current, &below, flags, Mode::empty())?;
                way.push(below);
            }
            None if way.len() == 1 => {
                rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?;
                way.pop();
            }
            None => {
                // The way up cannot have been changed: nobody else has the tree.
                current = rustix::fs::openat(&current, "..", flags, Mode::empty())?;
                rustix::fs::unlinkat(&current, name, AtFlags::REMOVEDIR)?;
                way.pop();
            }
        }
    }
    Ok(true)
}

/// Removes what is no folder from a folder. Returns the first folder in it, where there is one.
fn empty(folder: &OwnedFd) -> io::Result<Option<OsString>> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Ok(Some(OsString::from_vec(name.to_bytes().to_vec()))),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// `None` where nothing stands at a path, or what leads there is no folder.
pub(crate) fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

/// A path's folder and last name; the name is empty for the root.
pub(crate) fn split(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default())
}

/// A path as one below a root: without leading slash, `.` and `..`, which never leads above the root.
pub fn below_root(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// Makes a folder, link, pipe or device; a file is made by [`create`].
pub(crate) fn make(folder: impl AsFd, name: &OsStr, kind: &NodeKind) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o700);
    let device = |kind, major, minor| {
        rustix::fs::mknodat(&folder, name, kind, mode, rustix::fs::makedev(major, minor))
    };
    match kind {
        NodeKind::File { .. } => drop(create(folder, name, 0o600)?),
        NodeKind::Directory => rustix::fs::mkdirat(folder, name, mode)?,
        NodeKind::Symlink(target) => rustix::fs::symlinkat(target, folder, name)?,
        NodeKind::CharacterDevice(major, minor) => device(FileType::CharacterDevice, *major, *minor)?,
        NodeKind::BlockDevice(major, minor) => device(FileType::BlockDevice, *major, *minor)?,
        NodeKind::Fifo => rustix::fs::mknodat(folder, name, FileType::Fifo, mode, 0)?,
    }
    Ok(())
}

/// Makes an empty file, open for writing. Its permissions are those of `mode` that the process's mask lets through; set-user-id bits
/// come with the owner.
pub(crate) fn create(folder: impl AsFd, name: &OsStr, mode: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode & 0o777))?)
}

pub(crate) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets the owner by number. `None` keeps what is there. What is there already is not set: each change waits for the file system's
/// journal, and looking does not.
pub(crate) fn set_owner(file: impl AsFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    let now = rustix::fs::fstat(&file)?;
    if (now.st_uid, now.st_gid) != (uid, gid) {
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(())
}

/// Gives an open file or folder its metadata. Owners come first, since the kernel takes set-user-id bits and capabilities away when
/// they change; the time comes last.
pub(crate) fn set_open(file: impl AsFd, metadata: &Metadata, owner: Option<(u32, u32)>) -> io::Result<()> {
    set_owner(&file, owner)?;
    for (name, value) in &metadata.xattrs {
        if is_kept(name.as_bytes()) {
            rustix::fs::fsetxattr(&file, name.as_os_str(), value, XattrFlags::empty())?;
        }
    }
    let mode = metadata.mode & 0o7777;
    if rustix::fs::fstat(&file)?.st_mode & 0o7777 != mode {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    }
    Ok(rustix::fs::futimens(file, &times(metadata.mtime))?)
}

/// Gives a node that was made by name its metadata: a link, a pipe, a device. Those have no attributes that layers keep.
pub(crate) fn set_named(
    folder: impl AsFd,
    name: &OsStr,
    metadata: &Metadata,
    owner: Option<(u32, u32)>,
    is_link: bool,
) -> io::Result<()> {
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if !is_link {
        // Made just now in a folder of ours: it cannot have become a link.
        rustix::fs::chmodat(&folder, name, Mode::from_raw_mode(metadata.mode & 0o7777), AtFlags::empty())?;
    }
    Ok(rustix::fs::utimensat(folder, name, &times(metadata.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Takes the attributes that layers keep off an open folder, but for those that `metadata` has.
pub(crate) fn remove_xattrs(folder: impl AsFd, metadata: &Metadata) -> io::Result<()> {
    for name in attribute_names(&folder)? {
        if is_kept(name.as_bytes()) && !metadata.xattrs.contains_key(&name) {
            rustix::fs::fremovexattr(&folder, name.as_os_str())?;
        }
    }
    Ok(())
}

/// The attributes of an open file or folder that layers keep.
pub(crate) fn xattrs(file: impl AsFd) -> io::Result<BTreeMap<OsString, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in attribute_names(&file)? {
        if is_kept(name.as_bytes())
            && let Some(value) = xattr(&file, &name)?
        {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// The names of all attributes of an open file or folder.
pub(crate) fn attribute_names(file: impl AsFd) -> io::Result<Vec<OsString>> {
    loop {
        let size = match rustix::fs::flistxattr_query(&file) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Ok(size) => size,
            Err(error) => return Err(error.into()),
        };
        let mut buffer = vec![0_u8; size];
        match rustix::fs::flistxattr(&file, &mut buffer[..]) {
            Ok(count) => {
                let names = buffer[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty());
                return Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect());
            }
            // One was added meanwhile.
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// An attribute's value; `None` where there is none.
pub(crate) fn xattr(file: impl AsFd, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    loop {
        let size = match rustix::fs::fgetxattr_query(&file, name) {
            Ok(size) => size,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut buffer = vec![0_u8; size];
        match rustix::fs::fgetxattr(&file, name, &mut buffer[..]) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(Some(buffer));
            }
            Err(Errno::NODATA) => return Ok(None),
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
