//! One step: answered from what is known, or done under a lock of its own.

use longshore_dockerfile::InstructionKind;
use longshore_events::{Task, TaskKind};
use longshore_snapshot::Snapshot;

use crate::key::{Key, KeyWriter};
use crate::solve::{At, Mode, Solve, Stop, held};
use crate::state::StageState;

/// A step that is being done.
pub(crate) struct Doing<'d> {
    pub(crate) task: &'d Task,
    /// Where the result goes.
    pub(crate) key: Key,
    pub(crate) state: &'d StageState,
}

fn generation_key(key: &Key) -> Key {
    KeyWriter::new("generation").key(key).finish()
}

impl<'a> Solve<'a> {
    /// Label of a step's task: `[builder 3/6] RUN go build`.
    pub(crate) fn label(&self, at: &At<'_>) -> String {
        let stage = if self.graph.stages.len() > 1 {
            format!("{} ", self.graph.stages[at.stage].label())
        } else {
            String::new()
        };
        let trigger = if at.is_trigger { "ONBUILD " } else { "" };
        let text = crate::remote::without_credentials(&at.instruction.text).replace('\n', " ");
        format!("[{}{stage}{}/{}] {trigger}{text}", self.prefix, at.step, at.steps)
    }

    /// Does one step unless its result is known: `work` fills a draft on the state's files. Returns the key that it left its result under.
    pub(crate) fn step(
        &self,
        state: &StageState,
        at: &At<'_>,
        key: Key,
        mode: Mode,
        work: &mut dyn FnMut(&Doing<'_>) -> Result<Snapshot, Stop>,
    ) -> Result<Key, Stop> {
        let again = self.request.no_cache.applies_to(self.graph.stages[at.stage].name.as_deref());
        let plain = key;
        if mode == Mode::Probe {
            return if again { Err(Stop::Unknown) } else { Ok(self.generation(plain).unwrap_or(plain)) };
        }
        let label = self.label(at);
        let counted = |cached: bool| {
            let mut done = held(&self.done);
            done.steps += 1;
            done.cached += usize::from(cached);
        };
        let answer = || -> Result<Option<Key>, Stop> {
            let key = self.generation(plain).unwrap_or(plain);
            if again || self.snapshots().get(&key.snapshot())?.is_none() {
                return Ok(None);
            }
            self.events.task(TaskKind::Step, label.as_str()).cached("");
            counted(true);
            Ok(Some(key))
        };
        if let Some(key) = answer()? {
            return Ok(key);
        }
        // Whoever held the lock before may have done this very step.
        let lock = self.records().lock(&plain.hex(), &self.events)?;
        if let Some(key) = answer()? {
            return Ok(key);
        }
        let is_run = matches!(at.instruction.kind, InstructionKind::Run(_));
        let wanted = self.key_to_do(plain, again, is_run);
        let task = self.events.task(TaskKind::Step, label.as_str());
        work(&Doing { task: &task, key: wanted, state })?;
        if is_run || wanted != plain {
            self.records().put(&generation_key(&plain), &wanted)?;
        }
        task.done("");
        counted(false);
        drop(lock);
        Ok(wanted)
    }

    /// The key that a step's newest result has, where one was recorded: after builds that did it again it is not its own.
    fn generation(&self, key: Key) -> Option<Key> {
        self.records().get(&generation_key(&key))
    }

    /// The key that a step's result gets which has to be done. A program that is run once more, because what it left was pruned, need not
    /// leave the same, while what was recorded about its first result still stands: its results are told apart. What is copied
    /// is named by its content, and is the same whenever it is done.
    fn key_to_do(&self, plain: Key, again: bool, is_run: bool) -> Key {
        match self.generation(plain) {
            _ if again => self.next_generation(plain),
            Some(_) if is_run => self.next_generation(plain),
            known => known.unwrap_or(plain),
        }
    }

    fn next_generation(&self, key: Key) -> Key {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut next = KeyWriter::new("again");
        next.key(&key).text(&format!("{} {}", now.as_nanos(), std::process::id()));
        next.finish()
    }
}
