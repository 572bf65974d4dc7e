//! go.mod: what a module is called, which Go it wants, and which modules it needs.
//!
//! The grammar is that of <https://go.dev/ref/mod#go-mod-file> as Go 1.26 reads it (`golang.org/x/mod/modfile`). Every entry
//! keeps its line, and all mistakes of a file are reported together. Versions are not resolved: a branch name in place of a
//! version, which Go's own tools replace when they next tidy the file, is kept as written.

use serde::Serialize;

use crate::error::{Problem, SyntaxError, SyntaxErrors};
use crate::gotoolchain::{ToolchainLine, ToolchainLines};
use crate::lines::{Line, Statement, statements, unquote};
use crate::module::{check_major, is_folder};
use crate::version::GoVersion;

/// A parsed go.mod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GoMod {
    /// The `module` directive.
    pub module: ModuleLine,
    /// The `go` directive; without one Go assumes 1.16.
    pub go: Option<Located<GoVersion>>,
    /// The `toolchain` directive.
    pub toolchain: Option<Located<ToolchainLine>>,
    /// `require` directives.
    pub require: Vec<Require>,
    /// `replace` directives.
    pub replace: Vec<Replace>,
    /// `exclude` directives.
    pub exclude: Vec<Exclude>,
    /// `retract` directives.
    pub retract: Vec<Retract>,
    /// `godebug` directives.
    pub godebug: Vec<GoDebug>,
    /// Packages of `tool` directives.
    pub tool: Vec<Located<String>>,
    /// Folders of `ignore` directives, as written: with `./` in front relative to the module, else at any depth.
    pub ignore: Vec<Located<String>>,
}

/// A value and the line that it stands in, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its line, from 1.
    pub line: u32,
}

/// The `module` directive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ModuleLine {
    /// The module's path.
    pub path: String,
    /// The message after `Deprecated:` in its comment.
    pub deprecated: Option<String>,
    /// Its line, from 1.
    pub line: u32,
}

/// A `require` directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Require {
    /// The module's path.
    pub path: String,
    /// The minimum version.
    pub version: String,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
    /// Its line, from 1.
    pub line: u32,
}

/// A `replace` directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replace {
    /// The module that is replaced.
    pub path: String,
    /// The version that is replaced; none is all of them.
    pub version: Option<String>,
    /// What stands in for it.
    pub with: Replacement,
    /// Its line, from 1.
    pub line: u32,
}

/// What stands in for a replaced module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replacement {
    /// A folder, as written: relative ones start at the file's folder.
    Folder(String),
    /// Another module.
    Module {
        /// Its path.
        path: String,
        /// Its version.
        version: String,
    },
}

/// An `exclude` directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exclude {
    /// The module's path.
    pub path: String,
    /// The version that must not be chosen.
    pub version: String,
    /// Its line, from 1.
    pub line: u32,
}

/// A `retract` directive: versions of this module that should not be used. Both ends are included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retract {
    /// The lowest version.
    pub low: String,
    /// The highest version.
    pub high: String,
    /// The reason, from the comment.
    pub rationale: String,
    /// Its line, from 1.
    pub line: u32,
}

/// A `godebug` directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoDebug {
    /// The setting.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its line, from 1.
    pub line: u32,
}

/// Which rules apply to a go.mod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The module that is built: everything must be understood.
    Main,
    /// A dependency: only what matters to those who depend on it is read.
    Dependency,
}

const DIRECTIVES: [&str; 10] =
    ["module", "go", "toolchain", "require", "replace", "exclude", "retract", "godebug", "tool", "ignore"];

