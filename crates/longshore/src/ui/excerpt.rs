//! The lines of a file that an error points at.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::text::visible;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is in the file, where that is known: it may have come through a pipe, or have changed meanwhile. Otherwise the file is read.
    pub(crate) text: Option<Vec<u8>>,
    /// Which part of it.
    pub(crate) mark: Mark,
    /// What is wrong there. May be empty.
    pub(crate) label: String,
    /// What would mend it.
    pub(crate) hint: Option<String>,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The word at a line and a column in characters, both from 1.
    Word {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// Bytes, as far as their first line goes.
    Bytes(Range<usize>),
    /// Lines, the first and the last one, from 1; shown with what is around them.
    Lines(usize, usize),
}

/// Files that people write are smaller; of a larger one the place is named and not shown.
const MAX_FILE: u64 = 4 << 20;
/// A longer line is no line that a person wrote.
const MAX_LINE: usize = 400;
/// Lines around what is marked, where it is shown with what is around it.
const AROUND: usize = 2;
/// Of more lines, the first ones are shown.
const MAX_LINES: usize = 12;

/// Lines of a file, and which bytes of them are marked.
struct Part {
    /// Number of the first line.
    first: usize,
    text: String,
    marked: Range<usize>,
}

/// The excerpt as styled lines, each with its end; only the place where the file cannot be shown.
pub(super) fn render(excerpt: &Excerpt) -> String {
    let path = excerpt.path.display().to_string();
    let label = visible(&excerpt.label);
    let bytes = excerpt.text.clone().or_else(|| read(excerpt)).unwrap_or_default();
    let Some(part) = part(&bytes, &excerpt.mark) else {
        let mut text = format!("  --> {}:{}", visible(&path), line_number(&bytes, &excerpt.mark));
        if !label.is_empty() && excerpt.text.is_some() {
            text.push_str(&format!(": {label}"));
        }
        return text + "\n" + &hint_line(excerpt);
    };
    let annotation = AnnotationKind::Primary.span(part.marked.clone());
    let annotation = if label.is_empty() { annotation } else { annotation.label(label.into_owned()) };
    // Control characters of the lines are made visible by the renderer.
    let snippet = Snippet::source(part.text.as_str()).line_start(part.first).path(path.as_str());
    let around: Option<Annotation<'_>> =
        matches!(excerpt.mark, Mark::Lines(..)).then(|| AnnotationKind::Visible.span(0..part.text.len()));
    let snippet = snippet.annotation(annotation).annotations(around);
    let mut group = Group::with_level(Level::ERROR).element(snippet);
    if let Some(hint) = &excerpt.hint {
        group = group.element(Level::HELP.with_name("hint").message(visible(hint).into_owned()));
    }
    let mut text = Renderer::styled().render(&[group]);
    text.push('\n');
    text
}

fn hint_line(excerpt: &Excerpt) -> String {
    excerpt.hint.as_ref().map_or_else(String::new, |hint| format!("      hint: {}\n", visible(hint)))
}

