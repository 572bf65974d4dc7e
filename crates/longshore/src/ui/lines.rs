//! Progress as lines: for logs, for programs, and for nobody.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use longshore_events::{Event, Level, Listener, Outcome, TaskId};
use serde::Serialize;

use super::steps::Numbered;
use super::text::{duration, size, visible};
use super::{JSON_VERSION, Screen, say};

const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const DIM: Style = Style::new().dimmed();

/// A transfer that takes longer says how far it is, so that a log does not look as if it hung.
pub(super) const REMINDER: Duration = Duration::from_secs(10);

/// One plain line for each event.
pub(super) struct Plain {
    color: ColorChoice,
    tasks: Mutex<BTreeMap<TaskId, PlainTask>>,
    steps: OnceLock<Mutex<Numbered>>,
}

struct PlainTask {
    label: String,
    started: Instant,
    said: Instant,
    held: Held,
}

impl Plain {
    pub(super) fn new(color: ColorChoice) -> Self {
        Plain { color, tasks: Mutex::default(), steps: OnceLock::new() }
    }

    fn line(&self, event: Event) -> Option<String> {
        if let Some(steps) = self.steps.get() {
            return steps.lock().unwrap_or_else(PoisonError::into_inner).line(event, Instant::now());
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match event {
            Event::Started { task, label, .. } => {
                let line = visible(&label).into_owned();
                tasks.insert(task, PlainTask { label, started: now, said: now, held: Held::default() });
                Some(line)
            }
            Event::Progress { task, done, total } => {
                let task = tasks.get_mut(&task).filter(|task| now.duration_since(task.said) >= REMINDER)?;
                task.said = now;
                Some(format!("{}: {}", visible(&task.label), amount(done, total)))
            }
            Event::Finished { task, outcome, detail } => {
                let task = tasks.remove(&task)?;
                let mut text = task.held.release(outcome);
                text.push_str(&end(&task.label, outcome, now.duration_since(task.started), &detail));
                Some(text)
            }
            Event::Output { task, line } => match tasks.get_mut(&task) {
                Some(task) => task.held.take(&line),
                None => Some(output(&line)),
            },
            Event::Note { level, message } => Some(note(level, &message)),
            _ => None,
        }
    }
}

impl Listener for Plain {
    fn event(&self, event: Event) {
        if let Some(line) = self.line(event) {
            say(self.color, &(line + "\n"));
        }
    }
}

impl Screen for Plain {
    fn show_steps(&self) {
        self.steps.get_or_init(Mutex::default);
    }

    fn shows_output(&self) -> bool {
        self.steps.get().is_some()
    }
}

/// How far a task is. Whatever counts, counts bytes: copies and archives as well as transfers.
pub(super) fn amount(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", size(done), size(total)),
        None => size(done),
    }
}

/// How a task ended, as one line without its end.
pub(super) fn end(label: &str, outcome: Outcome, elapsed: Duration, detail: &str) -> String {
    let label = visible(label);
    let mut line = match outcome {
        Outcome::Done => format!("{label}: {GOOD}done{GOOD:#} in {}", duration(elapsed)),
        Outcome::Cached => format!("{label}: {GOOD}cached{GOOD:#}"),
        Outcome::Skipped => format!("{label}: {DIM}skipped{DIM:#}"),
        Outcome::Failed => format!("{label}: {BAD}failed{BAD:#} after {}", duration(elapsed)),
        Outcome::Cancelled => format!("{label}: {DIM}stopped{DIM:#} after {}", duration(elapsed)),
    };
    if !detail.is_empty() {
        line.push_str(&format!(" ({})", visible(detail)));
    }
    line
}

/// Lines of a child process that are shown when it ends well. When it fails, its error says the same again, and once is enough.
#[derive(Debug, Default)]
pub(super) struct Held {
    lines: Vec<String>,
}

impl Held {
    /// More are not kept.
    const MOST: usize = 1000;

