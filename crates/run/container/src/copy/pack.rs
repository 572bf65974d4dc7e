//! From files to a tar.
//!
//! The files may be a container's, which changes them at will: so a file is opened without waiting for anybody, is read as long as it was when
//! it was met, whatever becomes of it meanwhile, and only if it is a file still. Nothing below the topmost folder is reached by a link.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_files::Reach;
use longshore_image::layer::{Entry, EntryKind, LayerBuilder, LayerErrorKind, Timestamps};
use longshore_oci::media_type::{Compression, ImageFormat};
use rustix::fs::{Dir, FileType, OFlags, Stat, fstat, fstatfs};
use rustix::io::Errno;

use super::error::{CopyError, reason, shown};
use super::place::CopyPath;

/// The one extended attribute that goes along, as under Docker.
const CAPABILITY: &str = "security.capability";

/// Kinds of file systems whose files are made up as they are read (linux/magic.h): proc, sysfs, cgroup, cgroup2, devpts, mqueue, debugfs,
/// tracefs, securityfs, bpf.
const MADE_UP: [u64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
];

/// What is to be packed.
#[derive(Debug)]
pub(super) struct Packing<'p> {
    /// Where it is looked for.
    pub(super) reach: &'p Reach,
    pub(super) source: &'p CopyPath,
    /// Whether a link at the end of the path is followed.
    pub(super) follow: bool,
    pub(super) events: &'p Events,
}

impl Packing<'_> {
    /// Whether it is a folder. Errors: it is not there, or nothing that can be copied.
    pub(super) fn look(&self) -> Result<bool, CopyError> {
        let (opened, stat) = self.source.open(self.reach, self.follow)?;
        let path = self.source.path();
        let kind = FileType::from_raw_mode(stat.st_mode);
        let unfit = |what: &str| Err(CopyError::Unfit { path: shown(path), what: what.to_owned() });
        match kind {
            FileType::Socket => return unfit("a socket"),
            FileType::CharacterDevice | FileType::BlockDevice => return unfit("a device"),
            _ => {}
        }
        if matches!(kind, FileType::RegularFile | FileType::Directory) && is_made_up(&opened, path)? {
            return Err(CopyError::Kernel(shown(path)));
        }
        Ok(kind == FileType::Directory)
    }

    /// Writes it as a tar whose topmost entry has this name; without one, the entries of the folder stand for themselves. What is left out,
    /// and why, is said to `note`.
    pub(super) fn pack<W: Write>(
        &self,
        name: Option<&OsStr>,
        to: W,
        note: &mut dyn FnMut(String),
    ) -> Result<W, CopyError> {
        let builder = LayerBuilder::compressed(to, Timestamps::Keep, Compression::None);
        let builder = builder.map_err(|error| CopyError::Output(reason(&error)))?;
        let (opened, stat) = self.source.open(self.reach, self.follow)?;
        let mut packer =
            Packer { builder, events: self.events, note, names: HashMap::new(), shown: self.source.path() };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let folder = self.reach.open(self.source.path(), flags);
            let folder = folder.map_err(CopyError::opening(self.source.path()))?;
            packer.folder(&Reach::Below(folder), name.map(Path::new), stat.st_dev)?;
        } else {
            let name = name.unwrap_or(OsStr::new("file"));
            let open = |flags| {
                let last = if self.follow { OFlags::empty() } else { OFlags::NOFOLLOW };
                self.reach.open(self.source.path(), flags | last)
            };
            packer.one(Path::new(name), Path::new(""), (&opened, &stat), &open)?;
        }
        let finished = packer.builder.finish(ImageFormat::Oci);
        finished.map(|(_, to)| to).map_err(|error| CopyError::Output(reason(&error)))
    }
}

fn is_made_up(opened: &OwnedFd, path: &Path) -> Result<bool, CopyError> {
    let kind = fstatfs(opened).map_err(CopyError::at("look at the file system of", path))?.f_type;
    // All of these are in 32 bits.
    let kind = kind.cast_unsigned() & 0xffff_ffff;
    Ok(MADE_UP.contains(&kind))
}