impl GoMod {
    /// Reads the go.mod of a main module.
    ///
    /// Errors: every mistake that Go would report without asking the network, each with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyntaxErrors> {
        Self::parse_as(bytes, Role::Main)
    }

    /// Reads the go.mod of a dependency: unknown directives and those that count in a main module only are passed over, as Go
    /// does.
    pub fn parse_dependency(bytes: &[u8]) -> Result<Self, SyntaxErrors> {
        Self::parse_as(bytes, Role::Dependency)
    }

    fn parse_as(bytes: &[u8], role: Role) -> Result<Self, SyntaxErrors> {
        let mut file = GoMod::default();
        let mut errors = Vec::new();
        for_each_directive(&statements(bytes)?, |verb, line, block| {
            if let Err(error) = file.add(verb, line, block, role) {
                errors.push(error);
            }
        });
        if errors.is_empty() && file.module.line == 0 {
            errors.push(SyntaxError { line: 1, column: 1, problem: Problem::NoModule });
        }
        SyntaxErrors::collect(errors)?;
        Ok(file)
    }

    /// The lines that decide the toolchain.
    pub fn toolchain_lines(&self) -> ToolchainLines {
        ToolchainLines {
            go: self.go.as_ref().map(|go| go.value.clone()),
            toolchain: self.toolchain.as_ref().map(|toolchain| toolchain.value.clone()),
        }
    }

    /// The replacement of a module at a version: one for that version is preferred over one for all.
    pub fn replacement(&self, path: &str, version: &str) -> Option<&Replace> {
        replacement(&self.replace, path, version)
    }

    fn add(&mut self, verb: &str, line: &Line, block: Option<&Line>, role: Role) -> Result<(), SyntaxError> {
        let words = if block.is_some() { &line.words[..] } else { &line.words[1..] };
        let dependency_reads = matches!(verb, "go" | "module" | "retract" | "require" | "ignore");
        if role == Role::Dependency && !dependency_reads {
            return Ok(());
        }
        let entry = Entry { line, words, number: line.line };
        match verb {
            "module" => self.module = entry.module(&self.module, block)?,
            "go" => self.go = Some(entry.go(self.go.as_ref(), role == Role::Main)?),
            "toolchain" => self.toolchain = Some(entry.toolchain(self.toolchain.as_ref())?),
            "require" => {
                let (path, version) = entry.versioned("require module/path v1.2.3")?;
                let indirect = is_indirect(line.suffix.as_deref());
                self.require.push(Require { path, version, indirect, line: line.line });
            }
            "exclude" => {
                let (path, version) = entry.versioned("exclude module/path v1.2.3")?;
                self.exclude.push(Exclude { path, version, line: line.line });
            }
            "replace" => self.replace.push(entry.replace()?),
            "retract" => match entry.retract(block) {
                Ok(retract) => self.retract.push(retract),
                Err(_) if role == Role::Dependency => {}
                Err(error) => return Err(error),
            },
            "godebug" => self.godebug.push(entry.godebug()?),
            "tool" => self.tool.push(entry.single("tool example.com/package")?),
            "ignore" => self.ignore.push(entry.single("ignore folder")?),
            _ => return Err(line.error(unknown(verb, &DIRECTIVES))),
        }
        Ok(())
    }
}

/// Calls `each` with the directive, its line, and the head of the block that it stands in.
pub(crate) fn for_each_directive(statements: &[Statement], mut each: impl FnMut(&str, &Line, Option<&Line>)) {
    for statement in statements {
        match statement {
            Statement::Line(line) => each(&line.words[0], line, None),
            Statement::Block { head, lines } => {
                let verb = head.words.join(" ");
                // An empty block of an unknown kind is still unknown.
                if lines.is_empty() && !matches!(verb.as_str(), "use") && !DIRECTIVES.contains(&verb.as_str())
                {
                    each(&verb, head, Some(head));
                }
                // Neither go nor toolchain has a block form.
                if matches!(verb.as_str(), "go" | "toolchain") {
                    each(&format!("{verb} ("), head, Some(head));
                    continue;
                }
                for line in lines {
                    each(&verb, line, Some(head));
                }
            }
        }
    }
}

pub(crate) fn unknown(verb: &str, known: &[&'static str]) -> Problem {
    let nearest = known.iter().copied().find(|known| is_one_slip_away(verb, known));
    Problem::UnknownDirective { directive: verb.to_owned(), nearest }
}

/// Whether two words differ by one letter added, lost, changed or swapped with its neighbour.
fn is_one_slip_away(typed: &str, known: &str) -> bool {
    let (typed, known): (Vec<char>, Vec<char>) = (typed.chars().take(32).collect(), known.chars().collect());
    let front = typed.iter().zip(&known).take_while(|(a, b)| a == b).count();
    let back = typed.iter().rev().zip(known.iter().rev()).take_while(|(a, b)| a == b).count();
    let (longer, shorter) = (typed.len().max(known.len()), typed.len().min(known.len()));
    if longer - shorter == 1 {
        return front + back >= shorter;
    }
    longer == shorter
        && (front + back + 1 >= longer
            || (front + back + 2 == longer
                && typed[front] == known[front + 1]
                && typed[front + 1] == known[front]))
}

pub(crate) fn replacement<'a>(replace: &'a [Replace], path: &str, version: &str) -> Option<&'a Replace> {
    let of_path = || replace.iter().rev().filter(|replace| replace.path == path);
    of_path()
        .find(|replace| replace.version.as_deref() == Some(version))
        .or_else(|| of_path().find(|replace| replace.version.is_none()))
}

fn is_indirect(suffix: Option<&str>) -> bool {
    let mut words = suffix.unwrap_or_default().split_whitespace();
    matches!((words.next(), words.next()), (Some("indirect"), None) | (Some("indirect;"), Some(_)))
}

/// One directive on its way to becoming an entry.
pub(crate) struct Entry<'a> {
    pub line: &'a Line,
    /// The words behind the directive.
    pub words: &'a [String],
    pub number: u32,
}

