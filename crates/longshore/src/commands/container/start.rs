//! `longshore start` and `restart`.

use std::time::Duration;

use clap::Args;
use longshore_container::{Attached, Container, Containers};
use longshore_runtime::RuntimeError;
use longshore_sandbox::Isolation;

use super::run::follow;
use super::{containers, each};
use crate::context::Context;
use crate::exit::Exit;
use crate::inside;
use crate::ui::{CommandError, Ui};

/// Start containers that have ended
///
/// With the settings that they were made with, over what they changed. With -a it ends with the program's exit code.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Show what it writes, to its end
    #[arg(long, short)]
    attach: bool,

    /// Give it this process's input too, if it was made to take any
    #[arg(long, short)]
    interactive: bool,

    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

/// Several things that only one container can be asked.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("you cannot start and attach multiple containers at once")]
    Several,
    #[error("`{0}` and `{1}` are kept apart in different ways: name one at a time")]
    Isolations(String, String),
    #[error("`{0}` runs already, and cannot be attached to")]
    Runs(String),
}

pub(crate) fn start(arguments: &StartArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let attach = arguments.attach || arguments.interactive;
    if attach && arguments.container.len() > 1 {
        return Err(CommandError::usage(StartError::Several));
    }
    if let Some(isolation) = elsewhere(&arguments.container, context)? {
        return inside::go_inside(isolation, ui);
    }
    let Some(name) = arguments.container.first().filter(|_| attach) else {
        return begin_each(&arguments.container, context, ui, |container| container.start(false));
    };
    let container = containers(context)?.find("start", name)?;
    let settings = container.record("start")?.settings;
    let Some(attached) = container.start(true)? else {
        let error = CommandError::from(StartError::Runs(name.clone()));
        return Err(error.hinted(format!("`longshore logs --follow {name}` shows what it writes")));
    };
    for warning in &attached.state.warnings {
        ui.events().warn(warning);
    }
    if settings.interactive && !arguments.interactive && !settings.terminal {
        // There will be none. Once the program has ended, nobody needs to be told.
        let _ = attached.input().end();
    }
    follow((arguments.interactive && settings.interactive, settings.terminal), &attached, ui)
}

/// End containers and start them again
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Seconds until they are killed [default: as they were started with, or 10]
    #[arg(long, short, value_name = "SECONDS")]
    time: Option<u64>,

    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

pub(crate) fn restart(arguments: &RestartArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let timeout = arguments.time.map(Duration::from_secs);
    if let Some(isolation) = elsewhere(&arguments.container, context)? {
        // From outside: a process in another user namespace has no power over what runs.
        let all = containers(context)?;
        for name in &arguments.container {
            // What is wrong is told by whoever starts them.
            let _ = all.find("restart", name).and_then(|container| container.stop_to_restart(timeout));
        }
        return inside::go_inside(isolation, ui);
    }
    begin_each(&arguments.container, context, ui, |container| container.restart(timeout))
}

/// Starts each in its own way, and tells what is to be known of it.
fn begin_each(
    names: &[String],
    context: &Context,
    ui: &mut Ui,
    begin: impl Fn(&Container) -> Result<Option<Attached>, RuntimeError>,
) -> Result<Exit, CommandError> {
    let events = ui.events().clone();
    each(names, context, ui, |containers: &Containers, name| {
        if let Some(attached) = begin(&containers.find("start", name)?)? {
            for warning in &attached.state.warnings {
                events.warn(warning);
            }
        }
        Ok(None)
    })
}

/// The user namespace that this process must go on in to start these containers.
fn elsewhere(names: &[String], context: &Context) -> Result<Option<Isolation>, CommandError> {
    let all = containers(context)?;
    let mut needed: Option<(&String, Option<Isolation>)> = None;
    for name in names {
        // Whatever is wrong with it, starting it will say.
        let Ok(record) = all.find("start", name).and_then(|container| container.record("start")) else {
            continue;
        };
        let isolation = record.isolation.parse::<Isolation>().ok();
        let isolation = isolation.filter(|isolation| isolation.is_inside());
        match needed {
            Some((first, other)) if other != isolation => {
                return Err(CommandError::usage(StartError::Isolations(first.clone(), name.clone())));
            }
            _ => needed = Some((name, isolation)),
        }
    }
    let isolation = needed.and_then(|(_, isolation)| isolation);
    Ok(isolation.filter(|isolation| longshore_sandbox::inside() != Some(*isolation)))
}
