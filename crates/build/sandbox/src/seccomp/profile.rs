//! From a profile to rules, as Docker and runc do it: the rules that hold here, by machine, kernel and capabilities (moby/profiles,
//! `seccomp_linux.go`), and of those the calls that are known (runc: `libcontainer/seccomp/seccomp_linux.go`).

use std::collections::BTreeSet;

use super::calls;
use super::condition::{Comparison, Condition};
use super::document::{Argument, Circumstances, Document, Entry};
use super::error::ProfileError;
use super::program::Action;
use super::rules::{Rule, Rules};
use super::{FilterProgram, MACHINE_NAME, MACHINES, is_short};
use crate::capabilities;

/// Longest program that Linux takes (linux/bpf_common.h).
const LONGEST: usize = 4096;
/// Most rules, each for one call. Far more than any filter has room for: calls are hundreds, and what is said twice costs nothing.
const MOST_RULES: usize = 1 << 16;
/// Highest error number (linux/err.h).
const HIGHEST_ERROR: u64 = 4095;
/// EPERM, for actions that name no error.
const EPERM: u16 = 1;

const ACTIONS: [(&str, Action); 7] = [
    ("SCMP_ACT_ALLOW", Action::Allow),
    ("SCMP_ACT_LOG", Action::Log),
    ("SCMP_ACT_ERRNO", Action::Error(EPERM)),
    ("SCMP_ACT_TRAP", Action::Trap),
    ("SCMP_ACT_KILL", Action::KillThread),
    ("SCMP_ACT_KILL_THREAD", Action::KillThread),
    ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
];
const HANDED: [&str; 2] = ["SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"];

/// What is compared, and with what, by the two values of a condition.
type Meaning = fn(u64, u64) -> (Comparison, u64);

const COMPARISONS: [(&str, Meaning); 7] = [
    ("SCMP_CMP_NE", |value, _| (Comparison::NotEqual, value)),
    ("SCMP_CMP_LT", |value, _| (Comparison::Less, value)),
    ("SCMP_CMP_LE", |value, _| (Comparison::LessOrEqual, value)),
    ("SCMP_CMP_EQ", |value, _| (Comparison::Equal(u64::MAX), value)),
    ("SCMP_CMP_GE", |value, _| (Comparison::GreaterOrEqual, value)),
    ("SCMP_CMP_GT", |value, _| (Comparison::Greater, value)),
    ("SCMP_CMP_MASKED_EQ", |bits, value| (Comparison::Equal(bits), value)),
];

/// Machines by their column; those without one are other machines, whose programs do not run here.
const ARCHITECTURES: [(&str, Option<usize>); 23] = [
    ("SCMP_ARCH_X86_64", Some(0)),
    ("SCMP_ARCH_X86", Some(1)),
    ("SCMP_ARCH_AARCH64", Some(2)),
    ("SCMP_ARCH_ARM", Some(3)),
    (X32, None),
    ("SCMP_ARCH_MIPS", None),
    ("SCMP_ARCH_MIPS64", None),
    ("SCMP_ARCH_MIPS64N32", None),
    ("SCMP_ARCH_MIPSEL", None),
    ("SCMP_ARCH_MIPSEL64", None),
    ("SCMP_ARCH_MIPSEL64N32", None),
    ("SCMP_ARCH_PPC", None),
    ("SCMP_ARCH_PPC64", None),
    ("SCMP_ARCH_PPC64LE", None),
    ("SCMP_ARCH_S390", None),
    ("SCMP_ARCH_S390X", None),
    ("SCMP_ARCH_PARISC", None),
    ("SCMP_ARCH_PARISC64", None),
    ("SCMP_ARCH_RISCV64", None),
    ("SCMP_ARCH_LOONGARCH64", None),
    ("SCMP_ARCH_M68K", None),
    ("SCMP_ARCH_SH", None),
    ("SCMP_ARCH_SHEB", None),
];
const X32: &str = "SCMP_ARCH_X32";

/// Flags of seccomp(2). Two concern threads and supervisors that a container's first process does not have, and change nothing.
const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2),
];

/// What a rule may depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// Capabilities that the container may ever have.
    pub(super) capabilities: u64,
    /// The version of Linux: its first two numbers.
    pub(super) kernel: (u32, u32),
}

