//! From a stage graph to the state of its target.
//!
//! First the keys of all steps are worked out without doing any ([`Mode::Probe`]): if every layer of the target is known, that is the
//! build. Otherwise each stage that the target needs is gone through on a thread of its own ([`Mode::Build`]), and waits for another one
//! where it takes something from it. A stage nobody needs is not built, and said so by the caller.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use longshore_dockerfile::{Base, Dockerfile, Instruction, InstructionKind, StageGraph};
use longshore_events::Events;
use longshore_oci::Platform;
use longshore_snapshot::{Chain, Snapshot, Snapshots, View};

use crate::base::at_from;
use crate::build::Builder;
use crate::context::ContextTree;
use crate::error::BuildError;
use crate::images::Images;
use crate::metadata::{self, Scope};
use crate::records::Records;
use crate::request::{BuildRequest, Context};
use crate::state::{StageState, Step};
use crate::transfer::{Prepared, PreparedPlace};

/// Whether steps are done, or only their keys are worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Keys alone; what cannot be known without work ends it.
    Probe,
    /// What is not known is done.
    Build,
}

/// Why a stage has no state.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Its keys cannot be known without doing it.
    Unknown,
    /// Another thread met the error and tells of it.
    Elsewhere,
    /// It failed.
    Failed(BuildError),
}

impl<E: Into<BuildError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

#[derive(Debug, Clone)]
enum Slot {
    Idle,
    Running,
    Known(Arc<StageState>),
    Failed,
}

/// One platform's build under way.
pub(crate) struct Solve<'a> {
    pub(crate) builder: &'a Builder<'a>,
    pub(crate) request: &'a BuildRequest,
    pub(crate) file: &'a Dockerfile,
    pub(crate) graph: StageGraph,
    pub(crate) platform: Platform,
    pub(crate) events: Events,
    pub(crate) images: &'a Images,
    /// Time of what is made now, in seconds since 1970.
    pub(crate) now: i64,
    /// What stands before labels of tasks where several platforms are built.
    pub(crate) prefix: String,
    slots: Vec<(Mutex<Slot>, Condvar)>,
    snapshots: OnceLock<Snapshots>,
    pub(crate) context: OnceLock<Arc<ContextTree>>,
    pub(crate) named: Mutex<HashMap<String, Arc<ContextTree>>>,
    pub(crate) prepared: Mutex<HashMap<PreparedPlace, Arc<Prepared>>>,
    pub(crate) done: Mutex<Count>,
}

/// How many steps there were, and how many were known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) steps: usize,
    pub(crate) cached: usize,
}

