//! One file for each command: arguments in, one library call, rendering out.

mod completions;
mod man;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// What longshore can be told to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs one command.
pub(crate) fn run(command: Command, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let _ = context;
    match command {
        Command::Completions(arguments) => completions::completions(&arguments, ui),
        Command::Man(arguments) => man::man(&arguments, ui),
    }
}
