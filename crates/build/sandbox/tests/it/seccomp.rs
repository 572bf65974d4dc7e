//! Profiles of system calls against libseccomp: the same rules, made into filters by both, must decide alike.
//!
//! Rules are made of numbers that look like chance. What libseccomp 2.5.4 made of some of them is recorded in recorded/libseccomp.txt, so
//! that every machine compares; where its headers are installed, it is asked about many more, and `LONGSHORE_RECORD=1` writes the record.

#[path = "../../src/seccomp/emulate.rs"]
mod emulate;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use emulate::emulate;
use longshore_sandbox::Filter;
use longshore_testkit::{Folder, Random, Requirement, Skip, Stop, Suite, TestResult};
use serde_json::{Value, json};

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("seccomp::profiles_decide_as_recorded_of_libseccomp", &[], recorded).test(
        "seccomp::profiles_decide_as_libseccomp_does",
        &[Requirement::Program("gcc")],
        live,
    )
}

/// How many cases are recorded, and how many are asked live.
const RECORDED: u64 = 24;
const LIVE: u64 = 400;

const ACTIONS: [(&str, u32); 7] = [
    ("SCMP_ACT_ALLOW", 0x7fff_0000),
    ("SCMP_ACT_ERRNO", 0x0005_0001),
    ("SCMP_ACT_LOG", 0x7ffc_0000),
    ("SCMP_ACT_TRAP", 0x0003_0000),
    ("SCMP_ACT_KILL", 0),
    ("SCMP_ACT_KILL_THREAD", 0),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
];
/// In the order of enum scmp_compare, which counts from 1.
const COMPARISONS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];
/// Calls with their numbers on x86-64 and 32-bit x86: common ones, some of one machine, some that go through `socketcall` and `ipc`, and one
/// that nobody knows.
const CALLS: [(&str, Option<u32>, Option<u32>); 23] = [
    ("read", Some(0), Some(3)),
    ("openat", Some(257), Some(295)),
    ("mkdir", Some(83), Some(39)),
    ("clone", Some(56), Some(120)),
    ("personality", Some(135), Some(136)),
    ("ioctl", Some(16), Some(54)),
    ("prctl", Some(157), Some(172)),
    ("arch_prctl", Some(158), Some(384)),
    ("mmap2", None, Some(192)),
    ("chown32", None, Some(212)),
    ("close_range", Some(436), Some(436)),
    ("socket", Some(41), Some(359)),
    ("bind", Some(49), Some(361)),
    ("accept", Some(43), None),
    ("accept4", Some(288), Some(364)),
    ("sendmmsg", Some(307), Some(345)),
    ("socketcall", None, Some(102)),
    ("semget", Some(64), Some(393)),
    ("semtimedop", Some(220), None),
    ("shmctl", Some(31), Some(396)),
    ("ipc", None, Some(117)),
    ("fly_to_the_moon", None, None),
    ("execve", Some(59), Some(11)),
];
/// The last of them, without which there is nothing to filter: every case allows it.
const START: usize = CALLS.len() - 1;
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    10,
    18,
    24,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0002,
    0x7e02_0000,
    0x8000_0000_0000_0000,
    u64::MAX,
];
const LONG: u32 = 0xc000_003e;
const SHORT: u32 = 0x4000_0003;

/// A condition: the argument, the comparison (an index of the table), and its values.
type Condition = (usize, usize, u64, u64);

/// A rule: an action (an index of the table), a call (likewise), conditions.
type Rule = (usize, usize, Vec<Condition>);

/// A profile.
struct Case {
    otherwise: usize,
    with_short: bool,
    rules: Vec<Rule>,
}

impl Case {
    fn new(seed: u64) -> Case {
        let mut random = Random(seed);
        let mut rules = vec![(0, START, Vec::new())];
        // Every second one has a single rule: there both must agree without exception.
        let is_plain = seed.is_multiple_of(2);
        for _ in 0..if is_plain { 1 } else { 1 + random.below(8) } {
            let call = random.below(START);
            let known = rules.iter().find(|(_, known, _): &&Rule| kin(*known) == kin(call));
            // Rules with conditions and different actions may overlap, and which counts then is not promised.
            let action = known.map_or_else(|| random.below(ACTIONS.len()), |(action, _, _)| *action);
            // Several rules of one call have one condition each, with a short value, most of which libseccomp gets right.
            let alone = is_plain || known.is_none() && random.one_in(2);
            for _ in 0..if alone { 1 } else { 1 + random.below(4) } {
                rules.push((action, call, conditions(&mut random, if alone { 3 } else { 1 })));
            }
            if !is_plain && random.one_in(4) && kin(call) == call {
                rules.insert(
                    1 + random.below(rules.len() - 1),
                    (random.below(ACTIONS.len()), call, Vec::new()),
                );
            }
        }
        Case { otherwise: random.below(ACTIONS.len()), with_short: !random.one_in(4), rules }
    }

