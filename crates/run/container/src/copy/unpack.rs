//! From a tar to files.
//!
//! On the machine the tar is a container's, and hostile; in a container the folder is. So everything is done to one name in a folder that was
//! opened by the rules of a [`Reach`], things are looked at by descriptors and not by names that may be something else a moment later, and
//! a file gets its name when it is whole. What stands in the way is replaced, but no folder by anything else, and nothing else by a folder
//! (moby: `NoOverwriteDirNonDir`). Devices are never made.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use longshore_events::Events;
use longshore_files::Reach;
use longshore_image::layer::{TarEntry, TarKind, TarReader, entries, inside};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, fstat};
use rustix::io::Errno;

use super::error::{CopyError, shown};

/// Bytes that are copied at once.
const CHUNK: usize = 64 << 10;
/// Set-user-id, set-group-id.
const SET_IDS: u32 = 0o6000;

/// Whose the files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owners {
    /// Whoever unpacks. No program becomes theirs that others would run as them.
    Own,
    /// Root's.
    Root,
    /// Those of the tar.
    Kept,
}

/// Where a tar is unpacked, and how.
#[derive(Debug)]
pub(super) struct Unpacking<'u> {
    pub(super) reach: &'u Reach,
    /// The folder, within reach.
    pub(super) folder: &'u Path,
    /// The folder, for people.
    pub(super) shown: &'u Path,
    pub(super) owners: Owners,
    pub(super) events: &'u Events,
}

impl Unpacking<'_> {
    /// Unpacks a tar to its end. What is left out, and why, is said to `note`.
    pub(super) fn unpack(&self, tar: impl Read, note: &mut dyn FnMut(String)) -> Result<(), CopyError> {
        let mut unpacker = Unpacker { how: self, note, folders: Vec::new(), last: None, made: 0 };
        let mut reader = entries(tar);
        while let Some(entry) = reader.next_entry().map_err(|error| CopyError::of_tar(&error))? {
            self.events.check()?;
            unpacker.take(&entry, &mut reader)?;
        }
        unpacker.finish()
    }
}

struct Unpacker<'u> {
    how: &'u Unpacking<'u>,
    note: &'u mut dyn FnMut(String),
    /// Folders, whose times and modes come last: each thing that is made in one changes its time, and may not be allowed by its mode.
    folders: Vec<Folder>,
    /// The folder that was used last: files come folder by folder.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Temporary names so far.
    made: u64,
}

struct Folder {
    path: PathBuf,
    inode: (u64, u64),
    attributes: Attributes,
}

/// What an entry says of itself.
struct Attributes {
    mode: u32,
    owner: Option<(u64, u64)>,
    times: Timestamps,
}