struct Packer<'p, W: Write> {
    builder: LayerBuilder<W>,
    events: &'p Events,
    note: &'p mut dyn FnMut(String),
    /// The first names of files that have several.
    names: HashMap<(u64, u64), PathBuf>,
    /// The topmost path, for people.
    shown: &'p Path,
}

type Opener<'o> = dyn Fn(OFlags) -> Result<OwnedFd, Errno> + 'o;

impl<W: Write> Packer<'_, W> {
    /// A folder and all below it, neither by recursion nor with a descriptor for each level: it may be deeper than either allows.
    fn folder(&mut self, top: &Reach, name: Option<&Path>, device: u64) -> Result<(), CopyError> {
        let prefix = name.unwrap_or(Path::new(""));
        if name.is_some() {
            let here = top.open(Path::new(""), OFlags::PATH).map_err(self.failed("open", Path::new("")))?;
            let stat = fstat(&here).map_err(self.failed("look at", Path::new("")))?;
            self.add(&entry(prefix, EntryKind::Directory, &stat), &mut io::empty())?;
        }
        let first = self.list(top, Path::new(""))?.unwrap_or_default();
        let mut levels = vec![(PathBuf::new(), device, first.into_iter())];
        while let Some((folder, device, names)) = levels.last_mut() {
            let Some(name) = names.next() else {
                levels.pop();
                continue;
            };
            let (path, device) = (folder.join(name), *device);
            self.events.check()?;
            let opened = match top.open(&path, OFlags::PATH | OFlags::NOFOLLOW) {
                // It was removed since its folder was read, or the folder was.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    self.left_out(&path, "it was removed meanwhile");
                    continue;
                }
                answer => answer.map_err(self.failed("open", &path))?,
            };
            let stat = fstat(&opened).map_err(self.failed("look at", &path))?;
            let place = prefix.join(&path);
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                let open = |flags| top.open(&path, flags | OFlags::NOFOLLOW);
                self.one(&place, &path, (&opened, &stat), &open)?;
                continue;
            }
            self.add(&entry(&place, EntryKind::Directory, &stat), &mut io::empty())?;
            // Only what is mounted can be of another kind.
            if stat.st_dev != device && is_made_up(&opened, &path)? {
                continue;
            }
            match self.list(top, &path)? {
                Some(names) => levels.push((path, stat.st_dev, names.into_iter())),
                None => self.left_out(&path, "it was removed meanwhile"),
            }
        }
        Ok(())
    }

    /// The names in a folder, in order; `None` where it is one no more.
    fn list(&self, top: &Reach, path: &Path) -> Result<Option<Vec<OsString>>, CopyError> {
        let folder = match top.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            answer => answer.map_err(self.failed("list", path))?,
        };
        let mut names = Vec::new();
        for entry in Dir::new(folder).map_err(self.failed("list", path))? {
            let entry = entry.map_err(self.failed("list", path))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort();
        Ok(Some(names))
    }

    /// Anything but a folder: `place` in the tar, `path` below the topmost folder.
    fn one(
        &mut self,
        place: &Path,
        path: &Path,
        (opened, stat): (&OwnedFd, &Stat),
        open: &Opener<'_>,
    ) -> Result<(), CopyError> {
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return self.file(place, path, stat, open),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(opened, "", Vec::new());
                let target = target.map_err(self.failed("read the link", path))?;
                EntryKind::Symlink { target: OsStr::from_bytes(target.to_bytes()).into() }
            }
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharacterDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            _ => {
                self.left_out(path, "it is a socket");
                return Ok(());
            }
        };
        self.add(&entry(place, kind, stat), &mut io::empty())
    }

    fn file(&mut self, place: &Path, path: &Path, stat: &Stat, open: &Opener<'_>) -> Result<(), CopyError> {
        let inode = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.names.get(&inode)
        {
            let kind = EntryKind::Hardlink { target: first.clone() };
            return self.add(&entry(place, kind, stat), &mut io::empty());
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match open(flags) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {
                self.left_out(path, "it was removed meanwhile");
                return Ok(());
            }
            answer => answer.map_err(self.failed("open", path))?,
        };
        let now = fstat(&file).map_err(self.failed("look at", path))?;
        if (now.st_dev, now.st_ino) != inode || FileType::from_raw_mode(now.st_mode) != FileType::RegularFile
        {
            self.left_out(path, "it was replaced meanwhile");
            return Ok(());
        }
        let size = u64::try_from(now.st_size).unwrap_or(0);
        let mut entry = entry(place, EntryKind::File { size }, &now);
        if let Some(value) = capability(&file).map_err(self.failed("read the capabilities of", path))? {
            entry.xattrs.insert(CAPABILITY.to_owned(), value);
        }
        let mut content =
            Content { file: file.into(), left: size, ended: false, failure: None, events: self.events };
        self.add(&entry, &mut content)?;
        if let Some(error) = content.failure {
            self.events.check()?;
            return Err(self.failed("read", path)(error));
        }
        if content.ended {
            self.left_out(path, "its end: it became shorter while it was read, and zeros stand for the rest");
        }
        if now.st_nlink > 1 {
            self.names.insert(inode, place.to_owned());
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), CopyError> {
        self.builder.append(entry, content).map_err(|error| match error.kind {
            LayerErrorKind::Io(error) => CopyError::Output(reason(&error)),
            kind => CopyError::Tar(format!("{}: {kind}", error.path.display())),
        })
    }

    fn left_out(&mut self, path: &Path, why: &str) {
        let path = self.path(path);
        (self.note)(format!("{} is left out: {why}", path.display()));
    }

    fn path(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.shown.to_owned() } else { self.shown.join(path) }
    }

    fn failed<E: Into<io::Error>>(
        &self,
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> CopyError + use<E, W> {
        CopyError::at(action, self.path(path))
    }
}

