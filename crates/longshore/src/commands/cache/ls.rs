//! `longshore cache ls`.

use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;

use super::Item;
use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{Align, CommandError, Report, Table, Ui, ago, size};

/// List what the store holds, what was used last first
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn ls(arguments: &LsArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let items: Vec<Item> = context.store()?.cache()?.into_iter().map(Item::from).collect();
    let total = items.iter().map(|item| item.size).sum();
    ui.report(&LsReport { items, total }, arguments.output.format)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct LsReport {
    items: Vec<Item>,
    /// Bytes in all.
    total: u64,
}

impl Report for LsReport {
    fn human(&self) -> String {
        format!("{}total {}\n", table(&self.items), size(self.total))
    }
}

/// Items as a table.
pub(super) fn table(items: &[Item]) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let columns =
        [("KIND", Align::Left), ("NAME", Align::Left), ("SIZE", Align::Right), ("USED", Align::Left)];
    let mut table = Table::new(&columns);
    for item in items {
        let used = match item.used {
            0 => "-".to_owned(),
            used => ago(now.saturating_sub(Duration::from_secs(used))),
        };
        table.row(&[item.kind.clone(), item.name.clone(), size(item.size), used]);
    }
    table.render()
}
