//! COPY and ADD.

use std::ops::Range;

use crate::instruction::{Heredoc, Source, Transfer, Word};
use crate::{Diagnostic, Span};

use super::flags::Flags;
use super::read::{Form, Reader};
use super::{heredoc, words};

impl Reader<'_> {
    pub(super) fn transfer(
        &mut self,
        keyword: &str,
        place: &Span,
        flags: &mut Flags,
        arguments: &Range<usize>,
    ) -> Result<Transfer, Diagnostic> {
        let mut transfer = Self::transfer_flags(keyword == "COPY", flags);
        let mut words: Vec<Word> = match self.form(arguments)? {
            Form::Json(words) => {
                let span = self.line.span(arguments);
                words.into_iter().map(|text| Word { text, span: span.clone() }).collect()
            }
            Form::Text(range) => {
                words::at_blanks(self.line, &range).iter().map(|word| self.line.word(word)).collect()
            }
        };
        let destination = words.pop().filter(|_| !words.is_empty()).ok_or_else(|| {
            let message = format!("{keyword} requires at least two arguments: sources and a destination");
            let span = if arguments.is_empty() { place.clone() } else { self.line.span(arguments) };
            Diagnostic::error("missing-destination", span, message)
        })?;
        if matches!(heredoc::read(&destination.text), Ok(Some(_))) {
            let message = format!("{keyword} cannot accept a heredoc as a destination");
            return Err(Diagnostic::error("heredoc-destination", destination.span, message));
        }
        transfer.sources = words.into_iter().map(|word| self.source(word)).collect();
        transfer.destination = destination;
        Ok(transfer)
    }

    /// The flags, with nothing to copy yet.
    fn transfer_flags(is_copy: bool, flags: &mut Flags) -> Transfer {
        Transfer {
            sources: Vec::new(),
            destination: Word { text: String::new(), span: 0..0 },
            from: if is_copy { flags.text("from").filter(|from| !from.text.is_empty()) } else { None },
            chown: flags.text("chown"),
            chmod: flags.text("chmod"),
            link: flags.switch("link").unwrap_or(false),
            parents: is_copy && flags.switch("parents").unwrap_or(false),
            exclude: flags.texts("exclude"),
            checksum: if is_copy { None } else { flags.text("checksum") },
            keep_git_dir: if is_copy { None } else { flags.switch("keep-git-dir") },
            unpack: if is_copy { None } else { flags.switch("unpack") },
        }
    }

    /// A heredoc is known by its name: where two have the same, both sources are the later one, as with BuildKit.
    fn source(&self, word: Word) -> Source {
        let Ok(Some(opening)) = heredoc::read(&word.text) else { return Source::Path(word) };
        match self.heredocs.iter().rev().find(|heredoc| heredoc.name == opening.name) {
            Some(heredoc) => Source::Heredoc(heredoc.clone()),
            None => Source::Heredoc(Heredoc { span: word.span, ..opening.with_content(&[], 0..0) }),
        }
    }
}
