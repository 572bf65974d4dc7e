//! Progress and cancellation: what long work tells whoever watches.
//!
//! A library never prints. It is handed an [`Events`], opens a [`Task`] for each piece of work that a person would want to see,
//! and reports bytes, lines and an outcome. Who listens decides what is shown: bars on a terminal, one plain line per
//! event in a log, JSON, or nothing. The same handle carries the wish to stop, so that long loops ask
//! [`Events::check`] between steps and leave nothing half-written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;

/// Causes of an error that a warning names.
const MOST_CAUSES: usize = 8;

/// Identifies one task among those of a process.
pub type TaskId = u64;

/// What a task moves or does, which decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TaskKind {
    /// A compiler or another child process runs; only elapsed time is known.
    Compile,
    /// Bytes come from the network.
    Download,
    /// Bytes go to the network.
    Upload,
    /// Local work: hashing, compressing, unpacking.
    Work,
    /// A step of a Dockerfile. Its label is `[STAGE NUMBER/COUNT] INSTRUCTION`, and what its process writes is shown at once.
    Step,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The work was done.
    Done,
    /// The work was not needed: its result was there already.
    Cached,
    /// Nobody needed the work, and that is worth saying.
    Skipped,
    /// The work failed; the error itself travels by `Result`.
    Failed,
    /// The work was asked to stop before it was done.
    Cancelled,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Said in passing.
    Info,
    /// Something a person should look at; the work goes on.
    Warning,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// Work began.
    Started {
        /// The task that began.
        task: TaskId,
        /// What kind of work it is.
        kind: TaskKind,
        /// What is being worked on, for a person: "compile ./cmd/api for linux/amd64".
        label: String,
    },
    /// Work moved on. Sent often: a listener throttles what it draws.
    Progress {
        /// The task that moved.
        task: TaskId,
        /// Units done so far; bytes for downloads and uploads.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
    },
    /// A line that a child process wrote.
    Output {
        /// The task whose process wrote it.
        task: TaskId,
        /// The line, without its end.
        line: String,
    },
    /// Work ended.
    Finished {
        /// The task that ended.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
        /// What came out, for a person: a digest, a size, a reason. May be empty.
        detail: String,
    },
    /// Something worth saying that belongs to no task.
    Note {
        /// How much it matters.
        level: Level,
        /// The sentence.
        message: String,
    },
}

/// Whoever watches. Called from any thread; must return quickly.
pub trait Listener: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

struct Silent;

impl Listener for Silent {
    fn event(&self, _: Event) {}
}

/// The work was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Cancelled {}

/// The wish to stop, of a piece of work or of what it is part of.
#[derive(Default)]
struct Stop {
    own: AtomicBool,
    above: Option<Arc<Stop>>,
}

impl Stop {
    fn is_set(&self) -> bool {
        self.own.load(Ordering::SeqCst) || self.above.as_ref().is_some_and(|above| above.is_set())
    }
}

/// The handle that libraries report to. Cheap to clone; clones share listener and cancellation.
#[derive(Clone)]
pub struct Events {
    listener: Arc<dyn Listener>,
    stop: Arc<Stop>,
    next: Arc<AtomicU64>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Events").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Events {
    /// Events that go to `listener`.
    pub fn new(listener: Arc<dyn Listener>) -> Self {
        Events { listener, stop: Arc::default(), next: Arc::new(AtomicU64::new(1)) }
    }

    /// Events that nobody hears.
    pub fn silent() -> Self {
        Events::new(Arc::new(Silent))
    }

    /// A handle for a part of the work, which can be asked to stop by itself; it stops with the whole too.
    pub fn part(&self) -> Events {
        let stop = Stop { own: AtomicBool::new(false), above: Some(Arc::clone(&self.stop)) };
        Events { stop: Arc::new(stop), ..self.clone() }
    }

    /// Opens a task. If it is dropped before [`Task::done`] or one of its sisters, it ends as failed, or as cancelled where the work was
    /// asked to stop.
    pub fn task(&self, kind: TaskKind, label: impl Into<String>) -> Task {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.listener.event(Event::Started { task: id, kind, label: label.into() });
        Task { id, events: self.clone(), open: true }
    }

