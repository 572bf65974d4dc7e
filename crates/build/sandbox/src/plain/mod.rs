//! Steps without namespaces: in another root folder, or in this very one.
//!
//! Root in a default container may change its root folder and make devices, and may not mount. So mounts are served by putting things
//! in their place before the step and taking them out after it: what is mounted read-only is copied in, a cache is moved in and
//! out again, a secret is written and wiped. The keeper is the reaper of all that the step starts, so that no process of it survives.
//!
//! This keeps steps from each other and from the build's folders by accident, not by force: a hostile step can leave its root folder. What
//! protects the machine is the container around.

mod copy;
mod cover;
mod processes;
mod swap;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, openat};
use rustix::io::Errno;
use rustix::process::{Pid, set_child_subreaper};

use crate::child::{Fault, Report, command, keeper, report};
use crate::mounts::{Place, Texts};
use crate::{Isolation, Root, SecretBytes, Status, Step, sys};
use cover::Covers;
use swap::Swap;

/// Devices of the kernel: name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Runs a step in the keeper itself.
pub(crate) fn keep(control: &UnixStream, step: &Step) -> Result<(), Fault> {
    set_child_subreaper(Some(rustix::process::getpid())).map_err(Fault::plain("become the step's reaper"))?;
    let ended = sys::signal_descriptor(&[libc::SIGCHLD]).map_err(Fault::plain("wait for signals"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let Root::Folder(root) = &step.root else {
        return Err(Fault::plain("mount an overlay")(Errno::PERM));
    };
    let (status, usage) = if step.isolation == Isolation::InPlace && root != Path::new("/") {
        in_place(control, &ended, step, root)?
    } else {
        furnished(control, &ended, step, root)?
    };
    let time = u64::try_from(usage.processor_time.as_nanos()).unwrap_or(u64::MAX);
    report(control, &Report::Ended(status, time, usage.peak_memory));
    Ok(())
}

/// Runs a step in the very root folder that there is, with its files in place of what stands there.
fn in_place(
    control: &UnixStream,
    ended: &OwnedFd,
    step: &Step,
    tree: &Path,
) -> Result<(Status, sys::Usage), Fault> {
    let mut swap = Swap::new(tree).map_err(|error| Fault::of_file(&error))?;
    let entered = swap.enter().map_err(|error| Fault::of_file(&error));
    let answer = entered.and_then(|()| furnished(control, ended, step, Path::new("/")));
    let left = swap.leave().map_err(|error| Fault::of_file(&error));
    let answer = answer?;
    left.map(|()| answer)
}

/// Runs a step in a root folder, with all in its place that it asks for.
fn furnished(
    control: &UnixStream,
    ended: &OwnedFd,
    step: &Step,
    root: &Path,
) -> Result<(Status, sys::Usage), Fault> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = openat(CWD, root, flags, Mode::empty()).map_err(Fault::of("open the root folder", root))?;
    let mut covers = Covers::new(Place::new(folder));
    let answer = furnish(&mut covers, step).and_then(|()| attend(control, ended, step, root));
    // Whatever happened: what was put in is taken out, and what was covered comes back.
    let restored = covers.restore();
    let answer = answer?;
    restored.map(|()| answer)
}

/// Puts devices, files and mounts in their places.
fn furnish(covers: &mut Covers, step: &Step) -> Result<(), Fault> {
    if step.isolation == Isolation::Chroot {
        devices(covers)?;
        let texts = Texts::read(step)?;
        covers.content(
            Path::new("/etc/hosts"),
            &SecretBytes::new(texts.hosts.into_bytes()),
            (0o644, 0, 0),
        )?;
        if let Some(resolv) = texts.resolv {
            covers.content(Path::new("/etc/resolv.conf"), &SecretBytes::new(resolv), (0o644, 0, 0))?;
        }
    }
    step.mounts.iter().try_for_each(|mount| covers.mount(mount))?;
    covers.settle()
}

fn devices(covers: &mut Covers) -> Result<(), Fault> {
    covers.empty_folder(Path::new("/dev"), 0o755)?;
    let dev = covers.place().open(Path::new("/dev")).map_err(Fault::of("open", "/dev"))?;
    for (name, major, minor) in DEVICES {
        let device = rustix::fs::makedev(major, minor);
        mknodat(&dev, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device)
            // The mask took bits away.
            .and_then(|()| {
                rustix::fs::chmodat(&dev, name, Mode::from_raw_mode(0o666), rustix::fs::AtFlags::empty())
            })
            .map_err(Fault::of("make the device", Path::new("/dev").join(name)))?;
    }
    let shared = rustix::fs::mkdirat(&dev, "shm", Mode::RWXU);
    shared
        .and_then(|()| {
            rustix::fs::chmodat(&dev, "shm", Mode::from_raw_mode(0o1777), rustix::fs::AtFlags::empty())
        })
        .map_err(Fault::of("make the folder", "/dev/shm"))
}

/// Starts the step's process, follows it, and ends all that it leaves behind.
fn attend(
    control: &UnixStream,
    ended: &OwnedFd,
    step: &Step,
    root: &Path,
) -> Result<(Status, sys::Usage), Fault> {
    let start = command::prepare(step)?;
    let Some(child) = sys::fork().map_err(Fault::plain("start a process"))? else {
        sys::exit(command::main_in(control, step, &start, root));
    };
    keeper::close_output();
    let status = follow(control, ended, child);
    processes::end_descendants().map_err(Fault::plain("end the step's processes"))?;
    let status = status.map_err(Fault::plain("wait for the process"))?;
    Ok((status, sys::usage_of_children()))
}

/// Waits until the process ends, or whoever gave the order hangs up.
fn follow(control: &UnixStream, ended: &OwnedFd, child: Pid) -> Result<Status, Errno> {
    loop {
        if let Some(status) = command::collect(child)? {
            return Ok(status);
        }
        let mut waits = [PollFd::new(control, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        match poll(&mut waits, None) {
            Err(Errno::INTR) => continue,
            answer => answer?,
        };
        if !waits[0].revents().is_empty() {
            return Ok(Status::Signalled(libc::SIGKILL));
        }
        sys::forget_signals(ended);
    }
}
