//! Build constraints: which files of a package a build takes.
//!
//! A file is chosen by its name (`_linux`, `_amd64`, `_linux_amd64`), by its `//go:build` line, and, in files without one, by
//! the older `// +build` lines. The rules are those of `go/build` and `go/build/constraint` (Go 1.26).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a build is for: the facts that constraints are held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildContext {
    /// GOOS, such as `linux`.
    pub os: String,
    /// GOARCH, such as `amd64`.
    pub arch: String,
    /// Whether cgo is on.
    pub cgo: bool,
    /// The minor number of the Go release whose `go1.N` tags hold: 26 for Go 1.26.
    pub go_minor: u32,
    /// Tags of `-tags`, and tags that the toolchain sets (`goexperiment.…`, `amd64.v2`).
    pub tags: BTreeSet<String>,
}

impl BuildContext {
    /// A build for a platform without cgo, tags or experiments.
    pub fn new(os: impl Into<String>, arch: impl Into<String>, go_minor: u32) -> Self {
        BuildContext { os: os.into(), arch: arch.into(), cgo: false, go_minor, tags: BTreeSet::new() }
    }

    /// Whether a tag holds.
    pub fn has_tag(&self, tag: &str) -> bool {
        if tag == self.os || tag == self.arch || tag == "gc" {
            return true;
        }
        let implied = match tag {
            "cgo" => self.cgo,
            "linux" => self.os == "android",
            "solaris" => self.os == "illumos",
            "darwin" => self.os == "ios",
            "unix" => UNIX.contains(&self.os.as_str()),
            "boringcrypto" => self.tags.contains("goexperiment.boringcrypto"),
            _ => match tag.strip_prefix("go1.") {
                Some(minor) if !minor.starts_with('0') => {
                    minor.parse::<u32>().is_ok_and(|minor| (1..=self.go_minor).contains(&minor))
                }
                _ => false,
            },
        };
        implied || self.tags.contains(tag)
    }

    /// Whether the name of a file lets the build take it.
    pub fn matches_name(&self, name: &str) -> bool {
        let stem = name.split('.').next().unwrap_or(name);
        // What stands before the first underscore is never a platform: linux.go is for all.
        let Some((_, tail)) = stem.split_once('_') else { return true };
        let mut parts: Vec<&str> = tail.split('_').collect();
        if parts.last() == Some(&"test") {
            parts.pop();
        }
        match parts[..] {
            [.., os, arch] if is_known_os(os) && is_known_arch(arch) => {
                self.has_tag(os) && self.has_tag(arch)
            }
            [.., last] if is_known_os(last) || is_known_arch(last) => self.has_tag(last),
            _ => true,
        }
    }

    /// Whether a build takes a file: its name and the constraints at its top allow it. Names that start with `_` or `.` are
    /// never taken.
    ///
    /// Errors: a `//go:build` line that is malformed or stands there twice.
    pub fn matches_file(&self, name: &str, content: &[u8]) -> Result<bool, ConstraintError> {
        if name.starts_with(['_', '.']) || !self.matches_name(name) {
            return Ok(false);
        }
        Ok(match FileConstraint::of_source(content)? {
            None => true,
            Some(constraint) => constraint.holds(self),
        })
    }
}

const UNIX: [&str; 12] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "linux",
    "netbsd",
    "openbsd",
    "solaris",
];

fn is_known_os(word: &str) -> bool {
    UNIX.contains(&word) || matches!(word, "js" | "nacl" | "plan9" | "wasip1" | "windows" | "zos")
}

fn is_known_arch(word: &str) -> bool {
    matches!(
        word,
        "386"
            | "amd64"
            | "amd64p32"
            | "arm"
            | "armbe"
            | "arm64"
            | "arm64be"
            | "loong64"
            | "mips"
            | "mipsle"
            | "mips64"
            | "mips64le"
            | "mips64p32"
            | "mips64p32le"
            | "ppc"
            | "ppc64"
            | "ppc64le"
            | "riscv"
            | "riscv64"
            | "s390"
            | "s390x"
            | "sparc"
            | "sparc64"
            | "wasm"
    )
}