/// An instruction with its place in its stage.
#[derive(Clone, Copy)]
pub(crate) struct At<'s> {
    pub(crate) stage: usize,
    /// Number among all instructions of the stage, triggers included.
    pub(crate) position: usize,
    /// Number among those that make a layer, from 1.
    pub(crate) step: usize,
    /// How many of the stage make a layer, its base counted.
    pub(crate) steps: usize,
    pub(crate) instruction: &'s Instruction,
    pub(crate) is_trigger: bool,
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left is whole: every value here is replaced, not changed in pieces.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Solve<'a> {
    pub(crate) fn new(
        builder: &'a Builder<'a>,
        request: &'a BuildRequest,
        (file, graph): (&'a Dockerfile, StageGraph),
        platform: Platform,
        (images, events): (&'a Images, Events),
        now: i64,
    ) -> Self {
        let slots = graph.stages.iter().map(|_| (Mutex::new(Slot::Idle), Condvar::new())).collect();
        let prefix = if request.platforms.len() > 1 { format!("{platform} ") } else { String::new() };
        Solve {
            builder,
            request,
            file,
            graph,
            platform,
            events,
            images,
            now,
            prefix,
            slots,
            snapshots: OnceLock::new(),
            context: OnceLock::new(),
            named: Mutex::default(),
            prepared: Mutex::default(),
            done: Mutex::default(),
        }
    }

    /// The target's state. Errors: [`Stop::Unknown`] when probing; otherwise what the first failing stage says.
    pub(crate) fn run(&self, mode: Mode) -> Result<Arc<StageState>, Stop> {
        for (slot, _) in &self.slots {
            *held(slot) = Slot::Idle;
        }
        let target = self.graph.target;
        match mode {
            Mode::Probe => {
                let state = self.state_of(target, mode)?;
                for step in &state.steps {
                    if self.snapshots().get(&step.snapshot.snapshot())?.is_none() {
                        return Err(Stop::Unknown);
                    }
                }
                Ok(state)
            }
            Mode::Build => {
                if let Some(snapshots) = self.builder.isolate.before_steps()? {
                    self.snapshots.get_or_init(|| snapshots);
                }
                self.run_threads(target)
            }
        }
    }

    /// The snapshots that this build works with.
    pub(crate) fn snapshots(&self) -> &Snapshots {
        self.snapshots.get().unwrap_or(&self.builder.snapshots)
    }

    /// What earlier builds recorded about these snapshots.
    pub(crate) fn records(&self) -> Records {
        Records::of(self.builder.store, self.snapshots().kind())
    }

    fn run_threads(&self, target: usize) -> Result<Arc<StageState>, Stop> {
        let mut needed = self.graph.needed(target);
        if self.request.all_stages {
            needed = (0..self.graph.stages.len()).collect();
        }
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for index in needed {
                let failures = &failures;
                let work = move || {
                    if let Err(stop) = self.state_of(index, Mode::Build) {
                        // What others do is of no use any more.
                        self.events.cancel();
                        held(failures).push(stop);
                    }
                };
                let name = format!("stage {}", self.graph.stages[index].label());
                if std::thread::Builder::new().name(name).spawn_scoped(scope, work).is_err() {
                    // No thread can be had: the caller's own does it below, one stage after the other.
                    break;
                }
            }
        });
        let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Stages that were stopped because another one failed say that they were cancelled: the cause is what counts.
        failures.sort_by_key(|stop| match stop {
            Stop::Failed(error) if !error.is_cancelled() => 0,
            Stop::Failed(_) => 1,
            Stop::Elsewhere | Stop::Unknown => 2,
        });
        match failures.into_iter().next() {
            Some(stop) => Err(stop),
            None => self.state_of(target, Mode::Build),
        }
    }

    /// The named context that stands for an image or a stage.
    pub(crate) fn named_context(&self, name: &str) -> Option<&'a Context> {
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return None;
        }
        let wanted = crate::images::context_name(name);
        let mut contexts = self.request.named_contexts.iter();
        contexts.find(|(known, _)| crate::images::context_name(known) == wanted).map(|(_, context)| context)
    }

    /// A stage's state: worked out here, or by the thread that is at it already.
    pub(crate) fn state_of(&self, index: usize, mode: Mode) -> Result<Arc<StageState>, Stop> {
        let (slot, ready) = &self.slots[index];
        let mut held_slot = held(slot);
        loop {
            match &*held_slot {
                Slot::Known(state) => return Ok(Arc::clone(state)),
                Slot::Failed => return Err(Stop::Elsewhere),
                Slot::Running => {
                    held_slot = ready.wait(held_slot).unwrap_or_else(PoisonError::into_inner);
                }
                Slot::Idle => break,
            }
        }
        *held_slot = Slot::Running;
        drop(held_slot);
        let guard = Finish { slot, ready };
        let outcome = self.stage(index, mode).map(Arc::new);
        if let Ok(state) = &outcome {
            *held(slot) = Slot::Known(Arc::clone(state));
        }
        drop(guard);
        outcome
    }

    fn stage(&self, index: usize, mode: Mode) -> Result<StageState, Stop> {
        let stage = &self.graph.stages[index];
        if let Base::Context(name) = &stage.base
            && let Some(context) = self.named_context(name)
        {
            return self.state_of_context(name, context, None, mode);
        }
        let (mut state, image_triggers) = self.base(index, mode)?;
        state.start();
        let image_triggers = self.read_triggers(&image_triggers, index)?;
        let from = self.from(index);
        let of_stage = stage.triggers.iter().map(|instruction| at_from(instruction.clone(), from));
        let triggers: Vec<Instruction> = image_triggers.into_iter().chain(of_stage).collect();
        let all: Vec<(&Instruction, bool)> = triggers
            .iter()
            .map(|instruction| (instruction, true))
            .chain(stage.instructions.iter().map(|instruction| (instruction, false)))
            .collect();
        let steps = 1 + all.iter().filter(|(instruction, _)| makes_layer(instruction)).count();
        let mut step = 1;
        for (position, (instruction, is_trigger)) in all.into_iter().enumerate() {
            self.events.check()?;
            if makes_layer(instruction) {
                step += 1;
            }
            let at = At { stage: index, position, step, steps, instruction, is_trigger };
            self.instruction(&mut state, at, mode).map_err(|stop| in_stage(stop, &stage.label()))?;
        }
        Ok(state)
    }

    fn instruction(&self, state: &mut StageState, at: At<'_>, mode: Mode) -> Result<(), Stop> {
        let scope = self.scope();
        if metadata::apply(state, at.instruction, &scope).map_err(Box::new)? {
            return Ok(());
        }
        match &at.instruction.kind {
            InstructionKind::Workdir(word) => self.workdir(state, at, word, mode),
            InstructionKind::Run(run) => self.run_step(state, at, run, mode),
            InstructionKind::Copy(transfer) => self.transfer(state, at, (transfer, false), mode),
            InstructionKind::Add(transfer) => self.transfer(state, at, (transfer, true), mode),
            _ => Ok(()),
        }
    }

    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope {
            escape: self.file.escape,
            build_args: &self.request.build_args,
            globals: self.graph.global.values(),
        }
    }

    /// The files of a state: its base and the snapshots of its steps, which must be there.
    pub(crate) fn chain(&self, state: &StageState) -> Result<Chain, BuildError> {
        let mut chain = state.base.clone();
        for step in &state.steps {
            chain.push(self.snapshot(step)?);
        }
        Ok(chain)
    }

    /// What a step left, which must be there.
    pub(crate) fn snapshot(&self, step: &Step) -> Result<Snapshot, BuildError> {
        let found = self.snapshots().get(&step.snapshot.snapshot())?;
        found.ok_or_else(|| BuildError::Pruned(step.snapshot.hex()))
    }

    pub(crate) fn view(&self, state: &StageState) -> Result<View, BuildError> {
        Ok(self.chain(state)?.view(&self.events)?)
    }
}

/// Ends a slot that its thread left without a result, by an error or a panic: nobody waits for ever.
struct Finish<'s> {
    slot: &'s Mutex<Slot>,
    ready: &'s Condvar,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let mut slot = held(self.slot);
        if matches!(*slot, Slot::Running) {
            *slot = Slot::Failed;
        }
        self.ready.notify_all();
    }
}

fn makes_layer(instruction: &Instruction) -> bool {
    use InstructionKind::{Add, Copy, Run, Workdir};
    matches!(instruction.kind, Add(_) | Copy(_) | Run(_) | Workdir(_))
}

/// Tells an instruction's error which stage it stands in.
fn in_stage(stop: Stop, stage: &str) -> Stop {
    match stop {
        Stop::Failed(BuildError::Instruction(mut error)) => {
            if error.stage.is_empty() {
                error.stage = stage.to_owned();
            }
            Stop::Failed(BuildError::Instruction(error))
        }
        other => other,
    }
}
