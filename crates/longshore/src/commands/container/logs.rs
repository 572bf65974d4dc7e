//! `longshore logs`.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use clap::Args;
use longshore_container::{Container, LogFollower};
use longshore_runtime::{LogLine, LogStream, Status};

use super::containers;
use super::moment::moment;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// Time between two looks at a log that is followed and has just grown; it doubles with each that finds nothing.
const SHORTEST: Duration = Duration::from_millis(1);
/// Longest time between two looks.
const LONGEST: Duration = Duration::from_millis(50);

const MISSED: &str = "lines may be missing: the log's files came and went before they were read; keep more with --log-opt max-size";

/// Show what a container has written
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on as it writes more, to its end
    #[arg(long, short)]
    follow: bool,

    /// Only what was written since then: 10m for so long ago, 2026-01-02T15:04:05Z, a date, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,

    /// Only what was written until then, in the same forms
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,

    /// Only this many lines from the end, or all
    #[arg(long, short = 'n', value_name = "LINES", default_value = "all", value_parser = tail, allow_hyphen_values = true)]
    tail: Tail,

    /// Begin each line with its time
    #[arg(long, short)]
    timestamps: bool,

    /// Container: its name, its id or the beginning of it
    container: String,
}

/// How many lines from the end; `None` is all.
#[derive(Debug, Clone, Copy)]
struct Tail(Option<usize>);

/// A number, or all: a negative number is that, too, as for Docker.
fn tail(text: &str) -> Result<Tail, String> {
    match text.parse::<i64>() {
        _ if text == "all" => Ok(Tail(None)),
        Ok(number) => Ok(Tail(usize::try_from(number).ok())),
        Err(_) => Err("expected a number of lines, or all".to_owned()),
    }
}

impl LogsArgs {
    fn is_wanted(&self, line: &LogLine) -> bool {
        self.since.is_none_or(|since| line.time >= since) && self.until.is_none_or(|until| line.time <= until)
    }
}

pub(crate) fn logs(arguments: &LogsArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let container = containers(context)?.find("read the log of", &arguments.container)?;
    let mut follower = LogFollower::new(&container);
    let mut kept: VecDeque<LogLine> = VecDeque::new();
    follower.read(&mut |line| {
        if arguments.is_wanted(&line) {
            kept.push_back(line);
            if arguments.tail.0.is_some_and(|tail| kept.len() > tail) {
                kept.pop_front();
            }
        }
    })?;
    for line in &kept {
        show(line, arguments.timestamps, ui)?;
    }
    if arguments.follow {
        follow(arguments, &container, &mut follower, ui)?;
    }
    // One that was removed with its end has nothing to tell.
    if let Ok(lost @ 1..) = container.lost_output() {
        ui.events().warn(format!("{lost} bytes of output could not be written to the log and are lost"));
    }
    Ok(Exit::Done)
}

/// Shows what comes, to the container's end.
fn follow(
    arguments: &LogsArgs,
    container: &Container,
    follower: &mut LogFollower,
    ui: &mut Ui,
) -> Result<(), CommandError> {
    let mut pause = SHORTEST;
    let mut is_warned = false;
    loop {
        ui.events().check()?;
        // Asked before the log is read, so that nothing is missed that was written before its end.
        let state = container.state("follow");
        let mut lines = Vec::new();
        follower.read(&mut |line| lines.push(line))?;
        for line in lines.iter().filter(|line| arguments.is_wanted(line)) {
            show(line, arguments.timestamps, ui)?;
        }
        if follower.has_missed() && !is_warned {
            ui.events().warn(MISSED);
            is_warned = true;
        }
        match state {
            Ok(state) if matches!(state.status, Status::Running | Status::Restarting) => {}
            // Ended, or removed with its end.
            _ => return Ok(()),
        }
        // Whatever comes now is too late.
        if arguments.until.is_some_and(|until| SystemTime::now() > until) {
            return Ok(());
        }
        if lines.is_empty() {
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST);
        } else {
            pause = SHORTEST;
        }
    }
}

fn show(line: &LogLine, with_time: bool, ui: &mut Ui) -> Result<(), CommandError> {
    let mut bytes = Vec::new();
    if with_time {
        bytes.extend_from_slice(longshore_container::timestamp(line.time).as_bytes());
        bytes.push(b' ');
    }
    bytes.extend_from_slice(&line.text);
    match line.stream {
        LogStream::Stdout => ui.write(&bytes)?,
        LogStream::Stderr => ui.write_errors(&bytes),
    }
    Ok(())
}
