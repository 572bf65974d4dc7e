//! go.work: the modules that are worked on together.
//!
//! Source: <https://go.dev/ref/mod#go-work-file>.

use serde::Serialize;

use crate::error::SyntaxErrors;
use crate::gomod::{Entry, GoDebug, Located, Replace, for_each_directive, replacement, unknown};
use crate::gotoolchain::{ToolchainLine, ToolchainLines};
use crate::lines::{Line, statements};
use crate::version::GoVersion;

/// A parsed go.work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GoWork {
    /// The `go` directive; without one Go assumes 1.18.
    pub go: Option<Located<GoVersion>>,
    /// The `toolchain` directive.
    pub toolchain: Option<Located<ToolchainLine>>,
    /// Folders of the modules, as written.
    pub uses: Vec<Located<String>>,
    /// `replace` directives, which outrank those of the modules.
    pub replace: Vec<Replace>,
    /// `godebug` directives.
    pub godebug: Vec<GoDebug>,
}

const DIRECTIVES: [&str; 5] = ["go", "toolchain", "use", "replace", "godebug"];

impl GoWork {
    /// Reads a go.work.
    ///
    /// Errors: every mistake, each with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, SyntaxErrors> {
        let mut file = GoWork::default();
        let mut errors = Vec::new();
        for_each_directive(&statements(bytes)?, |verb, line, block| {
            if let Err(error) = file.add(verb, line, block.is_some()) {
                errors.push(error);
            }
        });
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

    fn add(&mut self, verb: &str, line: &Line, in_block: bool) -> Result<(), crate::error::SyntaxError> {
        let words = if in_block { &line.words[..] } else { &line.words[1..] };
        let entry = Entry { line, words, number: line.line };
        match verb {
            "go" => self.go = Some(entry.go(self.go.as_ref(), true)?),
            "toolchain" => self.toolchain = Some(entry.toolchain(self.toolchain.as_ref())?),
            "use" => self.uses.push(entry.single("use ./folder")?),
            "replace" => self.replace.push(entry.replace()?),
            "godebug" => self.godebug.push(entry.godebug()?),
            _ => return Err(line.error(unknown(verb, &DIRECTIVES))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_and_lines_are_read() {
        let file = GoWork::parse(
            b"go 1.26\ntoolchain go1.26.3\n\nuse (\n\t./api // the API\n\t\"./wo rker\"\n)\nuse .\nreplace a.b/c => ./c\n",
        )
        .unwrap();
        let uses: Vec<_> = file.uses.iter().map(|found| (found.value.as_str(), found.line)).collect();
        assert_eq!(uses, [("./api", 5), ("./wo rker", 6), (".", 8)]);
        assert_eq!(file.toolchain_lines().exact().unwrap().as_str(), "go1.26.3");
        assert_eq!(file.replace[0].line, 9);
    }

    #[test]
    fn what_belongs_into_go_mod_is_refused_with_its_line() {
        let error = GoWork::parse(b"go 1.26\nrequire a.b/c v1.0.0\n").unwrap_err();
        assert_eq!(error.to_string(), "2:1: unknown directive: require");
    }
}
