//! What could isolate a process: root, user namespaces, overlay mounts, cgroups.
//!
//! Native builds need none of it. It is shown because people ask why a tool works on one machine and not on the next, and the answer is mostly
//! one of these lines.

use std::fs;
use std::time::Duration;

use longshore_events::Events;
use longshore_process::{Command, Environment};

use super::{Check, State};
use crate::context::Context;

pub(super) fn checks(_: &Context, events: &Events) -> Vec<Check> {
    vec![user(), user_namespaces(events), subordinate_ids(), overlay(), cgroups()]
}

fn check(name: &'static str, state: State, found: impl Into<String>, meaning: impl Into<String>) -> Check {
    Check { topic: "Isolation", name, state, found: found.into(), meaning: meaning.into() }
}

fn user() -> Check {
    let id = rustix::process::geteuid();
    let meaning = "a native build needs no privilege";
    check(
        "user",
        State::Good,
        format!("uid {}{}", id.as_raw(), if id.is_root() { " (root)" } else { "" }),
        meaning,
    )
}

/// A kernel setting as a number, if it exists.
fn setting(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn user_namespaces(events: &Events) -> Check {
    const NAME: &str = "user namespaces";
    // Asked of the kernel, since settings, security modules and seccomp filters all have a say.
    let attempt = Command::new("unshare", Environment::inherited())
        .arguments(["--user", "--map-root-user", "--mount", "true"])
        .timeout(Duration::from_secs(5))
        .run(events);
    match attempt {
        Ok(finished) if finished.status.is_success() => {
            check(NAME, State::Good, "they work (tried with unshare)", "")
        }
        Ok(finished) => {
            let said = finished.stderr.text();
            let found = format!("refused: {}", said.lines().next().unwrap_or("no reason given"));
            check(NAME, State::Missing, found, refusal())
        }
        Err(_) => {
            check(NAME, State::Limited, "not tried: the program unshare (util-linux) is not there", refusal())
        }
    }
}

/// Which setting refuses user namespaces, if one can be named.
fn refusal() -> String {
    let settings: [(&str, u64, &str); 3] = [
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "AppArmor restricts them (as Ubuntu does since 23.10): kernel.apparmor_restrict_unprivileged_userns = 1; \
             an AppArmor profile with `userns,` for the program lifts it",
        ),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            0,
            "kernel.unprivileged_userns_clone = 0 forbids them to all but root",
        ),
        ("/proc/sys/user/max_user_namespaces", 0, "user.max_user_namespaces = 0 forbids them"),
    ];
    let refusing = settings.iter().find(|(path, value, _)| setting(path) == Some(*value));
    let in_container = std::path::Path::new("/.dockerenv").exists()
        || std::path::Path::new("/run/.containerenv").exists()
        || std::path::Path::new("/var/run/secrets/kubernetes.io").exists();
    match refusing {
        Some((_, _, reason)) => (*reason).to_owned(),
        None if in_container => {
            "this is a container: its seccomp filter or its missing capabilities are the likely reason"
                .to_owned()
        }
        None => String::new(),
    }
}

fn subordinate_ids() -> Check {
    const NAME: &str = "subordinate ids";
    let uid = rustix::process::geteuid().as_raw();
    let name = user_name(uid);
    let mut count = 0_u64;
    for line in fs::read_to_string("/etc/subuid").unwrap_or_default().lines() {
        let mut fields = line.split(':');
        let owner = fields.next().unwrap_or_default();
        let is_mine = name.as_deref() == Some(owner) || owner == uid.to_string();
        if let Some(length) = fields.nth(1).filter(|_| is_mine) {
            count = count.saturating_add(length.trim().parse().unwrap_or(0));
        }
    }
    if count > 0 {
        check(NAME, State::Good, format!("{count} in /etc/subuid"), "")
    } else {
        let meaning =
            "files of other owners cannot be unpacked as such without root; native builds do not need it";
        check(NAME, State::Missing, "none in /etc/subuid", meaning)
    }
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let is_mine = |line: &&str| line.split(':').nth(2) == Some(uid.to_string().as_str());
    passwd.lines().find(is_mine).and_then(|line| line.split(':').next()).map(str::to_owned)
}

fn overlay() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        check("overlay", State::Good, "the kernel has it", "")
    } else {
        let found = "not in /proc/filesystems (it may be a module that is not loaded)";
        check("overlay", State::Missing, found, "native builds do not need it")
    }
}

fn cgroups() -> Check {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let has = |kind: &str| {
        mounts.lines().any(|line| line.split(" - ").nth(1).is_some_and(|rest| rest.starts_with(kind)))
    };
    match (has("cgroup "), has("cgroup2 ")) {
        (false, true) => {
            let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
            check("cgroups", State::Good, format!("version 2, controllers: {}", controllers.trim()), "")
        }
        (true, true) => {
            let meaning = "engines limit memory and processes through version 1 here";
            check("cgroups", State::Limited, "versions 1 and 2 side by side (hybrid)", meaning)
        }
        (true, false) => {
            check("cgroups", State::Limited, "version 1", "its delegation to users is not possible")
        }
        (false, false) => {
            check("cgroups", State::Missing, "none mounted", "limits cannot be set for containers")
        }
    }
}
