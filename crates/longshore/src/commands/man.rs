//! `longshore man`: the manual, as pages for man(1) and as one Markdown document, made of the definitions that parse the flags.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use longshore_files::{create_folders, write_atomic};

use crate::arguments::Cli;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

mod markdown;

/// Print the manual page, or write one for each command
///
/// To read it: `longshore man | man -l -`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
    output: Option<PathBuf>,

    /// Print the whole reference as one Markdown document
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn man(arguments: &ManArgs, ui: &mut Ui) -> Result<Exit, CommandError> {
    let command = Cli::command();
    match &arguments.output {
        Some(folder) => {
            create_folders(folder)?;
            write_pages(command, folder)?;
        }
        None if arguments.markdown => ui.write(markdown::reference(command).as_bytes())?,
        None => ui.write(&page(&Man::new(command)).map_err(PageError)?)?,
    }
    Ok(Exit::Done)
}

/// A manual page could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("cannot render the manual page")]
struct PageError(#[source] io::Error);

fn write_pages(mut command: clap::Command, folder: &Path) -> Result<(), CommandError> {
    command.build();
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        write_pages(child.clone(), folder)?;
    }
    let manual = Man::new(command);
    write_atomic(&folder.join(manual.get_filename()), &page(&manual).map_err(PageError)?)?;
    Ok(())
}

fn page(manual: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    manual.render(&mut page)?;
    Ok(page)
}
