//! The same behaviour under each constraint that a careful deployment sets, by itself and with all others.
//!
//! Where all together fail, whichever fails by itself is guilty, and is named; where none does, it is that they meet. A constraint that cannot be had on
//! this machine was not checked, which is not the same as one that the image bears.

use longshore_runtime::{ContainerSettings, Seccomp};

use crate::behaviour::walk;
use crate::check::{Checks, Outcome, Problem, Verdict};
use crate::service::{Subject, Users};

const SUITE: &str = "hardening";
/// A user that no image knows, as OpenShift gives them with group 0. Small enough to be among the 65,536 ids that a user is lent.
const RANDOM_USER: u32 = 54_321;

/// A restriction on a container.
#[derive(Debug, Clone, Copy)]
pub struct Constraint {
    /// What it is, with Docker's words.
    pub name: &'static str,
    /// Sets it.
    pub apply: fn(&mut ContainerSettings),
    /// What to do if an image does not bear it and its log says nothing.
    hint: &'static str,
}

/// All constraints, in the order in which they are tried.
pub fn constraints() -> Vec<Constraint> {
    let of = |name, hint, apply| Constraint { name, apply, hint };
    vec![
        of("--read-only", "mount a tmpfs where it writes, such as /tmp", |settings| {
            settings.read_only = true;
        }),
        of("--cap-drop ALL", "add back the one capability that it needs", |settings| {
            settings.capabilities.add.clear();
            settings.capabilities.drop = vec!["ALL".to_owned()];
        }),
        of(
            "--security-opt no-new-privileges",
            "it must not gain rights by set-user-id programs",
            |settings| {
                settings.no_new_privileges = true;
            },
        ),
        of("--security-opt seccomp=default", "see which system call is refused", |settings| {
            settings.seccomp = Seccomp::Default;
        }),
        of("--memory 256m", "set GOMEMLIMIT, or raise the limit", |settings| {
            settings.resources.memory.get_or_insert(256 << 20);
        }),
        of("--cpus 0.5", "raise the limit, or give it more time to start", |settings| {
            settings.resources.processors.get_or_insert(500);
        }),
        of("--pids-limit 64", "raise the limit", |settings| {
            settings.resources.processes.get_or_insert(64);
        }),
        of(
            "--user with a random uid, gid 0",
            "give the folders that it writes to group 0: chgrp -R 0 && chmod -R g=u",
            |settings| {
                settings.user = Some(format!("{RANDOM_USER}:0"));
            },
        ),
    ]
}

/// Makes the checks of each constraint, and of all together.
pub fn hardening(subject: &Subject<'_>, checks: &mut Checks) {
    // Without it, every constraint would look guilty of what is wrong anyway.
    let base = checks.make(SUITE, "without constraints", || walked(subject, &subject.settings, None));
    if base != Some(Verdict::Passed) {
        return;
    }
    let constraints = constraints();
    let mut guilty = Vec::new();
    let mut borne = Vec::new();
    for constraint in &constraints {
        let mut settings = subject.settings.clone();
        (constraint.apply)(&mut settings);
        match checks.make(SUITE, constraint.name, || {
            if settings.user != subject.settings.user && subject.users == Users::Single {
                return Outcome::unchecked(
                    "containers have a single user here; as root, or with lent ids, it can be checked",
                );
            }
            walked(subject, &settings, Some(constraint))
        }) {
            Some(Verdict::Failed) => guilty.push(constraint.name),
            Some(Verdict::Passed) => borne.push(constraint),
            _ => {}
        }
    }
    // What cannot be had here by itself cannot be had with others either, and would hide all else.
    let possible = || {
        constraints
            .iter()
            .filter(|one| guilty.contains(&one.name) || borne.iter().any(|other| other.name == one.name))
    };
    let mut settings = subject.settings.clone();
    possible().for_each(|constraint| (constraint.apply)(&mut settings));
    let count = possible().count();
    checks.make(SUITE, "all together", || {
        let outcome = walked(subject, &settings, None);
        let outcome = match outcome.verdict {
            Verdict::Failed if guilty.is_empty() => {
                outcome.saying("each is borne by itself: it is that they meet")
            }
            Verdict::Failed => outcome.saying(format!("guilty by itself: {}", guilty.join(", "))),
            _ => outcome,
        };
        match count < constraints.len() && outcome.verdict == Verdict::Passed {
            true => {
                outcome.saying(format!("{count} of {}: the others cannot be had here", constraints.len()))
            }
            false => outcome,
        }
    });
}

/// The list of behaviour as one outcome.
fn walked(subject: &Subject<'_>, settings: &ContainerSettings, constraint: Option<&Constraint>) -> Outcome {
    let mut made = Checks::new(true).interruptible(&subject.events);
    let mut other = Subject {
        runtime: subject.runtime,
        settings: settings.clone(),
        expectations: subject.expectations.clone(),
        users: subject.users,
        by_shell: subject.by_shell,
        events: subject.events.clone(),
    };
    let named = settings.user.as_deref().and_then(|user| user.split(':').next()?.parse().ok());
    if settings.user.is_some() {
        other.expectations.user = named;
    }
    walk(&other, settings, false, &mut |name, check| made.make(SUITE, name, check));
    let bad = made.made().iter().find(|check| matches!(check.verdict, Verdict::Failed | Verdict::Unchecked));
    let Some(check) = bad else { return Outcome::passed() };
    let named = |problem: &Problem| Problem {
        expected: format!("{}: {}", check.name, problem.expected),
        found: problem.found.clone(),
    };
    let hint = constraint.filter(|_| check.hints.is_empty() && check.verdict == Verdict::Failed);
    let outcome = Outcome {
        verdict: check.verdict,
        problems: check.problems.iter().map(named).collect(),
        reason: check.reason.clone(),
        logs: check.logs.clone(),
        hints: check.hints.clone(),
    };
    outcome.hinted(hint.map(|constraint| constraint.hint.to_owned()))
}