/// A build constraint that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ConstraintError {
    /// The expression is malformed.
    #[error("line {line}: malformed //go:build line: {problem}")]
    Malformed {
        /// Its line, from 1.
        line: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two `//go:build` lines.
    #[error("line {line}: a second //go:build line; the first is in line {first}")]
    Multiple {
        /// The line of the second, from 1.
        line: u32,
        /// The line of the first, from 1.
        first: u32,
    },
}

/// A constraint expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// A tag.
    Tag(String),
    /// The opposite.
    Not(Box<Constraint>),
    /// All of them.
    All(Vec<Constraint>),
    /// At least one of them.
    Any(Vec<Constraint>),
}

impl Constraint {
    /// Reads what follows `//go:build`.
    ///
    /// Errors: what is wrong with the expression. Go allows 1000 operands; so does this.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parser = ExpressionParser { rest: text, operands: 0, depth: 0 };
        let constraint = parser.any()?;
        match parser.peek()? {
            None => Ok(constraint),
            Some(_) => Err("unexpected word behind the expression"),
        }
    }

    /// Whether it holds for a build.
    pub fn holds(&self, context: &BuildContext) -> bool {
        match self {
            Constraint::Tag(tag) => context.has_tag(tag),
            Constraint::Not(inner) => !inner.holds(context),
            Constraint::All(parts) => parts.iter().all(|part| part.holds(context)),
            Constraint::Any(parts) => parts.iter().any(|part| part.holds(context)),
        }
    }

    /// Reads what follows `// +build`: words are alternatives, commas join, `!` negates.
    fn parse_plus(text: &str) -> Self {
        let literal = |word: &str| {
            let (name, negated) = match word.strip_prefix('!') {
                Some(name) => (name, true),
                None => (word, false),
            };
            let well_formed = !name.is_empty() && name.chars().all(is_tag_character);
            // Go reads a malformed word as the tag "ignore", which nobody sets.
            let tag = Constraint::Tag(if well_formed { name } else { "ignore" }.to_owned());
            if negated && well_formed { Constraint::Not(Box::new(tag)) } else { tag }
        };
        let clauses =
            text.split_whitespace().map(|clause| Constraint::All(clause.split(',').map(literal).collect()));
        Constraint::Any(clauses.collect())
    }
}

fn is_tag_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.')
}

struct ExpressionParser<'a> {
    rest: &'a str,
    operands: u32,
    depth: u32,
}

impl<'a> ExpressionParser<'a> {
    /// The next token, without taking it.
    fn peek(&mut self) -> Result<Option<&'a str>, &'static str> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let length = match first {
            '(' | ')' | '!' => 1,
            '&' | '|' if self.rest[1..].starts_with(first) => 2,
            _ => self.rest.find(|character| !is_tag_character(character)).unwrap_or(self.rest.len()),
        };
        if length == 0 { Err("unexpected character") } else { Ok(Some(&self.rest[..length])) }
    }

    fn take(&mut self, token: &str) -> Result<bool, &'static str> {
        let found = self.peek()? == Some(token);
        if found {
            self.rest = &self.rest[token.len()..];
        }
        Ok(found)
    }

    fn any(&mut self) -> Result<Constraint, &'static str> {
        let mut parts = vec![self.all()?];
        while self.take("||")? {
            parts.push(self.all()?);
        }
        Ok(Constraint::Any(parts))
    }

    fn all(&mut self) -> Result<Constraint, &'static str> {
        let mut parts = vec![self.not()?];
        while self.take("&&")? {
            parts.push(self.not()?);
        }
        Ok(Constraint::All(parts))
    }

    fn not(&mut self) -> Result<Constraint, &'static str> {
        self.operands += 1;
        if self.operands > 1000 {
            return Err("build expression too large");
        }
        if !self.take("!")? {
            return self.operand();
        }
        if self.peek()? == Some("!") {
            return Err("double negation not allowed");
        }
        Ok(Constraint::Not(Box::new(self.operand()?)))
    }

    fn operand(&mut self) -> Result<Constraint, &'static str> {
        if self.take("(")? {
            self.depth += 1;
            if self.depth > 200 {
                return Err("build expression too deeply nested");
            }
            let inner = self.any()?;
            self.depth -= 1;
            return if self.take(")")? { Ok(inner) } else { Err("missing close paren") };
        }
        match self.peek()? {
            None => Err("unexpected end of expression"),
            Some(token) if token.starts_with(is_tag_character) => {
                self.rest = &self.rest[token.len()..];
                Ok(Constraint::Tag(token.to_owned()))
            }
            Some(_) => Err("unexpected operator"),
        }
    }
}

