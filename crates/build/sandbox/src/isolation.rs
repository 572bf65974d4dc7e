//! The rungs of isolation, best first, and which of them is taken.
//!
//! What a machine allows differs: root on a host may do anything, an ordinary user may own a user namespace, root in a default
//! container may only change its root folder, and a locked-down pod nothing at all. The best rung that works is taken; a rung that
//! somebody asked for by name is taken or refused, never exchanged in silence for a weaker one.

use std::fmt;
use std::str::FromStr;

use crate::{inside, survey};

/// How a step is kept apart from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isolation {
    /// Namespaces, set up by root.
    Namespaces,
    /// Namespaces inside a user namespace with subordinate ids: every owner exists.
    UserNamespace,
    /// Namespaces inside a user namespace with one id: changes of owner are pretended and recorded.
    SingleUser,
    /// Another root folder and nothing more, as root in a container that allows nothing else.
    Chroot,
    /// None: the step changes the very root folder that longshore runs in. For containers that are thrown away.
    InPlace,
}

impl Isolation {
    /// All rungs, best first.
    pub const ALL: [Isolation; 5] = [
        Isolation::Namespaces,
        Isolation::UserNamespace,
        Isolation::SingleUser,
        Isolation::Chroot,
        Isolation::InPlace,
    ];

    /// The rung's name, as `--isolation` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::Namespaces => "namespaces",
            Isolation::UserNamespace => "user-namespace",
            Isolation::SingleUser => "single-user",
            Isolation::Chroot => "chroot",
            Isolation::InPlace => "in-place",
        }
    }

    /// Whether the whole process has to go on inside a user namespace ([`crate::continue_inside`]) before it runs steps.
    pub fn is_inside(self) -> bool {
        matches!(self, Isolation::UserNamespace | Isolation::SingleUser)
    }

    /// Whether steps see a /proc. Without one, Go finds its GOROOT only if the environment names it.
    pub fn has_proc(self) -> bool {
        self != Isolation::Chroot
    }

    /// Whether steps get namespaces of their own: mounts, a private /proc, an end of all processes that the kernel vouches for.
    pub fn has_namespaces(self) -> bool {
        !matches!(self, Isolation::Chroot | Isolation::InPlace)
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A word that names no rung.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown isolation {0:?}: it is one of namespaces, user-namespace, single-user, chroot, in-place")]
pub struct UnknownIsolation(pub String);

impl FromStr for Isolation {
    type Err = UnknownIsolation;

    fn from_str(name: &str) -> Result<Isolation, UnknownIsolation> {
        let known = Isolation::ALL.into_iter().find(|isolation| isolation.name() == name);
        known.ok_or_else(|| UnknownIsolation(name.to_owned()))
    }
}

/// What one rung is worth on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// The rung.
    pub isolation: Isolation,
    /// Whether it was tried and worked.
    pub works: bool,
    /// What it gives, or what was tried and what the kernel said.
    pub why: String,
    /// What a person can do to make it work.
    pub hint: Option<String>,
}

/// No rung can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsolationError {
    /// The rung that was asked for does not work here.
    #[error("isolation {} does not work here: {}", .0.isolation, .0.why)]
    Pinned(Rung),
    /// None works of those that are taken unasked.
    #[error("no isolation works here: {}", reasons(.0))]
    Nothing(Vec<Rung>),
}

fn reasons(rungs: &[Rung]) -> String {
    let each: Vec<String> = rungs.iter().map(|rung| format!("{}: {}", rung.isolation, rung.why)).collect();
    each.join("; ")
}

impl IsolationError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            IsolationError::Pinned(rung) => rung.hint.clone(),
            IsolationError::Nothing(rungs) => {
                let first = rungs.iter().find_map(|rung| rung.hint.clone());
                let in_place = "in a container that is thrown away afterwards, `--isolation in-place` runs steps in its own root folder";
                Some(first.map_or_else(|| in_place.to_owned(), |hint| format!("{hint}; or, {in_place}")))
            }
        }
    }
}

/// The rung to take: the one that is `pinned`, or the best that works. `InPlace` is taken only when pinned.
///
/// Errors: the pinned rung does not work, or none does; both say what the kernel answered.
pub fn choose(pinned: Option<Isolation>) -> Result<Isolation, IsolationError> {
    if let Some(here) = inside().filter(|here| pinned.is_none_or(|pinned| pinned == *here)) {
        return Ok(here);
    }
    if let Some(isolation) = pinned {
        let rung = survey::rung(isolation);
        return if rung.works { Ok(isolation) } else { Err(IsolationError::Pinned(rung)) };
    }
    let mut refused = Vec::new();
    for isolation in Isolation::ALL.into_iter().filter(|isolation| *isolation != Isolation::InPlace) {
        let rung = survey::rung(isolation);
        if rung.works {
            return Ok(isolation);
        }
        refused.push(rung);
    }
    Err(IsolationError::Nothing(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isolation in Isolation::ALL {
            assert_eq!(isolation.to_string().parse(), Ok(isolation));
        }
        assert_eq!("docker".parse::<Isolation>(), Err(UnknownIsolation("docker".into())));
    }

    #[test]
    fn an_error_names_the_reason_of_each_rung() {
        let rung = |isolation, why: &str| Rung { isolation, works: false, why: why.into(), hint: None };
        let error = IsolationError::Nothing(vec![
            rung(Isolation::Namespaces, "not root"),
            rung(Isolation::Chroot, "not root either"),
        ]);
        assert_eq!(
            error.to_string(),
            "no isolation works here: namespaces: not root; chroot: not root either"
        );
        assert!(error.hint().unwrap().contains("--isolation in-place"));
    }
}
