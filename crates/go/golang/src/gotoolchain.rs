//! Which toolchain Go would run: GOTOOLCHAIN's settings, and the `go` and `toolchain` lines of go.mod and go.work.
//!
//! The lines are minimums: an installed Go that is new enough is kept. The rules are those of `cmd/go/internal/toolchain`
//! (Go 1.26) and <https://go.dev/doc/toolchain#select>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::version::{GoVersion, ToolchainName, VersionError};

/// What a `toolchain` line asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ToolchainLine {
    /// `toolchain default`: never switch, use what the user configured.
    Default,
    /// A toolchain to prefer over older ones.
    Named(ToolchainName),
}

impl fmt::Display for ToolchainLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolchainLine::Default => formatter.write_str("default"),
            ToolchainLine::Named(name) => name.fmt(formatter),
        }
    }
}

impl FromStr for ToolchainLine {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "default" { Ok(ToolchainLine::Default) } else { text.parse().map(ToolchainLine::Named) }
    }
}

impl TryFrom<String> for ToolchainLine {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ToolchainLine> for String {
    fn from(line: ToolchainLine) -> Self {
        line.to_string()
    }
}

/// The lines of one go.mod or go.work that decide which toolchain runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolchainLines {
    /// The `go` line's version.
    pub go: Option<GoVersion>,
    /// The `toolchain` line.
    pub toolchain: Option<ToolchainLine>,
}

impl ToolchainLines {
    /// The oldest toolchain that satisfies both lines; none if neither asks for one.
    ///
    /// This is what a build on a machine without Go fetches: `go 1.21` gives `go1.21.0`, unless the `toolchain` line names a
    /// newer one.
    pub fn exact(&self) -> Option<ToolchainName> {
        let from_go = self.go.as_ref().map(GoVersion::first_toolchain);
        let from_line = match &self.toolchain {
            Some(ToolchainLine::Named(name)) => Some(name.clone()),
            _ => None,
        };
        match (from_go, from_line) {
            (Some(go), Some(line)) if go.version() > line.version() => Some(go),
            (go, line) => line.or(go),
        }
    }

    /// Whether a toolchain of this version may build the module: Go refuses a `go` line that is newer than itself. The
    /// `toolchain` line is a preference and refuses nothing.
    pub fn satisfied_by(&self, version: &GoVersion) -> bool {
        self.go.as_ref().is_none_or(|go| go <= version)
    }
}

/// How GOTOOLCHAIN lets Go change to another toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switching {
    /// Never.
    Never,
    /// To what go.mod asks for, from the PATH or fetched.
    Auto,
    /// To what go.mod asks for, from the PATH only.
    Path,
}

/// A GOTOOLCHAIN setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoToolchain {
    /// The toolchain to start from; none is the installed one (`local`).
    pub minimum: Option<ToolchainName>,
    /// How it may change.
    pub switching: Switching,
}

impl Default for GoToolchain {
    /// `auto`, which is what Go's own releases have in go.env.
    fn default() -> Self {
        GoToolchain { minimum: None, switching: Switching::Auto }
    }
}

impl FromStr for GoToolchain {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError::Setting { text: text.to_owned() };
        let (minimum, switching) = match text {
            "auto" => ("local", Switching::Auto),
            "path" => ("local", Switching::Path),
            _ => match text.split_once('+') {
                None => (text, Switching::Never),
                Some((minimum, "auto")) => (minimum, Switching::Auto),
                Some((minimum, "path")) => (minimum, Switching::Path),
                Some(_) => return Err(error()),
            },
        };
        let minimum = match minimum {
            "local" => None,
            name => Some(name.parse().map_err(|_| error())?),
        };
        Ok(GoToolchain { minimum, switching })
    }
}

impl fmt::Display for GoToolchain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minimum = self.minimum.as_ref().map(ToolchainName::as_str);
        match (minimum, self.switching) {
            (minimum, Switching::Never) => formatter.write_str(minimum.unwrap_or("local")),
            (None, Switching::Auto) => formatter.write_str("auto"),
            (None, Switching::Path) => formatter.write_str("path"),
            (Some(name), Switching::Auto) => write!(formatter, "{name}+auto"),
            (Some(name), Switching::Path) => write!(formatter, "{name}+path"),
        }
    }
}

/// What decided the toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectedBy {
    /// The installed Go, which nothing asked to leave.
    Installed,
    /// GOTOOLCHAIN names it.
    Setting,
    /// The `go` line.
    GoLine,
    /// The `toolchain` line.
    ToolchainLine,
    /// Nothing is installed and nothing asks for a version.
    Nothing,
}

/// The toolchain that Go would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Its name; none is "any Go will do".
    pub toolchain: Option<ToolchainName>,
    /// What decided it.
    pub by: SelectedBy,
    /// Whether it may be fetched if it is not in the PATH.
    pub may_fetch: bool,
}

