//! The process's environment, read once and passed down as a value.
//!
//! No library reads a variable on its own: what a command does is decided by its arguments, its files and this.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::PathBuf;

/// What the surroundings say.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    stdin_is_terminal: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        Environment {
            variables: std::env::vars_os().collect(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Environment {
            variables,
            stdin_is_terminal: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        }
    }

    /// Every variable, for what reads many.
    pub(crate) fn variables(&self) -> BTreeMap<OsString, OsString> {
        self.variables.clone()
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// A variable that is set, not empty and an absolute path, as the XDG base directory specification wants it.
    pub(crate) fn folder(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// Whether a person can be asked: standard input and standard error are terminals, and no CI runs this.
    pub(crate) fn can_ask(&self) -> bool {
        self.stdin_is_terminal && self.can_redraw()
    }

    /// Whether results go to a terminal.
    pub(crate) fn stdout_is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Whether lines on standard error can be drawn over.
    pub(crate) fn can_redraw(&self) -> bool {
        self.stderr_is_terminal && !self.is_ci() && self.variable("TERM").is_some_and(|term| term != "dumb")
    }

    /// Whether the terminal's encoding has more than ASCII.
    pub(crate) fn has_unicode(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| self.variable(name));
        locale.and_then(OsStr::to_str).is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    }

    fn is_ci(&self) -> bool {
        self.variable("CI").is_some_and(|value| value != "false" && value != "0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_redrawn_only_where_a_person_sits_before_it() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[("TERM", "xterm")], true),
            (&[("TERM", "dumb")], false),
            (&[], false),
            (&[("TERM", "xterm"), ("CI", "true")], false),
            (&[("TERM", "xterm"), ("CI", "false")], true),
            (&[("TERM", "xterm"), ("CI", "")], true),
        ];
        for (variables, expected) in cases {
            let environment = Environment { stderr_is_terminal: true, ..Environment::of(variables) };
            assert_eq!(environment.can_redraw(), *expected, "{variables:?}");
            let redirected = Environment { stderr_is_terminal: false, ..environment };
            assert!(!redirected.can_redraw(), "{variables:?}");
        }
    }

    #[test]
    fn the_most_specific_locale_variable_decides() {
        for (variables, expected) in [
            (&[("LANG", "en_GB.UTF-8")][..], true),
            (&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")], true),
            (&[], false),
        ] {
            assert_eq!(Environment::of(variables).has_unicode(), expected, "{variables:?}");
        }
    }
}
