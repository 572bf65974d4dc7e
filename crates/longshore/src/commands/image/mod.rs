//! `longshore image`: images wherever they are.

mod history;
mod ls;
mod rm;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// List, show, compare, check and move images
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    History(history::HistoryArgs),
    Rm(rm::RmArgs),
}

pub(crate) fn image(command: &ImageCommand, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match command {
        ImageCommand::Ls(arguments) => ls::ls(arguments, context, ui),
        ImageCommand::Rm(arguments) => rm::rm(arguments, context, ui),
        ImageCommand::Show(arguments) => show::show(arguments, context, ui),
        ImageCommand::History(arguments) => history::history(arguments, context, ui),
    }
}
