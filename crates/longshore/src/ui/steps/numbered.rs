//! Steps as lines: `#5 [builder 3/6] RUN go build`, `#5 0.123 text`, `#5 DONE 1.2s`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use longshore_events::{Event, Outcome, TaskId, TaskKind};

use super::super::lines::{self, BAD, DIM, GOOD, REMINDER};
use super::super::text::visible;
use super::{QUIET, one_line, seconds};

const CACHED: Style = AnsiColor::Cyan.on_default();
const CANCELED: Style = AnsiColor::Yellow.on_default();

/// Numbers tasks in the order in which they are first spoken of.
#[derive(Debug, Default)]
pub(in super::super) struct Numbered {
    tasks: BTreeMap<TaskId, Task>,
    last: u64,
}

#[derive(Debug)]
struct Task {
    kind: TaskKind,
    label: String,
    number: Option<u64>,
    started: Instant,
    said: Instant,
}

impl Numbered {
    /// What is to be said of an event that happened `now`: lines, the last one without its end.
    pub(in super::super) fn line(&mut self, event: Event, now: Instant) -> Option<String> {
        match event {
            Event::Started { task, kind, label } => {
                let label = one_line(&label);
                self.tasks.insert(task, Task { kind, label, number: None, started: now, said: now });
                // Local work is spoken of when it turns out to take long.
                if kind == TaskKind::Work { None } else { Some(self.about(task).1) }
            }
            Event::Progress { task, done, total } => {
                let known = self.tasks.get_mut(&task)?;
                if now.duration_since(known.said) < REMINDER {
                    return None;
                }
                known.said = now;
                Some(self.timed(task, now, &lines::amount(done, total)))
            }
            Event::Output { task, line } if self.tasks.contains_key(&task) => {
                Some(self.timed(task, now, &lines::bare(&line)))
            }
            Event::Output { line, .. } => Some(lines::output(&line)),
            Event::Finished { task, outcome, detail } => self.end(task, outcome, &detail, now),
            Event::Note { level, message } => Some(lines::note(level, &message)),
            _ => None,
        }
    }

    /// A task's number, and the line that introduces it.
    fn about(&mut self, id: TaskId) -> (u64, String) {
        let Some(task) = self.tasks.get_mut(&id) else { return (self.last, String::new()) };
        match task.number {
            Some(number) => (number, String::new()),
            None => {
                self.last += 1;
                task.number = Some(self.last);
                (self.last, format!("#{} {}", self.last, task.label))
            }
        }
    }

    /// The same where more is said in the same breath.
    fn introduced(&mut self, id: TaskId) -> (u64, String) {
        let (number, line) = self.about(id);
        (number, if line.is_empty() { line } else { line + "\n" })
    }

    /// A line with the time since its task began.
    fn timed(&mut self, id: TaskId, now: Instant, text: &str) -> String {
        let started = self.tasks.get(&id).map_or(now, |task| task.started);
        let (number, introduction) = self.introduced(id);
        let time = now.duration_since(started).as_secs_f64();
        format!("{introduction}#{number} {time:.3} {text}").trim_end().to_owned()
    }

    fn end(&mut self, id: TaskId, outcome: Outcome, detail: &str, now: Instant) -> Option<String> {
        let task = self.tasks.get(&id)?;
        let elapsed: Duration = now.duration_since(task.started);
        let is_step = task.kind == TaskKind::Step;
        if task.kind == TaskKind::Work && task.number.is_none() && elapsed < QUIET {
            self.tasks.remove(&id);
            return None;
        }
        let (number, introduction) = self.introduced(id);
        self.tasks.remove(&id);
        let time = seconds(elapsed);
        let mut line = match outcome {
            Outcome::Done => format!("{GOOD}DONE{GOOD:#} {time}"),
            Outcome::Cached => format!("{CACHED}CACHED{CACHED:#}"),
            Outcome::Skipped => format!("{DIM}SKIPPED{DIM:#}"),
            Outcome::Failed => format!("{BAD}ERROR{BAD:#} after {time}"),
            Outcome::Cancelled => format!("{CANCELED}CANCELED{CANCELED:#}"),
        };
        if is_step && !detail.is_empty() {
            line.push_str(&format!(": {}", visible(detail)));
        }
        Some(format!("{introduction}#{number} {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_events::Level;

    fn said(events: Vec<(u64, Event)>) -> Vec<String> {
        let begin = Instant::now();
        let mut numbered = Numbered::default();
        let mut line = |(at, event)| numbered.line(event, begin + Duration::from_millis(at));
        let lines = events.into_iter().filter_map(&mut line);
        lines.map(|line| anstream::adapter::strip_str(&line).to_string()).collect()
    }

    fn start(task: TaskId, kind: TaskKind, label: &str) -> Event {
        Event::Started { task, kind, label: label.to_owned() }
    }

    fn end(task: TaskId, outcome: Outcome, detail: &str) -> Event {
        Event::Finished { task, outcome, detail: detail.to_owned() }
    }

    #[test]
    fn each_task_has_a_number_and_each_line_a_time() {
        let lines = said(vec![
            (0, start(3, TaskKind::Work, "unpack abc")),
            (10, start(7, TaskKind::Step, "[builder 2/3] RUN  a \u{1b}\n b")),
            (133, Event::Output { task: 7, line: "\u{1b}[31mred\u{1b}[0m\ttext\r".into() }),
            (200, end(3, Outcome::Done, "")),
            (210, Event::Output { task: 7, line: String::new() }),
            (300, start(8, TaskKind::Step, "[3/3] COPY a b")),
            (300, end(8, Outcome::Cached, "")),
            (1_210, end(7, Outcome::Failed, "")),
            (1_300, start(9, TaskKind::Step, "[test]")),
            (1_300, end(9, Outcome::Skipped, "not needed")),
            (1_400, start(10, TaskKind::Step, "[x 2/2] RUN c")),
            (1_500, end(10, Outcome::Cancelled, "")),
            (1_500, Event::Note { level: Level::Warning, message: "D:1: odd".into() }),
            (1_600, end(10, Outcome::Done, "")),
        ]);
        let expected = [
            "#1 [builder 2/3] RUN a \\u{1b} b",
            "#1 0.123 red\ttext",
            "#1 0.200",
            "#2 [3/3] COPY a b",
            "#2 CACHED",
            "#1 ERROR after 1.2s",
            "#3 [test]",
            "#3 SKIPPED: not needed",
            "#4 [x 2/2] RUN c",
            "#4 CANCELED",
            "warning: D:1: odd",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn local_work_is_told_of_when_it_takes_long() {
        let lines = said(vec![
            (0, start(1, TaskKind::Work, "write the layers")),
            (0, start(2, TaskKind::Work, "unpack abc")),
            (0, start(4, TaskKind::Download, "pull abc")),
            (0, start(5, TaskKind::Work, "short")),
            (999, end(5, Outcome::Done, "")),
            (1_000, end(1, Outcome::Done, "12 MB")),
            (9_000, Event::Progress { task: 2, done: 1, total: None }),
            (10_500, Event::Progress { task: 2, done: 2_000, total: Some(3_000) }),
            (10_600, end(2, Outcome::Done, "")),
            (10_600, end(4, Outcome::Done, "abc")),
        ]);
        let expected = [
            "#1 pull abc",
            "#2 write the layers\n#2 DONE 1.0s",
            "#3 unpack abc\n#3 10.500 2.0 kB of 3.0 kB",
            "#3 DONE 10.6s",
            "#1 DONE 10.6s",
        ];
        assert_eq!(lines, expected);
    }
}
