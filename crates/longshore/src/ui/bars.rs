//! Progress on a terminal: a bar with rate and remaining time for what is transferred, a spinner with elapsed time for what is
//! compiled; what happened scrolls above them.
//!
//! A task gets its bar only after a moment, so that a build with nothing to do does not flicker and starts no thread that matters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use anstream::ColorChoice;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use longshore_events::{Event, Listener, TaskId, TaskKind};

use super::Screen;
use super::lines;
use super::steps::Board;

/// What ends sooner is not worth a bar.
const MOMENT: Duration = Duration::from_millis(150);
const TICK: Duration = Duration::from_millis(100);

/// Bars on standard error.
pub(super) struct Bars {
    multi: MultiProgress,
    color: ColorChoice,
    unicode: bool,
    this: Weak<Bars>,
    state: Mutex<State>,
    /// What is shown of a Dockerfile's build, once one began.
    steps: OnceLock<Arc<Board>>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<TaskId, BarTask>,
    ticks: bool,
    closed: bool,
}

struct BarTask {
    kind: TaskKind,
    label: String,
    started: Instant,
    done: u64,
    total: Option<u64>,
    bar: Option<ProgressBar>,
    held: lines::Held,
}

impl Bars {
    pub(super) fn new(unicode: bool, color: ColorChoice) -> Arc<Self> {
        Arc::new_cyclic(|this| Bars {
            multi: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            color,
            unicode,
            this: this.clone(),
            state: Mutex::default(),
            steps: OnceLock::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line above the bars.
    fn above(&self, line: &str) {
        let line = match self.color {
            ColorChoice::Never => anstream::adapter::strip_str(line).to_string(),
            _ => line.to_owned(),
        };
        self.multi.suspend(|| super::say(ColorChoice::AlwaysAnsi, &(line + "\n")));
    }

    fn start(&self, task: TaskId, kind: TaskKind, label: String) {
        let started = Instant::now();
        let mut state = self.state();
        state.tasks.insert(
            task,
            BarTask { kind, label, started, done: 0, total: None, bar: None, held: lines::Held::default() },
        );
        if !state.ticks {
            let this = self.this.clone();
            let thread = std::thread::Builder::new().name("progress".to_owned());
            // Without the thread, bars do not move, and the lines above them still tell what happens.
            state.ticks = thread.spawn(move || tick(&this)).is_ok();
        }
    }

    fn tick(&self) -> bool {
        let mut state = self.state();
        if state.tasks.is_empty() || state.closed {
            state.ticks = false;
            return false;
        }
        for task in state.tasks.values_mut() {
            if task.bar.is_none() && task.started.elapsed() >= MOMENT {
                let bar = ProgressBar::no_length().with_elapsed(task.started.elapsed());
                let bar = self.multi.add(bar.with_style(self.style(task)));
                bar.set_message(super::visible(&task.label).into_owned());
                task.show(&bar);
                task.bar = Some(bar);
            }
            if let Some(bar) = &task.bar {
                bar.tick();
            }
        }
        true
    }

    fn progress(&self, id: TaskId, done: u64, total: Option<u64>) {
        let mut state = self.state();
        let Some(task) = state.tasks.get_mut(&id) else { return };
        let changes_form = (task.done == 0) != (done == 0) || task.total.is_none() != total.is_none();
        (task.done, task.total) = (done, total);
        if let Some(bar) = &task.bar {
            if changes_form {
                bar.set_style(self.style(task));
            }
            task.show(bar);
        }
    }

    fn style(&self, task: &BarTask) -> ProgressStyle {
        let template = template(task.kind, task.done > 0, task.total.is_some());
        let (spinner, bar) =
            if self.unicode { ("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ", "━╸ ") } else { ("|/-\\ ", "#> ") };
        let style = ProgressStyle::with_template(template);
        style.unwrap_or_else(|_| ProgressStyle::default_spinner()).tick_chars(spinner).progress_chars(bar)
    }
}

impl BarTask {
    fn show(&self, bar: &ProgressBar) {
        if let Some(total) = self.total {
            bar.set_length(total);
        }
        bar.set_position(self.done);
    }
}

/// What is drawn of a task. Whatever counts, counts bytes: copies and archives as well as transfers.
fn template(kind: TaskKind, moves: bool, has_total: bool) -> &'static str {
    match (kind, moves, has_total) {
        (_, false, _) => "{spinner} {wide_msg} {elapsed}",
        (TaskKind::Download | TaskKind::Upload, true, true) => {
            "{spinner} {wide_msg} {bar:20} {decimal_bytes:>9} of {decimal_total_bytes:9} {decimal_bytes_per_sec:>12} {eta:>4} left"
        }
        (_, true, true) => {
            "{spinner} {wide_msg} {bar:20} {decimal_bytes:>9} of {decimal_total_bytes:9} {elapsed:>4}"
        }
        (_, true, false) => "{spinner} {wide_msg} {decimal_bytes:>9} {decimal_bytes_per_sec:>12} {elapsed}",
    }
}

fn tick(bars: &Weak<Bars>) {
    loop {
        std::thread::sleep(TICK);
        match bars.upgrade() {
            Some(bars) if bars.tick() => {}
            _ => return,
        }
    }
}

impl Listener for Bars {
    fn event(&self, event: Event) {
        if let Some(steps) = self.steps.get() {
            return steps.event(event);
        }
        match event {
            Event::Started { task, kind, label } => self.start(task, kind, label),
            Event::Progress { task, done, total } => self.progress(task, done, total),
            Event::Finished { task, outcome, detail } => {
                let Some(task) = self.state().tasks.remove(&task) else { return };
                if let Some(bar) = &task.bar {
                    bar.finish_and_clear();
                    self.multi.remove(bar);
                }
                let end = lines::end(&task.label, outcome, task.started.elapsed(), &detail);
                self.above(&(task.held.release(outcome) + &end));
            }
            Event::Output { task, line } => {
                let shown = match self.state().tasks.get_mut(&task) {
                    Some(task) => task.held.take(&line),
                    None => Some(lines::output(&line)),
                };
                if let Some(shown) = shown {
                    self.above(&shown);
                }
            }
            Event::Note { level, message } => self.above(&lines::note(level, &message)),
            _ => {}
        }
    }
}

impl Screen for Bars {
    fn show_steps(&self) {
        self.steps.get_or_init(|| Board::new(self.unicode, self.color));
    }

    fn aside(&self, write: &mut dyn FnMut()) {
        match self.steps.get() {
            Some(steps) => steps.aside(write),
            None => self.multi.suspend(write),
        }
    }

    fn close(&self) {
        if let Some(steps) = self.steps.get() {
            steps.close();
        }
        let mut state = self.state();
        state.closed = true;
        for bar in state.tasks.values().filter_map(|task| task.bar.as_ref()) {
            bar.finish_and_clear();
        }
        state.tasks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for kind in [TaskKind::Compile, TaskKind::Download, TaskKind::Upload, TaskKind::Work, TaskKind::Step]
        {
            for (moves, has_total) in [(false, false), (false, true), (true, false), (true, true)] {
                assert!(ProgressStyle::with_template(template(kind, moves, has_total)).is_ok());
            }
        }
    }
}
