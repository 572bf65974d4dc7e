//! Mounts by their descriptors.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::sys;

/// What a mount forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes(u32);

impl Attributes {
    pub(crate) const READ_ONLY: Attributes = Attributes(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    pub(crate) const NO_DEVICES: Attributes = Attributes(MountAttrFlags::MOUNT_ATTR_NODEV.bits());
    pub(crate) const NO_SETUID: Attributes = Attributes(MountAttrFlags::MOUNT_ATTR_NOSUID.bits());
    pub(crate) const NO_PROGRAMS: Attributes = Attributes(MountAttrFlags::MOUNT_ATTR_NOEXEC.bits());

    pub(crate) const fn empty() -> Attributes {
        Attributes(0)
    }
}

impl std::ops::BitOr for Attributes {
    type Output = Attributes;

    fn bitor(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }
}

/// A file system that is being configured.
pub(crate) struct Filesystem(OwnedFd);

impl Filesystem {
    /// A file system of this kind.
    pub(crate) fn new(kind: &str) -> Result<Filesystem, Errno> {
        fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map(Filesystem)
    }

    /// Sets an option with a value.
    pub(crate) fn option(self, name: &str, value: impl AsRef<OsStr>) -> Result<Filesystem, Errno> {
        fsconfig_set_string(&self.0, name, value.as_ref())?;
        Ok(self)
    }

    /// Sets several options.
    pub(crate) fn options(self, options: &[(&str, String)]) -> Result<Filesystem, Errno> {
        options.iter().try_fold(self, |filesystem, (name, value)| filesystem.option(name, value))
    }

    /// Sets an option without a value.
    pub(crate) fn flag(self, name: &str) -> Result<Filesystem, Errno> {
        fsconfig_set_flag(&self.0, name)?;
        Ok(self)
    }

    /// A mount of it that is not attached anywhere yet.
    pub(crate) fn mount(self, attributes: Attributes) -> Result<OwnedFd, Errno> {
        fsconfig_create(&self.0)?;
        let attributes = MountAttrFlags::from_bits_retain(attributes.0);
        fsmount(&self.0, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    }
}

/// A copy of the mount at a path, with those below it: what a recursive bind mount attaches.
pub(crate) fn clone_of(folder: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(folder, path.as_ref(), flags)
}

/// Forbids more on a mount, and on those below it if `recursive`.
pub(crate) fn restrict(mount: impl AsFd, attributes: Attributes, recursive: bool) -> Result<(), Errno> {
    if attributes == Attributes::empty() {
        return Ok(());
    }
    sys::restrict_mount(mount.as_fd(), attributes.0.into(), recursive)
}

/// Attaches a mount over what a descriptor stands for.
pub(crate) fn attach(mount: impl AsFd, over: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", over, "", flags)
}