impl GoToolchain {
    /// Chooses the toolchain as Go does, with one addition: without an installed Go the lines alone decide, and under `local`
    /// nothing may be fetched.
    pub fn select(&self, installed: Option<&ToolchainName>, lines: &ToolchainLines) -> Selection {
        let (mut toolchain, mut by) = match (&self.minimum, installed) {
            (Some(name), _) => (Some(name.clone()), SelectedBy::Setting),
            (None, Some(name)) => (Some(name.clone()), SelectedBy::Installed),
            (None, None) => (None, SelectedBy::Nothing),
        };
        let follows_lines = self.switching != Switching::Never
            && (lines.toolchain != Some(ToolchainLine::Default) || toolchain.is_none());
        if follows_lines {
            let newer = |than: &Option<ToolchainName>, version: &GoVersion| {
                than.as_ref().is_none_or(|name| version > name.version())
            };
            if let Some(ToolchainLine::Named(name)) = &lines.toolchain
                && newer(&toolchain, name.version())
            {
                (toolchain, by) = (Some(name.clone()), SelectedBy::ToolchainLine);
            }
            if let Some(go) = &lines.go
                && newer(&toolchain, go)
            {
                (toolchain, by) = (Some(go.first_toolchain()), SelectedBy::GoLine);
            }
        }
        let named = self.minimum.is_some() && self.switching == Switching::Never;
        Selection { toolchain, by, may_fetch: named || self.switching == Switching::Auto }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(go: &str, toolchain: &str) -> ToolchainLines {
        ToolchainLines { go: go.parse().ok(), toolchain: toolchain.parse().ok() }
    }

    #[test]
    fn the_exact_toolchain_is_the_newer_of_the_two_lines() {
        let table = [
            ("1.21", "", Some("go1.21.0")),
            ("1.21", "go1.21.3", Some("go1.21.3")),
            ("1.22", "go1.21.3", Some("go1.22.0")),
            ("1.21.5", "go1.21.5-corp", Some("go1.21.5-corp")),
            ("1.21.5", "default", Some("go1.21.5")),
            ("1.20", "", Some("go1.20")),
            ("", "go1.22.1", Some("go1.22.1")),
            ("", "", None),
        ];
        for (go, toolchain, expected) in table {
            let exact = lines(go, toolchain).exact();
            assert_eq!(exact.as_ref().map(ToolchainName::as_str), expected, "go {go}, toolchain {toolchain}");
        }
    }

    /// The rows follow `cmd/go/internal/toolchain.Select`.
    #[test]
    fn settings_and_lines_choose_as_go_does() {
        use SelectedBy::{GoLine, Installed, Nothing, Setting, ToolchainLine as Line};
        let table = [
            ("auto", "go1.26.8", "1.21", "", Some("go1.26.8"), Installed, true),
            ("auto", "go1.26.8", "1.27", "", Some("go1.27.0"), GoLine, true),
            ("auto", "go1.21.0", "1.21", "go1.22.1", Some("go1.22.1"), Line, true),
            ("auto", "go1.21.0", "1.23", "go1.22.1", Some("go1.23.0"), GoLine, true),
            ("path", "go1.21.0", "1.23", "", Some("go1.23.0"), GoLine, false),
            ("local", "go1.21.0", "1.23", "", Some("go1.21.0"), Installed, false),
            ("go1.22.3", "go1.26.0", "1.24", "", Some("go1.22.3"), Setting, true),
            ("go1.22.3+auto", "go1.26.0", "1.24", "", Some("go1.24.0"), GoLine, true),
            ("go1.25.3+path", "go1.26.0", "1.24", "", Some("go1.25.3"), Setting, false),
            ("local+auto", "go1.21.0", "1.22.5", "", Some("go1.22.5"), GoLine, true),
            ("auto", "go1.21.1-corp", "1.21", "go1.21.1", Some("go1.21.1-corp"), Installed, true),
            ("auto", "go1.21.0", "1.35", "default", Some("go1.21.0"), Installed, true),
            ("auto", "", "1.22", "", Some("go1.22.0"), GoLine, true),
            ("auto", "", "", "", None, Nothing, true),
            ("local", "", "1.22", "", None, Nothing, false),
        ];
        for (setting, installed, go, toolchain, expected, by, may_fetch) in table {
            let installed = installed.parse().ok();
            let chosen =
                setting.parse::<GoToolchain>().unwrap().select(installed.as_ref(), &lines(go, toolchain));
            let name = chosen.toolchain.as_ref().map(ToolchainName::as_str);
            assert_eq!(
                (name, chosen.by, chosen.may_fetch),
                (expected, by, may_fetch),
                "{setting} go {go} {toolchain}"
            );
        }
    }

    #[test]
    fn settings_are_read_and_shown_as_go_writes_them() {
        for text in ["local", "auto", "path", "go1.21.3", "go1.21.3+auto", "go1.21.3-x+path"] {
            assert_eq!(text.parse::<GoToolchain>().unwrap().to_string(), text);
        }
        for text in ["", "bash", "1.21", "go1.21+later", "auto+auto", "go1.21/../x"] {
            assert!(text.parse::<GoToolchain>().is_err(), "{text:?}");
        }
    }
}
