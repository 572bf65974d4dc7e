//! Reading typed values out of a TOML tree, with errors that know where they are.

use std::ops::Range;
use std::path::Path;

use toml_edit::{Item, TableLike, Value};

use crate::values::Strings;
use crate::{ConfigError, ConfigErrorKind, KEYS, Position, Scope, nearest};

/// The file that is read: what errors need to name places in it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn error(self, span: Option<Range<usize>>, kind: ConfigErrorKind) -> ConfigError {
        let position = span.map(|span| Position::of(self.text, span.start));
        ConfigError { file: self.file.to_owned(), position, kind: Box::new(kind) }
    }
}

/// One value of the tree, with the key that leads to it.
pub(crate) struct Node<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) path: String,
    pub(crate) item: Item,
    pub(crate) span: Option<Range<usize>>,
}

/// The entries of a table in the order of the file.
pub(crate) fn entries<'a>(
    source: Source<'a>,
    path: &str,
    table: &dyn TableLike,
) -> Vec<(String, Option<Range<usize>>, Node<'a>)> {
    table
        .iter()
        .map(|(name, item)| {
            let key_span = table.key(name).and_then(toml_edit::Key::span);
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let span = item.span().or_else(|| key_span.clone());
            (name.to_owned(), key_span, Node { source, path, item: item.clone(), span })
        })
        .collect()
}

/// The error of a key that does not exist, with the nearest of those that may stand in its place.
pub(crate) fn unknown_key(
    node: &Node<'_>,
    name: &str,
    span: Option<Range<usize>>,
    scopes: &[Scope],
) -> ConfigError {
    let known = KEYS.iter().filter(|key| scopes.contains(&key.scope)).map(|key| key.name);
    let nearest = nearest(name, known).map(str::to_owned);
    node.source.error(span, ConfigErrorKind::UnknownKey { key: node.path.clone(), nearest })
}

impl<'a> Node<'a> {
    pub(crate) fn wrong_type(&self, expected: &str) -> ConfigError {
        let kind = ConfigErrorKind::WrongType {
            key: self.path.clone(),
            expected: expected.to_owned(),
            found: kind_of(&self.item).to_owned(),
        };
        self.source.error(self.span.clone(), kind)
    }

    pub(crate) fn bad_value(&self, expected: &str, found: impl Into<String>) -> ConfigError {
        let kind = ConfigErrorKind::BadValue {
            key: self.path.clone(),
            expected: expected.to_owned(),
            found: found.into().chars().take(80).collect(),
        };
        self.source.error(self.span.clone(), kind)
    }

    pub(crate) fn boolean(&self) -> Result<bool, ConfigError> {
        self.item.as_bool().ok_or_else(|| self.wrong_type("`true` or `false`"))
    }

    /// A string without a NUL, which neither Go nor an image's configuration could carry.
    pub(crate) fn string(&self) -> Result<String, ConfigError> {
        let text = self.item.as_str().ok_or_else(|| self.wrong_type("a string"))?;
        if text.contains('\0') {
            return Err(self.bad_value("a string without a NUL character", text.replace('\0', "\\0")));
        }
        Ok(text.to_owned())
    }

    pub(crate) fn non_empty(&self) -> Result<String, ConfigError> {
        let text = self.string()?;
        if text.is_empty() { Err(self.bad_value("a string that is not empty", "")) } else { Ok(text) }
    }

    /// One of the words in `known`.
    pub(crate) fn word<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, ConfigError> {
        let words = || known.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let text = self.item.as_str().ok_or_else(|| self.wrong_type(&words()))?;
        known
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| self.bad_value(&words(), text))
    }

    /// The elements of an array, each with its index in its path.
    pub(crate) fn elements(&self, expected: &str) -> Result<Vec<Node<'a>>, ConfigError> {
        let child = |index: usize, item: Item, span: Option<Range<usize>>| Node {
            source: self.source,
            path: format!("{}[{index}]", self.path),
            span: span.or_else(|| self.span.clone()),
            item,
        };
        if let Some(array) = self.item.as_array() {
            let values = array.iter().enumerate();
            return Ok(values
                .map(|(index, value)| child(index, Item::Value(value.clone()), value.span()))
                .collect());
        }
        if let Some(tables) = self.item.as_array_of_tables() {
            let tables = tables.iter().enumerate();
            return Ok(tables
                .map(|(index, table)| child(index, Item::Table(table.clone()), table.span()))
                .collect());
        }
        Err(self.wrong_type(expected))
    }

    pub(crate) fn strings(&self) -> Result<Vec<String>, ConfigError> {
        self.elements("an array of strings")?.iter().map(Node::string).collect()
    }

    /// A table of strings; `allowed` says which keys may stand in it.
    pub(crate) fn string_table(
        &self,
        expected: &str,
        allowed: fn(&str) -> bool,
    ) -> Result<Strings, ConfigError> {
        let table = self.item.as_table_like().ok_or_else(|| self.wrong_type("a table of strings"))?;
        let mut strings = Strings::new();
        for (name, key_span, node) in entries(self.source, &self.path, table) {
            if !allowed(&name) {
                let node = Node { span: key_span, ..node };
                return Err(node.bad_value(expected, name));
            }
            strings.insert(name, node.string()?);
        }
        Ok(strings)
    }

    pub(crate) fn table(&self, expected: &str) -> Result<&dyn TableLike, ConfigError> {
        self.item.as_table_like().ok_or_else(|| self.wrong_type(expected))
    }
}

fn kind_of(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Table(_) | Item::Value(Value::InlineTable(_)) => "a table",
        Item::ArrayOfTables(_) => "an array of tables",
        Item::Value(Value::String(_)) => "a string",
        Item::Value(Value::Integer(_)) => "an integer",
        Item::Value(Value::Float(_)) => "a floating-point number",
        Item::Value(Value::Boolean(_)) => "a boolean",
        Item::Value(Value::Datetime(_)) => "a date",
        Item::Value(Value::Array(_)) => "an array",
    }
}
