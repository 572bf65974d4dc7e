//! Going on inside a user namespace, where an ordinary user must.

use longshore_sandbox::{Isolation, IsolationError};
use longshore_snapshot::Ownership;

use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// The user namespace that this process will have to go on in before it runs anything isolated, if it must.
pub(crate) fn inside_of(pinned: Option<Isolation>) -> Option<Isolation> {
    if longshore_sandbox::inside().is_some() || rustix::process::geteuid().is_root() {
        return None;
    }
    longshore_sandbox::choose(pinned).ok().filter(|isolation| isolation.is_inside())
}

/// How containers are kept apart: the rung that was asked for, or the best that works. Root has namespaces, or is told by the kernel that it
/// has not: trying that beforehand would take longer than all else.
pub(crate) fn for_containers(pinned: Option<Isolation>) -> Result<Isolation, IsolationError> {
    if let Some(here) = longshore_sandbox::inside() {
        return Ok(here);
    }
    if pinned.is_none() && rustix::process::geteuid().is_root() {
        return Ok(Isolation::Namespaces);
    }
    longshore_sandbox::choose(pinned)
}

/// Goes on inside a user namespace, in a process with the same arguments.
pub(crate) fn go_inside(isolation: Isolation, ui: &mut Ui) -> Result<Exit, CommandError> {
    ui.close();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let code = longshore_sandbox::continue_inside(isolation, &arguments)?;
    Ok(Exit::Of(u8::try_from(code).unwrap_or(1)))
}

/// How files are owned in the snapshots that this process works with.
pub(crate) fn ownership() -> Ownership {
    match longshore_sandbox::inside() {
        Some(Isolation::UserNamespace) => Ownership::UserNamespace,
        Some(Isolation::SingleUser) => Ownership::Recorded,
        _ if rustix::process::geteuid().is_root() => Ownership::Root,
        // Outside of the namespace that it will go on in: enough to see whether everything is known already.
        _ => Ownership::UserNamespace,
    }
}
