//! Things put over others, and taken away again. The folders that they are in keep the times that they had, or that the step gave them.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use longshore_files::{FileError, Lock};
use rustix::fs::{AtFlags, CWD, FileType, Timestamps, fstat, readlinkat, statat, utimensat};
use rustix::io::Errno;

use super::copy::{copy, copy_merged, remove_if_there};
use crate::child::Fault;
use crate::mounts::{Place, times};
use crate::{Mount, MountKind, SecretBytes};

/// Mode, owner and group of a file.
type Access = (u32, u32, u32);

/// All that was covered, in order.
pub(super) struct Covers {
    place: Place,
    covered: Vec<Cover>,
    /// A folder that something was put into, and the times that it had before.
    unsettled: Option<(PathBuf, Timestamps)>,
}

/// One thing that lies over another.
struct Cover {
    /// Where, on the machine.
    path: PathBuf,
    /// Where that which was there waits.
    aside: PathBuf,
    after: After,
    /// Held as long as it lies there.
    _lock: Option<Lock>,
}

/// What becomes of it after the step.
enum After {
    Remove,
    /// Overwritten, then removed.
    Wipe,
    /// Moved back to where it came from.
    Move(PathBuf),
    /// Copied back over what it was copied from.
    Copy(PathBuf),
}

fn fault(error: &FileError) -> Fault {
    Fault::of_file(error)
}

impl Covers {
    pub(super) fn new(place: Place) -> Covers {
        Covers { place, covered: Vec::new(), unsettled: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Moves what is at a path aside. Returns the path on the machine, where nothing is now.
    fn cover(
        &mut self,
        target: &Path,
        is_folder: bool,
        after: After,
        lock: Option<Lock>,
    ) -> Result<PathBuf, Fault> {
        self.settle()?;
        let there = self.place.ensure(target, is_folder)?;
        let stat = fstat(&there).map_err(Fault::of("look at", target))?;
        if (FileType::from_raw_mode(stat.st_mode) == FileType::Directory) != is_folder {
            let error = if is_folder { Errno::NOTDIR } else { Errno::ISDIR };
            return Err(Fault::new("put a mount at", target, error));
        }
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&there);
        let path = readlinkat(CWD, format!("/proc/self/fd/{descriptor}"), Vec::new())
            .map_err(Fault::of("find", target))?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes()));
        let name = format!(".longshore-covered-{}", self.covered.len());
        let folder = path.parent().unwrap_or(Path::new("/"));
        let before = times_of(folder).map_err(Fault::of("look at", folder))?;
        let aside = folder.join(name);
        self.unsettled = Some((folder.to_owned(), before));
        fs::rename(&path, &aside).map_err(Fault::of_io("move aside", &path))?;
        self.covered.push(Cover { path: path.clone(), aside, after, _lock: lock });
        Ok(path)
    }

    /// Gives the folder that was changed last its times back.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        match self.unsettled.take() {
            Some((folder, before)) => set_times(&folder, &before),
            None => Ok(()),
        }
    }

    /// An empty folder, gone after the step.
    pub(super) fn empty_folder(&mut self, target: &Path, mode: u32) -> Result<(), Fault> {
        let path = self.cover(target, true, After::Remove, None)?;
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(Fault::of_io("create", &path))
    }

    /// A file with this content, wiped after the step.
    pub(super) fn content(
        &mut self,
        target: &Path,
        bytes: &SecretBytes,
        access: Access,
    ) -> Result<(), Fault> {
        let (mode, uid, gid) = access;
        let path = self.cover(target, false, After::Wipe, None)?;
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(bytes.expose())?;
            chown(&path, Some(uid), Some(gid))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        };
        write().map_err(Fault::of_io("write", &path))
    }

    /// Puts what a mount shows in its place.
    pub(super) fn mount(&mut self, mount: &Mount) -> Result<(), Fault> {
        let target = &mount.target;
        match &mount.kind {
            MountKind::Tmpfs { mode, .. } => self.empty_folder(target, *mode),
            MountKind::Content { bytes, mode, uid, gid } => self.content(target, bytes, (*mode, *uid, *gid)),
            MountKind::Overlay { lower, .. } => {
                let path = self.cover(target, true, After::Remove, None)?;
                copy_merged(lower, &path).map_err(|error| fault(&error))
            }
            MountKind::Bind { source, read_only } => {
                let source =
                    fs::canonicalize(source).map_err(Fault::of_io("open the source of a mount", source))?;
                let is_folder = source.is_dir();
                if !read_only && is_folder {
                    return self.move_in(target, &source);
                }
                let after = if *read_only { After::Remove } else { After::Copy(source.clone()) };
                let path = self.cover(target, is_folder, after, None)?;
                copy(&source, &path).map_err(|error| fault(&error))
            }
        }
    }

    /// A folder that the step may write to: moved in, so that a cache of any size costs nothing, or copied where it is on another
    /// file system. One step at a time has it.
    fn move_in(&mut self, target: &Path, source: &Path) -> Result<(), Fault> {
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let lock = Lock::exclusive(&source.with_file_name(format!(".{name}.in-use")))
            .map_err(|error| fault(&error))?;
        let path = self.cover(target, true, After::Move(source.to_owned()), Some(lock))?;
        match fs::rename(source, &path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                if let Some(cover) = self.covered.last_mut() {
                    cover.after = After::Copy(source.to_owned());
                }
                copy(source, &path).map_err(|error| fault(&error))
            }
            Err(error) => Err(Fault::of_io("move in", source)(error)),
        }
    }

    /// Takes everything away, last first, and puts back what was covered. Goes on after an error, and returns the first.
    pub(super) fn restore(mut self) -> Result<(), Fault> {
        let mut first = Ok(());
        while let Some(cover) = self.covered.pop() {
            let answer = cover.take_away();
            if first.is_ok() {
                first = answer;
            }
        }
        self.place.clean();
        first
    }
}

