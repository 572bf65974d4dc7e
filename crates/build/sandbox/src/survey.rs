//! Trying each rung for real, in a process of its own, so that nothing of it stays.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;

use crate::child::{Fault, TRIAL};
use crate::mounts::{Attributes, Filesystem};
use crate::wire::{self, wire_struct};
use crate::{Isolation, Rung, sys};

/// Tries every rung, best first.
pub fn survey() -> Vec<Rung> {
    Isolation::ALL.into_iter().map(rung).collect()
}

/// Tries one rung.
pub(crate) fn rung(isolation: Isolation) -> Rung {
    let answer = match isolation {
        Isolation::InPlace => Ok(()),
        isolation => tried(isolation),
    };
    match answer {
        Ok(()) => Rung { isolation, works: true, why: gives(isolation).to_owned(), hint: None },
        Err(why) => Rung { isolation, works: false, why, hint: None },
    }
}

/// What a rung gives.
fn gives(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Namespaces => "namespaces, set up by root",
        Isolation::UserNamespace => "namespaces in a user namespace with subordinate ids",
        Isolation::SingleUser => "namespaces in a user namespace with one id; changes of owner are recorded",
        Isolation::Chroot => "another root folder, and no protection from a hostile step",
        Isolation::InPlace => {
            "no isolation: steps change the root folder that longshore runs in; only if asked for"
        }
    }
}

struct Trial {
    isolation: Isolation,
}

struct Verdict {
    fault: Option<Fault>,
}

wire_struct!(Trial { isolation });
wire_struct!(Verdict { fault });

fn tried(isolation: Isolation) -> Result<(), String> {
    let cannot = |error: io::Error| format!("cannot try it: {error}");
    let mut child = Command::new("/proc/self/exe")
        .arg0(TRIAL)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    let mut verdict = Ok(None);
    if let (Some(mut order), Some(mut answer)) = (child.stdin.take(), child.stdout.take()) {
        verdict =
            wire::send(&mut order, &Trial { isolation }).and_then(|()| wire::receive::<Verdict>(&mut answer));
    }
    child.wait().map_err(cannot)?;
    match verdict.map_err(cannot)? {
        Some(Verdict { fault: None }) => Ok(()),
        Some(Verdict { fault: Some(fault) }) => Err(fault.to_string()),
        None => Err("the process that tried it was killed".to_owned()),
    }
}

/// The part of the process that tries.
pub(crate) fn child() -> i32 {
    let Ok(Some(trial)) = wire::receive::<Trial>(&mut io::stdin()) else { return 1 };
    let fault = match trial.isolation {
        Isolation::Namespaces => namespaces(),
        _ => Err(Fault::plain("do that yet")(Errno::NOSYS)),
    };
    let sent = wire::send(&mut io::stdout(), &Verdict { fault: fault.err() });
    i32::from(sent.is_err())
}

fn namespaces() -> Result<(), Fault> {
    let all = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    sys::unshare(all).map_err(Fault::plain("make namespaces"))?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(Fault::plain("keep mounts apart"))?;
    let tmpfs = Filesystem::new("tmpfs").and_then(|tmpfs| tmpfs.mount(Attributes::empty()));
    tmpfs.map(drop).map_err(Fault::plain("mount a folder in memory"))
}
