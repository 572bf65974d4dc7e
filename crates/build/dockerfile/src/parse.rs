//! Bytes to tree: the lines of a file gathered to instructions, comments and heredocs taken apart from them.
//!
//! Follows BuildKit's parser/parser.go line by line, but for one thing: it stops at the first error, this goes on. After a heredoc
//! that never ends, reading goes on at the next line that starts like an instruction, so that neither the content becomes a flood
//! of errors nor the rest of the file is lost.

mod command;
mod flags;
mod heredoc;
mod read;
mod run;
mod transfer;
mod words;

use std::collections::HashSet;
use std::ops::Range;

use crate::Diagnostic;
use crate::directive;
use crate::instruction::{Heredoc, Instruction, Span};
use crate::source::{self, LogicalLine};
use crate::tree::{Comment, Dockerfile, Parsed};

use self::heredoc::Terminators;

/// Longest line that BuildKit reads, its end included.
const LONGEST_LINE: usize = 65_535;

/// Keywords of the instructions.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a Dockerfile. Never fails as a whole: what cannot be read becomes an [`crate::InstructionKind::Malformed`] and a diagnostic.
pub fn parse(source: &[u8]) -> Parsed {
    let mut parser = Parser::new(source);
    parser.run();
    parser.finish()
}

/// Reads an ONBUILD trigger as it is stored in an image's config: one instruction, heredocs included.
///
/// Errors: what is wrong with it, or that it is not one instruction. Spans are of `text`.
pub fn parse_trigger(text: &str) -> Result<Instruction, Vec<Diagnostic>> {
    let mut parsed = parse(text.as_bytes());
    parsed.diagnostics.retain(Diagnostic::is_error);
    if !parsed.diagnostics.is_empty() {
        return Err(parsed.diagnostics);
    }
    let count = parsed.file.instructions.len();
    match parsed.file.instructions.pop() {
        Some(instruction) if count == 1 => Ok(instruction),
        _ => {
            let message = "an ONBUILD trigger must be a single instruction";
            Err(vec![Diagnostic::error("invalid-trigger", 0..text.len(), message)])
        }
    }
}

struct Parser<'s> {
    source: &'s [u8],
    lines: Vec<Span>,
    /// Index of the line that is read next.
    next: usize,
    terminators: Option<Terminators<'s>>,
    directives_ended: bool,
    file: Dockerfile,
    diagnostics: Vec<Diagnostic>,
}

impl<'s> Parser<'s> {
    fn new(source: &'s [u8]) -> Self {
        let mut lines = source::lines(source);
        let starts = lines.iter().map(|line| line.start).collect();
        if let Some(first) = lines.first_mut().filter(|_| source.starts_with(source::BYTE_ORDER_MARK)) {
            first.start += source::BYTE_ORDER_MARK.len();
        }
        Parser {
            source,
            lines,
            next: 0,
            terminators: None,
            directives_ended: false,
            file: Dockerfile {
                source: source.to_vec(),
                directives: Vec::new(),
                escape: '\\',
                instructions: Vec::new(),
                comments: Vec::new(),
                starts,
            },
            diagnostics: Vec::new(),
        }
    }

    fn run(&mut self) {
        while let Some(line) = self.take() {
            let content = source::without_indent(self.source, &line);
            if self.comment(&content) {
                continue;
            }
            self.directives_ended = true;
            if !content.is_empty() {
                self.instruction(&content);
            }
        }
        if self.file.instructions.is_empty() {
            let message = "the file has no instructions";
            self.diagnostics.push(
                Diagnostic::error("no-instructions", 0..0, message)
                    .with_hint("a Dockerfile starts with FROM"),
            );
        }
    }

    fn finish(mut self) -> Parsed {
        let mut seen = HashSet::new();
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        self.diagnostics.retain(|diagnostic| {
            seen.insert((diagnostic.code, diagnostic.span.clone(), diagnostic.message.clone()))
        });
        Parsed { file: self.file, diagnostics: self.diagnostics }
    }

    /// The next line without its end.
    fn take(&mut self) -> Option<Span> {
        let line = self.lines.get(self.next)?.clone();
        self.next += 1;
        if line.len() > LONGEST_LINE {
            let message = format!("the line is longer than {LONGEST_LINE} bytes, which BuildKit refuses");
            let at = line.start..line.start;
            self.diagnostics.push(Diagnostic::warning("long-line", at, message));
        }
        Some(source::without_end(self.source, &line))
    }

    /// Keeps `content` if it is a comment or a directive, and says whether it is.
    fn comment(&mut self, content: &Span) -> bool {
        if self.source[content.clone()].first() != Some(&b'#') {
            return false;
        }
        let line = self.next;
        if !self.directives_ended {
            match directive::read(self.source, content, line, "#") {
                Some(directive) => {
                    self.directive(directive);
                    return true;
                }
                None => self.directives_ended = true,
            }
        }
        let text = String::from_utf8_lossy(&self.source[content.start + 1..content.end]).trim().to_owned();
        self.file.comments.push(Comment { text, span: content.clone(), line });
        true
    }