fn entry(path: &Path, kind: EntryKind, stat: &Stat) -> Entry {
    Entry {
        path: path.to_owned(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid.into(),
        gid: stat.st_gid.into(),
        mtime: stat.st_mtime,
        xattrs: BTreeMap::new(),
    }
}

/// A file's capabilities, which an ordinary user's file system may not have.
fn capability(file: &OwnedFd) -> Result<Option<Vec<u8>>, Errno> {
    // The longest form, with an owner, has 24 bytes (linux/capability.h).
    let mut value = [0; 64];
    match rustix::fs::fgetxattr(file, CAPABILITY, &mut value[..]) {
        Ok(length) => Ok(value.get(..length).map(<[u8]>::to_vec)),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As many bytes of a file as were promised: no more if it grows, zeros if it becomes shorter.
struct Content<'e> {
    file: File,
    left: u64,
    ended: bool,
    failure: Option<io::Error>,
    events: &'e Events,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let wanted = &mut buffer[..most];
        if most == 0 {
            return Ok(0);
        }
        if self.events.is_cancelled() {
            self.failure.get_or_insert_with(|| io::ErrorKind::Interrupted.into());
        }
        let count = match (self.ended || self.failure.is_some(), &mut self.file) {
            (true, _) => 0,
            (false, file) => match file.read(wanted) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    self.failure = Some(error);
                    0
                }
                Ok(count) => count,
            },
        };
        if self.failure.is_some() {
            // What is wrong is kept, and told when this ends; here it would pass for a fault of whoever takes the tar.
            return Err(io::ErrorKind::Other.into());
        }
        self.ended |= count == 0;
        let count = if self.ended {
            wanted.fill(0);
            most
        } else {
            count
        };
        self.left -= count as u64;
        Ok(count)
    }
}
