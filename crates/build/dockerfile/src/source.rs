//! The bytes of a file: their lines, and one instruction's text with the way back to where each part of it stands.
//!
//! An instruction may go over many lines with comments between them, and a file may hold bytes that are not UTF-8. The parser
//! works on [`LogicalLine::text`], which is clean, and asks [`LogicalLine::span`] where in the file a piece of it stands.

use std::ops::Range;

use crate::Span;
use crate::instruction::Word;

/// The UTF-8 byte order mark.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes of each line, its end included. Lines end at a line feed, as BuildKit's `scanLines` has it.
pub(crate) fn lines(source: &[u8]) -> Vec<Span> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive(|byte| *byte == b'\n') {
        lines.push(start..start + line.len());
        start += line.len();
    }
    lines
}

/// `span` without the line feeds and carriage returns at its end.
pub(crate) fn without_end(source: &[u8], span: &Span) -> Span {
    let line = &source[span.clone()];
    let kept = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    span.start..span.start + kept
}

/// `span` without the white space at its start.
pub(crate) fn without_indent(source: &[u8], span: &Span) -> Span {
    let mut start = span.start;
    if let Some(chunk) = source[span.clone()].utf8_chunks().next() {
        start += chunk.valid().len() - chunk.valid().trim_start().len();
    }
    start..span.end
}

/// Text of one instruction, gathered from the lines it stands on.
#[derive(Debug, Default)]
pub(crate) struct LogicalLine {
    /// The text; what is not UTF-8 is replaced by U+FFFD.
    pub(crate) text: String,
    segments: Vec<Segment>,
}

/// From `text` on, the text is what the source holds from `source` on.
#[derive(Debug)]
struct Segment {
    text: usize,
    source: usize,
    /// Bytes of the source that one U+FFFD stands for; zero where text and source are the same.
    replaced: usize,
}

impl LogicalLine {
    /// Adds the bytes of `span`.
    pub(crate) fn push(&mut self, source: &[u8], span: &Span) {
        let mut position = span.start;
        for chunk in source[span.clone()].utf8_chunks() {
            if !chunk.valid().is_empty() {
                self.segments.push(Segment { text: self.text.len(), source: position, replaced: 0 });
                self.text.push_str(chunk.valid());
                position += chunk.valid().len();
            }
            if !chunk.invalid().is_empty() {
                let replaced = chunk.invalid().len();
                self.segments.push(Segment { text: self.text.len(), source: position, replaced });
                self.text.push(char::REPLACEMENT_CHARACTER);
                position += replaced;
            }
        }
        if self.segments.is_empty() {
            self.segments.push(Segment { text: 0, source: span.start, replaced: 0 });
        }
    }

    /// Where the bytes `range` of the text stand.
    pub(crate) fn span(&self, range: &Range<usize>) -> Span {
        if range.is_empty() {
            let place = self.place(range.start);
            return place..place;
        }
        let start = self.place(range.start);
        let end = match self.segment(range.end - 1) {
            Some(segment) if segment.replaced > 0 => segment.source + segment.replaced,
            Some(segment) => segment.source + (range.end - segment.text),
            None => start,
        };
        start..end
    }

    /// The bytes `range` of the text as a word.
    pub(crate) fn word(&self, range: &Range<usize>) -> Word {
        Word { text: self.text[range.clone()].to_owned(), span: self.span(range) }
    }

    /// `range` without white space around it.
    pub(crate) fn trim(&self, range: &Range<usize>) -> Range<usize> {
        let text = &self.text[range.clone()];
        let start = range.start + (text.len() - text.trim_start().len());
        start..start + text.trim().len()
    }

    fn segment(&self, position: usize) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.text <= position);
        self.segments.get(after.checked_sub(1)?)
    }

    fn place(&self, position: usize) -> usize {
        match self.segment(position) {
            Some(segment) if segment.replaced > 0 && position > segment.text => {
                segment.source + segment.replaced
            }
            Some(segment) => segment.source + (position - segment.text),
            None => 0,
        }
    }
}
