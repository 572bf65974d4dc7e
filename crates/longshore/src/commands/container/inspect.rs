//! `longshore inspect`.

use clap::Args;
use longshore_container::Record;
use longshore_runtime::ContainerState;
use serde::Serialize;

use super::containers;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Report, Ui};

/// Show all that is known of containers, as JSON
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Containers: names, ids or beginnings of them
    #[arg(required = true)]
    container: Vec<String>,
}

pub(crate) fn inspect(arguments: &InspectArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let all = containers(context)?;
    let mut inspected = Vec::new();
    for name in &arguments.container {
        let container = all.find("inspect", name)?;
        let (record, state) = (container.record("inspect")?, container.state("inspect")?);
        inspected.push(Inspected { state, record });
    }
    let report = InspectReport { containers: inspected };
    ui.report(&report, crate::arguments::OutputFormat::Json)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct InspectReport {
    containers: Vec<Inspected>,
}

#[derive(Debug, Serialize)]
struct Inspected {
    state: ContainerState,
    record: Record,
}

impl Report for InspectReport {
    fn human(&self) -> String {
        String::new()
    }
}
