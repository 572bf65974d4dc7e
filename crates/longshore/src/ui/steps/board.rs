//! Steps on a terminal: those of a stage stand together, running ones show the last lines of their output.
//!
//! The picture is drawn a few times a second and stays below all else that is printed. When nothing runs any more, or something is to be said
//! that ends the build, what was done is written once more, without limits of room, and left standing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anstream::ColorChoice;
use longshore_events::{Event, TaskId, TaskKind};

use super::super::{lines, say};
use super::frame::{Row, ended, frame};
use super::terminal::{Drawn, Size};
use super::{one_line, stage};

/// Time between two pictures.
const TICK: Duration = Duration::from_millis(100);
/// A build that ends sooner is not drawn while it runs.
const MOMENT: Duration = Duration::from_millis(150);

/// The picture of a build under way.
#[derive(Debug)]
pub(in super::super) struct Board {
    color: ColorChoice,
    unicode: bool,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<Row>,
    /// Places of running tasks among the rows.
    running: BTreeMap<TaskId, usize>,
    stages: Vec<String>,
    drawn: Drawn,
    closed: bool,
}

impl Board {
    /// An empty board, drawn by a thread of its own.
    pub(in super::super) fn new(unicode: bool, color: ColorChoice) -> Arc<Self> {
        let board = Arc::new(Board { color, unicode, started: Instant::now(), state: Mutex::default() });
        let this = Arc::downgrade(&board);
        let thread = std::thread::Builder::new().name("progress".to_owned());
        // Without the thread nothing moves, and what was done is still told at the end.
        drop(thread.spawn(move || tick(&this)));
        board
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one event.
    pub(in super::super) fn event(&self, event: Event) {
        let mut state = self.state();
        match event {
            Event::Started { task, kind, label } => state.start(task, kind, &label),
            Event::Progress { task, done, total } => {
                if let Some(row) = state.row(task) {
                    row.progress = Some((done, total));
                }
            }
            Event::Output { task, line } => {
                if let Some(row) = state.row(task) {
                    row.take(lines::bare(&line));
                }
            }
            Event::Finished { task, outcome, detail } => {
                if let Some(row) = state.row(task) {
                    row.end = Some((outcome, Instant::now(), detail));
                }
                state.running.remove(&task);
            }
            Event::Note { level, message } => self.above(&mut state, &lines::note(level, &message)),
            _ => {}
        }
    }

    /// Runs `write` while nothing is drawn.
    pub(in super::super) fn aside(&self, write: &mut dyn FnMut()) {
        let mut state = self.state();
        let above = self.settled(&mut state);
        self.draw(&mut state, &above, false);
        write();
    }

    /// Leaves what was done standing, and draws no more.
    pub(in super::super) fn close(&self) {
        let mut state = self.state();
        state.running.clear();
        let above = self.settled(&mut state);
        self.draw(&mut state, &above, false);
        state.closed = true;
    }

    fn above(&self, state: &mut State, line: &str) {
        let above = self.settled(state) + line + "\n";
        let draws = !state.drawn.is_empty() && !state.running.is_empty();
        self.draw(state, &above, draws);
    }

    /// What was done, if nothing runs any more: it leaves the picture.
    fn settled(&self, state: &mut State) -> String {
        if !state.running.is_empty() {
            return String::new();
        }
        let text = ended(&state.rows, Size::of_stderr(), self.unicode);
        state.rows.clear();
        text
    }

    fn draw(&self, state: &mut State, above: &str, with_picture: bool) {
        let size = Size::of_stderr();
        let lines = match with_picture {
            true => frame(&state.rows, self.started, Instant::now(), size, self.unicode),
            false => Vec::new(),
        };
        if above.is_empty() && lines.is_empty() && state.drawn.is_empty() {
            return;
        }
        let plain = |text: &str| match self.color {
            ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
            _ => text.to_owned(),
        };
        let lines: Vec<String> = lines.iter().map(|line| plain(line)).collect();
        let text = state.drawn.replace(&plain(above), &lines, size.columns);
        say(ColorChoice::AlwaysAnsi, &text);
    }

    /// Draws the picture. Whether there will be another one.
    fn tick(&self) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        if self.started.elapsed() >= MOMENT && !state.running.is_empty() {
            self.draw(&mut state, "", true);
        }
        true
    }
}

impl State {
    fn start(&mut self, task: TaskId, kind: TaskKind, label: &str) {
        let label = one_line(label);
        let rank = match kind {
            TaskKind::Step => 1 + self.rank_of(stage(&label)),
            TaskKind::Work => usize::MAX,
            _ => 0,
        };
        self.running.insert(task, self.rows.len());
        let output = std::collections::VecDeque::new();
        let started = Instant::now();
        self.rows.push(Row { kind, rank, label, started, end: None, progress: None, output });
    }

    fn rank_of(&mut self, stage: &str) -> usize {
        let known = self.stages.iter().position(|known| known == stage);
        known.unwrap_or_else(|| {
            self.stages.push(stage.to_owned());
            self.stages.len() - 1
        })
    }

    fn row(&mut self, task: TaskId) -> Option<&mut Row> {
        let index = *self.running.get(&task)?;
        self.rows.get_mut(index)
    }
}

fn tick(board: &Weak<Board>) {
    loop {
        std::thread::sleep(TICK);
        match board.upgrade() {
            Some(board) if board.tick() => {}
            _ => return,
        }
    }
}
