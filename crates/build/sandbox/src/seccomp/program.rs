//! An assembler for filter programs: for each machine a part, and in each part rules of which the first that matches decides.
//!
//! Jumps of the kernel's classic BPF reach 255 instructions, so every rule ends in its own return, and a jump only ever skips the rest
//! of a rule. Numbers that are allowed whatever the arguments cost nothing: the kernel runs the program for each number once and
//! remembers (Linux 5.11).

use crate::sys::Instruction;

// Where the kernel puts what a filter looks at: struct seccomp_data.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
/// The low half of the first argument, on the little-endian machines that there are.
const ARGUMENT: u32 = 16;

// Operations: load a word, jump (always, if equal, if greater, if at least, if bits are set), return.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It fails with this error.
    Error(i32),
    /// A supervisor decides.
    Ask,
    /// The process ends.
    Kill,
}

impl Action {
    fn value(self) -> u32 {
        match self {
            Action::Allow => 0x7fff_0000,
            Action::Error(error) => 0x0005_0000 | (error.unsigned_abs() & 0xffff),
            Action::Ask => 0x7fc0_0000,
            Action::Kill => 0x8000_0000,
        }
    }
}

/// A filter program in the making.
pub(super) struct Program(Vec<Instruction>);

fn instruction(operation: u16, yes: u8, no: u8, value: u32) -> Instruction {
    Instruction { operation, yes, no, value }
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

    /// This number and all above.
    pub(super) fn at_least(&mut self, number: u32, action: Action) {
        self.0.push(instruction(AT_LEAST, 0, 1, number));
        self.answer(action);
    }

    /// Numbers from one to another.
    pub(super) fn range(&mut self, first: u32, last: u32, action: Action) {
        self.0.push(instruction(AT_LEAST, 0, 2, first));
        self.0.push(instruction(GREATER, 1, 0, last));
        self.answer(action);
    }

    /// A number whose first argument must have none of these bits.
    pub(super) fn without_flags(&mut self, number: u32, bits: u32) {
        self.0.push(instruction(EQUAL, 0, 4, number));
        self.0.push(instruction(LOAD, 0, 0, ARGUMENT));
        self.0.push(instruction(BITS, 0, 1, bits));
        self.answer(Action::Error(libc::EPERM));
        self.answer(Action::Allow);
    }

    /// A number whose first argument must be one of these. The kernel reads the low half of these arguments only, and so do we.
    pub(super) fn with_argument(&mut self, number: u32, values: &[u32]) {
        let count = u8::try_from(values.len()).unwrap_or(u8::MAX);
        self.0.push(instruction(EQUAL, 0, count.saturating_add(3), number));
        self.0.push(instruction(LOAD, 0, 0, ARGUMENT));
        for (value, left) in values.iter().zip((1..=count).rev()) {
            self.0.push(instruction(EQUAL, left, 0, *value));
        }
        self.answer(Action::Error(libc::EPERM));
        self.answer(Action::Allow);
    }

    /// A number that a supervisor is asked about when the argument of this index has one of these bits.
    pub(super) fn ask_for_flags(&mut self, number: u32, index: u32, bits: u32) {
        self.0.push(instruction(EQUAL, 0, 4, number));
        self.0.push(instruction(LOAD, 0, 0, ARGUMENT + 8 * index));
        self.0.push(instruction(BITS, 0, 1, bits));
        self.answer(Action::Ask);
        self.answer(Action::Allow);
    }

    /// All that no rule decided.
    pub(super) fn all(&mut self, action: Action) {
        self.answer(action);
    }
}

/// What a program answers, worked out as the kernel does. All arguments are the same.
#[cfg(test)]
pub(super) fn emulate(program: &[Instruction], machine: u32, number: u32, argument: u32) -> Option<u32> {
    let (mut at, mut word) = (0, 0);
    loop {
        let step = program.get(at)?;
        at += 1;
        let holds = match step.operation {
            LOAD => {
                word = match step.value {
                    NUMBER => number,
                    MACHINE => machine,
                    ARGUMENT.. => argument,
                    _ => return None,
                };
                continue;
            }
            JUMP => {
                at += step.value as usize;
                continue;
            }
            RETURN => return Some(step.value),
            EQUAL => word == step.value,
            GREATER => word > step.value,
            AT_LEAST => word >= step.value,
            BITS => word & step.value != 0,
            _ => return None,
        };
        at += usize::from(if holds { step.yes } else { step.no });
    }
}