/// The constraints at the top of a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConstraint {
    /// What must hold.
    pub constraint: Constraint,
    /// The line of the `//go:build` comment, or of the first `// +build` one, from 1.
    pub line: u32,
}

impl FileConstraint {
    /// Reads the comments at the top of a source file; none if they constrain nothing.
    ///
    /// Errors: a `//go:build` line that is malformed or stands there twice. Lines below the package clause do not count, and
    /// `// +build` lines count only above a blank line and if there is no `//go:build`.
    pub fn of_source(content: &[u8]) -> Result<Option<Self>, ConstraintError> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let header = Header::read(content)?;
        if let Some((line, text)) = header.go_build {
            let text = String::from_utf8_lossy(text);
            let constraint = Constraint::parse(text.trim())
                .map_err(|problem| ConstraintError::Malformed { line, problem })?;
            return Ok(Some(FileConstraint { constraint, line }));
        }
        let plus: Vec<_> = header.plus.into_iter().filter(|(line, _)| *line < header.last_blank).collect();
        let Some(&(line, _)) = plus.first() else { return Ok(None) };
        let parts =
            plus.iter().map(|(_, text)| Constraint::parse_plus(&String::from_utf8_lossy(text))).collect();
        Ok(Some(FileConstraint { constraint: Constraint::All(parts), line }))
    }

    /// Whether the build takes the file.
    pub fn holds(&self, context: &BuildContext) -> bool {
        self.constraint.holds(context)
    }
}

#[derive(Default)]
struct Header<'a> {
    /// What follows `//go:build`, and its line.
    go_build: Option<(u32, &'a [u8])>,
    /// What follows each `// +build`, and their lines.
    plus: Vec<(u32, &'a [u8])>,
    /// The last blank line above everything but comments.
    last_blank: u32,
}

impl<'a> Header<'a> {
    fn read(content: &'a [u8]) -> Result<Self, ConstraintError> {
        let mut header = Header::default();
        let mut only_line_comments = true;
        let mut in_block_comment = false;
        for (number, line) in (1u32..).zip(content.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() && only_line_comments {
                header.last_blank = number;
                continue;
            }
            only_line_comments &= line.starts_with(b"//");
            if !in_block_comment {
                header.directive(line, number, only_line_comments)?;
            }
            if !comment_goes_on(line, &mut in_block_comment) {
                break;
            }
        }
        Ok(header)
    }

    fn directive(&mut self, line: &'a [u8], number: u32, plus_counts: bool) -> Result<(), ConstraintError> {
        let is_word_end = |rest: &[u8]| rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        if let Some(rest) = line.strip_prefix(b"//go:build").filter(|rest| is_word_end(rest)) {
            if let Some((first, _)) = self.go_build {
                return Err(ConstraintError::Multiple { line: number, first });
            }
            self.go_build = Some((number, rest));
        } else if let Some(comment) = line.strip_prefix(b"//").filter(|_| plus_counts)
            && let Some(rest) = comment.trim_ascii().strip_prefix(b"+build").filter(|rest| is_word_end(rest))
        {
            self.plus.push((number, rest));
        }
        Ok(())
    }
}

/// Follows block comments through a line; false once there is text that is no comment.
fn comment_goes_on(mut line: &[u8], in_block_comment: &mut bool) -> bool {
    while !line.is_empty() {
        if *in_block_comment {
            let Some(end) = line.windows(2).position(|pair| pair == b"*/") else { return true };
            *in_block_comment = false;
            line = line[end + 2..].trim_ascii();
        } else if line.starts_with(b"//") {
            return true;
        } else if let Some(rest) = line.strip_prefix(b"/*") {
            *in_block_comment = true;
            line = rest.trim_ascii_start();
        } else {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
