//! /proc and /sys, with what a container may not see covered and what it may not change read-only.
//!
//! The paths are those that Docker and containerd mask (moby: `daemon/pkg/oci/defaults.go`).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::place::Place;
use super::shares_network;
use super::tree::{self, Attributes, Filesystem, clone_of, restrict};
use crate::Step;
use crate::child::Fault;

/// Below /proc, covered: files by an empty device, folders by an empty folder.
const MASKED: [&str; 9] =
    ["asound", "acpi", "interrupts", "kcore", "keys", "latency_stats", "timer_list", "sched_debug", "scsi"];
/// Below /proc, covered too, but only where the file's absence is certain to harm nobody.
const MASKED_TOO: [&str; 1] = ["timer_stats"];
/// Below /proc, readable only.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Below /sys, covered.
const MASKED_SYSTEM: [&str; 2] = ["firmware", "devices/virtual/powercap"];

const QUIET: Attributes = Attributes::NO_DEVICES;

fn harmless() -> Attributes {
    QUIET | Attributes::NO_SETUID | Attributes::NO_PROGRAMS
}

/// Mounts /proc for the present process namespace.
pub(super) fn mount_proc(place: &mut Place, insecure: bool) -> Result<(), Fault> {
    let fault = |action| Fault::of(action, "/proc");
    let proc = Filesystem::new("proc").and_then(|proc| proc.mount(harmless())).map_err(fault("mount"))?;
    place.mount(proc.as_fd(), Path::new("/proc"))?;
    if insecure {
        return Ok(());
    }
    for name in READ_ONLY {
        let read_only = clone_below(&proc, name).and_then(|tree| {
            restrict(&tree, Attributes::READ_ONLY, true)?;
            over(&proc, name, &tree)
        });
        optional(read_only).map_err(Fault::of("make read-only", Path::new("/proc").join(name)))?;
    }
    for name in MASKED.iter().chain(&MASKED_TOO) {
        optional(mask(&proc, name)).map_err(Fault::of("cover", Path::new("/proc").join(name)))?;
    }
    Ok(())
}

/// What the kernel does not have needs no cover.
fn optional(answer: Result<(), Errno>) -> Result<(), Errno> {
    match answer {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        answer => answer,
    }
}

fn open_below(mount: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(mount, name, OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

fn clone_below(mount: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    clone_of(open_below(mount, name)?, "")
}

fn over(mount: &OwnedFd, name: &str, tree: &OwnedFd) -> Result<(), Errno> {
    tree::attach(tree, open_below(mount, name)?)
}

fn mask(mount: &OwnedFd, name: &str) -> Result<(), Errno> {
    let covered = open_below(mount, name)?;
    let is_folder = FileType::from_raw_mode(fstat(&covered)?.st_mode) == FileType::Directory;
    let cover = if is_folder {
        let empty = Filesystem::new("tmpfs")?.option("mode", "755")?.option("size", "4096")?;
        empty.mount(harmless() | Attributes::READ_ONLY)?
    } else {
        // The machine's own: /dev of the step is not there yet.
        clone_of(CWD, "/dev/null")?
    };
    tree::attach(cover, covered)
}

/// /sys of the machine, for where the kernel refuses another: in a user namespace that does not own its network.
pub(super) fn open_system(step: &Step) -> Result<Option<OwnedFd>, Fault> {
    if !shares_network(step) || !step.isolation.is_inside() {
        return Ok(None);
    }
    Ok(clone_of(CWD, "/sys").ok())
}

/// Mounts /sys, read-only; where the kernel allows none, there is none.
pub(super) fn mount_system(place: &mut Place, machine: Option<OwnedFd>, step: &Step) -> Result<(), Fault> {
    let fault = |action| Fault::of(action, "/sys");
    let access = if step.insecure { Attributes::empty() } else { Attributes::READ_ONLY };
    let fresh = Filesystem::new("sysfs").and_then(|sysfs| sysfs.mount(harmless() | access));
    let system = match (fresh, machine) {
        (Ok(fresh), _) => fresh,
        (Err(Errno::PERM), Some(machine)) => {
            restrict(&machine, harmless() | Attributes::READ_ONLY, true).map_err(fault("restrict"))?;
            machine
        }
        (Err(Errno::PERM), None) => return Ok(()),
        (Err(error), _) => return Err(fault("mount")(error)),
    };
    place.mount(system.as_fd(), Path::new("/sys"))?;
    if step.insecure {
        return Ok(());
    }
    for name in MASKED_SYSTEM {
        optional(mask(&system, name)).map_err(Fault::of("cover", Path::new("/sys").join(name)))?;
    }
    Ok(())
}
