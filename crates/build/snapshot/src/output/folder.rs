//! A tree's files into a folder that people have.
//!
//! Both sides may be hostile: the tree by its names and links, the folder by links that somebody put there. So everything is done to one
//! name in a folder that was opened without following any link; a link in the way is replaced and leads nowhere. A file gets its name
//! when it is whole, so that whoever looks meanwhile, or after an interrupt, sees old files and new ones, and none in between.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_files::{FileError, create_folders};
use longshore_image::layer::Timestamps;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::{Output, OutputError, Taker};
use crate::beneath::{self, Beneath, split};
use crate::copy::copy_watched;
use crate::node::{Metadata, Node, NodeKind};

/// Where a process's open files are found by path: a file without a name gets one by this.
const DESCRIPTORS: &str = "/proc/self/fd";

/// What a folder's owner needs to write into it.
const OPEN: u32 = 0o700;

impl Output<'_> {
    /// Writes the files into a folder, which is made where it is missing. Returns what was left out because it cannot be made here:
    /// devices, as anybody but root.
    ///
    /// Errors: the tree cannot be read, the folder cannot be written, or a folder with something in it stands where a file would.
    pub fn write_folder(&self, folder: &Path) -> Result<Vec<PathBuf>, OutputError> {
        let real = self.real()?;
        create_folders(folder)?;
        // A link that a person names is meant; those in the folder are not followed.
        let folder = folder.canonicalize().map_err(FileError::of("open the folder", folder))?;
        let target = Beneath::open(&folder).map_err(FileError::of("open the folder", &folder))?;
        let mut writer = FolderWriter {
            output: self,
            real: real.clone(),
            target,
            last: None,
            names: HashMap::new(),
            left_out: Vec::new(),
        };
        self.walk(&real, &mut writer)?;
        Ok(writer.left_out)
    }
}

struct FolderWriter<'o> {
    output: &'o Output<'o>,
    /// The folder of the tree.
    real: PathBuf,
    target: Beneath,
    /// The folder that was used last: files come folder by folder.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
    /// The first names of files that have several.
    names: HashMap<(u64, u64, u64), PathBuf>,
    left_out: Vec<PathBuf>,
}

/// A name that a file has while it is written. Dropped before it is renamed, the file is gone.
struct Unfinished {
    folder: Rc<OwnedFd>,
    name: OsString,
}

impl Unfinished {
    /// Makes something under a name of its own.
    fn begin<T>(
        folder: &Rc<OwnedFd>,
        make: impl Fn(&OwnedFd, &OsStr) -> io::Result<T>,
    ) -> io::Result<(Unfinished, T)> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!(".tmp-{}-{number}", std::process::id()));
            match make(folder, &name) {
                // Both the tree and the folder may hold any name, this one too.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(made) => return Ok((Unfinished { folder: Rc::clone(folder), name }, made)),
            }
        }
    }

    /// Gives the finished file its name, in the place of what is there. An empty folder makes room for it, one with something in it does
    /// not.
    fn finish(self, name: &OsStr, shown: &Path) -> Result<(), OutputError> {
        let failed = |error: Errno| OutputError::from(FileError::of("write", shown)(error.into()));
        let there = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            match rustix::fs::unlinkat(&self.folder, name, AtFlags::REMOVEDIR) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    return Err(OutputError::FolderInTheWay(shown.to_owned()));
                }
                Err(error) => return Err(failed(error)),
            }
        }
        rustix::fs::renameat(&self.folder, &self.name, &self.folder, name).map_err(failed)
    }
}

/// A file that is whole, and does not have its name yet.
enum NewFile {
    /// Under a temporary one.
    Named(Unfinished),
    /// Under none.
    Unnamed { folder: Rc<OwnedFd>, file: File },
}

