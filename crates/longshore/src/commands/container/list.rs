//! `longshore ps`.

use std::time::SystemTime;

use clap::Args;
use longshore_runtime::{ContainerState, HealthStatus, Protocol, PublishedPort, Status};
use serde::Serialize;

use super::containers;
use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{Align, CommandError, Report, Table, Ui, ago};

/// List containers
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Those too that have ended
    #[arg(long, short)]
    all: bool,

    /// Ids alone
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn ps(arguments: &PsArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut listed = Vec::new();
    for (container, record) in containers(context)?.list(&mut |error| ui.events().warn(error.to_string()))? {
        let state = match container.state("list") {
            // Removed meanwhile.
            Err(error) if matches!(error.kind, longshore_runtime::RuntimeErrorKind::NoContainer) => continue,
            state => state?,
        };
        let is_alive = matches!(state.status, Status::Running | Status::Restarting);
        if arguments.all || is_alive {
            listed.push(Listed {
                id: record.id,
                image: record.settings.image,
                command: record.program.arguments.join(" "),
                state,
            });
        }
    }
    listed.reverse();
    if arguments.quiet {
        let ids: String = listed.iter().map(|listed| format!("{}\n", short(&listed.id))).collect();
        ui.print(&ids)?;
    } else {
        ui.report(&PsReport { containers: listed }, arguments.output.format)?;
    }
    Ok(Exit::Done)
}

/// The first digits of an id, as people know them.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[derive(Debug, Serialize)]
struct PsReport {
    containers: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    image: String,
    command: String,
    state: ContainerState,
}

impl Report for PsReport {
    fn human(&self) -> String {
        let left = |name| (name, Align::Left);
        let columns = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"].map(left);
        let mut table = Table::new(&columns);
        for listed in &self.containers {
            let command: String = listed.command.chars().take(24).collect();
            table.row(&[
                short(&listed.id).to_owned(),
                listed.image.clone(),
                command,
                since(listed.state.created),
                status(&listed.state),
                listed.state.ports.iter().map(port).collect::<Vec<_>>().join(", "),
                listed.state.name.clone(),
            ]);
        }
        table.render()
    }
}

fn since(time: SystemTime) -> String {
    ago(time.elapsed().unwrap_or_default())
}

/// A container's state in words, as Docker puts it.
pub(super) fn status(state: &ContainerState) -> String {
    let since = |time: Option<SystemTime>| time.map_or_else(|| "-".to_owned(), since);
    let code = state.exit.as_ref().map_or(0, |exit| exit.code);
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => {
            let health = match state.health.as_ref().map(|health| health.status) {
                None => "",
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
            };
            format!("Up, started {}{health}", since(state.started))
        }
        Status::Restarting => format!("Restarting ({code}) {}", since(state.finished)),
        Status::Exited => format!("Exited ({code}) {}", since(state.finished)),
        Status::Dead => "Dead".to_owned(),
    }
}

/// A port as Docker shows it.
pub(super) fn port(port: &PublishedPort) -> String {
    let address = port.address.map_or_else(|| "0.0.0.0".to_owned(), |address| address.to_string());
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{address}:{}->{}/{protocol}", port.host.unwrap_or(0), port.container)
}
