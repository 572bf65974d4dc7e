//! The reference in docs/cli.md. A test compares it with the file, so that neither drifts.

use clap::builder::StyledStr;
use clap::{Arg, Command};

/// Every command and every flag as one Markdown document.
pub(super) fn reference(mut command: Command) -> String {
    command.build();
    let mut text = String::from("# Command line reference\n\n");
    text.push_str("Written by `longshore man --markdown`.\n");
    section(&mut text, &command, true);
    text
}

fn section(text: &mut String, command: &Command, with_global: bool) {
    let path = command.get_bin_name().unwrap_or_else(|| command.get_name());
    text.push_str(&format!("\n## {path}\n\n{}\n", long_about(command)));
    let usage = command.clone().render_usage().to_string();
    text.push_str(&format!("\n```console\n{}\n```\n", usage.trim_start_matches("Usage: ").trim()));
    let children = || command.get_subcommands().filter(|child| !child.is_hide_set());
    if children().next().is_some() {
        text.push('\n');
    }
    for child in children() {
        let about = child.get_about().map(StyledStr::to_string).unwrap_or_default();
        let path = child.get_bin_name().unwrap_or_else(|| child.get_name());
        let anchor = path.replace(' ', "-");
        text.push_str(&format!("- [`{path}`](#{anchor}): {about}\n"));
    }
    let shown = |argument: &&Arg| {
        let is_help = matches!(argument.get_id().as_str(), "help" | "version");
        !argument.is_hide_set() && !is_help && (with_global || !argument.is_global_set())
    };
    let mut arguments: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    arguments.sort_by_key(|argument| !argument.is_positional());
    if !arguments.is_empty() {
        text.push('\n');
    }
    arguments.into_iter().for_each(|argument| entry(text, argument));
    if with_global && let Some(after) = command.get_after_help() {
        text.push_str(&format!("\n{after}\n"));
    }
    children().for_each(|child| section(text, child, false));
}

fn long_about(command: &Command) -> String {
    command.get_long_about().or_else(|| command.get_about()).map(StyledStr::to_string).unwrap_or_default()
}

fn entry(text: &mut String, argument: &Arg) {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(StyledStr::to_string).unwrap_or_default().replace("\n\n", "\n\n  ");
    text.push_str(&format!("- `{}`: {help}", spelling(argument)));
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        text.push_str(&format!(". One of {}", values.join(", ")));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        text.push_str(&format!("; default `{}`", defaults.join(" ")));
    }
    if let Some(variable) = argument.get_env() {
        text.push_str(&format!(". Environment: `{}`", variable.to_string_lossy()));
    }
    text.push('\n');
}

fn spelling(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ")
    };
    if argument.is_positional() {
        return value();
    }
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let mut spelling = names.join(", ");
    if argument.get_action().takes_values() {
        spelling.push_str(&format!(" {}", value()));
    }
    spelling
}
