//! What stands on the terminal at one moment: as many lines as there is room for, the most telling ones.
//!
//! Running steps come first, then the last lines of their output, then what is done already, the latest of it. What is left out is counted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use longshore_events::{Outcome, TaskKind};
use unicode_width::UnicodeWidthStr;

use super::super::lines::{BAD, DIM, amount};
use super::super::text::visible;
use super::terminal::{Size, fit};
use super::{QUIET, seconds};

const HEADING: Style = Style::new().bold();
const CACHED: Style = AnsiColor::Cyan.on_default();
const CANCELED: Style = AnsiColor::Yellow.on_default();
const RUNNING: Style = Style::new().bold();
const DONE: Style = Style::new();

/// Lines of output that a running step shows at most, as with BuildKit.
const MAX_OUTPUT: usize = 6;
/// What ends sooner is not drawn as running, unless it is a step.
const MOMENT: Duration = Duration::from_millis(150);

/// One task.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: TaskKind,
    /// Where it stands: transfers first, then stages in the order in which they appeared, then local work.
    pub(super) rank: usize,
    pub(super) label: String,
    pub(super) started: Instant,
    /// How it ended, when, and with which detail.
    pub(super) end: Option<(Outcome, Instant, String)>,
    /// How much is done, of how much.
    pub(super) progress: Option<(u64, Option<u64>)>,
    pub(super) output: VecDeque<String>,
}

impl Row {
    /// Keeps a line of output.
    pub(super) fn take(&mut self, line: String) {
        if self.output.len() == MAX_OUTPUT {
            self.output.pop_front();
        }
        self.output.push_back(line);
    }

    fn is_drawn(&self, now: Instant) -> bool {
        let elapsed = match &self.end {
            Some((_, ended, _)) => ended.duration_since(self.started),
            None => now.duration_since(self.started),
        };
        match (self.kind, &self.end) {
            (TaskKind::Step, _) => true,
            (TaskKind::Work, Some(_)) => elapsed >= QUIET,
            (_, Some(_)) => true,
            (_, None) => elapsed >= MOMENT,
        }
    }

    fn line(&self, now: Instant, columns: usize, unicode: bool) -> String {
        let until = self.end.as_ref().map_or(now, |(_, ended, _)| *ended);
        let time = seconds(until.duration_since(self.started));
        let (style, word, right) = match &self.end {
            None => (
                RUNNING,
                "",
                self.progress
                    .map_or(time.clone(), |(done, total)| format!("{}  {time}", amount(done, total))),
            ),
            Some((Outcome::Done, ..)) => (DONE, "", time),
            Some((Outcome::Cached, ..)) => (CACHED, "CACHED ", String::new()),
            Some((Outcome::Skipped, ..)) => (DIM, "SKIPPED ", String::new()),
            Some((Outcome::Failed, ..)) => (BAD, "ERROR ", time),
            Some((Outcome::Cancelled, ..)) => (CANCELED, "CANCELED ", time),
        };
        let detail = match &self.end {
            Some((Outcome::Skipped, _, detail)) if !detail.is_empty() => format!(": {}", visible(detail)),
            _ => String::new(),
        };
        let room = columns.saturating_sub(right.width() + usize::from(!right.is_empty()));
        let left = fit(&format!(" => {word}{}{detail}", self.label), room, unicode);
        if right.is_empty() {
            return format!("{style}{left}{style:#}");
        }
        let gap = " ".repeat(columns.saturating_sub(left.width() + right.width()));
        format!("{style}{left}{gap}{right}{style:#}")
    }
}

/// What is drawn `now`, from the top: no more lines than there are rows, the last of which stays free for the cursor.
pub(super) fn frame(rows: &[Row], started: Instant, now: Instant, size: Size, unicode: bool) -> Vec<String> {
    let columns = size.columns.saturating_sub(1);
    let mut order: Vec<usize> = (0..rows.len()).filter(|index| rows[*index].is_drawn(now)).collect();
    order.sort_by_key(|index| rows[*index].rank);
    let (done, running): (Vec<_>, Vec<_>) =
        order.iter().copied().partition(|index| rows[*index].end.is_some());
    // The heading and the cursor have a line each.
    let mut room = size.rows.saturating_sub(2);
    let shown_running = if running.len() > room { room.saturating_sub(1) } else { running.len() };
    room -= room.min(if running.len() > shown_running { shown_running + 1 } else { shown_running });
    let running_shown = &running[..shown_running];
    let output = output_lines(rows, running_shown, room);
    room -= output.iter().sum::<usize>();
    let shown_done = latest(rows, &done, room);
    let heading = heading(rows, done.len(), running.len(), &seconds(now.duration_since(started)));
    let mut lines = vec![format!("{HEADING}{}{HEADING:#}", fit(&heading, columns, unicode))];
    for index in order {
        let row = &rows[index];
        if let Some(at) = running_shown.iter().position(|shown| *shown == index) {
            lines.push(row.line(now, columns, unicode));
            let hidden = row.output.len() - output[at].min(row.output.len());
            let output = row.output.iter().skip(hidden);
            lines.extend(
                output.map(|line| {
                    format!("{DIM}{}{DIM:#}", fit(&format!(" => => # {line}"), columns, unicode))
                }),
            );
        } else if shown_done.contains(&index) {
            lines.push(row.line(now, columns, unicode));
        }
    }
    if running.len() > shown_running {
        let more = format!(" => and {} more running", running.len() - shown_running);
        lines.push(fit(&more, columns, unicode));
    }
    lines
}

fn heading(rows: &[Row], done: usize, running: usize, time: &str) -> String {
    let cached = rows.iter().filter(|row| matches!(row.end, Some((Outcome::Cached, ..)))).count();
    let mut text = format!("[+] Building {time} ({done} done");
    if cached > 0 {
        text.push_str(&format!(", {cached} of them cached"));
    }
    format!("{text}, {running} running)")
}

/// How many lines of output each running row shows: the room is shared evenly.
fn output_lines(rows: &[Row], running: &[usize], room: usize) -> Vec<usize> {
    let speaking = running.iter().filter(|index| !rows[**index].output.is_empty()).count();
    let each = room.checked_div(speaking).unwrap_or(0).min(MAX_OUTPUT);
    running.iter().map(|index| rows[*index].output.len().min(each)).collect()
}

/// Those that ended last.
fn latest(rows: &[Row], done: &[usize], room: usize) -> Vec<usize> {
    let mut latest = done.to_vec();
    latest.sort_by_key(|index| std::cmp::Reverse(rows[*index].end.as_ref().map(|(_, ended, _)| *ended)));
    latest.truncate(room);
    latest
}

/// All that ended, as lines that stay.
pub(super) fn ended(rows: &[Row], size: Size, unicode: bool) -> String {
    let now = Instant::now();
    let mut ended: Vec<&Row> = rows.iter().filter(|row| row.end.is_some() && row.is_drawn(now)).collect();
    ended.sort_by_key(|row| row.rank);
    ended.into_iter().map(|row| row.line(now, size.columns.saturating_sub(1), unicode) + "\n").collect()
}
