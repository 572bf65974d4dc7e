//! Containers: `run` and what is done with what it started. Docker's words, flags and exit codes.

mod cp;
mod end;
mod exec;
mod inspect;
mod list;
mod logs;
mod moment;
mod places;
mod run;
mod settings;
mod start;
mod terminal;
mod usage;

use longshore_container::{Container, Containers};
use longshore_runtime::RuntimeError;
use longshore_sandbox::Isolation;

use crate::context::Context;
use crate::exit::Exit;
use crate::inside;
use crate::ui::{CommandError, Ui};

pub(crate) use cp::{CopyUsageError, CpArgs, cp};
pub(crate) use end::{KillArgs, RmArgs, StopArgs, WaitArgs, kill, rm, stop, wait};
pub(crate) use exec::{ExecArgs, exec};
pub(crate) use inspect::{InspectArgs, inspect};
pub(crate) use list::{PsArgs, ps};
pub(crate) use logs::{LogsArgs, logs};
pub(crate) use run::{RunArgs, run};
pub(crate) use start::{RestartArgs, StartArgs, restart, start};
pub(crate) use usage::{StatsArgs, TopArgs, stats, top};

/// All containers of this user's store.
fn containers(context: &Context) -> Result<Containers, CommandError> {
    Ok(Containers::of(&context.store()?))
}

/// Does something to each of several containers, and prints the name of each that it was done to. One that fails does not keep the others
/// from it.
fn each(
    names: &[String],
    context: &Context,
    ui: &mut Ui,
    mut act: impl FnMut(&Containers, &str) -> Result<Option<String>, RuntimeError>,
) -> Result<Exit, CommandError> {
    let containers = containers(context)?;
    let mut failed = Exit::Done;
    for name in names {
        match act(&containers, name) {
            Ok(answer) => ui.print(&format!("{}\n", answer.as_deref().unwrap_or(name)))?,
            Err(error) => failed = ui.fail(&CommandError::from(error)),
        }
    }
    Ok(failed)
}

/// The user namespace that this process must go on in to touch the files of a container.
fn inside_for(container: &Container) -> Result<Option<Isolation>, CommandError> {
    // Whatever is wrong with it, the command itself will say.
    let Ok(record) = container.record("look at") else { return Ok(None) };
    let isolation = record.isolation.parse::<Isolation>();
    Ok(isolation
        .ok()
        .filter(|isolation| isolation.is_inside())
        .and_then(|isolation| inside::inside_of(Some(isolation))))
}
