//! One step: answered from what is known, or done under a lock of its own.

use std::collections::btree_map::Entry;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::Ordering;

use longshore_dockerfile::InstructionKind;
use longshore_events::{Task, TaskKind};
use longshore_snapshot::Snapshot;

use crate::cache::generation_key;
use crate::error::BuildError;
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
        let again = self.is_done_again(at);
        let plain = key;
        if mode == Mode::Probe {
            if again {
                return Err(Stop::Unknown);
            }
            let result = self.result_of(&plain)?;
            self.tell(at, plain, result);
            return Ok(result);
        }
        let label = self.label(at);
        let answer = || -> Result<Option<Key>, Stop> {
            let key =
                if again { held(self.redone).get(&plain).copied() } else { Some(self.result_of(&plain)?) };
            let Some(key) = key else { return Ok(None) };
            if self.known(&key)?.is_none() {
                return Ok(None);
            }
            self.show_cached((at.stage, at.position), &label);
            self.tell(at, plain, key);
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
        if wanted != plain {
            self.records().put(&generation_key(&plain), &wanted)?;
        }
        if again {
            held(self.redone).insert(plain, wanted);
        }
        task.done("");
        held(&self.done).insert((at.stage, at.position), false);
        self.tell(at, plain, wanted);
        drop(lock);
        Ok(wanted)
    }

    /// Whether a step is done again though its result is known.
    fn is_done_again(&self, at: &At<'_>) -> bool {
        self.request.no_cache.applies_to(self.graph.stages[at.stage].name.as_deref())
    }

    /// Says that a step is known, once however often it is asked about: unless it was done before this build began anew.
    fn show_cached(&self, place: (usize, usize), label: &str) {
        if let Entry::Vacant(place) = held(&self.done).entry(place) {
            self.events.task(TaskKind::Step, label).cached("");
            place.insert(true);
        }
    }

    /// Remembers what a step's result is, for the caches that this build leaves, and what it is called, for whoever watches.
    fn tell(&self, at: &At<'_>, step: Key, result: Key) {
        held(&self.told).results.insert(step, result);
        held(&self.labels).insert((at.stage, at.position), self.label(at));
    }

    /// Says that all steps of some stages are known of which nothing is needed but what is recorded about them.
    pub(crate) fn show_known(&self, stages: &[usize]) {
        let labels = held(&self.labels).clone();
        for (place, label) in labels.iter().filter(|((stage, _), _)| stages.contains(stage)) {
            self.show_cached(*place, label);
        }
    }

    /// A step's key, worked out by `work` from what is recorded about the stages that it takes from. Where that makes it no step that is
    /// known, those stages are built first.
    pub(crate) fn lazily<T>(
        &self,
        at: &At<'_>,
        mode: Mode,
        work: &dyn Fn(Mode) -> Result<(Key, T), Stop>,
    ) -> Result<(Key, T), Stop> {
        let stages = self.stages_of(at);
        if mode == Mode::Build && !stages.is_empty() && !self.is_done_again(at) {
            // What is built by now is what will be used of those.
            let unbuilt = self.unbuilt(stages);
            match work(Mode::Probe) {
                Ok((key, rest)) => {
                    if self.known(&self.result_of(&key)?)?.is_some() {
                        self.rely_on(&unbuilt)?;
                        return Ok((key, rest));
                    }
                }
                Err(Stop::Unknown) => {}
                Err(other) => return Err(other),
            }
        }
        work(mode)
    }

    /// What names a step's result: that of its newest doing here, else that of a cache, else the step's own key. Where the first is not to be
    /// had any more and another one is, that.
    pub(crate) fn result_of(&self, step: &Key) -> Result<Key, BuildError> {
        let own = self.records().get(&generation_key(step));
        if self.imports.is_empty() {
            return Ok(own.unwrap_or(*step));
        }
        let mut results: Vec<Key> = own.into_iter().chain(self.imports.results(step)).collect();
        if own.is_some() && self.imports_first.load(Ordering::Relaxed) {
            results.rotate_left(1);
        }
        results.push(*step);
        let mut chosen = None;
        for result in &results {
            if self.known(result)?.is_some() {
                chosen = Some(*result);
                break;
            }
        }
        let chosen = chosen.unwrap_or(results[0]);
        let is_new = match own {
            None => chosen != *step,
            Some(own) => chosen != own && self.known(&own)?.is_none(),
        };
        if is_new {
            // Later builds find it without the cache.
            self.records().put(&generation_key(step), &chosen)?;
        }
        Ok(chosen)
    }

    /// The key that a step's result gets which has to be done. A program that is run once more, here or on another machine, need not leave
    /// the same, while what was recorded about another result of it still stands: its results are told apart. What is copied is named by
    /// its content, and is the same whenever it is done.
    fn key_to_do(&self, plain: Key, again: bool, is_run: bool) -> Key {
        match self.records().get(&generation_key(&plain)) {
            _ if again || is_run => next_generation(plain),
            known => known.unwrap_or(plain),
        }
    }
}

/// A name that no other result has.
fn next_generation(key: Key) -> Key {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // Containers count their processes alike, and a clock may stand still: the hasher's seed is the system's randomness.
    let random = RandomState::new().build_hasher().finish();
    let mut next = KeyWriter::new("again");
    next.key(&key).text(&format!("{} {} {random}", now.as_nanos(), std::process::id()));
    next.finish()
}
