//! What isolates the RUN steps of Dockerfiles, and what else the kernel offers: ids, overlay mounts, cgroups.
//!
//! Native builds need none of it. It is shown because people ask why a tool works on one machine and not on the next, and the answer is mostly
//! one of these lines.

use std::fs;

use longshore_events::Events;
use longshore_sandbox::{ForeignPlatform, Isolation, Rung};

use super::{Check, State};
use crate::context::Context;

pub(super) fn checks(_: &Context, _: &Events) -> Vec<Check> {
    let mut checks = vec![user()];
    checks.extend(ladder(&longshore_sandbox::survey()));
    checks.extend([foreign(longshore_sandbox::foreign_platforms()), overlay(), cgroups()]);
    checks
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

/// Which isolation RUN steps get, and what each one is worth here. Each is tried for real, since settings, security modules and seccomp
/// filters all have a say.
fn ladder(rungs: &[Rung]) -> Vec<Check> {
    let taken = rungs.iter().find(|rung| rung.works && rung.isolation != Isolation::InPlace);
    let mut checks = vec![match taken {
        Some(rung) => check(
            "RUN steps",
            State::Good,
            format!("Dockerfiles' RUN steps get the isolation {}", rung.isolation),
            "the best that works; `build --isolation NAME` takes another one",
        ),
        None => check(
            "RUN steps",
            State::Missing,
            "none of the isolations that are taken unasked works here",
            "Dockerfiles with RUN cannot be built; those that only copy, and native builds, can",
        ),
    }];
    checks.extend(rungs.iter().map(|rung| {
        let state = match (rung.works, rung.isolation) {
            (true, Isolation::Chroot | Isolation::InPlace) => State::Limited,
            (true, _) => State::Good,
            (false, _) => State::Missing,
        };
        check(rung.isolation.name(), state, rung.why.clone(), rung.hint.clone().unwrap_or_default())
    }));
    checks
}

/// The other platforms whose RUN steps can be run, by emulators that are registered with the kernel.
fn foreign(platforms: std::io::Result<Vec<ForeignPlatform>>) -> Check {
    const HINT: &str = "RUN steps for other platforms need an emulator registered with flag F of binfmt_misc, as the package \
                        qemu-user-static of Debian and Ubuntu does it; steps that only copy do not";
    let name = "foreign platforms";
    let platforms = match platforms {
        Ok(platforms) => platforms,
        Err(error) => return check(name, State::Missing, format!("cannot be read: {error}"), HINT),
    };
    let those = |everywhere: bool| {
        let those = platforms.iter().filter(|platform| platform.everywhere == everywhere);
        those.map(|platform| platform.platform).collect::<Vec<_>>().join(", ")
    };
    let (everywhere, elsewhere) = (those(true), those(false));
    match (everywhere.is_empty(), elsewhere.is_empty()) {
        (true, true) => check(name, State::Missing, "no emulator is registered", HINT),
        (false, true) => check(name, State::Good, everywhere, ""),
        (true, false) => {
            check(name, State::Limited, format!("{elsewhere}, where the image holds the emulator"), HINT)
        }
        (false, false) => {
            let found = format!("{everywhere}; {elsewhere}, where the image holds the emulator");
            check(name, State::Limited, found, HINT)
        }
    }
}

fn overlay() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        check("overlay", State::Good, "the kernel has it", "")
    } else {
        let found = "not in /proc/filesystems (it may be a module that is not loaded)";
        check(
            "overlay",
            State::Missing,
            found,
            "the files that RUN steps change are copied first; native builds do not need it",
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(isolation: Isolation, works: bool, hint: Option<&str>) -> Rung {
        Rung { isolation, works, why: format!("why {isolation}"), hint: hint.map(str::to_owned) }
    }

    #[test]
    fn the_best_that_works_is_named_and_each_has_its_line() {
        let rungs = [
            rung(Isolation::Namespaces, false, None),
            rung(Isolation::SingleUser, true, None),
            rung(Isolation::Chroot, false, Some("be root")),
            rung(Isolation::InPlace, true, None),
        ];
        let checks = ladder(&rungs);
        let seen: Vec<_> =
            checks.iter().map(|check| (check.name, check.state, check.found.as_str())).collect();
        let expected = [
            ("RUN steps", State::Good, "Dockerfiles' RUN steps get the isolation single-user"),
            ("namespaces", State::Missing, "why namespaces"),
            ("single-user", State::Good, "why single-user"),
            ("chroot", State::Missing, "why chroot"),
            ("in-place", State::Limited, "why in-place"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(checks[3].meaning, "be root");
    }

    #[test]
    fn platforms_are_named_with_what_they_need() {
        let platform = |platform, everywhere| ForeignPlatform { platform, emulator: "/q".into(), everywhere };
        let seen = |platforms: &[ForeignPlatform]| {
            let check = foreign(Ok(platforms.to_vec()));
            (check.state, check.found)
        };
        let (arm, other) = (platform("linux/arm64", true), platform("linux/s390x", false));
        assert_eq!(seen(&[]), (State::Missing, "no emulator is registered".to_owned()));
        assert_eq!(seen(std::slice::from_ref(&arm)), (State::Good, "linux/arm64".to_owned()));
        let both = "linux/arm64; linux/s390x, where the image holds the emulator".to_owned();
        assert_eq!(seen(&[arm, other]), (State::Limited, both));
        let refused = foreign(Err(std::io::ErrorKind::PermissionDenied.into()));
        assert_eq!(
            (refused.state, refused.found.as_str()),
            (State::Missing, "cannot be read: permission denied")
        );
    }

    #[test]
    fn what_is_never_taken_unasked_does_not_count() {
        let checks = ladder(&[rung(Isolation::Chroot, false, None), rung(Isolation::InPlace, true, None)]);
        assert_eq!((checks[0].name, checks[0].state), ("RUN steps", State::Missing));
    }
}