/// The filter that a profile asks for.
pub(super) fn compile(text: &str, around: Surroundings) -> Result<FilterProgram, ProfileError> {
    let document: Document = serde_json::from_str(text).map_err(ProfileError::Form)?;
    let flags = flags(&document)?;
    let rules = rules(&document, around)?;
    let (machine, column) = MACHINES[0];
    let start = calls::find("execve").and_then(|call| call.number(column));
    if !start.is_some_and(|number| rules.may_be_made(number, column, is_short(machine))) {
        return Err(ProfileError::NoStart);
    }
    let instructions = rules.compile();
    if instructions.len() > LONGEST {
        return Err(ProfileError::TooLong(instructions.len()));
    }
    Ok(FilterProgram { instructions, flags })
}

fn flags(document: &Document) -> Result<u32, ProfileError> {
    if document.listener_path.as_ref().is_some_and(|path| !path.is_empty()) {
        let (place, action) = ("the profile".to_owned(), "listenerPath".to_owned());
        return Err(ProfileError::Handed { place, action });
    }
    if document.listener_metadata.as_ref().is_some_and(|text| !text.is_empty()) {
        let (place, action) = ("the profile".to_owned(), "listenerMetadata".to_owned());
        return Err(ProfileError::Handed { place, action });
    }
    let names = document.flags.iter().flatten();
    names.map(|name| known("flags", "flag", name, &FLAGS)).try_fold(0, |flags, flag| Ok(flags | flag?))
}

fn rules(document: &Document, around: Surroundings) -> Result<Rules, ProfileError> {
    let default = document.default_action.as_deref().filter(|action| !action.is_empty());
    let default = default.ok_or(ProfileError::NoDefault)?;
    let error = (document.default_errno_ret, document.default_errno.as_deref());
    let otherwise = action("defaultAction", default, error)?;
    let architectures = architectures(document)?;
    // Programs of the machine itself may always run.
    let mut columns = BTreeSet::from([MACHINES[0].1]);
    columns.extend(architectures.iter().filter_map(|(_, column)| *column));
    let mut rules = Vec::new();
    for (number, entry) in document.syscalls.iter().flatten().enumerate() {
        add(&mut rules, number, entry, around)?;
    }
    Ok(Rules {
        otherwise,
        columns: columns.into_iter().collect(),
        x32: architectures.iter().any(|(name, _)| *name == X32),
        rules,
    })
}

/// The machines that the profile names.
fn architectures(document: &Document) -> Result<Vec<(&'static str, Option<usize>)>, ProfileError> {
    let named = document.architectures.iter().flatten().collect::<Vec<_>>();
    let map = document.arch_map.as_deref().unwrap_or_default();
    if !named.is_empty() && !map.is_empty() {
        let place = "the profile".to_owned();
        return Err(ProfileError::Both { place, first: "architectures", second: "archMap" });
    }
    let machine = |name: &String| known_row("architectures", "machine", name, &ARCHITECTURES);
    let mut machines: Vec<_> = named.into_iter().map(machine).collect::<Result<_, _>>()?;
    let mut found = false;
    for entry in map {
        let all = [&entry.architecture].into_iter().chain(entry.sub_architectures.iter().flatten());
        let all: Vec<_> = all.map(machine).collect::<Result<_, _>>()?;
        let is_own = all.first().is_some_and(|(_, column)| *column == Some(MACHINES[0].1));
        if is_own && !found {
            found = true;
            machines = all;
        }
    }
    Ok(machines)
}

fn add(
    rules: &mut Vec<Rule>,
    number: usize,
    entry: &Entry,
    around: Surroundings,
) -> Result<(), ProfileError> {
    let mut place = format!("syscalls[{number}]");
    let names = match (&entry.names, entry.name.as_ref().filter(|name| !name.is_empty())) {
        (Some(names), Some(_)) if !names.is_empty() => {
            return Err(ProfileError::Both { place, first: "name", second: "names" });
        }
        (_, Some(name)) => std::slice::from_ref(name),
        (Some(names), None) => names,
        (None, None) => return Err(ProfileError::NoNames(place)),
    };
    if let Some(name) = names.first() {
        place = format!("{place} ({name}{})", if names.len() > 1 { ", …" } else { "" });
    }
    let action = action(&place, &entry.action, (entry.errno_ret, entry.errno.as_deref()))?;
    let alternatives = conditions(&place, entry.args.as_deref().unwrap_or_default())?;
    // All is read before it is left out: what is wrong with a rule does not depend on where it is read.
    let holds = match &entry.includes {
        Some(circumstances) => hold(&place, circumstances, around)?.iter().all(|holds| *holds),
        None => true,
    };
    let excluded = match &entry.excludes {
        Some(circumstances) => hold(&place, circumstances, around)?.iter().any(|holds| *holds),
        None => false,
    };
    if !holds || excluded {
        return Ok(());
    }
    // A call of which nothing is known here is none that a program here could make.
    for call in names.iter().filter_map(|name| calls::find(name)) {
        for conditions in &alternatives {
            rules.push(Rule { call, conditions: conditions.clone(), action });
        }
        if rules.len() > MOST_RULES {
            return Err(ProfileError::TooMany);
        }
    }
    Ok(())
}

