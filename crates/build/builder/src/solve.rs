//! From a stage graph to the state of its target.
//!
//! First the keys of all steps are worked out without doing any ([`Mode::Probe`]): if every layer of the target is known, that is the
//! build. Otherwise each stage of which a step takes something that is not known (`plan`) is gone through on a thread of its own
//! ([`Mode::Build`]), and waits for another one where it takes something from it. A stage nobody needs is not built, and said so by the
//! caller.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use longshore_dockerfile::{Base, Dockerfile, Instruction, InstructionKind, StageGraph};
use longshore_events::Events;
use longshore_oci::Platform;
use longshore_snapshot::{Chain, Snapshot, Snapshots, View};
use longshore_store::Writer;

use crate::base::at_from;
use crate::build::Builder;
use crate::cache::{Imports, Told};
use crate::error::BuildError;
use crate::images::Images;
use crate::key::Key;
use crate::metadata::{self, Scope};
use crate::records::Records;
use crate::remote::Asked;
use crate::request::{BuildRequest, Context};
use crate::slot::{Slot, Turn};
use crate::state::StageState;
use crate::transfer::{Prepared, PreparedPlace};
use crate::tree::FileTree;

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

/// What is shared by the builds for several platforms.
#[derive(Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) builder: &'a Builder<'a>,
    pub(crate) request: &'a BuildRequest,
    pub(crate) file: &'a Dockerfile,
    pub(crate) images: &'a Images,
    /// What addresses were found to hold.
    pub(crate) asked: &'a Asked,
    /// Caches to take results from.
    pub(crate) imports: &'a Imports,
    /// Results of steps that were done again though they were known: once in a build, however many platforms or attempts it has.
    pub(crate) redone: &'a Mutex<HashMap<Key, Key>>,
    /// Keeps what goes into the store from being pruned.
    pub(crate) writer: &'a Writer,
    /// Those of the whole build: what outlives one attempt at a platform must not be asked to stop with it.
    pub(crate) events: &'a Events,
    /// Time of what is made now, in seconds since 1970.
    pub(crate) now: i64,
}

/// Steps by stage and place in it, and whether they were known.
pub(crate) type Done = BTreeMap<(usize, usize), bool>;

