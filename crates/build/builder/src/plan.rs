//! Which stages must be built at all: the target, and those of which a step that has to be done takes something.
//!
//! A COPY that is known needs its stage no more, even if nothing of the stage is left on this machine. Stages that are needed are begun at
//! once and side by side; one that turns out to be needed later is built when it is. So the walk here may err on the side of too few.

use std::collections::BTreeSet;

use longshore_dockerfile::{Base, Instruction, InstructionKind, NeededSource};

use crate::metadata;
use crate::solve::{At, Mode, Solve, Stop};
use crate::state::StageState;

impl<'a> Solve<'a> {
    /// The stages to begin with, in order.
    pub(crate) fn stages_to_build(&self) -> Result<Vec<usize>, Stop> {
        if self.request.all_stages {
            return Ok((0..self.graph.stages.len()).collect());
        }
        let mut wanted = BTreeSet::from([self.graph.target]);
        let mut next = vec![self.graph.target];
        while let Some(index) = next.pop() {
            self.events.check()?;
            next.extend(self.wanted_by(index)?.into_iter().filter(|index| wanted.insert(*index)));
        }
        Ok(wanted.into_iter().collect())
    }

    /// The stages that a stage which is built needs for certain.
    fn wanted_by(&self, index: usize) -> Result<Vec<usize>, Stop> {
        let stage = &self.graph.stages[index];
        let mut wanted: Vec<usize> = match stage.base {
            Base::Stage(base) => vec![base],
            _ => Vec::new(),
        };
        if stage.needs.is_empty() {
            return Ok(wanted);
        }
        match self.begin(index, Mode::Probe) {
            Ok((mut state, instructions)) => {
                let mut is_known = true;
                for at in self.places(index, &instructions) {
                    is_known &= self.look_ahead(&mut state, at, is_known, &mut wanted)?;
                }
            }
            // The base has steps that must be done, and so has all that stands on it.
            Err(Stop::Unknown) => {
                let instructions = stage.triggers.iter().chain(&stage.instructions);
                wanted.extend(instructions.flat_map(|instruction| self.stages_in(index, instruction)));
            }
            Err(other) => return Err(other),
        }
        Ok(wanted)
    }

    /// Whether a step is known, given whether those before it are. Where it is not, what it takes from is wanted.
    fn look_ahead(
        &self,
        state: &mut StageState,
        at: At<'_>,
        is_known: bool,
        wanted: &mut Vec<usize>,
    ) -> Result<bool, Stop> {
        if metadata::apply(state, at.instruction, &self.scope()).map_err(Box::new)? {
            return Ok(true);
        }
        // What is linked does not depend on what is below it. What stands on an unknown step is unknown; of WORKDIR the path counts.
        let is_linked = match &at.instruction.kind {
            InstructionKind::Copy(transfer) | InstructionKind::Add(transfer) => transfer.link,
            InstructionKind::Workdir(_) => true,
            _ => false,
        };
        if is_known || is_linked {
            match self.make(state, at, Mode::Probe) {
                Ok(()) => {
                    let last = state.steps.last().map(|step| self.known(&step.snapshot)).transpose();
                    if last?.flatten().is_some() {
                        return Ok(true);
                    }
                }
                Err(Stop::Unknown) => {}
                Err(other) => return Err(other),
            }
        }
        wanted.extend(self.stages_of(&at));
        Ok(false)
    }

    /// The stages that an instruction takes from.
    pub(crate) fn stages_of(&self, at: &At<'_>) -> Vec<usize> {
        self.stages_in(at.stage, at.instruction)
    }

    fn stages_in(&self, index: usize, instruction: &Instruction) -> Vec<usize> {
        // What is wrong with them was said before the build began.
        let needs = self.graph.needs_of(index, instruction).unwrap_or_default();
        let stage = |need: longshore_dockerfile::Need| match need.source {
            NeededSource::Stage(index) => Some(index),
            NeededSource::Image(_) => None,
        };
        needs.into_iter().filter_map(stage).collect()
    }
}