    /// As Docker takes it.
    fn profile(&self) -> String {
        let argument = |(index, comparison, value, second): &Condition| json!({"index": index, "op": COMPARISONS[*comparison], "value": value, "valueTwo": second});
        let rule = |(action, call, conditions): &Rule| {
            let conditions: Vec<Value> = conditions.iter().map(argument).collect();
            json!({"names": [CALLS[*call].0], "action": ACTIONS[*action].0, "args": conditions})
        };
        let machines: &[&str] = if self.with_short { &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] } else { &[] };
        let rules: Vec<Value> = self.rules.iter().map(rule).collect();
        let profile =
            json!({"defaultAction": ACTIONS[self.otherwise].0, "architectures": machines, "syscalls": rules});
        profile.to_string()
    }

    /// As libseccomp.c takes it.
    fn lines(&self) -> String {
        let mut lines = format!("default {:#x}\n", ACTIONS[self.otherwise].1);
        if self.with_short {
            lines.push_str("machine x86\n");
        }
        for (action, call, conditions) in &self.rules {
            let _ = write!(lines, "rule {:#x} {}", ACTIONS[*action].1, CALLS[*call].0);
            for (index, comparison, value, second) in conditions {
                let _ = write!(lines, " {index} {} {value:#x} {second:#x}", comparison + 1);
            }
            lines.push('\n');
        }
        lines
    }

    /// What is done with a call, by what the rules say: the first without conditions, or else the first whose conditions hold.
    fn expected(&self, machine: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let otherwise = ACTIONS[self.otherwise].1;
        let is_machine = machine == LONG || (machine == SHORT && self.with_short);
        if !is_machine || (machine == LONG && number >= 0x4000_0000 && number != u32::MAX) {
            return 0;
        }
        let mut first = None;
        for (action, call, conditions) in self.rules.iter().filter(|rule| ACTIONS[rule.0].1 != otherwise) {
            let direct = self::number(*call, machine) == Some(number);
            let gate = gate(*call).filter(|(gate, _)| machine == SHORT && *gate == number);
            if !direct && gate.is_none() {
                continue;
            }
            let action = ACTIONS[*action].1;
            for alternative in alternatives(conditions) {
                let own = alternative.iter().filter(|condition| gate.is_none() || condition.0 != 0);
                let real: Vec<&Condition> =
                    own.filter(|condition| !is_empty(condition, machine == SHORT)).collect();
                if real.is_empty() && gate.is_none() {
                    return action;
                }
                let mut all = real.iter().all(|condition| holds(condition, arguments, machine == SHORT));
                all &= gate.is_none_or(|(_, which)| arguments[0] & 0xffff_ffff == which);
                first = first.or(all.then_some(action));
            }
        }
        first.unwrap_or(otherwise)
    }

    /// Whether there is one rule alone beside that which every case has, and that with one set of conditions.
    fn is_plain(&self) -> bool {
        matches!(self.rules.as_slice(), [_, (_, _, conditions)] if alternatives(conditions).len() == 1)
    }

    /// Asks two programs about calls that rules name, with arguments near those that the rules have, and some that no rule names. Ours must
    /// do what the rules say. Returns how many answers were compared, and in how many of them theirs does not: the programs of
    /// libseccomp 2.5.4 share pieces among rules, which now and then go on with what another rule had read.
    fn compare(&self, theirs: &[u8], seed: u64) -> Result<(usize, usize), Stop> {
        let filter = Filter::of_profile(&self.profile(), 0)?;
        let Filter::Profile(ours) = filter else { return Err(Stop::failed("it is no program")) };
        let (ours, theirs) = (instructions(&ours.to_bytes()), instructions(theirs));
        let mut random = Random(!seed);
        let (mut compared, mut mistaken) = (0, 0);
        for (machine, number, arguments) in self.questions(&mut random) {
            let expected = Some(self.expected(machine, number, arguments));
            let told = emulate(&ours, machine, number, arguments);
            if told != expected {
                return Err(Stop::failed(format!(
                    "case {seed}: {number} {arguments:x?} of {machine:x}: {told:x?}, not {expected:x?}\n{}",
                    self.lines()
                )));
            }
            compared += 1;
            let answer = emulate(&theirs, machine, number, arguments);
            if answer != expected && self.is_plain() {
                return Err(Stop::failed(format!(
                    "case {seed}: {number} {arguments:x?} of {machine:x}: libseccomp says {answer:x?}, not {expected:x?}\n{}",
                    self.lines()
                )));
            }
            mistaken += usize::from(answer != expected);
        }
        Ok((compared, mistaken))
    }

    fn questions(&self, random: &mut Random) -> Vec<(u32, u32, [u64; 6])> {
        let mut questions = vec![(LONG, u32::MAX, [0; 6]), (LONG, 0x4000_0000, [0; 6]), (0x1234, 0, [0; 6])];
        for machine in [LONG, SHORT] {
            let named: Vec<u32> = self.rules.iter().filter_map(|rule| number(rule.1, machine)).collect();
            let highest = named.iter().max().copied().unwrap_or(0);
            let gates = [102, 117].into_iter().filter(|gate| machine == SHORT && *gate <= highest);
            // What is above all numbers that rules name is answered by what runc puts before libseccomp's program.
            let others = (0..20).map(|_| u32::try_from(random.below(highest as usize + 1)).unwrap_or(0));
            let numbers: Vec<u32> = named.iter().copied().chain(gates).chain(others).collect();
            for number in numbers {
                for _ in 0..30 {
                    let mut arguments = [0; 6].map(|_: u64| self.value(random));
                    if machine == SHORT && matches!(number, 102 | 117) {
                        // What such a call is to do is a small number; see the bits of it that count.
                        arguments[0] = random.below(26) as u64;
                    }
                    questions.push((machine, number, arguments));
                }
            }
        }
        questions
    }

    /// A value that some rule has, or nearly.
    fn value(&self, random: &mut Random) -> u64 {
        let all: Vec<&Condition> = self.rules.iter().flat_map(|rule| &rule.2).collect();
        if all.is_empty() || random.one_in(4) {
            return random.of(&NUMBERS);
        }
        let (_, _, value, second) = random.of(&all);
        match random.below(4) {
            0 => *second,
            1 => value.wrapping_add(1),
            2 => value.wrapping_sub(1),
            _ => *value,
        }
    }
}

