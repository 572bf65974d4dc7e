//! `longshore doctor`: what this machine offers, and what longshore makes of it.
//!
//! Nothing found here is a failure: each line says what there is, and what that means for a build. The checks of a topic live in
//! its file.

mod engines;
mod go;
mod isolation;
mod network;
mod registries;
mod store;

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Report, Ui, visible};

/// Show what this machine offers and what longshore will use
///
/// Nothing that is missing is a failure: each line says what it means for a build.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn doctor(arguments: &DoctorArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut checks = Vec::new();
    let topics =
        [go::checks, store::checks, isolation::checks, engines::checks, registries::checks, network::checks];
    for topic in topics {
        ui.events().check()?;
        checks.extend(topic(context, ui.events()));
    }
    ui.report(&DoctorReport { checks }, arguments.output.format)?;
    Ok(Exit::Done)
}

/// How well something serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It is there and works.
    Good,
    /// It is there, with a limit that may matter.
    Limited,
    /// It is not there, and something else is used or a feature is missing.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    topic: &'static str,
    name: &'static str,
    state: State,
    /// What was found, and where.
    found: String,
    /// What longshore does because of it.
    meaning: String,
}

#[derive(Debug, Serialize)]
struct DoctorReport {
    checks: Vec<Check>,
}

impl Report for DoctorReport {
    fn human(&self) -> String {
        const TOPIC: Style = Style::new().bold();
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        let mut topic = "";
        for check in &self.checks {
            if check.topic != topic {
                let gap = if topic.is_empty() { "" } else { "\n" };
                topic = check.topic;
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{gap}{TOPIC}{topic}{TOPIC:#}");
            }
            let (mark, style) = match check.state {
                State::Good => ("ok", AnsiColor::Green.on_default()),
                State::Limited => ("!!", AnsiColor::Yellow.on_default()),
                State::Missing => ("--", Style::new().dimmed()),
            };
            let _ =
                writeln!(text, "  {style}{mark}{style:#} {:width$}  {}", check.name, visible(&check.found));
            if !check.meaning.is_empty() {
                // A hint may have several lines, such as a profile to write into a file.
                for line in check.meaning.lines() {
                    let _ = writeln!(text, "     {:width$}  {}", "", visible(line));
                }
            }
        }
        text
    }
}