impl NewFile {
    /// Gives the file its name; see [`Unfinished::finish`].
    fn finish(self, name: &OsStr, shown: &Path) -> Result<(), OutputError> {
        let (folder, file) = match self {
            NewFile::Named(unfinished) => return unfinished.finish(name, shown),
            NewFile::Unnamed { folder, file } => (folder, file),
        };
        let own = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
        let link = |folder: &OwnedFd, name: &OsStr| -> io::Result<()> {
            Ok(rustix::fs::linkat(rustix::fs::CWD, &own, folder, name, AtFlags::SYMLINK_FOLLOW)?)
        };
        let failed = |error| OutputError::from(FileError::of("write", shown)(error));
        match link(&folder, name) {
            // Nothing can be put in the place of something but by a rename.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let (unfinished, ()) = Unfinished::begin(&folder, link).map_err(failed)?;
                unfinished.finish(name, shown)
            }
            other => other.map_err(failed),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it is renamed nothing is there any more.
        let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

impl Taker for FolderWriter<'_> {
    fn take(&mut self, path: &Path, node: &Node) -> Result<(), OutputError> {
        if node.is_folder() {
            return self.folder(path);
        }
        if let Some(inode) = node.inode {
            if let Some(first) = self.names.get(&inode).cloned()
                && self.link(path, &first)?
            {
                return Ok(());
            }
            self.names.entry(inode).or_insert_with(|| path.to_owned());
        }
        self.place(path, node)
    }

    /// Times and modes of folders come last: each thing that is made in one changes its time, and may not be allowed by its mode.
    fn leave(&mut self, path: &Path, node: &Node) -> Result<(), OutputError> {
        let metadata = self.metadata(node);
        let folder = self.target.listed(path).map_err(self.failed("open the folder", path))?;
        set(&folder, &metadata).map_err(self.failed("set the metadata of", path))
    }
}

impl FolderWriter<'_> {
    /// An adapter for `map_err`, with the path that a person can look at.
    fn failed<E: Into<io::Error>>(
        &self,
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> OutputError + use<E> {
        let path = self.target.path().join(path);
        move |error| FileError::of(action, path)(error.into()).into()
    }

    fn metadata(&self, node: &Node) -> Metadata {
        let (seconds, nanos) = node.mtime;
        let mtime = match self.output.timestamps {
            Timestamps::Fixed(time) => (time, 0),
            Timestamps::Clamp(latest) => (seconds, nanos).min((latest, 0)),
            Timestamps::Keep => (seconds, nanos),
        };
        Metadata { mtime, ..node.metadata() }
    }

    /// Sees to it that a folder is there and can be written.
    fn folder(&mut self, path: &Path) -> Result<(), OutputError> {
        self.last = None;
        let (above, name) = split(path);
        let parent = self.target.folder(above).map_err(self.failed("open the folder", above))?;
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                // As root need not; and a folder that is somebody else's may be open to this user all the same.
                if stat.st_mode & OPEN != OPEN && stat.st_uid == rustix::process::geteuid().as_raw() {
                    let folder = self.target.folder(path).map_err(self.failed("open the folder", path))?;
                    // By its descriptor, since a link may stand there meanwhile; a mode cannot be set through a path-only one itself.
                    let again = format!("{DESCRIPTORS}/{}", folder.as_raw_fd());
                    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | OPEN);
                    rustix::fs::chmod(again, mode).map_err(self.failed("make writable", path))?;
                }
                return Ok(());
            }
            Ok(_) => {
                let removed = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
                removed.map_err(self.failed("remove", path))?;
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(self.failed("look at", path)(error)),
        }
        beneath::make(&parent, name, &NodeKind::Directory).map_err(self.failed("create the folder", path))
    }

    /// Makes a file another name of one that was written. False where that cannot be: across file systems, or for one name too many.
    fn link(&mut self, path: &Path, first: &Path) -> Result<bool, OutputError> {
        let (above, existing) = split(first);
        let above = self.target.folder(above).map_err(self.failed("open the folder", above))?;
        let (folder, name) = self.open(path)?;
        let link = |folder: &OwnedFd, temporary: &OsStr| {
            Ok(rustix::fs::linkat(&above, existing, folder, temporary, AtFlags::empty())?)
        };
        let linked = Unfinished::begin(&folder, link);
        match linked.map_err(|error| (Errno::from_io_error(&error), error)) {
            Ok((unfinished, ())) => unfinished.finish(name, &self.target.path().join(path)).map(|()| true),
            Err((Some(Errno::XDEV | Errno::MLINK | Errno::PERM), _)) => Ok(false),
            Err((_, error)) => Err(self.failed("link", path)(error)),
        }
    }

    fn place(&mut self, path: &Path, node: &Node) -> Result<(), OutputError> {
        let metadata = self.metadata(node);
        let (folder, name) = self.open(path)?;
        let made = match node.kind {
            NodeKind::File { .. } => {
                let source = self.output.view.open(&self.real.join(path))?;
                file(&folder, &source, &metadata, self.output)
            }
            _ => special(&folder, &node.kind, &metadata),
        };
        match made {
            Ok(made) => made.finish(name, &self.target.path().join(path)),
            Err(_) if self.output.events.is_cancelled() => Err(longshore_events::Cancelled.into()),
            Err(error) if is_device(&node.kind) && error.kind() == io::ErrorKind::PermissionDenied => {
                self.left_out.push(path.to_owned());
                Ok(())
            }
            Err(error) => Err(self.failed("write", path)(error)),
        }
    }

    /// The open folder that a path is in, and the path's name.
    fn open<'p>(&mut self, path: &'p Path) -> Result<(Rc<OwnedFd>, &'p OsStr), OutputError> {
        let (above, name) = split(path);
        if let Some((last, open)) = &self.last
            && last == above
        {
            return Ok((Rc::clone(open), name));
        }
        let open = self.target.folder(above).map_err(self.failed("open the folder", above))?;
        let open = Rc::new(open);
        self.last = Some((above.to_owned(), Rc::clone(&open)));
        Ok((open, name))
    }
}

