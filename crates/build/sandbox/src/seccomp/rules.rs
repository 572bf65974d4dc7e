//! From rules by name to a filter program, as libseccomp and runc make one (libseccomp: `src/db.c`; runc: `libcontainer/seccomp`).
//!
//! What they decide and a reader of a profile would not guess: a rule that does what is done anyway is none; a rule without conditions
//! outdoes those with, whichever came first, and the first of several such counts; and a call that is newer than all that the rules name
//! fails with ENOSYS, so that libraries fall back to an older one. Where rules with conditions and different actions overlap, the first
//! that is written counts here; libseccomp's choice depends on how its tree grew.

use std::collections::BTreeMap;
use std::ops::Range;

use super::calls::{self, Call};
use super::condition::{Comparison, Condition};
use super::program::{Action, Code, Part, Program};
use super::{LAST_COMMON, MACHINES, X32, is_short};
use crate::sys::Instruction;

/// Column of 32-bit x86, which has two ways to make some calls.
const GATED: usize = 1;
/// The bits of the first argument of `ipc` that say what it is to do; others are a version.
const GATE_BITS: u64 = 0xffff;

/// What is done with a call, where all conditions hold.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) call: &'static Call,
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// Rules, and what is done with calls that none of them names.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) otherwise: Action,
    /// The columns of the machines whose programs may make calls at all.
    pub(super) columns: Vec<usize>,
    /// Whether x32's calls are answered as one that the kernel lacks, which it mostly does, instead of by the end of the program.
    pub(super) x32: bool,
    pub(super) rules: Vec<Rule>,
}

/// What is done with one number.
enum Decision {
    Always(Action),
    ByArguments(Vec<(Vec<Condition>, Action)>),
}

impl Rules {
    pub(super) fn compile(&self) -> Vec<Instruction> {
        let mut program = Program::new();
        for (machine, column) in MACHINES.into_iter().filter(|(_, column)| self.columns.contains(column)) {
            program.machine(machine, |part| self.part(part, column, is_short(machine)));
        }
        program.finish(Action::KillThread)
    }

    /// Whether some call with this number is made, whatever its arguments must be.
    pub(super) fn may_be_made(&self, number: u32, column: usize, is_short: bool) -> bool {
        match self.decisions(column, is_short).get(&number) {
            Some(Decision::Always(action)) => action.is_permissive(),
            Some(Decision::ByArguments(rules)) => {
                self.otherwise.is_permissive() || rules.iter().any(|(_, action)| action.is_permissive())
            }
            None => self.otherwise.is_permissive(),
        }
    }

    fn part(&self, part: &mut Part, column: usize, is_short: bool) {
        let newer = self.newest(column).filter(|_| !self.otherwise.is_permissive()).map(|newest| newest + 1);
        let mut leaves = Leaves(Vec::new());
        let mut next = 0;
        for (number, decision) in self.decisions(column, is_short) {
            self.undecided(&mut leaves, next..number, newer);
            leaves.push(
                number,
                match decision {
                    Decision::Always(action) => Code::answer(action),
                    Decision::ByArguments(rules) => Code::by_arguments(&rules, self.otherwise, is_short),
                },
            );
            next = number.saturating_add(1);
        }
        self.undecided(&mut leaves, next..u32::MAX, newer);
        if let Some(bit) = X32.filter(|_| column == 0) {
            leaves.0.retain(|(first, _)| *first < bit);
            let foreign = if self.x32 { Action::Error(ENOSYS) } else { Action::KillThread };
            leaves.push(bit, Code::answer(foreign));
            if !self.x32 {
                // A number that a tracer writes to have nothing done.
                leaves.push(u32::MAX, Code::answer(self.otherwise));
            }
        }
        part.tree(&leaves.0);
    }

    /// Numbers that no rule decides: those from `newer` on, of which no rule knows any, fail as on an older kernel.
    fn undecided(&self, leaves: &mut Leaves, numbers: Range<u32>, newer: Option<u32>) {
        if numbers.is_empty() {
            return;
        }
        if newer.is_none_or(|newer| numbers.start < newer) {
            leaves.push(numbers.start, Code::answer(self.otherwise));
        }
        if let Some(newer) = newer.filter(|newer| *newer < numbers.end) {
            leaves.push(newer.max(numbers.start), Code::answer(Action::Error(ENOSYS)));
        }
    }

    /// The highest number that any rule names.
    fn newest(&self, column: usize) -> Option<u32> {
        let numbers = self.rules.iter().filter_map(|rule| rule.call.number(column));
        numbers.filter(|number| *number <= LAST_COMMON).max()
    }

    fn decisions(&self, column: usize, is_short: bool) -> BTreeMap<u32, Decision> {
        let mut decisions = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.action != self.otherwise) {
            if let Some(number) = rule.call.number(column) {
                decide(&mut decisions, number, rule.conditions.clone(), rule.action, is_short);
            }
            if let Some((gate, which)) = calls::gate(rule.call.name).filter(|_| column == GATED) {
                // What was to be compared is where a filter cannot look; libseccomp leaves the first comparison out likewise.
                let own = rule.conditions.iter().filter(|condition| condition.index != 0).cloned();
                let first =
                    Condition { index: 0, comparison: Comparison::Equal(GATE_BITS), value: which.into() };
                decide(&mut decisions, gate, own.chain([first]).collect(), rule.action, is_short);
            }
        }
        decisions
    }
}

fn decide(
    decisions: &mut BTreeMap<u32, Decision>,
    number: u32,
    mut conditions: Vec<Condition>,
    action: Action,
    is_short: bool,
) {
    conditions.retain(|condition| !condition.holds_always(is_short));
    let decision = decisions.entry(number).or_insert_with(|| Decision::ByArguments(Vec::new()));
    match decision {
        Decision::Always(_) => {}
        Decision::ByArguments(_) if conditions.is_empty() => *decision = Decision::Always(action),
        Decision::ByArguments(rules) => rules.push((conditions, action)),
    }
}

/// ENOSYS, as filters return it.
pub(super) const ENOSYS: u16 = 38;

/// What becomes of numbers from one on.
struct Leaves(Vec<(u32, Code)>);

impl Leaves {
    /// From this number on; what is treated like the numbers before it goes on.
    fn push(&mut self, first: u32, code: Code) {
        if self.0.last().is_none_or(|(_, before)| *before != code) {
            self.0.push((first, code));
        }
    }
}