fn read(excerpt: &Excerpt) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(&excerpt.path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Number of the line on which a mark begins.
fn line_number(bytes: &[u8], mark: &Mark) -> usize {
    match mark {
        Mark::Word { line, .. } | Mark::Lines(line, _) => *line,
        Mark::Bytes(range) => {
            1 + bytes[..begin_of(bytes, range)].iter().filter(|byte| **byte == b'\n').count()
        }
    }
}

/// Where marked bytes begin: behind the end of the last line there is no line.
fn begin_of(bytes: &[u8], range: &Range<usize>) -> usize {
    let last = bytes.len() - usize::from(bytes.ends_with(b"\n"));
    range.start.min(last)
}

fn part(bytes: &[u8], mark: &Mark) -> Option<Part> {
    let first = line_number(bytes, mark);
    match mark {
        Mark::Word { column, .. } => {
            let text = strict(line_of(bytes, first)?)?;
            let nth = text.char_indices().nth(column.saturating_sub(1));
            let start = nth.map_or(text.len(), |(offset, _)| offset);
            let length = text[start..].find(char::is_whitespace).unwrap_or(text.len() - start);
            Some(Part { first, marked: start..start + length, text })
        }
        Mark::Bytes(range) => {
            let line = line_of(bytes, first)?;
            let begin = bytes[..begin_of(bytes, range)].iter().rposition(|byte| *byte == b'\n');
            let begin = begin.map_or(0, |end| end + 1);
            let within = |offset: usize| offset.saturating_sub(begin).min(line.len());
            let (from, to) = (within(range.start), within(range.end.max(range.start)));
            let [before, marked, after] = [&line[..from], &line[from..to], &line[to..]].map(lossy);
            let marked_bytes = before.len()..before.len() + marked.len();
            let text = before + &marked + &after;
            (text.len() <= MAX_LINE).then_some(Part { first, text, marked: marked_bytes })
        }
        Mark::Lines(_, last) => lines(bytes, first, (*last).max(first)),
    }
}

/// Several lines with those around them. A statement of very many lines is shown to its begin.
fn lines(bytes: &[u8], first: usize, last: usize) -> Option<Part> {
    let last = last.min(first + MAX_LINES - 1);
    let begin = first.saturating_sub(AROUND).max(1);
    let mut text = String::new();
    let mut marked = 0..0;
    for number in begin..=last + AROUND {
        let Some(line) = line_of(bytes, number) else { break };
        let mut line = lossy(line);
        if line.len() > MAX_LINE {
            let cut = (0..=MAX_LINE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(cut);
            line.push_str(" …");
        }
        if number == first {
            marked.start = text.len() + line.len() - line.trim_start().len();
        }
        text.push_str(&line);
        if number == last {
            marked.end = text.trim_end().len();
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len().max(marked.end));
    (!text.is_empty() && marked.end > marked.start).then_some(Part { first: begin, text, marked })
}

fn line_of(bytes: &[u8], number: usize) -> Option<&[u8]> {
    let line = bytes.split(|byte| *byte == b'\n').nth(number.checked_sub(1)?)?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn strict(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    (line.len() <= MAX_LINE).then(|| line.to_owned())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &[u8] = b"module x\n\n\trequir \xc3\xbc v1\n\xff\n\x1b[2Jx\n";

    fn plain(mark: Mark) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go.mod");
        longshore_files::write_atomic(&path, GO_MOD).unwrap();
        let label = "unknown directive".to_owned();
        let excerpt = Excerpt { path, text: None, mark, label, hint: None };
        let text = anstream::adapter::strip_str(&render(&excerpt)).to_string();
        text.replace(folder.path().to_str().unwrap(), "DIR")
    }

    fn known(text: &[u8], mark: Mark, hint: Option<&str>) -> String {
        let label = String::new();
        let text = Some(text.to_vec());
        let excerpt = Excerpt { path: "D".into(), text, mark, label, hint: hint.map(str::to_owned) };
        anstream::adapter::strip_str(&render(&excerpt)).to_string()
    }

    #[test]
    fn a_column_marks_its_word() {
        let word =
            [" --> DIR/go.mod:3:9", "  |", "3 |     requir ü v1", "  |            ^ unknown directive", ""];
        assert_eq!(plain(Mark::Word { line: 3, column: 9 }), word.join("\n"));
        let control = plain(Mark::Word { line: 5, column: 1 });
        assert!(control.contains("5 | ␛[2Jx"), "{control}");
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        for (mark, line) in [
            (Mark::Word { line: 4, column: 1 }, 4),
            (Mark::Word { line: 99, column: 1 }, 99),
            (Mark::Word { line: 0, column: 0 }, 0),
            (Mark::Lines(99, 100), 99),
        ] {
            assert_eq!(plain(mark), format!("  --> DIR/go.mod:{line}\n"));
        }
        let long = [b"RUN ".as_slice(), &[b'x'; 4000]].concat();
        assert_eq!(known(&long, Mark::Bytes(0..3), Some("cut it")), "  --> D:1\n      hint: cut it\n");
        // Columns that lie outside or inside a character do no harm.
        for column in [0, 10, 11, 4_000] {
            assert!(plain(Mark::Word { line: 3, column }).contains("requir"), "{column}");
        }
    }

    #[test]
    fn bytes_are_marked_to_the_end_of_their_first_line() {
        let text = b"FROM x\r\nRUN \xffa b\nc\n";
        let expected =
            [" --> D:2:5", "  |", "2 | RUN \u{fffd}a b", "  |     ^^^^", "  |", "  = hint: no", ""];
        assert_eq!(known(text, Mark::Bytes(12..18), Some("no")), expected.join("\n"));
        for range in [0..0, 5..9, std::ops::Range { start: 9, end: 5 }, 400..500] {
            assert!(known(text, Mark::Bytes(range.clone()), None).contains(" --> D:"), "{range:?}");
        }
    }

    #[test]
    fn lines_are_shown_with_those_around_them() {
        let text = b"FROM a\n\n# why\nRUN x \\\n  y\n\nCOPY a b\nCMD c\n";
        let expected = "
 --> D:4:1
  |
2 |
3 |   # why
4 | / RUN x \\
5 | |   y
  | |___^
6 |
7 |   COPY a b
  |
";
        assert_eq!(known(text, Mark::Lines(4, 5), None), expected[1..]);
        let one = known(text, Mark::Lines(8, 8), None);
        assert_eq!(one, " --> D:8:1\n  |\n6 |\n7 | COPY a b\n8 | CMD c\n  | ^^^^^\n");
        let many = [b"RUN a \\\n".as_slice(), &b"b \\\n".repeat(400)].concat();
        assert_eq!(known(&many, Mark::Lines(1, 400), None).lines().count(), 2 + MAX_LINES + AROUND + 2);
    }
}
