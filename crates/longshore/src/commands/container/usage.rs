//! `longshore stats` and `longshore top`.

use std::time::{Duration, Instant};

use clap::Args;
use longshore_container::{Process, processes, statistics};
use longshore_runtime::{Statistics, Status};
use serde::Serialize;

use super::containers;
use super::list::short;
use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{Align, CommandError, Report, Table, Ui, size};

/// Time over which processor use is measured.
const MOMENT: Duration = Duration::from_millis(250);

/// Show what containers use
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Containers: names, ids or beginnings of them [default: all that run]
    container: Vec<String>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn stats(arguments: &StatsArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let all = containers(context)?;
    let mut chosen = Vec::new();
    for name in &arguments.container {
        let container = all.find("measure", name)?;
        let state = container.state("measure")?;
        chosen.push((container, state.name));
    }
    if arguments.container.is_empty() {
        for (container, record) in all.list(&mut |error| ui.events().warn(error.to_string()))? {
            if container.state("measure").is_ok_and(|state| state.status == Status::Running) {
                chosen.push((container, record.name));
            }
        }
    }
    let began = Instant::now();
    let before: Vec<_> =
        chosen.iter().map(|(container, _)| statistics(container)).collect::<Result<_, _>>()?;
    std::thread::sleep(MOMENT);
    let mut used = Vec::new();
    for ((container, name), before) in chosen.into_iter().zip(before) {
        // One that ended meanwhile uses nothing.
        let Ok(now) = statistics(&container) else { continue };
        let time = now.processor_time.saturating_sub(before.processor_time);
        let processors = time.as_secs_f64() / began.elapsed().as_secs_f64();
        used.push(Used { id: container.id, name, processors, statistics: now });
    }
    ui.report(&StatsReport { containers: used }, arguments.output.format)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct StatsReport {
    containers: Vec<Used>,
}

#[derive(Debug, Serialize)]
struct Used {
    id: String,
    name: String,
    /// Processors in use: 1.5 is one and a half.
    processors: f64,
    statistics: Statistics,
}

impl Report for StatsReport {
    fn human(&self) -> String {
        let right = |name| (name, Align::Right);
        let columns = [
            ("CONTAINER ID", Align::Left),
            ("NAME", Align::Left),
            right("CPU"),
            right("MEMORY"),
            right("LIMIT"),
            right("PROCESSES"),
        ];
        let mut table = Table::new(&columns);
        for used in &self.containers {
            let statistics = &used.statistics;
            table.row(&[
                short(&used.id).to_owned(),
                used.name.clone(),
                format!("{:.1} %", used.processors * 100.0),
                size(statistics.memory),
                statistics.memory_limit.map_or_else(|| "-".to_owned(), size),
                statistics.processes.to_string(),
            ]);
        }
        table.render()
    }
}

/// Show the processes of a container
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Container: its name, its id or the beginning of it
    container: String,
}

pub(crate) fn top(arguments: &TopArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let container = containers(context)?.find("list the processes of", &arguments.container)?;
    let found = processes(&container)?;
    let right = |name| (name, Align::Right);
    let columns = [
        right("PID"),
        right("PPID"),
        right("INSIDE"),
        right("UID"),
        right("TIME"),
        right("MEMORY"),
        ("COMMAND", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for process in &found {
        table.row(&row(process));
    }
    ui.print(&table.render())?;
    Ok(Exit::Done)
}

fn row(process: &Process) -> [String; 7] {
    let seconds = process.processor_time.as_secs();
    [
        process.id.to_string(),
        process.parent.to_string(),
        process.inside.to_string(),
        process.user.to_string(),
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        size(process.memory),
        process.command.clone(),
    ]
}