/// The conditions of a rule: all must hold, except where several concern one argument. Then, as runc has it, one of all is enough.
fn conditions(place: &str, arguments: &[Argument]) -> Result<Vec<Vec<Condition>>, ProfileError> {
    let conditions: Vec<Condition> =
        arguments.iter().map(|argument| condition(place, argument)).collect::<Result<_, _>>()?;
    let indices: BTreeSet<u32> = conditions.iter().map(|condition| condition.index).collect();
    Ok(match indices.len() == conditions.len() {
        true => vec![conditions],
        false => conditions.into_iter().map(|condition| vec![condition]).collect(),
    })
}

fn condition(place: &str, argument: &Argument) -> Result<Condition, ProfileError> {
    let index = u32::try_from(argument.index).ok().filter(|index| *index < 6);
    let index =
        index.ok_or_else(|| ProfileError::Index { place: place.to_owned(), index: argument.index })?;
    let meaning = known(place, "comparison", &argument.op, &COMPARISONS)?;
    let (comparison, value) = meaning(argument.value, argument.value_two);
    Ok(Condition { index, comparison, value })
}

fn action(
    place: &str,
    name: &str,
    (number, error): (Option<u64>, Option<&str>),
) -> Result<Action, ProfileError> {
    if HANDED.contains(&name) {
        return Err(ProfileError::Handed { place: place.to_owned(), action: name.to_owned() });
    }
    let action = known(place, "action", name, &ACTIONS)?;
    let Action::Error(_) = action else { return Ok(action) };
    match (number, error.filter(|name| !name.is_empty())) {
        (Some(number), _) => match u16::try_from(number) {
            Ok(error) if number <= HIGHEST_ERROR => Ok(Action::Error(error)),
            _ => Err(ProfileError::ErrorNumber { place: place.to_owned(), number }),
        },
        (None, Some(name)) => Err(ProfileError::ErrorName { place: place.to_owned(), name: name.to_owned() }),
        (None, None) => Ok(action),
    }
}

/// Which of the circumstances hold: of machines any, of capabilities each by itself, of kernels this one or a newer.
fn hold(place: &str, circumstances: &Circumstances, around: Surroundings) -> Result<Vec<bool>, ProfileError> {
    let mut all = Vec::new();
    if let Some(names) = circumstances.arches.as_ref().filter(|names| !names.is_empty()) {
        all.push(names.iter().any(|name| name == MACHINE_NAME));
    }
    for name in circumstances.caps.iter().flatten() {
        let number = name.strip_prefix("CAP_").and_then(capabilities::number);
        let number = number.ok_or_else(|| ProfileError::Unknown {
            place: place.to_owned(),
            what: "capability",
            word: name.clone(),
            known: String::new(),
        })?;
        all.push(around.capabilities & 1 << number != 0);
    }
    if let Some(version) = &circumstances.min_kernel {
        let numbers = version.split_once('.').and_then(|(major, minor)| {
            let number = |digits: &str| digits.parse::<u8>().ok().map(u32::from);
            Some((number(major)?, number(minor)?))
        });
        let asked = numbers.filter(|numbers| *numbers != (0, 0));
        let asked = asked
            .ok_or_else(|| ProfileError::Kernel { place: place.to_owned(), version: version.clone() })?;
        all.push(around.kernel >= asked);
    }
    Ok(all)
}

fn known<T: Copy>(
    place: &str,
    what: &'static str,
    word: &str,
    table: &[(&'static str, T)],
) -> Result<T, ProfileError> {
    known_row(place, what, word, table).map(|(_, value)| value)
}

/// The row of a table that a word names.
fn known_row<T: Copy>(
    place: &str,
    what: &'static str,
    word: &str,
    table: &[(&'static str, T)],
) -> Result<(&'static str, T), ProfileError> {
    table.iter().find(|(name, _)| *name == word).copied().ok_or_else(|| ProfileError::Unknown {
        place: place.to_owned(),
        what,
        word: word.to_owned(),
        known: table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
    })
}
