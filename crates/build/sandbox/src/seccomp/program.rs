//! An assembler for filter programs: for each machine a part, and in each part a search for the number, or rules of which the first that
//! matches decides.
//!
//! Jumps on a condition reach 255 instructions in the kernel's classic BPF, so every rule ends in its own return, and what is further is jumped to
//! without one. Numbers that are decided whatever the arguments cost nothing: the kernel runs the program for each number once and
//! remembers (Linux 5.11).

use super::condition::Condition;
use crate::sys::Instruction;

// Where the kernel puts what a filter looks at: struct seccomp_data.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
/// The low half of the first argument, on the little-endian machines that there are; the high one follows.
const ARGUMENT: u32 = 16;

// Operations: load a word, keep some of its bits, jump (always, if equal, if greater, if at least, if bits are set), return.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
pub(super) const EQUAL: u16 = 0x15;
pub(super) const GREATER: u16 = 0x25;
pub(super) const AT_LEAST: u16 = 0x35;
const BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Most values of a rule that compares one argument with several.
const MOST_VALUES: usize = 200;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It is made, and the kernel's log says so.
    Log,
    /// It fails with this error.
    Error(u16),
    /// A supervisor decides.
    Ask,
    /// The thread gets SIGSYS, which it may handle.
    Trap,
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

impl Action {
    pub(super) fn value(self) -> u32 {
        match self {
            Action::Allow => 0x7fff_0000,
            Action::Log => 0x7ffc_0000,
            Action::Ask => 0x7fc0_0000,
            Action::Error(error) => 0x0005_0000 | u32::from(error),
            Action::Trap => 0x0003_0000,
            Action::KillThread => 0,
            Action::KillProcess => 0x8000_0000,
        }
    }

    /// Whether a call is made.
    pub(super) fn is_permissive(self) -> bool {
        matches!(self, Action::Allow | Action::Log)
    }
}

/// A filter program in the making.
pub(super) struct Program(Vec<Instruction>);

pub(super) fn instruction(operation: u16, yes: u8, no: u8, value: u32) -> Instruction {
    Instruction { operation, yes, no, value }
}

/// Where the low and the high half of an argument are.
pub(super) fn halves(index: u32) -> (u32, u32) {
    (ARGUMENT + 8 * index, ARGUMENT + 8 * index + 4)
}

impl Program {
    pub(super) fn new() -> Program {
        Program(Vec::new())
    }

    /// The part for one machine.
    pub(super) fn machine(&mut self, machine: u32, fill: impl FnOnce(&mut Part)) {
        let mut part = Part(vec![instruction(LOAD, 0, 0, NUMBER)]);
        fill(&mut part);
        let length = u32::try_from(part.0.len()).unwrap_or(u32::MAX);
        self.0.push(instruction(LOAD, 0, 0, MACHINE));
        // The jump over a whole part is a long one.
        self.0.push(instruction(EQUAL, 1, 0, machine));
        self.0.push(instruction(JUMP, 0, 0, length));
        self.0.append(&mut part.0);
    }

    /// What becomes of calls of all other machines.
    pub(super) fn finish(mut self, otherwise: Action) -> Vec<Instruction> {
        self.0.push(instruction(RETURN, 0, 0, otherwise.value()));
        self.0
    }
}

/// Instructions that end in an answer, whichever way they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code(Vec<Instruction>);

impl Code {
    /// One answer, whatever the arguments.
    pub(super) fn answer(action: Action) -> Code {
        Code(vec![instruction(RETURN, 0, 0, action.value())])
    }

    /// The answer of the first of these whose conditions all hold, or else the last.
    pub(super) fn by_arguments(
        rules: &[(Vec<Condition>, Action)],
        otherwise: Action,
        is_short: bool,
    ) -> Code {
        let mut body = Part(Vec::new());
        let mut rest = rules;
        while let Some(((conditions, action), after)) = rest.split_first() {
            let alike = values_alike(rest, is_short);
            if alike.len() > 1 {
                body.values(&rest[0].0[0], &alike, *action, is_short);
                rest = &rest[alike.len()..];
                continue;
            }
            body.rule(conditions, *action, is_short);
            rest = after;
        }
        body.answer(otherwise);
        Code(body.0)
    }
}

