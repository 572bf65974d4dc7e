//! Where the threads of a build meet: one slot for each stage, with its state once that is known.
//!
//! A stage has up to two states in one build. Probed, it is what is recorded about earlier builds; built, it is what is there. As long as
//! nobody builds it, others may rely on the first. Once somebody does, the second is all that counts, and a build in which somebody relied
//! on another one begins again: an image must not mix two results of one step.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::error::BuildError;
use crate::key::Key;
use crate::solve::{Mode, Stop, held};
use crate::state::StageState;

#[derive(Debug, Default)]
enum Progress {
    #[default]
    Idle,
    Running,
    Known(Arc<StageState>),
    Failed,
}

#[derive(Debug, Default)]
struct States {
    probed: Progress,
    built: Progress,
    /// The probed state's key, where somebody relies on it.
    relied_on: Option<Key>,
}

impl States {
    fn of(&mut self, mode: Mode) -> &mut Progress {
        match mode {
            Mode::Probe => &mut self.probed,
            Mode::Build => &mut self.built,
        }
    }
}

/// One stage's states.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    states: Mutex<States>,
    ready: Condvar,
}

/// What a thread that asks for a state gets.
pub(crate) enum Turn<'s> {
    /// The state.
    Known(Arc<StageState>),
    /// The task of working it out.
    Mine(Working<'s>),
}

/// Ends, if it is dropped without a result by an error or a panic: nobody waits for ever.
pub(crate) struct Working<'s> {
    slot: &'s Slot,
    mode: Mode,
}

impl Slot {
    pub(crate) fn forget(&self) {
        *held(&self.states) = States::default();
    }

    /// The state, or the task of working it out, after waiting for a thread that is at it. `None` where it is to be probed and somebody
    /// builds it or has built it.
    pub(crate) fn take(&self, mode: Mode) -> Result<Option<Turn<'_>>, Stop> {
        let mut states = held(&self.states);
        loop {
            if mode == Mode::Probe && !matches!(states.built, Progress::Idle) {
                return Ok(None);
            }
            let progress = states.of(mode);
            match progress {
                Progress::Known(state) => return Ok(Some(Turn::Known(Arc::clone(state)))),
                Progress::Failed if mode == Mode::Build => return Err(Stop::Elsewhere),
                // Why it cannot be probed is found out once more: it takes a moment.
                Progress::Idle | Progress::Failed => {
                    *progress = Progress::Running;
                    return Ok(Some(Turn::Mine(Working { slot: self, mode })));
                }
                Progress::Running => {
                    states = self.ready.wait(states).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Whether nobody has begun to build the stage.
    pub(crate) fn is_unbuilt(&self) -> bool {
        matches!(held(&self.states).built, Progress::Idle)
    }

    /// Notes that somebody relies on what was probed, if anything was. Where the stage was built by then, it must have come out so.
    pub(crate) fn rely_on(&self) -> Result<(), Stop> {
        let mut states = held(&self.states);
        let Progress::Known(probed) = &states.probed else { return Ok(()) };
        let key = probed.key;
        match &states.built {
            Progress::Known(built) if built.key != key => Err(BuildError::Again.into()),
            _ => {
                states.relied_on = Some(key);
                Ok(())
            }
        }
    }
}

impl Working<'_> {
    /// Gives others the state.
    pub(crate) fn end(self, state: &Arc<StageState>) -> Result<(), Stop> {
        let mut states = held(&self.slot.states);
        if self.mode == Mode::Build && states.relied_on.is_some_and(|key| key != state.key) {
            return Err(BuildError::Again.into());
        }
        *states.of(self.mode) = Progress::Known(Arc::clone(state));
        Ok(())
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut states = held(&self.slot.states);
        let progress = states.of(self.mode);
        if matches!(progress, Progress::Running) {
            *progress = Progress::Failed;
        }
        self.slot.ready.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use longshore_oci::{ImageConfig, Platform};
    use longshore_snapshot::Chain;

    use super::*;
    use crate::key::KeyWriter;

    fn state(name: &str) -> Arc<StageState> {
        let platform = Platform::host();
        let config = ImageConfig::new(&platform);
        let key = KeyWriter::new(name).finish();
        Arc::new(StageState::new(key, Chain::default(), config, platform))
    }

    fn mine(slot: &Slot, mode: Mode) -> Working<'_> {
        match slot.take(mode) {
            Ok(Some(Turn::Mine(working))) => working,
            _ => panic!("somebody else is at it"),
        }
    }

    fn known(slot: &Slot, mode: Mode) -> Option<Key> {
        match slot.take(mode) {
            Ok(Some(Turn::Known(state))) => Some(state.key),
            _ => None,
        }
    }

    #[test]
    fn one_thread_works_and_the_others_get_its_state() {
        let slot = Slot::default();
        let working = mine(&slot, Mode::Build);
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| known(&slot, Mode::Build))).collect();
            working.end(&state("a")).unwrap();
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), Some(state("a").key));
            }
        });
    }

    #[test]
    fn who_gives_up_leaves_nobody_waiting() {
        let slot = Slot::default();
        drop(mine(&slot, Mode::Build));
        assert!(matches!(slot.take(Mode::Build), Err(Stop::Elsewhere)));
        let slot = Slot::default();
        drop(mine(&slot, Mode::Probe));
        mine(&slot, Mode::Probe).end(&state("a")).unwrap();
        assert_eq!(known(&slot, Mode::Probe), Some(state("a").key));
    }

    #[test]
    fn what_is_built_is_not_probed() {
        let slot = Slot::default();
        mine(&slot, Mode::Probe).end(&state("a")).unwrap();
        assert!(slot.is_unbuilt());
        let working = mine(&slot, Mode::Build);
        assert!(!slot.is_unbuilt() && matches!(slot.take(Mode::Probe), Ok(None)));
        working.end(&state("b")).unwrap();
        assert_eq!(known(&slot, Mode::Build), Some(state("b").key));
        slot.forget();
        assert!(slot.is_unbuilt());
    }

    #[test]
    fn a_build_begins_again_where_what_was_relied_on_comes_out_otherwise() {
        for (built, relied_first) in [("a", true), ("a", false), ("b", true), ("b", false)] {
            let slot = Slot::default();
            slot.rely_on().unwrap();
            mine(&slot, Mode::Probe).end(&state("a")).unwrap();
            let working = mine(&slot, Mode::Build);
            let outcome = if relied_first {
                slot.rely_on().and_then(|()| working.end(&state(built)))
            } else {
                working.end(&state(built)).and_then(|()| slot.rely_on())
            };
            let again = matches!(outcome, Err(Stop::Failed(BuildError::Again)));
            assert_eq!(again, built == "b", "{built} {relied_first} {outcome:?}");
        }
    }
}