impl Entry<'_> {
    fn error(&self, problem: Problem) -> SyntaxError {
        self.line.error(problem)
    }

    fn text(&self, index: usize) -> Result<String, SyntaxError> {
        unquote(&self.words[index]).map_err(|problem| self.error(problem))
    }

    pub(crate) fn single(&self, usage: &'static str) -> Result<Located<String>, SyntaxError> {
        if self.words.len() != 1 {
            return Err(self.error(Problem::Usage(usage)));
        }
        Ok(Located { value: self.text(0)?, line: self.number })
    }

    fn module(&self, before: &ModuleLine, block: Option<&Line>) -> Result<ModuleLine, SyntaxError> {
        if before.line != 0 {
            return Err(self.error(Problem::Repeated { directive: "module", first: before.line }));
        }
        let path = self.single("module module/path")?.value;
        Ok(ModuleLine { path, deprecated: deprecation(&self.comment(block)), line: self.number })
    }

    pub(crate) fn go(
        &self,
        before: Option<&Located<GoVersion>>,
        strict: bool,
    ) -> Result<Located<GoVersion>, SyntaxError> {
        if let Some(before) = before {
            return Err(self.error(Problem::Repeated { directive: "go", first: before.line }));
        }
        let text = self.single("go 1.23.0")?.value;
        let lax = |text: &str| {
            // Dependencies of long ago say v1.13 or 1.13beta-x; Go takes the numbers.
            let text = text.strip_prefix('v').unwrap_or(text);
            let (major, rest) = text.split_once('.')?;
            let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("{major}.{minor}").parse().ok()
        };
        let value = match text.parse() {
            Ok(version) if text.contains('.') => Some(version),
            _ if !strict => lax(&text),
            _ => None,
        };
        let value = value.ok_or_else(|| self.error(Problem::GoVersion(text)))?;
        Ok(Located { value, line: self.number })
    }

    pub(crate) fn toolchain(
        &self,
        before: Option<&Located<ToolchainLine>>,
    ) -> Result<Located<ToolchainLine>, SyntaxError> {
        if let Some(before) = before {
            return Err(self.error(Problem::Repeated { directive: "toolchain", first: before.line }));
        }
        let text = self.single("toolchain go1.23.0")?.value;
        let value = text.parse().map_err(|_| self.error(Problem::Toolchain(text)))?;
        Ok(Located { value, line: self.number })
    }

    fn versioned(&self, usage: &'static str) -> Result<(String, String), SyntaxError> {
        if self.words.len() != 2 {
            return Err(self.error(Problem::Usage(usage)));
        }
        let (path, version) = (self.text(0)?, self.text(1)?);
        check_major(&path, &version).map_err(|problem| self.error(problem))?;
        Ok((path, version))
    }

    pub(crate) fn replace(&self) -> Result<Replace, SyntaxError> {
        let usage =
            || self.error(Problem::Usage("replace module/path [v1.2.3] => other/module v1.4 (or ../folder)"));
        let arrow = if self.words.get(1).is_some_and(|word| word == "=>") { 1 } else { 2 };
        let behind = self.words.len().checked_sub(arrow + 1).ok_or_else(usage)?;
        if self.words[arrow] != "=>" || !matches!(behind, 1 | 2) {
            return Err(usage());
        }
        let path = self.text(0)?;
        let version = if arrow == 2 { Some(self.text(1)?) } else { None };
        check_major(&path, version.as_deref().unwrap_or_default()).map_err(|problem| self.error(problem))?;
        let target = self.text(arrow + 1)?;
        let with = match (behind, is_folder(&target)) {
            (1, true) => Replacement::Folder(target),
            (1, false) => return Err(self.error(Problem::ReplacementVersion(target))),
            (_, true) => return Err(self.error(Problem::ReplacementFolder(target))),
            (_, false) => Replacement::Module { path: target, version: self.text(arrow + 2)? },
        };
        Ok(Replace { path, version, with, line: self.number })
    }

    fn retract(&self, block: Option<&Line>) -> Result<Retract, SyntaxError> {
        let interval = || self.error(Problem::Interval);
        let (low, high) = match self.words {
            [version] if version != "[" && version != "(" => (self.text(0)?, self.text(0)?),
            [open, _, comma, _, close] if open == "[" && comma == "," && close == "]" => {
                (self.text(1)?, self.text(3)?)
            }
            _ => return Err(interval()),
        };
        Ok(Retract { low, high, rationale: self.comment(block), line: self.number })
    }

    pub(crate) fn godebug(&self) -> Result<GoDebug, SyntaxError> {
        let usage = || self.error(Problem::Usage("godebug key=value"));
        let [setting] = self.words else { return Err(usage()) };
        if setting.contains(['"', '`', '\'', ',']) {
            return Err(usage());
        }
        let (key, value) = setting.split_once('=').ok_or_else(usage)?;
        Ok(GoDebug { key: key.to_owned(), value: value.to_owned(), line: self.number })
    }

    /// The directive's comment; one without any takes that of its block.
    fn comment(&self, block: Option<&Line>) -> String {
        let own: Vec<&str> = self.line.comments().collect();
        match block {
            Some(head) if own.is_empty() => head.comments().collect::<Vec<_>>().join("\n"),
            _ => own.join("\n"),
        }
    }
}

/// The message of the first paragraph that starts with `Deprecated:`.
fn deprecation(comment: &str) -> Option<String> {
    comment
        .split("\n\n")
        .find_map(|paragraph| Some(paragraph.strip_prefix("Deprecated:")?.trim_start().to_owned()))
}

#[cfg(test)]
mod tests;
