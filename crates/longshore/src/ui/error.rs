//! Errors on their way to the user, and the one renderer that shows them.

use std::error::Error;
use std::fmt::Write;
use std::io;

use anstyle::{AnsiColor, Style};
use longshore_image::archive::SaveError;

use super::text::visible;
use super::{OutputError, excerpt, known, lines};
use crate::exit::Exit;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const CAUSE: Style = AnsiColor::Red.on_default();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Longer chains are loops or noise.
const MAX_CHAIN: usize = 32;

/// An error with what the process ends with because of it. Any error becomes one by `?`; hints and source excerpts are found in its chain when
/// it is rendered.
#[derive(Debug)]
pub(crate) struct CommandError {
    error: Box<dyn Error + Send + Sync + 'static>,
    exit: Option<Exit>,
    hints: Vec<String>,
    source: Option<SourceFile>,
}

/// The file that a command was about, which an error in it may quote.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Its name, for a person.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: Vec<u8>,
}

impl<E: Error + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        CommandError { error: Box::new(error), exit: None, hints: Vec::new(), source: None }
    }
}

impl CommandError {
    /// What was typed is wrong.
    pub(crate) fn usage(error: impl Error + Send + Sync + 'static) -> Self {
        CommandError { exit: Some(Exit::Usage), ..CommandError::from(error) }
    }

    /// A check could not be made.
    pub(crate) fn unchecked(error: impl Error + Send + Sync + 'static) -> Self {
        CommandError { exit: Some(Exit::Unchecked), ..CommandError::from(error) }
    }

    /// What was streamed to standard output, not through [`super::Ui`]: a reader that went away is recognised all the same.
    pub(crate) fn of_stream(error: SaveError) -> Self {
        match error {
            SaveError::Write(source) => OutputError(source).into(),
            other => other.into(),
        }
    }

    /// The same for a tar of files.
    pub(crate) fn of_tar(error: longshore_snapshot::OutputError) -> Self {
        match error {
            longshore_snapshot::OutputError::Write(source) => OutputError(source).into(),
            other => other.into(),
        }
    }

    /// The same error with what the process ends with because of it.
    #[must_use]
    pub(crate) fn ending(mut self, exit: Exit) -> Self {
        self.exit = Some(exit);
        self
    }

    /// The same error with advice that only this command can give.
    #[must_use]
    pub(crate) fn hinted(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error with the file that its places are in.
    #[must_use]
    pub(crate) fn in_file(mut self, name: String, text: &[u8]) -> Self {
        self.source = Some(SourceFile { name, text: text.to_vec() });
        self
    }

    /// What the process ends with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Failed)
    }

    /// Whether all that failed is that the reader of standard output went away.
    pub(crate) fn is_closed_output(&self) -> bool {
        let error: &(dyn Error + 'static) = &*self.error;
        error.downcast_ref::<OutputError>().is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error, its causes, what a failed step wrote, where it stands in a file, and what can be done: styled lines, each with its
    /// end. The step's output is left out where a person saw it already.
    pub(crate) fn render(&self, output_was_shown: bool) -> String {
        let source = self.source.as_ref();
        let message = |error| indented(&known::message(error, source));
        let mut text = String::new();
        for (depth, error) in self.chain().enumerate() {
            // Writing to a string cannot fail.
            let _ = match depth {
                0 => writeln!(text, "{ERROR}error{ERROR:#}: {}", message(error)),
                _ => writeln!(text, "  {CAUSE}caused by{CAUSE:#}: {}", message(error)),
            };
        }
        if !output_was_shown {
            let lines: Vec<_> =
                self.chain().flat_map(known::output).map(|line| lines::output(line)).collect();
            if !lines.is_empty() {
                let _ = writeln!(text, "{CAUSE}last output{CAUSE:#}:\n{}", lines.join("\n"));
            }
        }
        let mut excerpts = self.chain().map(|error| known::excerpts(error, source));
        let excerpts = excerpts.find(|found| !found.is_empty()).unwrap_or_default();
        let excerpts: Vec<_> = excerpts.iter().map(excerpt::render).collect();
        text.push_str(&excerpts.join("\n"));
        let mut hints = self.hints.clone();
        let advice = |error| known::hint_in(error, source).or_else(|| known::hint(error));
        for hint in self.chain().filter_map(advice) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        for hint in hints {
            let _ = writeln!(text, "{HINT}hint{HINT:#}: {}", indented(&hint));
        }
        text
    }

    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = &*self.error;
        std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| (*error).source()).take(MAX_CHAIN)
    }
}

/// Messages may have several lines, such as a compiler's: all but the first stand under the first.
fn indented(message: &str) -> String {
    visible(message.trim_end()).replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::StoreLocationError;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Box<dyn Error + Send + Sync>);

    fn plain(error: &CommandError) -> String {
        anstream::adapter::strip_str(&error.render(false)).to_string()
    }

    #[test]
    fn the_chain_is_shown_from_the_outside_in_with_hints_from_anywhere_in_it() {
        let inner = Layer("cannot open the store\nsecond line", Box::new(StoreLocationError));
        let error = CommandError::from(Layer("cannot list images", Box::new(inner))).hinted("first advice");
        let expected = "\
error: cannot list images
  caused by: cannot open the store
    second line
  caused by: cannot tell where the image store is: neither XDG_DATA_HOME nor HOME is set to an absolute path
hint: first advice
hint: name a folder with --store, or set LONGSHORE_STORE
";
        assert_eq!(plain(&error), expected);
        assert_eq!(error.exit(), Exit::Failed);
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        let error = CommandError::usage(Layer("bad \u{1b}]0;x\u{7}", Box::new(StoreLocationError)));
        assert!(plain(&error).starts_with("error: bad \\u{1b}]0;x\\u{7}\n"), "{}", plain(&error));
        assert_eq!(error.exit(), Exit::Usage);
    }

    #[test]
    fn only_a_closed_standard_output_counts_as_a_reader_that_went_away() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(CommandError::from(OutputError(closed())).is_closed_output());
        assert!(!CommandError::from(OutputError(io::ErrorKind::StorageFull.into())).is_closed_output());
        assert!(!CommandError::from(Layer("cannot push", Box::new(closed()))).is_closed_output());
    }
}