/// Calls that are one, seen from the gate through which they go; all others are their own.
fn kin(call: usize) -> usize {
    let of = |name: &str| CALLS.iter().position(|(known, _, _)| *known == name).unwrap_or(call);
    match CALLS[call].0 {
        "socket" | "bind" | "accept" | "accept4" | "sendmmsg" => of("socketcall"),
        "semget" | "semtimedop" | "shmctl" => of("ipc"),
        _ => call,
    }
}

/// The gate through which a call goes on 32-bit x86, and its number there.
fn gate(call: usize) -> Option<(u32, u64)> {
    Some(match CALLS[call].0 {
        "socket" => (102, 1),
        "bind" => (102, 2),
        "accept" => (102, 5),
        "accept4" => (102, 18),
        "sendmmsg" => (102, 20),
        "semget" => (117, 2),
        "semtimedop" => (117, 4),
        "shmctl" => (117, 24),
        _ => return None,
    })
}

/// All conditions together, or where several concern one argument each by itself.
fn alternatives(conditions: &[Condition]) -> Vec<&[Condition]> {
    let twice = (0..6).any(|index| conditions.iter().filter(|condition| condition.0 == index).count() > 1);
    if twice { conditions.chunks(1).collect() } else { vec![conditions] }
}

/// Whether a condition compares none of the bits that there are.
fn is_empty((_, comparison, bits, _): &Condition, is_short: bool) -> bool {
    *comparison == 6 && if is_short { *bits & 0xffff_ffff == 0 } else { *bits == 0 }
}