fn tree(leaves: &[(u32, Code)]) -> Code {
    let (lower, upper) = leaves.split_at(leaves.len() / 2);
    let (Some(_), Some((first, _))) = (lower.first(), upper.first()) else {
        return leaves.first().map_or(Code(Vec::new()), |(_, code)| code.clone());
    };
    let (mut below, mut above) = (tree(lower).0, tree(upper).0);
    let length = below.len();
    let mut code = match u8::try_from(length) {
        Ok(length) => vec![instruction(AT_LEAST, length, 0, *first)],
        Err(_) => {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            vec![instruction(AT_LEAST, 0, 1, *first), instruction(JUMP, 0, 0, length)]
        }
    };
    code.append(&mut below);
    code.append(&mut above);
    Code(code)
}

/// The rules for one machine.
pub(super) struct Part(Vec<Instruction>);

impl Part {
    fn answer(&mut self, action: Action) {
        self.0.push(instruction(RETURN, 0, 0, action.value()));
    }

    /// One number.
    pub(super) fn one(&mut self, number: u32, action: Action) {
        self.0.push(instruction(EQUAL, 0, 1, number));
        self.answer(action);
    }

    /// What becomes of every number: each leaf is of its number and all above, up to the next one's. The first is of 0.
    ///
    /// A search by halves: the kernel runs the program for each number that there is when it is installed.
    pub(super) fn tree(&mut self, leaves: &[(u32, Code)]) {
        self.0.append(&mut tree(leaves).0);
    }

    /// An action where all conditions hold.
    fn rule(&mut self, conditions: &[Condition], action: Action, is_short: bool) {
        let mut after = vec![instruction(RETURN, 0, 0, action.value())];
        // From the last to the first, since a condition that does not hold skips all that comes after it.
        for condition in conditions.iter().rev() {
            let mut code = condition.code(after.len(), is_short);
            code.append(&mut after);
            after = code;
        }
        self.0.append(&mut after);
    }

    /// An action where one argument has one of these values.
    fn values(&mut self, condition: &Condition, values: &[u32], action: Action, is_short: bool) {
        let (low, high) = halves(condition.index);
        let count = u8::try_from(values.len()).unwrap_or(u8::MAX);
        if !is_short {
            self.0.push(instruction(LOAD, 0, 0, high));
            self.0.push(instruction(EQUAL, 0, count.saturating_add(3), condition.high()));
        }
        self.0.push(instruction(LOAD, 0, 0, low));
        for (value, left) in values.iter().zip((1..=count).rev()) {
            self.0.push(instruction(EQUAL, left, 0, *value));
        }
        self.0.push(instruction(JUMP, 0, 0, 1));
        self.answer(action);
    }

    /// A number that a supervisor is asked about when the argument of this index has one of these bits.
    pub(super) fn ask_for_flags(&mut self, number: u32, index: u32, bits: u32) {
        self.0.push(instruction(EQUAL, 0, 4, number));
        self.0.push(instruction(LOAD, 0, 0, halves(index).0));
        self.0.push(instruction(BITS, 0, 1, bits));
        self.answer(Action::Ask);
        self.answer(Action::Allow);
    }

    /// All that no rule decided.
    pub(super) fn all(&mut self, action: Action) {
        self.answer(action);
    }
}

/// The values of the rules at the beginning that differ in nothing but the low half of the value that one argument must have.
fn values_alike(rules: &[(Vec<Condition>, Action)], is_short: bool) -> Vec<u32> {
    let Some(([first], action)) = rules.first().map(|(conditions, action)| (conditions.as_slice(), action))
    else {
        return Vec::new();
    };
    let alike = rules.iter().take(MOST_VALUES).map_while(|(conditions, other)| match conditions.as_slice() {
        [one] if other == action && one.index == first.index && (is_short || one.high() == first.high()) => {
            one.exact()
        }
        _ => None,
    });
    alike.collect()
}
