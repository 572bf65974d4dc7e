//! /dev: the few devices that a program may count on (OCI runtime-spec 1.2, config-linux.md, "Default Devices").

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat, symlinkat};
use rustix::io::Errno;

use super::place::Place;
use super::tree::{self, Attributes, Filesystem, clone_of};
use crate::Step;
use crate::child::Fault;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];
/// The group of terminals, in every distribution.
const TTY_GROUP: &str = "5";

/// The machine's devices. They are shown one by one, since a user namespace may make none.
pub(super) fn open() -> Result<Vec<(&'static str, OwnedFd)>, Fault> {
    DEVICES
        .iter()
        .map(|name| {
            let path = Path::new("/dev").join(name);
            clone_of(CWD, &path).map(|device| (*name, device)).map_err(Fault::of("open the device", path))
        })
        .collect()
}

/// Mounts /dev and what is below it.
pub(super) fn mount(
    place: &mut Place,
    devices: &[(&'static str, OwnedFd)],
    step: &Step,
) -> Result<(), Fault> {
    let fault = |action| Fault::of(action, "/dev");
    let attributes = Attributes::NO_SETUID;
    // Devices that the step makes here cannot be opened; those that are mounted here can.
    let forbidden = if step.insecure { Attributes::empty() } else { Attributes::NO_DEVICES };
    let dev = Filesystem::new("tmpfs")
        .and_then(|dev| dev.option("mode", "755")?.option("size", "65536k")?.mount(attributes | forbidden))
        .map_err(fault("mount"))?;
    place.mount(dev.as_fd(), Path::new("/dev"))?;
    for (name, device) in devices {
        let path = Path::new("/dev").join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        openat(&dev, *name, flags, Mode::from_raw_mode(0o666))
            .and_then(|_| openat(&dev, *name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()))
            .and_then(|target| tree::attach(device, target))
            .map_err(Fault::of("mount the device", path))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).map_err(Fault::of("make the link", Path::new("/dev").join(name)))?;
    }
    let shm = Filesystem::new("tmpfs")
        .and_then(|shm| {
            shm.option("mode", "1777")?.option("size", step.limits.shm_size.to_string())?.mount(quiet())
        })
        .map_err(fault("mount memory below"))?;
    place.mount(shm.as_fd(), Path::new("/dev/shm"))?;
    let terminals = terminals(true).or_else(|_| terminals(false)).map_err(fault("mount terminals below"))?;
    place.mount(terminals.as_fd(), Path::new("/dev/pts"))?;
    // Not every kernel has queues, and hardly a build needs them.
    if let Ok(queues) = Filesystem::new("mqueue").and_then(|queues| queues.mount(quiet())) {
        place.mount(queues.as_fd(), Path::new("/dev/mqueue"))?;
    }
    Ok(())
}

fn quiet() -> Attributes {
    Attributes::NO_DEVICES | Attributes::NO_SETUID | Attributes::NO_PROGRAMS
}

/// Terminals of their own; their group exists only where its number is mapped.
fn terminals(with_group: bool) -> Result<OwnedFd, Errno> {
    let terminals = Filesystem::new("devpts")?.option("mode", "0620")?.option("ptmxmode", "0666")?;
    let terminals = if with_group { terminals.option("gid", TTY_GROUP)? } else { terminals };
    terminals.mount(Attributes::NO_SETUID | Attributes::NO_PROGRAMS)
}
