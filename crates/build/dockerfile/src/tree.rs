//! A file as a whole: its bytes, directives, comments and instructions.

use crate::directive::Directive;
use crate::instruction::{Instruction, Span};
use crate::{Diagnostic, source};

/// What [`crate::parse`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The tree, of what could be read.
    pub file: Dockerfile,
    /// All that is wrong, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Whether the file cannot be built.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// A comment, on a line of its own as all comments are. Directives are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The text after the `#`, without blanks around it.
    pub text: String,
    /// From the `#` to the end of the line.
    pub span: Span,
    /// Number of its line, from 1.
    pub line: usize,
}

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The bytes that were read.
    pub source: Vec<u8>,
    /// The directives at the top, in order.
    pub directives: Vec<Directive>,
    /// The character that escapes and continues lines: a backslash, or what the `escape` directive says.
    pub escape: char,
    /// The instructions in order.
    pub instructions: Vec<Instruction>,
    /// The comments in order, those between the lines of an instruction included. What looks like a comment in a heredoc is none.
    pub comments: Vec<Comment>,
    /// Where each line starts.
    pub(crate) starts: Vec<usize>,
}

impl Dockerfile {
    /// Number of the line that `offset` stands on, from 1; the last line for what is behind the end.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Bytes of a line without its end, by its number from 1.
    pub fn line(&self, number: usize) -> Option<&[u8]> {
        let index = number.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1).copied().unwrap_or(self.source.len());
        Some(&self.source[source::without_end(&self.source, &(start..end))])
    }

    /// The text of a span; bytes that are not UTF-8 are replaced. Empty where the span is not of this file.
    pub fn text(&self, span: &Span) -> String {
        String::from_utf8_lossy(self.source.get(span.clone()).unwrap_or_default()).into_owned()
    }

    /// The directive of this name.
    pub fn directive(&self, name: &str) -> Option<&Directive> {
        self.directives.iter().find(|directive| directive.name.text == name)
    }

    /// The comments that stand directly above an instruction: those since the instruction before it, or since the last empty
    /// comment. They describe it, and may hold a `check=` for it alone.
    pub fn comments_above(&self, index: usize) -> &[Comment] {
        let Some(instruction) = self.instructions.get(index) else { return &[] };
        let before = index.checked_sub(1).map_or(0, |before| self.instructions[before].span.end);
        let first = self.comments.partition_point(|comment| comment.span.start < before);
        let end = self.comments.partition_point(|comment| comment.span.start < instruction.span.start);
        let above = &self.comments[first.min(end)..end];
        let empty = above.iter().rposition(|comment| comment.text.is_empty()).map_or(0, |empty| empty + 1);
        &above[empty..]
    }
}

/// The bytes of a file: those it was parsed from.
pub fn print(file: &Dockerfile) -> Vec<u8> {
    file.source.clone()
}
