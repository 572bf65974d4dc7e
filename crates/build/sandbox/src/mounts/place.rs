//! Where mounts go: paths resolved within the step's root, made where they are missing, and cleaned up afterwards.
//!
//! A mount needs something to be mounted on. What is made for that would land in the layer, so it is removed after the step if the
//! step left it empty, and the time of its parent is set back, as BuildKit's `executor/stubs.go` does.

use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, fstat, futimens, mkdirat,
    openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::tree;
use crate::child::Fault;

/// The root folder of a step while it is built, and what was made in it for mounts.
pub(crate) struct Place {
    root: OwnedFd,
    stubs: Vec<Stub>,
}

/// Something that was made for a mount.
struct Stub {
    parent: OwnedFd,
    name: OsString,
    before: (Timespec, Timespec),
    after: Timespec,
}

/// When something was last read, and last changed.
pub(crate) fn times(stat: &Stat) -> (Timespec, Timespec) {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    #[cfg_attr(
        target_arch = "x86_64",
        expect(clippy::useless_conversion, reason = "the type differs by machine")
    )]
    let both = (
        time(stat.st_atime, u64::try_from(stat.st_atime_nsec).unwrap_or(0)),
        time(stat.st_mtime, u64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
    );
    both
}

impl Place {
    /// A root that is attached to the present mount namespace.
    pub(crate) fn new(root: OwnedFd) -> Place {
        Place { root, stubs: Vec::new() }
    }

    /// Opens a path within the root, however links lead.
    pub(crate) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.resolve(path, OFlags::PATH)
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
                // A rename raced with the resolution: openat2(2) asks callers to try again.
                Err(Errno::AGAIN) => {}
                answer => return answer,
            }
        }
    }

    /// Attaches a mount at a path, and makes what is missing there: folders, and a file under a file.
    pub(crate) fn mount(&mut self, mount: BorrowedFd<'_>, target: &Path) -> Result<(), Fault> {
        let is_folder = fstat(mount)
            .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            .map_err(Fault::of("look at what is mounted at", target))?;
        let over = self.ensure(target, is_folder)?;
        tree::attach(mount, &over).map_err(Fault::of("mount at", target))
    }

    /// Opens a path within the root, making it where it is missing.
    pub(crate) fn ensure(&mut self, target: &Path, is_folder: bool) -> Result<OwnedFd, Fault> {
        let names: Vec<&OsStr> = target
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name),
                _ => None,
            })
            .collect();
        if names.is_empty() || target.components().any(|component| component == Component::ParentDir) {
            return Err(Fault::new("mount at", target, Errno::INVAL));
        }
        match self.open(target) {
            Err(Errno::NOENT) => {}
            answer => return answer.map_err(Fault::of("open the target of a mount", target)),
        }
        let mut walked = PathBuf::from("/");
        for (index, name) in names.iter().enumerate() {
            let folder_wanted = is_folder || index + 1 < names.len();
            match self.open(&walked.join(name)) {
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    self.make(&walked, name, folder_wanted)
                        .map_err(Fault::of("make the target of a mount", target))?;
                }
                Err(error) => return Err(Fault::new("open the target of a mount", target, error)),
            }
            walked.push(name);
        }
        self.open(target).map_err(Fault::of("open the target of a mount", target))
    }

    fn make(&mut self, parent: &Path, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let parent = self.resolve(parent, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let before = times(&fstat(&parent)?);
        if is_folder {
            mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
        }
        let after = times(&fstat(&parent)?).1;
        self.stubs.push(Stub { parent, name: name.to_owned(), before, after });
        Ok(())
    }

    /// Forbids writing to the root folder itself; what is mounted over it stays as it is.
    pub(super) fn make_read_only(&self) -> Result<(), Fault> {
        tree::restrict(&self.root, tree::Attributes::READ_ONLY, false)
            .map_err(Fault::of("make read-only", "/"))
    }

    /// Makes it the root of this process and of all that it starts, and lets go of the machine's.
    pub(super) fn become_root(&self) -> Result<(), Fault> {
        let fault = |action| Fault::of(action, "/");
        rustix::process::fchdir(&self.root).map_err(fault("enter the step's root folder, not"))?;
        // The old root lands on top of the new one, where it is unmounted: that needs no folder for it in the image.
        rustix::process::pivot_root(".", ".").map_err(fault("replace the root folder"))?;
        unmount(".", UnmountFlags::DETACH).map_err(fault("unmount the machine's root folder"))?;
        rustix::process::chdir("/").map_err(fault("enter the root folder"))
    }

    /// Removes what was made for mounts, where it is still there and empty. Every other process of the step must be gone.
    pub(crate) fn clean(self) {
        for stub in self.stubs.iter().rev() {
            stub.unmount();
            stub.remove();
        }
    }
}

impl Stub {
    fn unmount(&self) {
        // By the parent's descriptor, since the step may have renamed the folders above; several may lie on top of each other.
        while rustix::process::fchdir(&self.parent).is_ok()
            && unmount(self.name.as_os_str(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok()
        {}
    }

    /// What cannot be removed is in use by the step's result, or was replaced by it: then it belongs to the layer.
    fn remove(&self) {
        let Ok(stat) = statat(&self.parent, self.name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) else { return };
        let is_folder = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile if stat.st_size == 0 => false,
            _ => return,
        };
        let Ok(now) = fstat(&self.parent).map(|stat| times(&stat)) else { return };
        let flags = if is_folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        if unlinkat(&self.parent, self.name.as_os_str(), flags).is_err() {
            return;
        }
        // If the step changed the folder too, the folder keeps the time of that change.
        let (access, modification) = if now.1 == self.after { self.before } else { now };
        let times = Timestamps { last_access: access, last_modification: modification };
        let _ = futimens(&self.parent, &times);
    }
}
