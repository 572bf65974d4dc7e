//! What a rule asks of an argument, as instructions.
//!
//! Filters look at halves of arguments, so a comparison of 64 bits takes one of the high halves and, where those are equal, one of the low.
//! A 32-bit machine has the low ones alone. A comparison is libseccomp's (seccomp_rule_add(3)).

use super::program::{AND, AT_LEAST, EQUAL, GREATER, LOAD, halves, instruction};
use crate::sys::Instruction;

/// How an argument is compared, without its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// These bits of it are equal.
    Equal(u64),
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is asked of one argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument, from 0 to 5.
    pub(super) index: u32,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
}

/// Where a comparison leads: to the next one, or out, with the condition holding or not.
#[derive(Debug, Clone, Copy)]
enum Way {
    Next,
    Holds,
    Fails,
}

fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

impl Condition {
    /// Whether it holds for every argument, as none of the bits that there are is compared.
    pub(super) fn holds_always(&self, is_short: bool) -> bool {
        match self.comparison {
            Comparison::Equal(bits) => low(bits) == 0 && (is_short || high(bits) == 0),
            _ => false,
        }
    }

    /// The low half of the value, where nothing but this one value will do.
    pub(super) fn exact(&self) -> Option<u32> {
        (self.comparison == Comparison::Equal(u64::MAX)).then_some(low(self.value))
    }

    /// The high half of the value.
    pub(super) fn high(&self) -> u32 {
        high(self.value)
    }

    /// Instructions that go on at their end if it holds, and otherwise skip as many of those that follow.
    pub(super) fn code(&self, skip: usize, is_short: bool) -> Vec<Instruction> {
        let (low_half, high_half) = halves(self.index);
        let mut steps: Vec<(u16, u32, Way, Way)> = Vec::new();
        let load = |steps: &mut Vec<_>, half| steps.push((LOAD, half, Way::Next, Way::Next));
        if let Comparison::Equal(bits) = self.comparison {
            let halves = [(high_half, high(bits), high(self.value)), (low_half, low(bits), low(self.value))];
            for (half, bits, value) in halves.into_iter().skip(usize::from(is_short)) {
                if bits == 0 {
                    continue;
                }
                load(&mut steps, half);
                if bits != u32::MAX {
                    steps.push((AND, bits, Way::Next, Way::Next));
                }
                steps.push((EQUAL, value & bits, Way::Next, Way::Fails));
            }
            return resolve(&steps, skip);
        }
        let (operation, holds, fails) = match self.comparison {
            Comparison::Equal(_) | Comparison::NotEqual => (EQUAL, Way::Fails, Way::Holds),
            Comparison::Less => (AT_LEAST, Way::Fails, Way::Holds),
            Comparison::LessOrEqual => (GREATER, Way::Fails, Way::Holds),
            Comparison::Greater => (GREATER, Way::Holds, Way::Fails),
            Comparison::GreaterOrEqual => (AT_LEAST, Way::Holds, Way::Fails),
        };
        if !is_short {
            load(&mut steps, high_half);
            if operation != EQUAL {
                steps.push((GREATER, high(self.value), holds, Way::Next));
            }
            steps.push((EQUAL, high(self.value), Way::Next, fails));
        }
        load(&mut steps, low_half);
        steps.push((operation, low(self.value), holds, fails));
        resolve(&steps, skip)
    }
}

fn resolve(steps: &[(u16, u32, Way, Way)], skip: usize) -> Vec<Instruction> {
    let mut code = Vec::with_capacity(steps.len());
    for (at, (operation, value, yes, no)) in steps.iter().enumerate() {
        let left = steps.len() - at - 1;
        // Six conditions of five instructions at most: no jump comes near what one can skip.
        let way = |way: Way| match way {
            Way::Next => 0,
            Way::Holds => u8::try_from(left).unwrap_or(u8::MAX),
            Way::Fails => u8::try_from(left + skip).unwrap_or(u8::MAX),
        };
        code.push(instruction(*operation, way(*yes), way(*no), *value));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::super::program::{Action, Code, Program};
    use super::super::tests::answer;
    use super::*;

    /// Whether a program with this one condition says that it holds.
    fn holds(condition: &Condition, argument: u64, is_short: bool) -> bool {
        let mut program = Program::new();
        let rules = [(vec![condition.clone()], Action::Allow)];
        let code = Code::by_arguments(&rules, Action::KillThread, is_short);
        program.machine(1, |part| part.tree(&[(0, Code::answer(Action::KillThread)), (7, code)]));
        let mut arguments = [0x5555_5555_5555_5555; 6];
        arguments[condition.index as usize] = argument;
        match answer(&program.finish(Action::Trap), 1, 7, arguments) {
            Some(0x7fff_0000) => true,
            Some(0) => false,
            answer => panic!("{answer:?}"),
        }
    }

    #[test]
    fn every_comparison_decides_as_the_numbers_do() {
        let numbers = [
            0,
            1,
            2,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x1_0000_0000,
            0x1_0000_0001,
            0x1_ffff_ffff,
            0x8000_0000_0000_0000,
            u64::MAX - 1,
            u64::MAX,
        ];
        let short = |number: u64| number & 0xffff_ffff;
        type Meaning = fn(u64, u64) -> bool;
        let comparisons: [(Comparison, Meaning); 6] = [
            (Comparison::Equal(u64::MAX), |argument, value| argument == value),
            (Comparison::NotEqual, |argument, value| argument != value),
            (Comparison::Less, |argument, value| argument < value),
            (Comparison::LessOrEqual, |argument, value| argument <= value),
            (Comparison::Greater, |argument, value| argument > value),
            (Comparison::GreaterOrEqual, |argument, value| argument >= value),
        ];
        for (comparison, meaning) in comparisons {
            for (value, argument) in numbers.iter().flat_map(|value| numbers.map(|other| (*value, other))) {
                for index in [0, 5] {
                    let condition = Condition { index, comparison, value };
                    let told = (holds(&condition, argument, false), holds(&condition, argument, true));
                    let expected = (meaning(argument, value), meaning(short(argument), short(value)));
                    assert_eq!(told, expected, "{comparison:?} {argument:#x} {value:#x}");
                }
            }
        }
        for (bits, value, argument) in numbers
            .iter()
            .flat_map(|bits| numbers.map(|value| (*bits, value)))
            .flat_map(|(bits, value)| numbers.map(|argument| (bits, value, argument)))
        {
            let condition = Condition { index: 1, comparison: Comparison::Equal(bits), value };
            let told = (holds(&condition, argument, false), holds(&condition, argument, true));
            let expected = (argument & bits == value & bits, short(argument & bits) == short(value & bits));
            assert_eq!(told, expected, "{argument:#x} & {bits:#x} == {value:#x}");
        }
    }
}
