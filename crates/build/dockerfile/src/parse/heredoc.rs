//! Heredocs: which ones a line opens, and where they end. Follows BuildKit's parser/parser.go.

use std::collections::HashMap;
use std::ops::Range;

use crate::expand::Expander;
use crate::instruction::{Heredoc, Span};
use crate::json::Json;
use crate::source::{self, LogicalLine};
use crate::{Diagnostic, ExpandError};

use super::command;

/// `<<NAME` as it stands on the line.
pub(super) struct Opening {
    pub(super) name: String,
    expand: bool,
    chomp: bool,
    descriptor: u32,
}

impl Opening {
    /// The heredoc whose lines are `span`.
    pub(super) fn with_content(self, source: &[u8], span: Span) -> Heredoc {
        Heredoc {
            name: self.name,
            expand: self.expand,
            chomp: self.chomp,
            descriptor: self.descriptor,
            content: String::from_utf8_lossy(&source[span.clone()]).into_owned(),
            span,
        }
    }
}

/// The heredocs that an instruction opens. Only RUN, COPY and ADD in their shell forms do, by themselves or after ONBUILD.
pub(super) fn find(
    line: &LogicalLine,
    range: &Range<usize>,
    escape: char,
) -> Result<Vec<Opening>, Diagnostic> {
    let text = &line.text[range.clone()];
    if !text.contains("<<") {
        return Ok(Vec::new());
    }
    let mut parts = command::split(line, range, escape);
    if text[..parts.keyword.len()].eq_ignore_ascii_case("ONBUILD") {
        parts = command::split(line, &parts.arguments, escape);
    }
    let keyword = line.text[parts.keyword].to_ascii_uppercase();
    let is_exec = matches!(Json::read(&line.text[parts.arguments]), Some(Json::Array(_)));
    if !["RUN", "COPY", "ADD"].contains(&keyword.as_str()) || is_exec {
        return Ok(Vec::new());
    }
    // The escape directive has no say here. A line that cannot be split, for an open quote say, opens none: the shell gets it.
    let expander = Expander::new('\\', &unset).keeping_quotes().keeping_escapes().keeping_unset();
    let words = expander.expand(text).map(|expansion| expansion.words).unwrap_or_default();
    words.iter().filter_map(|word| read(word).transpose()).collect::<Result<_, _>>().map_err(|error| {
        let message = format!("cannot read the name of a heredoc: {}", error.kind);
        Diagnostic::error("invalid-heredoc", line.span(range), message)
    })
}

fn unset(_: &str) -> Option<String> {
    None
}

/// Reads a word as `<<NAME`, `3<<-"NAME"` and the like; `None` if it is no heredoc.
///
/// Errors: the name has an open quote or brace.
pub(super) fn read(word: &str) -> Result<Option<Opening>, ExpandError> {
    let digits = word.len() - word.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let Some(rest) = word[digits..].strip_prefix("<<") else { return Ok(None) };
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let plain = Expander::new('\\', &unset).keeping_unset();
    let [name] = &plain.expand(rest)?.words[..] else { return Ok(None) };
    let quoted = plain.keeping_quotes().expand(rest)?.words;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Opening {
        name: name.clone(),
        expand: quoted.iter().map(|word| quotes(word)).sum::<usize>() == quotes(name),
        chomp,
        descriptor: if digits == 0 { 0 } else { word[..digits].parse().unwrap_or(u32::MAX) },
    }))
}

/// Which lines could end which heredoc, so that looking for one costs the same wherever it is.
pub(super) struct Terminators<'s> {
    plain: HashMap<&'s [u8], Vec<usize>>,
    chomped: HashMap<&'s [u8], Vec<usize>>,
}

impl<'s> Terminators<'s> {
    pub(super) fn of(source: &'s [u8], lines: &[Span]) -> Self {
        let mut terminators = Terminators { plain: HashMap::new(), chomped: HashMap::new() };
        for (index, line) in lines.iter().enumerate() {
            let content = &source[source::without_end(source, line)];
            terminators.plain.entry(content).or_default().push(index);
            let tabs = content.iter().take_while(|byte| **byte == b'\t').count();
            terminators.chomped.entry(&content[tabs..]).or_default().push(index);
        }
        terminators
    }

    /// Index of the line at or after `from` that ends a heredoc.
    pub(super) fn find(&self, opening: &Opening, from: usize) -> Option<usize> {
        let lines = if opening.chomp { &self.chomped } else { &self.plain };
        let lines = lines.get(opening.name.as_bytes())?;
        lines.get(lines.partition_point(|line| *line < from)).copied()
    }
}
