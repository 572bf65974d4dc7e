//! What can be wrong with a file of Go's modules, and where.

use std::fmt;

use serde::Serialize;

/// A mistake in a go.mod, go.work, go.sum or vendor/modules.txt, with its place.
///
/// The message opens with line and column; whoever reads the file puts its path in front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub problem: Problem,
}

impl SyntaxError {
    /// What to do about it, where there is advice.
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

/// All mistakes of one file, at least one, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyntaxErrors {
    /// The first mistake.
    pub first: SyntaxError,
    /// The others.
    pub others: Vec<SyntaxError>,
}

impl SyntaxErrors {
    pub(crate) fn collect(errors: Vec<SyntaxError>) -> Result<(), SyntaxErrors> {
        let mut errors = errors.into_iter();
        match errors.next() {
            None => Ok(()),
            Some(first) => Err(SyntaxErrors { first, others: errors.collect() }),
        }
    }

    /// Every mistake, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &SyntaxError> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What to do about the first mistake that has advice.
    pub fn hint(&self) -> Option<String> {
        self.iter().find_map(SyntaxError::hint)
    }
}

impl From<SyntaxError> for SyntaxErrors {
    fn from(first: SyntaxError) -> Self {
        SyntaxErrors { first, others: Vec::new() }
    }
}

impl fmt::Display for SyntaxErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(formatter)?;
        for other in &self.others {
            write!(formatter, "; {other}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SyntaxErrors {}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Problem {
    /// `/* */` is not allowed.
    #[error("comments must be written as //, not /* */")]
    BlockComment,
    /// A character that can stand in no word.
    #[error("unexpected character {0:?}")]
    UnexpectedCharacter(char),
    /// A quoted string without an end.
    #[error("unexpected end of file in a string")]
    UnterminatedString,
    /// A quoted string that goes past its line.
    #[error("unexpected end of line in a string")]
    NewlineInString,
    /// A string that is not well quoted.
    #[error("badly quoted string {0}")]
    BadString(String),
    /// A block without `)`.
    #[error("block is not closed: the one opened in line {start} has no )")]
    UnterminatedBlock {
        /// The line of its `(`.
        start: u32,
    },
    /// Words behind the `)` of a block.
    #[error("expected the end of the line after )")]
    WordsAfterBlock,
    /// A first word that is no directive.
    #[error("unknown directive: {directive}")]
    UnknownDirective {
        /// The word.
        directive: String,
        /// The directive that was perhaps meant.
        nearest: Option<&'static str>,
    },
    /// A directive that stands alone in its file stands there twice.
    #[error("repeated {directive} directive: the first is in line {first}")]
    Repeated {
        /// The directive.
        directive: &'static str,
        /// The line of the first.
        first: u32,
    },
    /// A directive with too few or too many words.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// A version of Go that is none.
    #[error("invalid go version '{0}': must match format 1.23.0")]
    GoVersion(String),
    /// A toolchain that is none.
    #[error("invalid toolchain '{0}': must match format go1.23.0 or default")]
    Toolchain(String),
    /// A version and a module path that contradict each other.
    #[error("version {version} of {path} should be {wanted}, not {major}")]
    MajorMismatch {
        /// The module path.
        path: String,
        /// The version.
        version: String,
        /// What the path allows.
        wanted: String,
        /// What the version is.
        major: String,
    },
    /// A module path with a malformed version suffix.
    #[error("invalid module path {0:?}: its version suffix is malformed")]
    PathSuffix(String),
    /// A replacement without a version that is no folder.
    #[error("replacement module {0} has no version and is no folder (which starts with ./, ../ or /)")]
    ReplacementVersion(String),
    /// A folder as a replacement cannot have a version.
    #[error("replacement folder {0} cannot have a version")]
    ReplacementFolder(String),
    /// An interval of versions that is malformed.
    #[error("expected a version or an interval such as [v1.0.0, v1.2.0]")]
    Interval,
    /// The directive belongs into the other kind of file, or there is none.
    #[error("no module directive")]
    NoModule,
    /// A line of go.sum that has not three words.
    #[error("malformed go.sum: expected module, version and hash, found {0} words")]
    SumWords(usize),
    /// vendor/modules.txt starts a package list before any module.
    #[error("malformed modules.txt: package {0} belongs to no module")]
    VendorPackage(String),
}

impl Problem {
    /// What to do about it, where there is advice.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Problem::UnknownDirective { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Problem::UnknownDirective { directive, .. }
                if matches!(directive.as_str(), "<<<<<<<" | "=======" | ">>>>>>>") =>
            {
                "the file holds an unresolved merge conflict".to_owned()
            }
            Problem::NoModule => "add a line such as: module example.com/name".to_owned(),
            Problem::ReplacementVersion(path) if path.contains('@') => {
                "write the version as a word of its own: module v1.2.3".to_owned()
            }
            Problem::MajorMismatch { path, major, .. } => {
                format!("modules from v2 on carry their major version in the path: {path}/{major}")
            }
            _ => return None,
        };
        Some(hint)
    }
}