fn holds((index, comparison, value, second): &Condition, arguments: [u64; 6], is_short: bool) -> bool {
    let cut = |number: u64| if is_short { number & 0xffff_ffff } else { number };
    let (argument, value, second) = (cut(arguments[*index]), cut(*value), cut(*second));
    match comparison {
        0 => argument != value,
        1 => argument < value,
        2 => argument <= value,
        3 => argument == value,
        4 => argument >= value,
        5 => argument > value,
        _ => argument & value == second & value,
    }
}

fn conditions(random: &mut Random, most: usize) -> Vec<Condition> {
    let count = if random.one_in(6) { 0 } else { 1 + random.below(most) };
    let values = if most == 1 { &NUMBERS[..9] } else { &NUMBERS };
    let one = |random: &mut Random| {
        let (value, second) = (random.of(values), random.of(values));
        (random.below(6), random.below(COMPARISONS.len()), value, second)
    };
    (0..count).map(|_| one(random)).collect()
}

fn number(call: usize, machine: u32) -> Option<u32> {
    if machine == LONG { CALLS[call].1 } else { CALLS[call].2 }
}

fn instructions(bytes: &[u8]) -> Vec<(u16, u8, u8, u32)> {
    let one = |bytes: &[u8]| {
        let operation = u16::from_ne_bytes([bytes[0], bytes[1]]);
        (operation, bytes[2], bytes[3], u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
    };
    bytes.chunks_exact(8).map(one).collect()
}

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recorded/libseccomp.txt")
}

fn recorded() -> TestResult {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Skip("what is recorded is of x86-64".to_owned()).into());
    }
    let text = std::fs::read_to_string(record())?;
    let (mut cases, mut compared, mut mistaken) = (0, 0, 0);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (seed, digits) = line.split_once(' ').ok_or_else(|| Stop::failed(line))?;
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
        let program = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
        let seed = seed.parse()?;
        let (asked, wrong) = Case::new(seed).compare(&program, seed)?;
        (compared, mistaken, cases) = (compared + asked, mistaken + wrong, cases + 1);
    }
    assert_eq!(cases, RECORDED);
    assert!(compared > 10_000 && mistaken < compared / 400, "{compared}, {mistaken}");
    Ok(())
}

/// libseccomp's compiler, compiled.
fn compiler(folder: &Folder) -> Result<PathBuf, Stop> {
    let program = folder.path().join("libseccomp");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/libseccomp.c");
    let made = Command::new("gcc").arg("-o").arg(&program).arg(source).arg("-lseccomp").output()?;
    let said = String::from_utf8_lossy(&made.stderr);
    match made.status.success() {
        true => Ok(program),
        false if said.contains("seccomp.h: No such file") => {
            Err(Skip("libseccomp-dev is not installed".to_owned()).into())
        }
        false => Err(Stop::failed(said.into_owned())),
    }
}

/// What libseccomp makes of a case; `None` where it refuses a rule, since the tree of another stands in its way.
fn ask(compiler: &Path, case: &Case) -> Result<Option<Vec<u8>>, Stop> {
    let mut child =
        Command::new(compiler).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(case.lines().as_bytes())?;
    }
    let output = child.wait_with_output()?;
    match output.status.code() {
        Some(0) => Ok(Some(output.stdout)),
        Some(3) => Ok(None),
        code => Err(Stop::failed(format!("the compiler ended with {code:?}"))),
    }
}

fn live() -> TestResult {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Skip("the cases are of x86-64".to_owned()).into());
    }
    let folder = Folder::new()?;
    let compiler = compiler(&folder)?;
    let (mut compared, mut mistaken, mut cases, mut lines) = (0, 0, 0, String::new());
    for seed in 0..LIVE {
        let case = Case::new(seed);
        let Some(program) = ask(&compiler, &case)? else { continue };
        let (asked, wrong) = case.compare(&program, seed)?;
        (compared, mistaken) = (compared + asked, mistaken + wrong);
        if cases < RECORDED {
            let digits: String = program.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = writeln!(lines, "{seed} {digits}");
        }
        cases += 1;
    }
    assert!(cases > LIVE / 2 && compared > 300_000, "{cases} cases, {compared} answers");
    assert!(mistaken < compared / 400, "{mistaken} of {compared} answers are others");
    if std::env::var_os("LONGSHORE_RECORD").is_some() {
        let head = "# What libseccomp made of cases of ../seccomp.rs: the case's number, and the program as the kernel takes it.\n";
        longshore_files::write_atomic(&record(), format!("{head}{lines}").as_bytes())?;
    }
    Ok(())
}