    /// Says something that belongs to no task.
    pub fn note(&self, message: impl Into<String>) {
        self.listener.event(Event::Note { level: Level::Info, message: message.into() });
    }

    /// Says something that a person should look at.
    pub fn warn(&self, message: impl Into<String>) {
        self.listener.event(Event::Note { level: Level::Warning, message: message.into() });
    }

    /// Warns of what the work goes on without, and says why, with all causes in one line.
    pub fn warn_because(&self, what: impl std::fmt::Display, why: &(dyn std::error::Error + 'static)) {
        let mut said: Vec<String> = Vec::new();
        for cause in std::iter::successors(Some(why), |error| error.source()).take(MOST_CAUSES) {
            let message = cause.to_string();
            // A transparent error says what its cause says.
            if said.last() != Some(&message) {
                said.push(message);
            }
        }
        self.warn(format!("{what}: {}", said.join(": ")));
    }

    /// Asks all work that holds this handle to stop.
    pub fn cancel(&self) {
        self.stop.own.store(true, Ordering::SeqCst);
    }

    /// Whether the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.stop.is_set()
    }

    /// Fails with [`Cancelled`] once the work was asked to stop: for the `?` of long loops.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

/// A piece of work that is under way.
#[derive(Debug)]
pub struct Task {
    id: TaskId,
    events: Events,
    open: bool,
}

impl Task {
    /// Reports units done so far, out of `total` where known.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.events.listener.event(Event::Progress { task: self.id, done, total });
    }

    /// Passes on a line that the work's child process wrote.
    pub fn output(&self, line: impl Into<String>) {
        self.events.listener.event(Event::Output { task: self.id, line: line.into() });
    }

    /// The handle this task reports to.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Ends the task: the work was done.
    pub fn done(self, detail: impl Into<String>) {
        self.finish(Outcome::Done, detail.into());
    }

    /// Ends the task: its result was there already.
    pub fn cached(self, detail: impl Into<String>) {
        self.finish(Outcome::Cached, detail.into());
    }

    /// Ends the task: nobody needed it.
    pub fn skipped(self, reason: impl Into<String>) {
        self.finish(Outcome::Skipped, reason.into());
    }

    fn finish(mut self, outcome: Outcome, detail: String) {
        self.open = false;
        self.events.listener.event(Event::Finished { task: self.id, outcome, detail });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.open {
            let outcome = if self.events.is_cancelled() { Outcome::Cancelled } else { Outcome::Failed };
            let event = Event::Finished { task: self.id, outcome, detail: String::new() };
            self.events.listener.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<Event>>);

    impl Listener for Recorder {
        fn event(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn a_dropped_task_ends_as_failed_or_cancelled_and_a_finished_one_ends_once() {
        let recorder = Arc::new(Recorder::default());
        let events = Events::new(recorder.clone());
        drop(events.task(TaskKind::Work, "a"));
        events.task(TaskKind::Work, "b").cached("there");
        let stopped = events.task(TaskKind::Work, "c");
        let other = events.part();
        other.cancel();
        drop(other.task(TaskKind::Step, "d"));
        events.cancel();
        drop(stopped);
        let ends: Vec<_> = recorder
            .0
            .lock()
            .unwrap()
            .iter()
            .filter_map(|event| match event {
                Event::Finished { task, outcome, .. } => Some((*task, *outcome)),
                _ => None,
            })
            .collect();
        let expected =
            [(1, Outcome::Failed), (2, Outcome::Cached), (4, Outcome::Cancelled), (3, Outcome::Cancelled)];
        assert_eq!(ends, expected);
    }

    #[test]
    fn a_part_stops_alone_and_with_the_whole() {
        let whole = Events::silent();
        let (one, two) = (whole.part(), whole.part());
        one.cancel();
        assert_eq!((one.is_cancelled(), two.is_cancelled(), whole.is_cancelled()), (true, false, false));
        whole.cancel();
        assert!(two.part().is_cancelled());
    }

    #[test]
    fn clones_share_cancellation() {
        let events = Events::silent();
        let clone = events.clone();
        assert_eq!(clone.check(), Ok(()));
        events.cancel();
        assert_eq!(clone.check(), Err(Cancelled));
    }
}
