//! The root folder itself: an overlay of the layers below, or a folder.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open as open_file};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::place::Place;
use super::tree::{self, Attributes, Filesystem, clone_of, restrict};
use crate::Root;
use crate::child::Fault;

/// Longest option string that mount(2) takes, with the null byte.
const OPTIONS: usize = 4096;

/// Whether the overlays of a step mark deletions in attributes that user namespaces may write.
pub(super) fn user_xattr(root: &Root) -> bool {
    matches!(root, Root::Overlay { user_xattr: true, .. })
}

/// The mount of the root folder, not attached yet.
pub(super) fn open(root: &Root, devices: bool) -> Result<OwnedFd, Fault> {
    let mount = match root {
        Root::Overlay { lower, upper, .. } if lower.is_empty() => folder(upper)?,
        Root::Overlay { lower, upper, work, user_xattr } => overlay(lower, upper, work, *user_xattr)?,
        Root::Folder(path) => folder(path)?,
    };
    if !devices {
        restrict(&mount, Attributes::NO_DEVICES, true)
            .map_err(Fault::of("forbid devices in", attached_at(root)))?;
    }
    Ok(mount)
}

/// Attaches the root over a folder that nobody needs any more in this namespace: the one that the step writes to, which its
/// overlay holds by itself.
pub(super) fn attach(mount: OwnedFd, root: &Root) -> Result<Place, Fault> {
    let path = attached_at(root);
    let over = folder_descriptor(path)?;
    match tree::attach(&mount, &over) {
        // The fallback of `overlay` has attached it already.
        Err(Errno::INVAL) if is_mounted(&mount, path) => {}
        answer => answer.map_err(Fault::of("mount the root folder at", path))?,
    }
    Ok(Place::new(mount))
}

fn attached_at(root: &Root) -> &Path {
    match root {
        Root::Overlay { upper, .. } => upper,
        Root::Folder(path) => path,
    }
}

fn is_mounted(mount: &OwnedFd, path: &Path) -> bool {
    let same =
        |one: rustix::fs::Stat, two: rustix::fs::Stat| (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino);
    let stats = (rustix::fs::fstat(mount), rustix::fs::stat(path));
    matches!(stats, (Ok(one), Ok(two)) if same(one, two))
}

fn folder(path: &Path) -> Result<OwnedFd, Fault> {
    clone_of(CWD, path).map_err(Fault::of("open the root folder", path))
}

fn folder_descriptor(path: &Path) -> Result<OwnedFd, Fault> {
    open_file(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Fault::of("open the folder", path))
}

/// An overlay. Its folders are named by descriptors, since the kernel takes no name longer than 255 bytes, and splits them at colons.
pub(super) fn overlay(
    lower: &[PathBuf],
    upper: &Path,
    work: &Path,
    user_xattr: bool,
) -> Result<OwnedFd, Fault> {
    let below = lower.iter().map(|path| folder_descriptor(path)).collect::<Result<Vec<OwnedFd>, Fault>>()?;
    let (upper_folder, work_folder) = (folder_descriptor(upper)?, folder_descriptor(work)?);
    let name = |folder: &OwnedFd| format!("/proc/self/fd/{}", folder.as_raw_fd());
    let configure = || -> Result<Option<OwnedFd>, Errno> {
        let mut overlay = Filesystem::new("overlay")?;
        for folder in &below {
            overlay = match overlay.option("lowerdir+", name(folder)) {
                // Linux before 6.5 takes them in one string only.
                Err(Errno::INVAL) => return Ok(None),
                answer => answer?,
            };
        }
        overlay = overlay.option("upperdir", name(&upper_folder))?.option("workdir", name(&work_folder))?;
        overlay = if user_xattr {
            overlay.flag("userxattr")?
        } else {
            // Whoever reads the upper folder must find whole files at their own paths there.
            overlay.option("index", "off")?.option("metacopy", "off")?.option("redirect_dir", "off")?
        };
        overlay.mount(Attributes::empty()).map(Some)
    };
    let fault = Fault::of("mount an overlay for", upper);
    match configure() {
        Ok(Some(mount)) => Ok(mount),
        Ok(None) => {
            let names: Vec<String> = below.iter().map(name).collect();
            let options = format!(
                "lowerdir={},upperdir={},workdir={},index=off{}",
                names.join(":"),
                name(&upper_folder),
                name(&work_folder),
                if user_xattr { ",userxattr" } else { ",metacopy=off,redirect_dir=off" },
            );
            attached_overlay(&options, upper).map_err(fault)
        }
        Err(error) => Err(fault(error)),
    }
}

/// An overlay by mount(2), which attaches it at once, over its upper folder.
fn attached_overlay(options: &str, upper: &Path) -> Result<OwnedFd, Errno> {
    if options.len() >= OPTIONS {
        return Err(Errno::TOOBIG);
    }
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
    mount("overlay", upper, "overlay", MountFlags::empty(), options.as_c_str())?;
    let attached = open_file(upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // A copy, so that it can be attached like all others.
    clone_of(attached.as_fd(), "")
}