fn times_of(folder: &Path) -> Result<Timestamps, Errno> {
    let (last_access, last_modification) = times(&statat(CWD, folder, AtFlags::SYMLINK_NOFOLLOW)?);
    Ok(Timestamps { last_access, last_modification })
}

fn set_times(folder: &Path, times: &Timestamps) -> Result<(), Fault> {
    utimensat(CWD, folder, times, AtFlags::SYMLINK_NOFOLLOW).map_err(Fault::of("set the times of", folder))
}

impl Cover {
    fn take_away(&self) -> Result<(), Fault> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let before = times_of(folder).map_err(Fault::of("look at", folder))?;
        self.uncover()?;
        set_times(folder, &before)
    }

    fn uncover(&self) -> Result<(), Fault> {
        let path = &self.path;
        match &self.after {
            After::Remove => remove_if_there(path).map_err(|error| fault(&error))?,
            After::Wipe => {
                wipe(path)?;
                remove_if_there(path).map_err(|error| fault(&error))?;
            }
            // If even the move in failed, it is where it was.
            After::Move(source) if source.exists() => {}
            After::Move(source) => fs::rename(path, source).map_err(Fault::of_io("move back to", source))?,
            After::Copy(source) => {
                remove_if_there(source).and_then(|()| copy(path, source)).map_err(|error| fault(&error))?;
                remove_if_there(path).map_err(|error| fault(&error))?;
            }
        }
        fs::rename(&self.aside, path).map_err(Fault::of_io("put back", path))
    }
}

/// Overwrites a file, unless the step has put something else in its place.
fn wipe(path: &Path) -> Result<(), Fault> {
    let Ok(about) = fs::symlink_metadata(path) else { return Ok(()) };
    if !about.is_file() {
        return Ok(());
    }
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), about.len()), &mut file)?;
        file.sync_data()
    };
    write().map_err(Fault::of_io("wipe", path))
}
