//! `longshore completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Cli;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// Print a shell's completion script
///
/// For bash, for example: `longshore completions bash > ~/.local/share/bash-completion/completions/longshore`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell that the script is for
    shell: Shell,
}

pub(crate) fn completions(arguments: &CompletionsArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "longshore", &mut script);
    ui.write(&script)?;
    Ok(Exit::Done)
}