    /// Keeps a line, or gives it back to be shown at once: what Go downloads is progress.
    pub(super) fn take(&mut self, line: &str) -> Option<String> {
        if line.starts_with("go: downloading ") {
            return Some(output(line));
        }
        if self.lines.len() < Self::MOST {
            self.lines.push(output(line));
        }
        None
    }

    /// The lines that are still to be shown, each with its end.
    pub(super) fn release(self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed | Outcome::Cancelled => String::new(),
            _ => self.lines.into_iter().map(|line| line + "\n").collect(),
        }
    }
}

/// A line of a child process. What it meant for a terminal is not for this one.
pub(super) fn output(line: &str) -> String {
    format!("  {}", bare(line))
}

/// A line of a child process without what it meant for a terminal.
pub(super) fn bare(line: &str) -> String {
    let stripped = anstream::adapter::strip_str(line).to_string();
    visible(stripped.trim_end()).into_owned()
}

/// A note, as one line without its end.
pub(super) fn note(level: Level, message: &str) -> String {
    match level {
        Level::Warning => format!("{WARNING}warning{WARNING:#}: {}", visible(message)),
        Level::Info => visible(message).into_owned(),
    }
}

/// One JSON object for each event.
pub(super) struct Json {
    started: Instant,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    version: u32,
    /// Seconds since the start.
    time: f64,
    #[serde(flatten)]
    event: &'a Event,
}

impl Json {
    pub(super) fn new() -> Self {
        Json { started: Instant::now() }
    }
}

impl Listener for Json {
    fn event(&self, event: Event) {
        let time = self.started.elapsed().as_secs_f64();
        let line = JsonLine { version: JSON_VERSION, time, event: &event };
        if let Ok(mut line) = serde_json::to_vec(&line) {
            line.push(b'\n');
            // Where nobody reads it, the work goes on.
            let _ = std::io::stderr().lock().write_all(&line);
        }
    }
}

impl Screen for Json {
    fn shows_output(&self) -> bool {
        true
    }
}

/// Warnings alone.
pub(super) struct Quiet {
    color: ColorChoice,
}

impl Quiet {
    pub(super) fn new(color: ColorChoice) -> Self {
        Quiet { color }
    }
}

impl Listener for Quiet {
    fn event(&self, event: Event) {
        if let Event::Note { level: Level::Warning, message } = event {
            say(self.color, &(note(Level::Warning, &message) + "\n"));
        }
    }
}

impl Screen for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_events::TaskKind;

    fn lines(events: Vec<Event>) -> Vec<String> {
        let plain = Plain::new(ColorChoice::Never);
        let strip = |line: String| anstream::adapter::strip_str(&line).to_string();
        events.into_iter().filter_map(|event| plain.line(event)).map(strip).collect()
    }

    #[test]
    fn a_task_is_named_when_it_starts_and_when_it_ends() {
        let label = || "pull \u{1b}alpine".to_owned();
        let said = lines(vec![
            Event::Started { task: 1, kind: TaskKind::Download, label: label() },
            Event::Progress { task: 1, done: 5, total: Some(10) },
            Event::Output { task: 1, line: "\u{1b}[31mred\u{1b}[0m\r".into() },
            Event::Output { task: 1, line: "go: downloading x v1".into() },
            Event::Finished { task: 1, outcome: Outcome::Cached, detail: "3 layers".into() },
            Event::Finished { task: 1, outcome: Outcome::Done, detail: String::new() },
            Event::Note { level: Level::Warning, message: "old Go".into() },
        ]);
        let expected = [
            "pull \\u{1b}alpine",
            "  go: downloading x v1",
            "  red\npull \\u{1b}alpine: cached (3 layers)",
            "warning: old Go",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn amounts_are_sizes() {
        assert_eq!(amount(1_500, Some(20_000)), "1.5 kB of 20.0 kB");
        assert_eq!(amount(3, None), "3 B");
    }
}
