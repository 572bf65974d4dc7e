//! `longshore image`: images wherever they are.

mod copy;
mod diff;
mod history;
mod load;
mod ls;
mod pull;
mod push;
mod rm;
mod save;
mod show;
mod validate;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

pub(crate) use save::TerminalError;

/// List, show, compare, check and move images
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    Ls(ls::LsArgs),
    Show(show::ShowArgs),
    History(history::HistoryArgs),
    Pull(pull::PullArgs),
    Push(push::PushArgs),
    Copy(copy::CopyArgs),
    Save(save::SaveArgs),
    Load(load::LoadArgs),
    Diff(diff::DiffArgs),
    Validate(validate::ValidateArgs),
    Rm(rm::RmArgs),
}

pub(crate) fn image(command: &ImageCommand, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match command {
        ImageCommand::Ls(arguments) => ls::ls(arguments, context, ui),
        ImageCommand::Pull(arguments) => pull::pull(arguments, context, ui),
        ImageCommand::Push(arguments) => push::push(arguments, context, ui),
        ImageCommand::Copy(arguments) => copy::copy(arguments, context, ui),
        ImageCommand::Save(arguments) => save::save(arguments, context, ui),
        ImageCommand::Load(arguments) => load::load(arguments, context, ui),
        ImageCommand::Diff(arguments) => diff::diff(arguments, context, ui),
        ImageCommand::Validate(arguments) => validate::validate(arguments, context, ui),
        ImageCommand::Rm(arguments) => rm::rm(arguments, context, ui),
        ImageCommand::Show(arguments) => show::show(arguments, context, ui),
        ImageCommand::History(arguments) => history::history(arguments, context, ui),
    }
}
