//! Words to values: quotes and escapes taken away, variables replaced.
//!
//! This is the dialect of BuildKit's `shell` package (lex.go), which is near the shell's but not the same: `${v:=w}` does not exist,
//! `*` in a pattern does not match a line feed, `<<` keeps the blanks after it in the word. What differs on purpose: nesting ends
//! at [`DEEPEST`], so that no input can exhaust the stack.

mod lexer;
mod pattern;

use std::collections::BTreeSet;

/// How deep `${a:-${b:-…}}` may be nested.
pub const DEEPEST: usize = 100;

/// Looks up a variable: `None` where it is not set.
pub type Lookup<'l> = dyn Fn(&str) -> Option<String> + 'l;

/// What became of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The whole as one text.
    pub text: String,
    /// The whole split at blanks that are not quoted.
    pub words: Vec<String>,
    /// Names that were looked up and set.
    pub used: BTreeSet<String>,
    /// Names that were looked up and not set.
    pub unset: BTreeSet<String>,
}

/// How to expand. [`Expander::new`] gives what most instructions need: quotes and escapes go, unset variables become nothing.
#[derive(Clone, Copy)]
pub struct Expander<'l> {
    escape: char,
    lookup: &'l Lookup<'l>,
    raw_quotes: bool,
    raw_escapes: bool,
    skip_quotes: bool,
    keep_unset: bool,
}

impl<'l> Expander<'l> {
    /// Expands with `escape` as the escape character and `lookup` for variables.
    pub fn new(escape: char, lookup: &'l Lookup<'l>) -> Self {
        Expander {
            escape,
            lookup,
            raw_quotes: false,
            raw_escapes: false,
            skip_quotes: false,
            keep_unset: false,
        }
    }

    /// What is written into files by COPY and ADD heredocs: variables are replaced and escapes taken away, quotes are nothing
    /// special. The escape character is a backslash there, whatever the `escape` directive says.
    pub fn for_heredoc(lookup: &'l Lookup<'l>) -> Self {
        Expander { skip_quotes: true, ..Expander::new('\\', lookup) }
    }

    /// Quotes keep their meaning, and stay in the result.
    #[must_use]
    pub fn keeping_quotes(mut self) -> Self {
        self.raw_quotes = true;
        self
    }

    /// Quotes are characters like any other.
    #[must_use]
    pub fn ignoring_quotes(mut self) -> Self {
        self.skip_quotes = true;
        self
    }

    /// Escapes keep their meaning, and stay in the result.
    #[must_use]
    pub fn keeping_escapes(mut self) -> Self {
        self.raw_escapes = true;
        self
    }

    /// Variables that are not set stay as they are written.
    #[must_use]
    pub fn keeping_unset(mut self) -> Self {
        self.keep_unset = true;
        self
    }

    /// Expands `text`.
    ///
    /// Errors: an open quote or brace, a modifier that does not exist, a bad pattern, a variable that `${v:?}` asks for.
    pub fn expand(&self, text: &str) -> Result<Expansion, ExpandError> {
        lexer::Lexer::new(self, text).run().map_err(|kind| ExpandError { word: text.to_owned(), kind })
    }
}

/// Expands one word: quotes are taken away and variables replaced. Blanks in it stay.
///
/// Errors: see [`Expander::expand`].
pub fn expand(word: &str, escape: char, lookup: &Lookup<'_>) -> Result<String, ExpandError> {
    Expander::new(escape, lookup).expand(word).map(|expansion| expansion.text)
}

/// Expands a text and splits it at blanks that are not quoted, those in the values of variables included.
///
/// Errors: see [`Expander::expand`].
pub fn expand_words(text: &str, escape: char, lookup: &Lookup<'_>) -> Result<Vec<String>, ExpandError> {
    Expander::new(escape, lookup).expand(text).map(|expansion| expansion.words)
}

/// Expands the content of a COPY or ADD heredoc: variables are replaced, quotes stay.
///
/// Errors: see [`Expander::expand`].
pub fn expand_heredoc(content: &str, lookup: &Lookup<'_>) -> Result<String, ExpandError> {
    Expander::for_heredoc(lookup).expand(content).map(|expansion| expansion.text)
}

/// A text that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot expand `{}`", shortened(.word))]
pub struct ExpandError {
    /// The text.
    pub word: String,
    /// Why not.
    #[source]
    pub kind: ExpandErrorKind,
}

impl ExpandError {
    /// What would mend it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ExpandErrorKind::OpenQuote(_) => Some("close the quote, or escape it".to_owned()),
            ExpandErrorKind::BadSubstitution | ExpandErrorKind::OpenBrace => {
                Some("escape the dollar sign if no variable is meant".to_owned())
            }
            ExpandErrorKind::UnsupportedModifier(_) => Some(
                "the modifiers are :- - :+ + :? ? # ## % %% / and //, as in ${variable:-default}".to_owned(),
            ),
            ExpandErrorKind::Required { name, .. } => Some(format!("give it with --build-arg {name}=VALUE")),
            ExpandErrorKind::OpenReplacement
            | ExpandErrorKind::InvalidPattern { .. }
            | ExpandErrorKind::TooDeep => None,
        }
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandErrorKind {
    /// `'` or `"` without its partner.
    #[error("the quote {0} is not closed")]
    OpenQuote(char),
    /// `${` without `}`.
    #[error("the brace of ${{ is not closed")]
    OpenBrace,
    /// `${v/pattern` without the second slash.
    #[error("the second / of ${{variable/pattern/replacement}} is missing")]
    OpenReplacement,
    /// `${}`, `${:`, `${{`.
    #[error("bad substitution")]
    BadSubstitution,
    /// `${v:=w}` and the like.
    #[error("unsupported modifier `{0}` in substitution")]
    UnsupportedModifier(String),
    /// `${v:?message}` where v is unset or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message, as written or a usual one.
        message: String,
    },
    /// A pattern of `#`, `%` or `/` that is none.
    #[error("invalid pattern `{pattern}` in substitution: {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More than [`DEEPEST`] substitutions in one another.
    #[error("substitutions are nested more than {DEEPEST} deep")]
    TooDeep,
}

/// At most 80 characters of `text`.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