    fn directive(&mut self, directive: directive::Directive) {
        let name = &directive.name.text;
        let value = &directive.value;
        if self.file.directive(name).is_some() {
            let message = format!("only one {name} directive can be used");
            let diagnostic = Diagnostic::error("repeated-directive", directive.span.clone(), message);
            self.diagnostics.push(diagnostic);
        } else if name == "escape" {
            match value.text.as_str() {
                "\\" => self.file.escape = '\\',
                "`" => self.file.escape = '`',
                other => {
                    let message = format!("invalid escape character `{other}`");
                    self.diagnostics.push(
                        Diagnostic::error("invalid-escape", value.span.clone(), message)
                            .with_hint("it is ` or \\"),
                    );
                }
            }
        } else if name == "check"
            && let Err(diagnostic) = directive::CheckOptions::read(value)
        {
            self.diagnostics.push(diagnostic);
        }
        self.file.directives.push(directive);
    }

    /// Reads an instruction whose first line is `content`.
    fn instruction(&mut self, content: &Span) {
        let first_line = self.next;
        let mut text = LogicalLine::default();
        let mut end = content.end;
        let mut blank = None;
        let mut continues = self.gather(content, &mut text);
        while continues && let Some(line) = self.take() {
            end = line.end;
            let inner = source::without_indent(self.source, &line);
            if self.comment(&inner) {
                continue;
            }
            if inner.is_empty() {
                blank = blank.or(Some(line));
                continue;
            }
            continues = self.gather(&line, &mut text);
        }
        if let Some(line) = blank {
            let message = "an empty line in an instruction that goes over several lines";
            self.diagnostics.push(
                Diagnostic::warning("empty-continuation", line, message)
                    .with_hint("remove the line, or the escape character before it"),
            );
        }
        let start = text.span(&text.trim(&(0..text.text.len()))).start;
        self.finish_instruction(&text, &Place { first_line, start, end });
    }

    /// Adds a line to an instruction's text, without a continuation at its end, and says whether there is one.
    fn gather(&self, line: &Span, text: &mut LogicalLine) -> bool {
        let escape = self.file.escape as u32;
        let bytes = &self.source[line.clone()];
        let kept = bytes.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        let continues = match bytes[..kept] {
            [.., before, last] if u32::from(last) == escape => u32::from(before) != escape,
            [last] => u32::from(last) == escape,
            _ => false,
        };
        let end = if continues { line.start + kept - 1 } else { line.end };
        text.push(self.source, &(line.start..end));
        continues
    }

    fn finish_instruction(&mut self, text: &LogicalLine, place: &Place) {
        let whole = text.trim(&(0..text.text.len()));
        let found = heredoc::find(text, &whole, self.file.escape);
        let heredocs = match found {
            Ok(found) => self.heredocs(found, text, &whole),
            Err(diagnostic) => {
                self.diagnostics.push(diagnostic);
                Vec::new()
            }
        };
        let end = if heredocs.is_empty() { place.end } else { self.end_of_last_line() };
        let mut reader = read::Reader {
            line: text,
            escape: self.file.escape,
            heredocs,
            diagnostics: &mut self.diagnostics,
        };
        let (keyword, kind) = reader.instruction(&whole);
        self.file.instructions.push(Instruction {
            span: place.start..end,
            keyword,
            line: place.first_line,
            last_line: self.next,
            text: text.text[whole].to_owned(),
            kind,
        });
    }

    fn end_of_last_line(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|last| self.lines.get(last));
        last.map_or(self.source.len(), |line| source::without_end(self.source, line).end)
    }

    /// Reads the contents of heredocs, one after the other.
    fn heredocs(
        &mut self,
        found: Vec<heredoc::Opening>,
        text: &LogicalLine,
        whole: &Range<usize>,
    ) -> Vec<Heredoc> {
        let mut heredocs = Vec::new();
        for opening in found {
            let terminators =
                self.terminators.get_or_insert_with(|| Terminators::of(self.source, &self.lines));
            let terminator = terminators.find(&opening, self.next);
            let until = terminator.unwrap_or_else(|| {
                let message = format!("the heredoc {} is not terminated", opening.name);
                self.diagnostics.push(
                    Diagnostic::error("unterminated-heredoc", text.span(whole), message)
                        .with_hint(format!("a line with nothing but {} must follow", opening.name)),
                );
                let rest = &self.lines[self.next..];
                let resume = rest.iter().position(|line| starts_instruction(&self.source[line.clone()]));
                self.next + resume.unwrap_or(rest.len())
            });
            let start = self.lines.get(self.next).map_or(self.source.len(), |line| line.start);
            let end = self.lines.get(until).map_or(self.source.len(), |line| line.start);
            heredocs.push(opening.with_content(self.source, start..end));
            self.next = until;
            if terminator.is_none() {
                break;
            }
            self.next += 1;
        }
        heredocs
    }
}

/// Where an instruction stands.
struct Place {
    first_line: usize,
    start: usize,
    end: usize,
}

/// Whether a line starts with a keyword in upper case and a blank: what people write, and rarely the content of a heredoc.
fn starts_instruction(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| !byte.is_ascii_uppercase()).unwrap_or(line.len());
    matches!(line.get(end), Some(b' ' | b'\t'))
        && KEYWORDS.iter().any(|keyword| keyword.as_bytes() == &line[..end])
}
