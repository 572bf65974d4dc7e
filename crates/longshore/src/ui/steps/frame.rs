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

#[cfg(test)]
mod tests {
    use super::*;

    struct Picture {
        begin: Instant,
        rows: Vec<Row>,
    }

    impl Picture {
        fn new() -> Self {
            Picture { begin: Instant::now(), rows: Vec::new() }
        }

        fn row(&mut self, kind: TaskKind, rank: usize, label: &str, started: u64) -> &mut Row {
            let started = self.begin + Duration::from_millis(started);
            let (label, output) = (label.to_owned(), VecDeque::new());
            self.rows.push(Row { kind, rank, label, started, end: None, progress: None, output });
            let last = self.rows.len() - 1;
            &mut self.rows[last]
        }

        fn ended(&mut self, (rank, label): (usize, &str), at: (u64, u64), outcome: Outcome, detail: &str) {
            let ended = self.begin + Duration::from_millis(at.1);
            self.row(TaskKind::Step, rank, label, at.0).end = Some((outcome, ended, detail.to_owned()));
        }

        fn drawn(&self, now: u64, columns: usize, rows: usize) -> Vec<String> {
            let now = self.begin + Duration::from_millis(now);
            let lines = frame(&self.rows, self.begin, now, Size { columns, rows }, true);
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
        }
    }

    fn typical() -> Picture {
        let mut picture = Picture::new();
        picture.row(TaskKind::Download, 0, "pull abc", 0).progress = Some((1_500_000, Some(3_000_000)));
        picture.row(TaskKind::Work, usize::MAX, "unpack abc", 0);
        picture.row(TaskKind::Work, usize::MAX, "short", 1_900);
        picture.ended((1, "[a 2/4] WORKDIR /src"), (100, 100), Outcome::Cached, "");
        picture.ended((2, "[b 2/2] RUN x"), (100, 1_350), Outcome::Failed, "");
        picture.ended((1, "[a 3/4] COPY . ."), (200, 300), Outcome::Done, "");
        let running = picture.row(TaskKind::Step, 1, "[a 4/4] RUN go build ./... && go vet ./...", 500);
        (1..=8).for_each(|number| running.take(format!("line {number}")));
        picture
    }

    #[test]
    fn steps_stand_by_stage_and_running_ones_show_their_last_lines() {
        let expected = [
            "[+] Building 2.0s (3 done, 1 of them cached, 3 running)",
            " => pull abc                                           1.5 MB of 3.0 MB  2.0s",
            " => CACHED [a 2/4] WORKDIR /src",
            " => [a 3/4] COPY . .                                                     0.1s",
            " => [a 4/4] RUN go build ./... && go vet ./...                           1.5s",
            " => => # line 3",
            " => => # line 4",
            " => => # line 5",
            " => => # line 6",
            " => => # line 7",
            " => => # line 8",
            " => ERROR [b 2/2] RUN x                                                  1.2s",
            " => unpack abc                                                           2.0s",
        ];
        // What has just begun and is no step is not drawn yet.
        assert_eq!(typical().drawn(2_000, 80 - 2, 24), expected);
    }

    #[test]
    fn where_room_is_short_what_runs_goes_first_and_the_rest_is_left_out() {
        let expected = [
            "[+] Building 2.0s (3 done, 1 o…",
            " => pull … 1.5 MB of 3.0 MB  2.0s",
            " => [a 4/4] RUN go build …   1.5s",
            " => => # line 7",
            " => => # line 8",
            " => unpack abc               2.0s",
        ];
        let drawn = typical().drawn(2_000, 34, 7);
        assert_eq!(drawn.len(), expected.len(), "{drawn:#?}");
        for rows in 0..30 {
            for columns in [0, 1, 10, 33, 80] {
                let lines = typical().drawn(2_000, columns, rows);
                assert!(lines.len() <= rows.saturating_sub(1).max(2), "{rows} rows: {lines:#?}");
                assert!(lines.iter().all(|line| line.width() < columns.max(30)), "{columns}: {lines:#?}");
            }
        }
    }

    #[test]
    fn more_steps_than_rows_are_counted() {
        let mut picture = Picture::new();
        (0..40).for_each(|number| {
            picture.row(TaskKind::Step, number, &format!("[s{number} 2/2] RUN x"), 0).take("text".into());
        });
        let lines = picture.drawn(1_000, 80, 24);
        assert_eq!(lines.len(), 23);
        assert_eq!(lines[1], format!(" => [s0 2/2] RUN x{}1.0s", " ".repeat(57)));
        assert_eq!(lines[22], " => and 19 more running");
    }

    #[test]
    fn what_ended_stays_and_quick_local_work_is_no_line() {
        let mut picture = typical();
        picture.ended((3, "[test]"), (2_000, 2_000), Outcome::Skipped, "not needed");
        for row in &mut picture.rows {
            if row.kind == TaskKind::Work {
                row.end = Some((Outcome::Done, row.started + Duration::from_millis(999), String::new()));
            }
        }
        let text = ended(&picture.rows, Size { columns: 40, rows: 3 }, true);
        let expected = "
 => CACHED [a 2/4] WORKDIR /src
 => [a 3/4] COPY . .               0.1s
 => ERROR [b 2/2] RUN x            1.2s
 => SKIPPED [test]: not needed
";
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected[1..]);
    }
}
