//! One step: answered from what is known, or done under a lock of its own.

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
        let key = self.generation(plain);
        if mode == Mode::Probe {
            return if again { Err(Stop::Unknown) } else { Ok(key) };
        }
        let label = self.label(at);
        let counted = |cached: bool| {
            let mut done = held(&self.done);
            done.steps += 1;
            done.cached += usize::from(cached);
        };
        let is_answered = || -> Result<bool, Stop> {
            if again || self.snapshots().get(&key.snapshot())?.is_none() {
                return Ok(false);
            }
            self.events.task(TaskKind::Step, label.as_str()).cached("");
            counted(true);
            Ok(true)
        };
        if is_answered()? {
            return Ok(key);
        }
        // Whoever held the lock before may have done this very step.
        let lock = self.records.lock(&key.hex(), &self.events)?;
        if is_answered()? {
            return Ok(key);
        }
        let wanted = if again { self.next_generation(plain) } else { key };
        let task = self.events.task(TaskKind::Step, label.as_str());
        work(&Doing { task: &task, key: wanted, state })?;
        if again {
            self.records.put(&generation_key(&plain), &wanted)?;
        }
        task.done("");
        counted(false);
        drop(lock);
        Ok(wanted)
    }

    /// The key that a step's newest result has, after builds that did known steps again.
    fn generation(&self, key: Key) -> Key {
        self.records.get(&generation_key(&key)).unwrap_or(key)
    }

    fn next_generation(&self, key: Key) -> Key {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut next = KeyWriter::new("again");
        next.key(&key).text(&format!("{} {}", now.as_nanos(), std::process::id()));
        next.finish()
    }
}