fn is_device(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::CharacterDevice(..) | NodeKind::BlockDevice(..))
}

/// A file without a name where the file system has such, so that not even a kill leaves half of it behind.
fn create(folder: &Rc<OwnedFd>) -> io::Result<(NewFile, File)> {
    static CAN_BE_NAMED: LazyLock<bool> = LazyLock::new(|| Path::new(DESCRIPTORS).is_dir());
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let opened = match *CAN_BE_NAMED {
        true => rustix::fs::openat(&**folder, ".", flags, Mode::from_raw_mode(0o600)),
        false => Err(Errno::OPNOTSUPP),
    };
    match opened {
        Ok(file) => {
            let file = File::from(file);
            Ok((NewFile::Unnamed { folder: Rc::clone(folder), file: file.try_clone()? }, file))
        }
        // It has none, or the kernel took the request for one to open the folder itself.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
            let create = |folder: &OwnedFd, name: &OsStr| beneath::create(folder, name, 0o600);
            let (unfinished, made) = Unfinished::begin(folder, create)?;
            Ok((NewFile::Named(unfinished), File::from(made)))
        }
        Err(error) => Err(error.into()),
    }
}

fn file(
    folder: &Rc<OwnedFd>,
    source: &File,
    metadata: &Metadata,
    output: &Output<'_>,
) -> io::Result<NewFile> {
    let (made, mut file) = create(folder)?;
    copy_watched(source, &mut file, &mut || output.events.check().map_err(io::Error::other))?;
    set(&file, metadata)?;
    Ok(made)
}

fn special(folder: &Rc<OwnedFd>, kind: &NodeKind, metadata: &Metadata) -> io::Result<NewFile> {
    let make = |folder: &OwnedFd, name: &OsStr| beneath::make(folder, name, kind);
    let (unfinished, ()) = Unfinished::begin(folder, make)?;
    let is_link = matches!(kind, NodeKind::Symlink(_));
    beneath::set_named(&*unfinished.folder, &unfinished.name, metadata, None, is_link)?;
    Ok(NewFile::Named(unfinished))
}

/// Gives an open file or folder its mode, time and attributes. Of the latter what may not be set here, or what the file system has no
/// room for, is left out, as BuildKit does.
fn set(file: impl std::os::fd::AsFd, metadata: &Metadata) -> io::Result<()> {
    for (name, value) in &metadata.xattrs {
        match rustix::fs::fsetxattr(&file, name.as_os_str(), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NOSPC | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(metadata.mode & 0o7777))?;
    Ok(rustix::fs::futimens(&file, &beneath::times(metadata.mtime))?)
}
