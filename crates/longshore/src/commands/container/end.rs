//! `longshore stop`, `kill`, `wait` and `rm`.

use std::time::Duration;

use clap::Args;
use longshore_container::signal_number;

use super::{containers, each, inside_for};
use crate::context::Context;
use crate::exit::Exit;
use crate::inside;
use crate::ui::{CommandError, Ui};

/// Ask containers to end, and kill them if they do not
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Seconds until they are killed [default: as they were started with, or 10]
    #[arg(long, short, value_name = "SECONDS")]
    time: Option<u64>,

    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

pub(crate) fn stop(arguments: &StopArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let timeout = arguments.time.map(Duration::from_secs);
    each(&arguments.container, context, ui, |containers, name| {
        containers.find("stop", name)?.stop(timeout).map(|()| None)
    })
}

/// Send containers a signal
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Signal, by name or number
    #[arg(long, short, value_name = "SIGNAL", default_value = "KILL", value_parser = signal)]
    signal: i32,

    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

fn signal(text: &str) -> Result<i32, String> {
    signal_number(text).ok_or_else(|| "expected a signal, such as TERM or 15".to_owned())
}

pub(crate) fn kill(arguments: &KillArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    each(&arguments.container, context, ui, |containers, name| {
        containers.find("send a signal to", name)?.signal(arguments.signal).map(|()| None)
    })
}

/// Wait until containers have ended, and print their exit codes
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

pub(crate) fn wait(arguments: &WaitArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    each(&arguments.container, context, ui, |containers, name| {
        let exit = containers.find("wait for", name)?.wait(None)?;
        Ok(Some(exit.map_or_else(|| "0".to_owned(), |exit| exit.code.to_string())))
    })
}

/// Remove containers that have ended, with their files and logs
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Those too that run: they are killed
    #[arg(long, short)]
    force: bool,

    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

pub(crate) fn rm(arguments: &RmArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    // Files may belong to ids that only a user namespace has.
    let all = containers(context)?;
    let mut within = None;
    for name in &arguments.container {
        if let Ok(container) = all.find("remove", name)
            && let Some(isolation) = inside_for(&container)?
        {
            within = Some(isolation);
            if arguments.force {
                // From outside: a process in another user namespace has no power over it.
                container.stop(Some(Duration::ZERO))?;
            }
        }
    }
    if let Some(isolation) = within {
        return inside::go_inside(isolation, ui);
    }
    each(&arguments.container, context, ui, |containers, name| {
        containers.find("remove", name)?.remove(arguments.force).map(|()| None)
    })
}