/// Something under a temporary name. Dropped before it has its own, it is gone.
struct Draft {
    folder: Rc<OwnedFd>,
    name: OsString,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is renamed nothing is there any more, unless it was another name of what was there: then a rename does nothing.
        let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

impl Unpacker<'_> {
    fn take<R: Read>(&mut self, entry: &TarEntry, reader: &mut TarReader<R>) -> Result<(), CopyError> {
        let path = inside(&entry.path).ok_or_else(|| CopyError::Leaves(shown(&entry.path)))?;
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            // The folder itself, which is there and stays as it is.
            return Ok(());
        };
        let folder = self.open(above)?;
        let attributes = self.attributes(entry);
        match &entry.kind {
            TarKind::Directory => self.folder(&folder, &path, attributes),
            TarKind::File => {
                let (draft, file) = self.draft(&folder, &path, |folder, name| {
                    let flags =
                        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))
                })?;
                let mut file = File::from(file);
                self.content(entry, reader, &mut file, &path)?;
                self.dress(&file, entry, &attributes, &path)?;
                self.name(&draft, name, &path)
            }
            TarKind::Symlink(target) => {
                let made =
                    self.draft(&folder, &path, |folder, name| rustix::fs::symlinkat(target, folder, name))?;
                self.dress_other(&made.0, FileType::Symlink, &attributes, &path)?;
                self.name(&made.0, name, &path)
            }
            TarKind::Fifo => {
                let mode = Mode::from_raw_mode(attributes.mode & 0o777);
                let made = self.draft(&folder, &path, |folder, name| {
                    rustix::fs::mknodat(folder, name, FileType::Fifo, mode, 0)
                })?;
                self.dress_other(&made.0, FileType::Fifo, &attributes, &path)?;
                self.name(&made.0, name, &path)
            }
            TarKind::Hardlink(target) => {
                let first = inside(target).ok_or_else(|| CopyError::Leaves(shown(target)))?;
                let there = self.open(first.parent().unwrap_or(Path::new("")))?;
                let existing = first.file_name().unwrap_or_default();
                let made = self.draft(&folder, &path, |folder, name| {
                    rustix::fs::linkat(&there, existing, folder, name, AtFlags::empty())
                })?;
                self.name(&made.0, name, &path)
            }
            TarKind::CharacterDevice(..) | TarKind::BlockDevice(..) => {
                self.left_out(&path, "it is a device");
                Ok(())
            }
            kind => {
                self.left_out(&path, &format!("it is of an unknown kind, {kind:?}"));
                Ok(())
            }
        }
    }

    fn attributes(&self, entry: &TarEntry) -> Attributes {
        let (owner, kept) = match self.how.owners {
            Owners::Own => (None, 0o7777 & !SET_IDS),
            Owners::Root => (Some((0, 0)), 0o7777),
            Owners::Kept => (Some((entry.uid, entry.gid)), 0o7777),
        };
        let time = Timespec { tv_sec: entry.mtime, tv_nsec: entry.mtime_nanos.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        Attributes { mode: entry.mode & kept, owner, times }
    }

    /// Opens a folder of those that are unpacked into. One that the tar does not speak of is made.
    fn open(&mut self, path: &Path) -> Result<Rc<OwnedFd>, CopyError> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(folder));
        }
        let open = || self.how.reach.open(&self.how.folder.join(path), OFlags::PATH | OFlags::DIRECTORY);
        let opened = match (open(), path.parent(), path.file_name()) {
            (Err(Errno::NOENT), Some(above), Some(name)) => {
                let folder = self.open(above)?;
                match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(self.failed("make the folder", path)(error)),
                }
                self.how.reach.open(&self.how.folder.join(path), OFlags::PATH | OFlags::DIRECTORY)
            }
            (answer, ..) => answer,
        };
        let opened = Rc::new(opened.map_err(CopyError::opening(self.path(path)))?);
        self.last = Some((path.to_owned(), Rc::clone(&opened)));
        Ok(opened)
    }

    /// Sees to it that a folder is there.
    fn folder(&mut self, parent: &OwnedFd, path: &Path, attributes: Attributes) -> Result<(), CopyError> {
        let name = path.file_name().unwrap_or_default();
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.failed("make the folder", path)(error)),
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened =
            rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(self.failed("open", path))?;
        let stat = fstat(&opened).map_err(self.failed("look at", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(CopyError::FileInTheWay(shown(self.path(path))));
        }
        self.folders.push(Folder { path: path.to_owned(), inode: (stat.st_dev, stat.st_ino), attributes });
        Ok(())
    }

    /// Makes something under a temporary name.
    fn draft<T>(
        &mut self,
        folder: &Rc<OwnedFd>,
        path: &Path,
        make: impl Fn(&OwnedFd, &OsStr) -> Result<T, Errno>,
    ) -> Result<(Draft, T), CopyError> {
        loop {
            self.made += 1;
            let name = OsString::from(format!(".longshore-cp-{}-{}", std::process::id(), self.made));
            match make(folder, &name) {
                // Any name may be there, this one too.
                Err(Errno::EXIST) => {}
                answer => {
                    let made = answer.map_err(self.failed("write", path))?;
                    return Ok((Draft { folder: Rc::clone(folder), name }, made));
                }
            }
        }
    }

    /// Gives something its name, in the place of what is there.
    fn name(&self, draft: &Draft, name: &OsStr, path: &Path) -> Result<(), CopyError> {
        match rustix::fs::renameat(&draft.folder, &draft.name, &draft.folder, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                Err(CopyError::FolderInTheWay(shown(self.path(path))))
            }
            answer => answer.map_err(self.failed("write", path)),
        }
    }

    /// Writes a file's content, with holes where there are only zeros.
    fn content<R: Read>(
        &self,
        entry: &TarEntry,
        reader: &mut TarReader<R>,
        file: &mut File,
        path: &Path,
    ) -> Result<(), CopyError> {
        let mut content = entry.expand(reader.content());
        let mut buffer = vec![0; CHUNK];
        loop {
            self.how.events.check()?;
            let mut filled = 0;
            while filled < CHUNK {
                match content.read(&mut buffer[filled..]) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(CopyError::Tar(error.to_string())),
                }
            }
            let bytes = &buffer[..filled];
            let written = if bytes.iter().all(|byte| *byte == 0) {
                file.seek(SeekFrom::Current(i64::try_from(filled).unwrap_or(0))).map(drop)
            } else {
                file.write_all(bytes)
            };
            written.map_err(self.failed("write", path))?;
            if filled < CHUNK {
                return file.set_len(entry.size).map_err(self.failed("write", path));
            }
        }
    }

    /// Gives a file what its entry says. Owners come first, since the kernel takes set-user-id bits and capabilities away with them.
    fn dress(
        &mut self,
        file: &File,
        entry: &TarEntry,
        attributes: &Attributes,
        path: &Path,
    ) -> Result<(), CopyError> {
        self.give(attributes.owner, path, |uid, gid| rustix::fs::fchown(file, Some(uid), Some(gid)))?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode))
            .map_err(self.failed("give a mode to", path))?;
        if self.how.owners != Owners::Own
            && let Some(value) = entry.xattrs.get("security.capability")
        {
            match rustix::fs::fsetxattr(file, "security.capability", value, XattrFlags::empty()) {
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => {
                    let path = self.path(path);
                    (self.note)(format!(
                        "{} lost its capabilities: they cannot be set there",
                        path.display()
                    ));
                }
                answer => answer.map_err(self.failed("give capabilities to", path))?,
            }
        }
        rustix::fs::futimens(file, &attributes.times).map_err(self.failed("give a time to", path))
    }

    /// The same for a link or a pipe. Neither can be opened, so a descriptor of the place tells what it is.
    fn dress_other(
        &self,
        draft: &Draft,
        kind: FileType,
        attributes: &Attributes,
        path: &Path,
    ) -> Result<(), CopyError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&draft.folder, &draft.name, flags, Mode::empty())
            .map_err(self.failed("open", path))?;
        let stat = fstat(&opened).map_err(self.failed("look at", path))?;
        if FileType::from_raw_mode(stat.st_mode) != kind || stat.st_nlink != 1 {
            return Err(CopyError::Replaced(shown(self.path(path))));
        }
        self.give(attributes.owner, path, |uid, gid| {
            rustix::fs::chownat(&opened, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
        })?;
        let times = &attributes.times;
        rustix::fs::utimensat(&draft.folder, &draft.name, times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed("give a time to", path))
    }

    fn give(
        &self,
        owner: Option<(u64, u64)>,
        path: &Path,
        change: impl FnOnce(Uid, Gid) -> Result<(), Errno>,
    ) -> Result<(), CopyError> {
        let Some((uid, gid)) = owner else { return Ok(()) };
        let nobody = || CopyError::NoSuchOwner { path: shown(self.path(path)), uid, gid };
        // The largest number means "as it is".
        let number = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(nobody);
        match change(Uid::from_raw(number(uid)?), Gid::from_raw(number(gid)?)) {
            Err(Errno::INVAL) => Err(nobody()),
            answer => answer.map_err(self.failed("give an owner to", path)),
        }
    }

    /// Gives folders what their entries say, the deepest first.
    fn finish(mut self) -> Result<(), CopyError> {
        for Folder { path, inode, attributes } in std::mem::take(&mut self.folders).into_iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let opened = self.how.reach.open(&self.how.folder.join(&path), flags);
            let opened = opened.map_err(self.failed("open", &path))?;
            let stat: Stat = fstat(&opened).map_err(self.failed("look at", &path))?;
            if (stat.st_dev, stat.st_ino) != inode {
                return Err(CopyError::Replaced(shown(self.path(&path))));
            }
            self.give(attributes.owner, &path, |uid, gid| rustix::fs::fchown(&opened, Some(uid), Some(gid)))?;
            rustix::fs::fchmod(&opened, Mode::from_raw_mode(attributes.mode))
                .map_err(self.failed("give a mode to", &path))?;
            rustix::fs::futimens(&opened, &attributes.times).map_err(self.failed("give a time to", &path))?;
        }
        Ok(())
    }

    fn left_out(&mut self, path: &Path, why: &str) {
        let path = self.path(path);
        (self.note)(format!("{} is left out: {why}", path.display()));
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.how.shown.join(path)
    }

    fn failed<E: Into<io::Error>>(
        &self,
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> CopyError + use<E> {
        CopyError::at(action, self.path(path))
    }
}
