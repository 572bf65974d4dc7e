//! The lines of a file that an error points at.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::text::visible;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The file.
    pub(crate) path: PathBuf,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1; without it the whole line is meant.
    pub(crate) column: Option<usize>,
    /// What is wrong there.
    pub(crate) label: String,
}

/// Files that people write are smaller; of a larger one the place is named and not shown.
const MAX_FILE: u64 = 4 << 20;
/// A longer line is no line that a person wrote.
const MAX_LINE: usize = 400;

/// The excerpt as styled lines, each with its end; only the place where the file cannot be shown.
pub(super) fn render(excerpt: &Excerpt) -> String {
    let path = excerpt.path.display().to_string();
    let place = || format!("  --> {}:{}\n", visible(&path), excerpt.line);
    let Some(line) = line_of(excerpt) else { return place() };
    // Control characters of the line are made visible by the renderer.
    let start = match excerpt.column {
        Some(column) => {
            let nth = line.char_indices().nth(column.saturating_sub(1));
            nth.map_or(line.len(), |(offset, _)| offset)
        }
        None => line.len() - line.trim_start().len(),
    };
    let end = match excerpt.column {
        Some(_) => start + line[start..].find(char::is_whitespace).unwrap_or(line.len() - start),
        None => line.trim_end().len(),
    };
    let annotation =
        AnnotationKind::Primary.span(start..end.max(start)).label(visible(&excerpt.label).into_owned());
    let snippet = Snippet::source(line.as_str()).line_start(excerpt.line).path(path.as_str());
    let report = &[Group::with_level(Level::ERROR).element(snippet.annotation(annotation))];
    let mut text = Renderer::styled().render(report);
    text.push('\n');
    text
}

fn line_of(excerpt: &Excerpt) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(&excerpt.path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').nth(excerpt.line.checked_sub(1)?)?;
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
    (line.len() <= MAX_LINE).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: usize, column: Option<usize>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go.mod");
        longshore_files::write_atomic(&path, b"module x\n\n\trequir \xc3\xbc v1\n\xff\n\x1b[2Jx\n").unwrap();
        let excerpt = Excerpt { path, line, column, label: "unknown directive".to_owned() };
        let text = anstream::adapter::strip_str(&render(&excerpt)).to_string();
        text.replace(folder.path().to_str().unwrap(), "DIR")
    }

    #[test]
    fn a_column_marks_its_word_and_a_line_without_one_is_marked_whole() {
        let word =
            [" --> DIR/go.mod:3:9", "  |", "3 |     requir ü v1", "  |            ^ unknown directive", ""];
        assert_eq!(plain(3, Some(9)), word.join("\n"));
        let whole = [
            " --> DIR/go.mod:3:2",
            "  |",
            "3 |     requir ü v1",
            "  |     ^^^^^^^^^^^ unknown directive",
            "",
        ];
        assert_eq!(plain(3, None), whole.join("\n"));
        assert!(plain(5, None).contains("5 | ␛[2Jx"), "{}", plain(5, None));
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        for (line, column) in [(4, None), (99, Some(1)), (0, None)] {
            assert_eq!(plain(line, column), format!("  --> DIR/go.mod:{line}\n"));
        }
        // Columns that lie outside or inside a character do no harm.
        for column in [0, 10, 11, 4_000] {
            assert!(plain(3, Some(column)).contains("requir"), "{column}");
        }
    }
}
