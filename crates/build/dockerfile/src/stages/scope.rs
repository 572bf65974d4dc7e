//! Arguments and their values.

use std::collections::HashMap;

use crate::arguments::platform_arguments;
use crate::expand::{ExpandError, Expander, Expansion};
use crate::instruction::{Argument, Span};
use crate::{Diagnostic, StageOptions};

/// Names and values, in the order in which they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    values: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Scope {
    /// The automatic arguments alone.
    pub(super) fn global(options: &StageOptions<'_>, stage: Option<&str>) -> Self {
        let values =
            platform_arguments(options.build_platform, options.target_platform, stage, options.build_args);
        let mut scope = Scope::default();
        values.iter().for_each(|(name, value)| scope.set(name, value));
        scope
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.values[*place].1.as_str())
    }

    /// Sets a name, in place where it is set already.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.places.get(name) {
            Some(place) => value.clone_into(&mut self.values[*place].1),
            None => {
                self.places.insert(name.to_owned(), self.values.len());
                self.values.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// All names and values in order.
    pub fn values(&self) -> &[(String, String)] {
        &self.values
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| name.as_str())
    }

    /// Expands a word with these values.
    ///
    /// Errors: see [`Expander::expand`].
    pub fn expand(&self, word: &str, escape: char) -> Result<Expansion, ExpandError> {
        Expander::new(escape, &|name| self.get(name).map(str::to_owned)).expand(word)
    }

    /// An ARG of the global scope: the build argument of its name, or else its default. Without either it stays unset.
    pub(super) fn declare(
        &mut self,
        argument: &Argument,
        build_arguments: &[(String, String)],
        escape: char,
    ) -> Result<(), ExpandError> {
        let name = &argument.name.text;
        if let Some((_, value)) = build_arguments.iter().rev().find(|(given, _)| given == name) {
            self.set(name, value);
        } else if let Some(default) = &argument.value {
            let value = self.expand(&default.text, escape)?.text;
            self.set(name, &value);
        }
        Ok(())
    }
}

/// A word that cannot be expanded, as a diagnostic.
pub(crate) fn cannot_expand(error: &ExpandError, span: &Span) -> Diagnostic {
    let problem = Diagnostic::error("cannot-expand", span.clone(), format!("{error}: {}", error.kind));
    match error.hint() {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    }
}
