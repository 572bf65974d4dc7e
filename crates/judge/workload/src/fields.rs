//! Reading what is known out of a mapping, and telling what is not.
//!
//! A key that nobody asked for is a mistake that the programs which read these files refuse as well, so it is told, with the name that was
//! probably meant.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use crate::document::{Dialect, Node, Plain, Problem, Span, Value};
use crate::lowered::Note;

/// What was found while a document was read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: RefCell<Vec<Problem>>,
    pub(crate) notes: RefCell<Vec<Note>>,
}

impl Findings {
    pub(crate) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
    }
}

/// A mapping whose keys are known.
pub(crate) struct Fields<'f> {
    node: &'f Node,
    path: String,
    asked: RefCell<HashSet<&'static str>>,
    pub(crate) findings: &'f Findings,
    pub(crate) dialect: Dialect,
}

impl<'f> Fields<'f> {
    /// The keys of `node`, which stands at `path`. `None`, and a problem, if it is no mapping.
    pub(crate) fn of(
        node: &'f Node,
        path: impl Into<String>,
        findings: &'f Findings,
        dialect: Dialect,
    ) -> Option<Fields<'f>> {
        let path = path.into();
        if !matches!(node.value, Value::Mapping(_)) {
            if !node.is_null() {
                let message = format!("{path} must be a mapping, and is {}", node.kind());
                findings.problem(Problem::new(node.span, message));
            }
            return None;
        }
        Some(Fields { node, path, asked: RefCell::default(), findings, dialect })
    }

    /// The value of a key; `None` where it is absent or null.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'f Arc<Node>> {
        self.asked.borrow_mut().insert(key);
        self.node.get(key).filter(|node| !node.is_null())
    }

    /// Whether a key is there, be it without a value.
    pub(crate) fn node_has(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().insert(key);
        self.node.get(key).is_some()
    }

    pub(crate) fn span(&self) -> Span {
        self.node.span
    }

    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The mapping below a key.
    pub(crate) fn fields(&self, key: &'static str) -> Option<Fields<'f>> {
        Fields::of(self.get(key)?, self.path(key), self.findings, self.dialect)
    }

    pub(crate) fn wrong(&self, node: &Node, key: &str, expected: &str) -> Problem {
        let kind = match node.scalar() {
            Some(scalar) => format!("{} (`{}`)", scalar.kind(self.dialect), scalar.text),
            None => node.kind().to_owned(),
        };
        Problem::new(node.span, format!("{} must be {expected}, and is {kind}", self.path(key)))
    }

    /// A string. A number or boolean is none, unless it is in quotes.
    pub(crate) fn string(&self, key: &'static str) -> Option<String> {
        self.string_of(self.get(key)?, key)
    }

    pub(crate) fn string_of(&self, node: &Node, key: &str) -> Option<String> {
        match node.scalar().map(|scalar| scalar.resolve(self.dialect)) {
            Some(Plain::Text(text)) => Some(text.to_owned()),
            Some(Plain::Boolean(_) | Plain::Integer(_) | Plain::Float(_)) => {
                let problem = self.wrong(node, key, "a string");
                self.findings.problem(problem.hinted("put it in quotes"));
                None
            }
            _ => {
                self.findings.problem(self.wrong(node, key, "a string"));
                None
            }
        }
    }

    /// A string or a number, as text.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        match node.scalar().map(|scalar| (scalar.resolve(self.dialect), scalar)) {
            Some((Plain::Boolean(_), _)) | None => {
                self.findings.problem(self.wrong(node, key, "a string or a number"));
                None
            }
            Some((_, scalar)) => Some(scalar.written(self.dialect)),
        }
    }

    /// Text that stands for something, by whoever can tell what: its error says what was expected.
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                let span = self.get(key).map_or(self.node.span, |node| node.span);
                let message = format!("{}: `{text}`: {reason}", self.path(key));
                self.findings.problem(Problem::new(span, message));
                None
            }
        }
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        let scalar = node.scalar();
        match scalar.map(|scalar| scalar.resolve(self.dialect)) {
            Some(Plain::Boolean(value)) => return Some(value),
            // What a variable stands for is text until somebody wants a boolean of it; Compose takes these words.
            Some(Plain::Text(text)) if self.dialect == Dialect::Compose => {
                match text.to_ascii_lowercase().as_str() {
                    "true" | "y" | "yes" | "on" => return Some(true),
                    "false" | "n" | "no" | "off" => return Some(false),
                    _ => {}
                }
            }
            _ => {}
        }
        self.findings.problem(self.wrong(node, key, "true or false"));
        None
    }

    pub(crate) fn integer(&self, key: &'static str) -> Option<i64> {
        let node = self.get(key)?;
        let scalar = node.scalar();
        let number = match scalar.map(|scalar| scalar.resolve(self.dialect)) {
            Some(Plain::Integer(value)) => i64::try_from(value).ok(),
            Some(Plain::Text(text)) if self.dialect == Dialect::Compose => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.findings.problem(self.wrong(node, key, "a whole number"));
        }
        number
    }

    /// A whole number of a certain size.
    pub(crate) fn number<T: TryFrom<i64>>(&self, key: &'static str) -> Option<T> {
        let number = self.integer(key)?;
        let fits = T::try_from(number).ok();
        if fits.is_none() {
            let span = self.get(key).map_or(self.node.span, |node| node.span);
            let message = format!("{}: {number} is out of range", self.path(key));
            self.findings.problem(Problem::new(span, message));
        }
        fits
    }

    /// The items of a list.
    pub(crate) fn list(&self, key: &'static str) -> &'f [Arc<Node>] {
        match self.get(key) {
            None => &[],
            Some(node) => match &node.value {
                Value::Sequence(items) => items,
                _ => {
                    self.findings.problem(self.wrong(node, key, "a list"));
                    &[]
                }
            },
        }
    }

    /// A list of strings.
    pub(crate) fn strings(&self, key: &'static str) -> Vec<String> {
        self.list(key).iter().filter_map(|item| self.string_of(item, key)).collect()
    }

    /// Says that a key is not heeded, if it is there.
    pub(crate) fn ignored(&self, key: &'static str, why: &str) {
        if let Some(node) = self.get(key) {
            self.findings.note(Note::ignored(node.span, self.path(key), why));
        }
    }

    /// Says that what a key asks for cannot be had, if it is there and asks for something.
    pub(crate) fn missing(&self, key: &'static str, why: &str) {
        let Some(node) = self.get(key) else { return };
        let asks = match &node.value {
            Value::Scalar(scalar) => scalar.resolve(self.dialect) != Plain::Boolean(false),
            Value::Sequence(items) => !items.is_empty(),
            Value::Mapping(entries) => !entries.is_empty(),
        };
        if asks {
            self.findings.note(Note::missing(node.span, self.path(key), why));
        }
    }

    /// Keys that mean nothing to a single container and change nothing that can be seen in it.
    pub(crate) fn known(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// Tells the keys that nobody asked for. Those that begin with `x-` are extensions, which anybody may have in compose files.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for entry in self.node.entries() {
            let extension = self.dialect == Dialect::Compose && entry.key.starts_with("x-");
            if extension || asked.contains(entry.key.as_str()) {
                continue;
            }
            let message = format!("there is no {}", self.path(&entry.key));
            let meant = asked
                .iter()
                .map(|name| (strsim::damerau_levenshtein(name, &entry.key), name))
                .filter(|(distance, name)| *distance <= 2.max(name.len() / 4) && *distance < name.len())
                .min();
            let problem = Problem::new(entry.key_span, message);
            self.findings.problem(match meant {
                Some((_, name)) => problem.hinted(format!("did you mean `{name}`?")),
                None => problem,
            });
        }
    }
}
