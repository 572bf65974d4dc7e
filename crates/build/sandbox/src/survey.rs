//! Trying each rung for real, in a process of its own, so that nothing of it stays.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{WaitOptions, waitpid};
use rustix::stdio::stdout;
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};

use crate::child::{Fault, TRIAL};
use crate::inside::{Maps, inside, try_inside};
use crate::mounts::{Attributes, Filesystem};
use crate::wire::{self, wire_struct};
use crate::{Isolation, Rung, SandboxError, sys};

/// Tries every rung, best first.
pub fn survey() -> Vec<Rung> {
    Isolation::ALL.into_iter().map(rung).collect()
}

/// Tries one rung.
pub(crate) fn rung(isolation: Isolation) -> Rung {
    if inside() == Some(isolation) {
        return Rung { isolation, works: true, why: "this process is inside".into(), hint: None };
    }
    let answer = match isolation {
        Isolation::Namespaces | Isolation::Chroot => tried(isolation).map_err(|why| (why, None)),
        Isolation::UserNamespace => user_namespace(Maps::subordinate()),
        Isolation::SingleUser => user_namespace(Ok(Maps::Single)),
        Isolation::InPlace if is_contained() => Ok(()),
        Isolation::InPlace => {
            let why = "this process is in no container: it shares the machine's process namespace";
            Err((why.to_owned(), None))
        }
    };
    match answer {
        Ok(()) => Rung { isolation, works: true, why: gives(isolation).to_owned(), hint: None },
        Err((why, hint)) => Rung { isolation, works: false, why, hint },
    }
}

/// Number of the process namespace that the machine starts with: PROC_PID_INIT_INO of the kernel.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Whether this process is in a container, so that the root folder may be changed. Engines give each a process namespace of its own.
pub(crate) fn is_contained() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own.as_os_str() != FIRST_NAMESPACE)
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

type Refusal = (String, Option<String>);

fn user_namespace(maps: Result<Maps, String>) -> Result<(), Refusal> {
    let maps = maps.map_err(|why| {
        let hint = why.contains("lends no ids").then(|| {
            "an administrator can lend some: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
                .to_owned()
        });
        (why, hint)
    })?;
    try_inside(&maps).map_err(|error| {
        let mut why = error.to_string();
        if let SandboxError::Setup { source, .. } | SandboxError::Process { source, .. } = &error {
            why = format!("{why}: {source}");
        }
        (why, restriction())
    })
}

/// The switches by which systems keep ordinary users from user namespaces, and what lifts them.
fn restriction() -> Option<String> {
    let is = |name: &str, value: &str| {
        std::fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|text| text.trim() == value)
    };
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Some(apparmor());
    }
    if is("kernel/unprivileged_userns_clone", "0") {
        return Some("an administrator can allow it: sysctl kernel.unprivileged_userns_clone=1".to_owned());
    }
    if is("user/max_user_namespaces", "0") {
        return Some("an administrator can allow it: sysctl user.max_user_namespaces=15000".to_owned());
    }
    None
}

/// Ubuntu 23.10 and later allow user namespaces to programs with a profile that says so (apparmor.d(5), "userns").
fn apparmor() -> String {
    let program = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| "/usr/local/bin/longshore".into());
    format!(
        "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns=1, as Ubuntu 24.04 sets it): \
         write this to /etc/apparmor.d/longshore, then run `apparmor_parser -r /etc/apparmor.d/longshore` as root:\n\
         abi <abi/4.0>,\ninclude <tunables/global>\nprofile longshore \"{}\" flags=(unconfined) {{\n  userns,\n}}",
        program.display()
    )
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
    let answer = if trial.isolation == Isolation::Chroot { chroot() } else { namespaces() };
    // Not std's buffered output: this process ends without flushing it.
    let Ok(output) = stdout().try_clone_to_owned() else { return 1 };
    let sent = wire::send(&mut std::fs::File::from(output), &Verdict { fault: answer.err() });
    i32::from(sent.is_err())
}

/// Makes the namespaces of a step, and mounts what decides.
pub(crate) fn namespaces() -> Result<(), Fault> {
    let all = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    sys::unshare(all).map_err(Fault::plain("make namespaces"))?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(Fault::plain("keep mounts apart"))?;
    let tmpfs = Filesystem::new("tmpfs").and_then(|tmpfs| tmpfs.mount(Attributes::empty()));
    tmpfs.map(drop).map_err(Fault::plain("mount a folder in memory"))?;
    proc_mount().map_err(Fault::of("mount", "/proc"))
}

/// Only a process inside the new process namespace can mount its /proc.
fn proc_mount() -> Result<(), Errno> {
    let Some(child) = sys::fork()? else {
        let answer = Filesystem::new("proc").and_then(|proc| proc.mount(Attributes::empty()));
        // Numbers of errors fit into exit codes.
        sys::exit(answer.map_or_else(Errno::raw_os_error, |_| 0));
    };
    match waitpid(Some(child), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw_os_error(error)),
        None => Err(Errno::IO),
    }
}

/// Changes the root folder, and sees whether owners can be changed.
fn chroot() -> Result<(), Fault> {
    rustix::process::chroot("/").map_err(Fault::plain("change the root folder"))?;
    let now = capabilities(None).map_err(Fault::plain("ask for capabilities"))?.effective;
    let needed =
        CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE | CapabilitySet::SETUID | CapabilitySet::SETGID;
    if now.contains(needed) { Ok(()) } else { Err(Fault::plain("change owners of files")(Errno::PERM)) }
}
