//! `longshore ps`.

use std::time::{Duration, SystemTime};

use clap::Args;
use longshore_runtime::{ContainerState, HealthStatus, Protocol, PublishedPort, Status};
use serde::Serialize;

use super::containers;
use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{Align, CommandError, Report, Table, Ui};

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
    format!("{} ago", lasting(time.elapsed().unwrap_or_default()))
}

/// A duration as Docker puts it, which scripts look for (docker/go-units: `HumanDuration`).
fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    // Hours are rounded, everything else is cut off.
    let hours = (seconds + 1_800) / 3_600;
    match (seconds, hours) {
        (0, _) => "Less than a second".to_owned(),
        (1, _) => "1 second".to_owned(),
        (2..60, _) => format!("{seconds} seconds"),
        (60..120, _) => "About a minute".to_owned(),
        (120..3_600, _) => format!("{} minutes", seconds / 60),
        (_, ..=1) => "About an hour".to_owned(),
        (_, 2..48) => format!("{hours} hours"),
        (_, 48..336) => format!("{} days", hours / 24),
        (_, 336..1_440) => format!("{} weeks", hours / 24 / 7),
        (_, 1_440..17_520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// A container's state in words, as Docker puts it.
pub(super) fn status(state: &ContainerState) -> String {
    let up = |time: SystemTime| lasting(time.elapsed().unwrap_or_default());
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
            format!("Up {}{health}", state.started.map_or_else(|| "-".to_owned(), up))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_dockers() {
        for (seconds, expected) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3_599, "59 minutes"),
            (3_600, "About an hour"),
            (5_399, "About an hour"),
            (5_400, "2 hours"),
            (47 * 3_600, "47 hours"),
            (48 * 3_600, "2 days"),
            (14 * 86_400, "2 weeks"),
            (59 * 86_400, "8 weeks"),
            (60 * 86_400, "2 months"),
            (730 * 86_400, "2 years"),
        ] {
            assert_eq!(lasting(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }
}