/// One platform's build under way.
pub(crate) struct Solve<'a> {
    pub(crate) builder: &'a Builder<'a>,
    pub(crate) request: &'a BuildRequest,
    pub(crate) file: &'a Dockerfile,
    pub(crate) graph: StageGraph,
    pub(crate) platform: Platform,
    pub(crate) events: Events,
    whole: &'a Events,
    pub(crate) images: &'a Images,
    pub(crate) asked: &'a Asked,
    pub(crate) imports: &'a Imports,
    pub(crate) redone: &'a Mutex<HashMap<Key, Key>>,
    pub(crate) writer: &'a Writer,
    /// Time of what is made now, in seconds since 1970.
    pub(crate) now: i64,
    /// What caches had lost when this build began.
    pub(crate) losses: usize,
    /// Whether a cache's result of a step counts more than one that was made here.
    pub(crate) imports_first: AtomicBool,
    /// What stands before labels of tasks where several platforms are built.
    pub(crate) prefix: String,
    slots: Vec<Slot>,
    snapshots: OnceLock<Snapshots>,
    pub(crate) context: OnceLock<Arc<dyn FileTree>>,
    pub(crate) named: Mutex<HashMap<String, Arc<dyn FileTree>>>,
    pub(crate) prepared: Mutex<HashMap<PreparedPlace, Arc<Prepared>>>,
    /// The steps that were shown.
    pub(crate) done: Mutex<Done>,
    /// What steps are called that were looked at.
    pub(crate) labels: Mutex<BTreeMap<(usize, usize), String>>,
    pub(crate) told: Mutex<Told>,
    /// Results that were found to be unpacked here.
    pub(crate) here: Mutex<HashMap<Key, Snapshot>>,
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
    /// A build for one platform. `done` are the steps that it did, or found to be known, before it began anew.
    pub(crate) fn new(common: &Common<'a>, graph: StageGraph, platform: Platform, done: Done) -> Self {
        let Common { builder, request, file, images, asked, imports, redone, .. } = *common;
        let Common { writer, events: whole, now, .. } = *common;
        let slots = graph.stages.iter().map(|_| Slot::default()).collect();
        let prefix = if request.platforms.len() > 1 { format!("{platform} ") } else { String::new() };
        Solve {
            builder,
            request,
            file,
            graph,
            platform,
            events: whole.part(),
            whole,
            images,
            asked,
            imports,
            redone,
            writer,
            now,
            losses: imports.losses(),
            imports_first: AtomicBool::new(false),
            prefix,
            slots,
            snapshots: OnceLock::new(),
            context: OnceLock::new(),
            named: Mutex::default(),
            prepared: Mutex::default(),
            done: Mutex::new(done),
            labels: Mutex::default(),
            told: Mutex::default(),
            here: Mutex::default(),
        }
    }

    /// The target's state, worked out without doing anything; nothing where that is not possible.
    pub(crate) fn probe(&self) -> Result<Option<Arc<StageState>>, Stop> {
        if let Some(state) = self.look()? {
            return Ok(Some(state));
        }
        if self.request.cache.from.is_empty() {
            return Ok(None);
        }
        self.read_caches();
        // A step that was done here and in a cache has two results, and it may be that all that stands on the second is known.
        for imports_first in [false, true] {
            self.imports_first.store(imports_first, Ordering::Relaxed);
            if let Some(state) = self.look()? {
                return Ok(Some(state));
            }
        }
        self.imports_first.store(false, Ordering::Relaxed);
        Ok(None)
    }

    /// Reads the caches that results are taken from.
    pub(crate) fn read_caches(&self) {
        self.imports.read(&self.request.cache, &self.request.platforms, self.whole);
    }

    fn look(&self) -> Result<Option<Arc<StageState>>, Stop> {
        self.forget();
        let target = self.graph.target;
        let wanted = if self.request.all_stages { 0..self.graph.stages.len() } else { target..target + 1 };
        for index in wanted.clone() {
            match self.state_of(index, Mode::Probe) {
                Ok(state) if self.is_ready(&state)? => {}
                Ok(_) | Err(Stop::Unknown) => return Ok(None),
                Err(other) => return Err(other),
            }
        }
        for index in wanted {
            self.show_known(&self.graph.needed(index));
        }
        self.state_of(target, Mode::Probe).map(Some)
    }

    /// The target's state, with all done that it takes. Errors: what the first failing stage says.
    pub(crate) fn build(&self) -> Result<Arc<StageState>, Stop> {
        self.choose_snapshots()?;
        self.forget();
        let stages = self.stages_to_build()?;
        self.forget();
        self.run_threads(&stages)
    }

    /// Forgets what was found out so far.
    fn forget(&self) {
        self.slots.iter().for_each(Slot::forget);
        *held(&self.told) = Told::default();
        // With other snapshots it may be elsewhere.
        held(&self.here).clear();
    }

    /// Hears from the isolation with which snapshots files are made and read.
    pub(crate) fn choose_snapshots(&self) -> Result<(), BuildError> {
        if let Some(snapshots) = self.builder.isolate.before_steps()? {
            self.snapshots.get_or_init(|| snapshots);
        }
        Ok(())
    }

    /// The snapshots that this build works with.
    pub(crate) fn snapshots(&self) -> &Snapshots {
        self.snapshots.get().unwrap_or(&self.builder.snapshots)
    }

    /// What earlier builds recorded about these snapshots.
    pub(crate) fn records(&self) -> Records {
        Records::of(self.builder.store, self.snapshots().kind())
    }

    fn run_threads(&self, stages: &[usize]) -> Result<Arc<StageState>, Stop> {
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for index in stages.iter().copied() {
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
            None => self.state_of(self.graph.target, Mode::Build),
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

    /// A stage's state: worked out here, or by the thread that is at it already. One that is being built is not probed.
    pub(crate) fn state_of(&self, index: usize, mode: Mode) -> Result<Arc<StageState>, Stop> {
        let slot = &self.slots[index];
        let Some(turn) = slot.take(mode)? else { return self.state_of(index, Mode::Build) };
        let turn = match turn {
            Turn::Known(state) => return Ok(state),
            Turn::Mine(turn) => turn,
        };
        let state = Arc::new(self.stage(index, mode)?);
        turn.end(&state)?;
        Ok(state)
    }

    /// Those of some stages that nobody has begun to build.
    pub(crate) fn unbuilt(&self, mut stages: Vec<usize>) -> Vec<usize> {
        stages.retain(|index| self.slots[*index].is_unbuilt());
        stages
    }

    /// Notes that what is recorded about some stages, and about those that they stand on or take from, is all that is needed of them.
    pub(crate) fn rely_on(&self, stages: &[usize]) -> Result<(), Stop> {
        for index in stages {
            let family = self.graph.needed(*index);
            family.iter().try_for_each(|index| self.slots[*index].rely_on())?;
            self.show_known(&family);
        }
        Ok(())
    }

    fn stage(&self, index: usize, mode: Mode) -> Result<StageState, Stop> {
        let stage = &self.graph.stages[index];
        if let Base::Context(name) = &stage.base
            && let Some(context) = self.named_context(name)
        {
            return self.state_of_context((name, context), None, self.from(index), mode);
        }
        let (mut state, instructions) = self.begin(index, mode)?;
        for at in self.places(index, &instructions) {
            self.events.check()?;
            self.instruction(&mut state, at, mode).map_err(|stop| in_stage(stop, &stage.label()))?;
        }
        Ok(state)
    }

    /// A stage before its first instruction, and its instructions: those that its base left for it, then its own.
    pub(crate) fn begin(
        &self,
        index: usize,
        mode: Mode,
    ) -> Result<(StageState, Vec<(Instruction, bool)>), Stop> {
        let stage = &self.graph.stages[index];
        let (mut state, image_triggers) = self.base(index, mode)?;
        state.start();
        let image_triggers = self.read_triggers(&image_triggers, index)?;
        let from = self.from(index);
        let of_stage = stage.triggers.iter().map(|instruction| at_from(instruction.clone(), from));
        let triggers = image_triggers.into_iter().chain(of_stage).map(|instruction| (instruction, true));
        let own = stage.instructions.iter().map(|instruction| (instruction.clone(), false));
        Ok((state, triggers.chain(own).collect()))
    }

    /// The instructions of a stage with their places.
    pub(crate) fn places<'s>(&self, stage: usize, all: &'s [(Instruction, bool)]) -> Vec<At<'s>> {
        let steps = 1 + all.iter().filter(|(instruction, _)| makes_layer(instruction)).count();
        let mut step = 1;
        let mut places = Vec::with_capacity(all.len());
        for (position, (instruction, is_trigger)) in all.iter().enumerate() {
            step += usize::from(makes_layer(instruction));
            places.push(At { stage, position, step, steps, instruction, is_trigger: *is_trigger });
        }
        places
    }

    fn instruction(&self, state: &mut StageState, at: At<'_>, mode: Mode) -> Result<(), Stop> {
        let scope = self.scope();
        if metadata::apply(state, at.instruction, &scope).map_err(Box::new)? {
            return Ok(());
        }
        self.make(state, at, mode)
    }

    /// Goes through an instruction that makes a layer.
    pub(crate) fn make(&self, state: &mut StageState, at: At<'_>, mode: Mode) -> Result<(), Stop> {
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

    /// The files of a state: its base and what its steps left, which must be known.
    pub(crate) fn chain(&self, state: &StageState) -> Result<Chain, BuildError> {
        self.bring_all(&state.steps)?;
        let mut chain = state.base.clone();
        for step in &state.steps {
            let snapshot = self.snapshot(step, &chain)?;
            chain.push(snapshot);
        }
        Ok(chain)
    }

    pub(crate) fn view(&self, state: &StageState) -> Result<View, BuildError> {
        Ok(self.chain(state)?.view(&self.events)?)
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
