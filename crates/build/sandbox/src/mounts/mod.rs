//! The root folder of a step with all that is mounted over it, built in the init's own mount namespace.
//!
//! Everything is done by descriptors of mounts (`fsopen`, `open_tree`, `move_mount`: Linux 5.2), not by paths: option strings have no
//! limit of 4 KiB then, and no link in the image can lead a mount out of the root, since the kernel resolves every target within
//! it (`openat2` with `RESOLVE_IN_ROOT`). Sources on the machine are opened first of all, before anything covers them.
//!
//! No mount of a step but the single devices lets device nodes be opened. Docker leaves CAP_MKNOD to a container and relies on
//! device cgroups; that works at any rung, without cgroups.

mod base;
mod devices;
mod files;
mod place;
mod system;
mod tree;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::child::Fault;
use crate::{Mount, MountKind, Network, Step};

pub(crate) use files::Texts;
pub(crate) use place::{Place, times};
pub(crate) use tree::{Attributes, Filesystem, attach, clone_of, restrict};

/// What was opened on the machine before anything was covered.
struct Sources {
    mounts: Vec<Option<OwnedFd>>,
    devices: Vec<(&'static str, OwnedFd)>,
    system: Option<OwnedFd>,
    files: files::Texts,
}

/// Builds the root folder in the present mount namespace, which must be the caller's own, and makes it the root.
pub(crate) fn enter_root(step: &Step) -> Result<Place, Fault> {
    enter_root_with(step, |_| ())
}

/// The same, with something more that is mounted between /sys and the step's own mounts.
pub(crate) fn enter_root_with(step: &Step, more: impl FnOnce(&mut Place)) -> Result<Place, Fault> {
    let step_root = base::open(&step.root, step.insecure)?;
    let sources = Sources {
        mounts: step.mounts.iter().map(open_source).collect::<Result<_, Fault>>()?,
        devices: devices::open()?,
        system: system::open_system(step)?,
        files: files::Texts::read(step)?,
    };
    let mut place = base::attach(step_root, &step.root)?;
    // Secrets are made before /dev and /proc cover the folder that they need for a moment.
    let mut contents = files::Contents::make(&mut place, &sources.files, step)?;
    system::mount_proc(&mut place, step.insecure)?;
    devices::mount(&mut place, &sources.devices, step)?;
    system::mount_system(&mut place, sources.system, step)?;
    more(&mut place);
    contents.mount_texts(&mut place)?;
    for (index, (mount, source)) in step.mounts.iter().zip(sources.mounts).enumerate() {
        let prepared = source.or_else(|| contents.secret(index));
        place_mount(&mut place, mount, prepared, step)?;
    }
    if step.read_only {
        place.make_read_only()?;
    }
    place.become_root()?;
    Ok(place)
}

/// Builds of the root folder what outlives a step's processes, and makes it the root: the files themselves and the folders of the machine
/// that are mounted over them.
pub(crate) fn enter_files(step: &Step) -> Result<Place, Fault> {
    let root = base::open(&step.root, step.insecure)?;
    let sources = step.mounts.iter().map(open_source).collect::<Result<Vec<_>, Fault>>()?;
    let mut place = base::attach(root, &step.root)?;
    for (mount, source) in step.mounts.iter().zip(&sources) {
        if let Some(source) = source {
            place.mount(source.as_fd(), &mount.target)?;
        }
    }
    if step.read_only {
        place.make_read_only()?;
    }
    place.become_root()?;
    Ok(place)
}

/// The mount of the machine that a bind mount shows.
fn open_source(mount: &Mount) -> Result<Option<OwnedFd>, Fault> {
    let MountKind::Bind { source, read_only } = &mount.kind else { return Ok(None) };
    let tree = clone_of(rustix::fs::CWD, source).map_err(Fault::of("open the source of a mount", source))?;
    restrict(&tree, forbidden(*read_only), true).map_err(Fault::of("restrict the mount of", source))?;
    Ok(Some(tree))
}

fn forbidden(read_only: bool) -> Attributes {
    Attributes::NO_DEVICES | if read_only { Attributes::READ_ONLY } else { Attributes::empty() }
}

fn place_mount(
    place: &mut Place,
    mount: &Mount,
    prepared: Option<OwnedFd>,
    step: &Step,
) -> Result<(), Fault> {
    let tree = match (&mount.kind, prepared) {
        (_, Some(tree)) => tree,
        (MountKind::Overlay { lower, upper, work, read_only }, None) => {
            let user_xattr = base::user_xattr(&step.root) || step.isolation.is_inside();
            let tree = base::overlay(lower, upper, work, user_xattr)?;
            restrict(&tree, forbidden(*read_only), false)
                .map_err(Fault::of("restrict the mount at", &mount.target))?;
            tree
        }
        (MountKind::Tmpfs { size, mode, programs }, None) => tmpfs((*size, *mode), *programs, &mount.target)?,
        (MountKind::Bind { .. } | MountKind::Content { .. }, None) => {
            return Err(Fault::new("find what was prepared for", &mount.target, rustix::io::Errno::NOENT));
        }
    };
    place.mount(tree.as_fd(), &mount.target)
}

/// A folder in memory, without devices and set-user-id programs.
fn tmpfs((size, mode): (Option<u64>, u32), programs: bool, target: &Path) -> Result<OwnedFd, Fault> {
    let forbidden = if programs { Attributes::empty() } else { Attributes::NO_PROGRAMS };
    let mut options = vec![("mode", format!("{mode:o}"))];
    options.extend(size.map(|size| ("size", size.to_string())));
    Filesystem::new("tmpfs")
        .and_then(|filesystem| filesystem.options(&options))
        .and_then(|filesystem| filesystem.mount(Attributes::NO_DEVICES | Attributes::NO_SETUID | forbidden))
        .map_err(Fault::of("make a folder in memory at", target))
}

/// Whether the step's network is the one that the machine's /etc/resolv.conf speaks of.
fn shares_network(step: &Step) -> bool {
    step.network == Network::Host
}

/// What a mount of data forbids.
fn harmless_file() -> Attributes {
    Attributes::NO_DEVICES | Attributes::NO_SETUID | Attributes::NO_PROGRAMS
}
