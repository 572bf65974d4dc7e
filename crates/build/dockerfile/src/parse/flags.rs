//! The flags that an instruction takes. Follows BuildKit's instructions/bflag.go.

use crate::Diagnostic;
use crate::diagnostic::likely;
use crate::instruction::{Flag, Word};

/// The flags of one instruction, taken one by one; what nobody took is unknown.
pub(super) struct Flags {
    flags: Vec<Flag>,
    known: Vec<&'static str>,
    problems: Vec<Diagnostic>,
}

impl Flags {
    pub(super) fn new(flags: Vec<Flag>) -> Self {
        Flags { flags, known: Vec::new(), problems: Vec::new() }
    }

    /// The values of a flag that may stand several times.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<Word> {
        self.take(name).into_iter().filter_map(|flag| self.value(flag)).collect()
    }

    /// The value of a flag that may stand once. An empty value is a value.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Word> {
        let flag = self.once(name)?;
        self.value(flag)
    }

    /// The value of a flag that is true or false; a bare `--name` is true.
    pub(super) fn switch(&mut self, name: &'static str) -> Option<bool> {
        let flag = self.once(name)?;
        let Some(value) = flag.value else { return Some(true) };
        match value.text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            "" => {
                let message = format!("missing a value on flag --{name}");
                self.problems.push(Diagnostic::error("missing-flag-value", flag.name.span, message));
                None
            }
            _ => {
                let message = format!("expecting a boolean value for flag --{name}, not `{}`", value.text);
                let problem = Diagnostic::error("invalid-flag-value", value.span, message);
                self.problems.push(problem.with_hint("it is true or false"));
                None
            }
        }
    }

    /// What is wrong with the flags, those that nobody took included.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for flag in self.flags {
            let message = format!("unknown flag: --{}", flag.name.text);
            let problem = Diagnostic::error("unknown-flag", flag.name.span, message);
            let hint = match likely(&flag.name.text, self.known.iter().copied()) {
                Some(likely) => Some(format!("did you mean --{likely}?")),
                None if self.known.is_empty() => None,
                None => Some(format!("the flags are --{}", self.known.join(", --"))),
            };
            self.problems.push(Diagnostic { hint, ..problem });
        }
        self.problems
    }

    /// The flags, where the instruction is one of those whose flags nobody looks at.
    pub(super) fn ignored(self, keyword: &str) -> Vec<Diagnostic> {
        let ignored = |flag: Flag| {
            let message = format!("{keyword} takes no flags: --{} is ignored", flag.name.text);
            Diagnostic::warning("ignored-flag", flag.name.span, message)
        };
        self.flags.into_iter().map(ignored).collect()
    }

    fn take(&mut self, name: &'static str) -> Vec<Flag> {
        self.known.push(name);
        let (taken, rest) =
            std::mem::take(&mut self.flags).into_iter().partition(|flag| flag.name.text == name);
        self.flags = rest;
        taken
    }

    fn once(&mut self, name: &'static str) -> Option<Flag> {
        let mut flags = self.take(name).into_iter();
        let first = flags.next();
        for again in flags {
            let message = format!("duplicate flag specified: --{name}");
            self.problems.push(Diagnostic::error("duplicate-flag", again.name.span, message));
        }
        first
    }

    fn value(&mut self, flag: Flag) -> Option<Word> {
        if flag.value.is_none() {
            let message = format!("missing a value on flag --{}", flag.name.text);
            let hint = format!("write it as --{}=VALUE", flag.name.text);
            let problem = Diagnostic::error("missing-flag-value", flag.name.span, message);
            self.problems.push(problem.with_hint(hint));
        }
        flag.value
    }
}
