//! What may be typed. Each flag is defined once, here or in its command's file, and its doc comment is its help text, its line
//! in the manual page and its entry in docs/cli.md.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, ValueEnum};

use crate::commands::Command;

/// From a Go module to a small, hardened, reproducible container image, with no daemon and no root.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, styles = styles(), arg_required_else_help = true)]
#[command(propagate_version = false, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the work failed, 2 wrong usage, 3 findings, 4 the check could not be made, 130 interrupted.
Results go to standard output, progress and errors to standard error.";

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Folder of the image store; without it, longshore in $XDG_DATA_HOME or ~/.local/share
    #[arg(long, global = true, value_name = "DIR", env = "LONGSHORE_STORE", hide_env_values = true)]
    pub(crate) store: Option<PathBuf>,

    /// Leave the network alone: what is not here already is an error
    #[arg(long, global = true, env = "LONGSHORE_OFFLINE", hide_env_values = true)]
    #[arg(value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) offline: bool,

    /// File of certificate authorities in PEM that are trusted beside the system's
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) ca_file: Vec<PathBuf>,

    /// Registry that may have an unknown certificate, or no TLS at all
    #[arg(long, global = true, value_name = "HOST[:PORT]", hide_short_help = true)]
    pub(crate) insecure_registry: Vec<String>,

    /// Mirror to ask before a registry when pulling: docker.io=https://mirror.example.com
    #[arg(long, global = true, value_name = "REGISTRY=URL", hide_short_help = true, value_parser = mirror)]
    pub(crate) registry_mirror: Vec<(String, String)>,

    /// How progress is shown on standard error
    #[arg(long, global = true, value_name = "STYLE", value_enum, default_value_t)]
    #[arg(env = "LONGSHORE_PROGRESS", hide_env_values = true)]
    pub(crate) progress: ProgressStyle,

    /// Whether output has colours; `auto` heeds the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: ColorChoice,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressStyle {
    /// Bars on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// One line for each event
    Plain,
    /// One JSON object for each event
    Json,
    /// Warnings and errors alone
    Quiet,
}

/// Whether output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorChoice {
    /// If the output is a terminal that has them and nobody objects
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How a command reports.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// Form of the report; JSON has a version and a schema in docs/schema
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Lines for a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

fn mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((registry, url)) if !registry.is_empty() && !url.is_empty() => {
            Ok((registry.to_owned(), url.to_owned()))
        }
        _ => Err("expected REGISTRY=URL, such as docker.io=https://mirror.example.com".to_owned()),
    }
}

fn styles() -> Styles {
    Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold())
        .placeholder(AnsiColor::Cyan.on_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
