//! What is wrong with a file, and where.
//!
//! A reader of a Dockerfile never stops at the first fault: each becomes a [`Diagnostic`] with the bytes it is about, and reading
//! goes on. So people see all faults of a file at once, and a tool that mends files still gets a tree.

use crate::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file can be built, but part of it does not do what it seems to say.
    Warning,
    /// The file cannot be built.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name of the kind of fault, such as `unknown-instruction`.
    pub code: &'static str,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// The bytes it is about.
    pub span: Span,
    /// What would mend it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Error, code, message: message.into(), span, hint: None }
    }

    /// A warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, asking whether the nearest of `known` was meant, if one is near `typed`.
    #[must_use]
    pub fn with_likely<'k>(mut self, typed: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        if let Some(likely) = likely(typed, known) {
            self.hint = Some(format!("did you mean {likely}?"));
        }
        self
    }

    /// Whether the file cannot be built because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The word of `known` that is at most two edits away from `typed`, as BuildKit's `suggest` has it, all in capitals or all
/// in small letters where `typed` is. Two letters that changed places are one edit here, since that is the commonest slip of all: RNU
/// means RUN, and not ENV. A word that differs by case alone is not what is wrong, so then there is none.
pub(crate) fn likely<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    // A longer word is two edits away from none of the names that exist, and comparing costs the product of the lengths.
    if typed.len() > 128 {
        return None;
    }
    let lower = typed.to_lowercase();
    let mut best: Option<(usize, String)> = None;
    let length = lower.chars().count();
    for word in known.into_iter().filter(|word| word.len().abs_diff(length) < 3) {
        let distance = strsim::osa_distance(&lower, &word.to_lowercase());
        if distance == 0 {
            return None;
        }
        if distance < best.as_ref().map_or(3, |(distance, _)| *distance) {
            best = Some((distance, word.to_owned()));
        }
    }
    let (_, word) = best?;
    let has_letters = typed.chars().any(char::is_alphabetic);
    Some(match has_letters {
        true if typed == lower => word.to_lowercase(),
        true if typed == typed.to_uppercase() => word.to_uppercase(),
        _ => word,
    })
}
