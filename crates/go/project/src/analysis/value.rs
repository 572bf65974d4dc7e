//! What a variable can hold.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::program::FunctionId;
use super::routers::{PendingRoute, RouterId};
use crate::source::ast::Function;

/// A text or a number, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// What it is, defaults taken for what is configurable.
    pub known: Option<String>,
    /// Environment variables that take part in it.
    pub environment: Vec<String>,
    /// Whether it is a number.
    pub numeric: bool,
}

impl Text {
    pub(crate) fn literal(text: &str) -> Self {
        Text { known: Some(text.to_owned()), ..Text::default() }
    }

    pub(crate) fn number(number: i64) -> Self {
        Text { known: Some(number.to_string()), numeric: true, ..Text::default() }
    }

    /// Takes part in another text: its variables do too.
    pub(crate) fn absorb(&mut self, other: &Text) {
        for name in &other.environment {
            if !self.environment.contains(name) {
                self.environment.push(name.clone());
            }
        }
    }
}

/// A struct, or another named thing whose fields are set.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    /// Its type: the import path and the name.
    pub type_: (String, String),
    pub fields: RefCell<BTreeMap<String, Value<'a>>>,
}

/// The variables of a function; a literal sees those of the function around it.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    pub variables: RefCell<BTreeMap<String, Value<'a>>>,
    pub outer: Option<Rc<Scope<'a>>>,
}

/// What a variable can hold. Pointers are not told from what they point to.
#[derive(Debug, Clone, Default)]
pub(crate) enum Value<'a> {
    #[default]
    Unknown,
    Text(Text),
    Object(Rc<Object<'a>>),
    Router(RouterId),
    /// A route of gorilla/mux that is still being described.
    Route(PendingRoute),
    /// A handler that sees paths without a prefix.
    Stripped(String, RouterId),
    List(Rc<Vec<Value<'a>>>),
    /// Several results of one call.
    Tuple(Rc<Vec<Value<'a>>>),
    /// A package of the project.
    Unit(usize),
    /// A package of somebody else.
    Package(&'a str),
    /// Something that somebody else's package exports.
    Imported(&'a str, &'a str),
    Function(FunctionId),
    /// A method of a value.
    Method(FunctionId, Box<Value<'a>>),
    /// A function literal, where it stands and what it sees.
    Closure(&'a Function, (usize, usize), Rc<Scope<'a>>),
    /// `os.Args`.
    Arguments,
    /// One of them.
    Argument,
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &str) -> Self {
        Value::Text(Text::literal(text))
    }

    /// The text that it is, where all of it is known.
    pub(crate) fn known(&self) -> Option<&str> {
        match self {
            Value::Text(text) => text.known.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Text {
        match self {
            Value::Text(text) => text.clone(),
            _ => Text::default(),
        }
    }

    pub(crate) fn object(path: &str, name: &str) -> Self {
        let type_ = (path.to_owned(), name.to_owned());
        Value::Object(Rc::new(Object { type_, fields: RefCell::default() }))
    }

    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Value::Object(object) => object.fields.borrow().get(name).cloned(),
            _ => None,
        }
    }

    /// The first of several results, or the value itself.
    pub(crate) fn first(self) -> Self {
        match self {
            Value::Tuple(values) => values.first().cloned().unwrap_or_default(),
            other => other,
        }
    }

    /// What tells two calls apart.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Value::Text(text) => format!("t{:?}{:?}", text.known, text.environment),
            Value::Object(object) => format!("o{:p}", Rc::as_ptr(object)),
            Value::Router(id) => format!("r{id:?}"),
            Value::List(list) => list.iter().take(20).map(Value::fingerprint).collect::<Vec<_>>().join(","),
            Value::Function(id) => format!("f{id:?}"),
            Value::Closure(function, _, scope) => format!("c{:p}{:p}", *function, Rc::as_ptr(scope)),
            Value::Argument => "a".to_owned(),
            Value::Arguments => "A".to_owned(),
            Value::Imported(path, name) => format!("i{path}.{name}"),
            _ => "?".to_owned(),
        }
    }
}

impl<'a> Scope<'a> {
    pub(crate) fn inside(outer: Option<Rc<Scope<'a>>>) -> Rc<Self> {
        Rc::new(Scope { variables: RefCell::default(), outer })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value<'a>> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.variables.borrow().get(name) {
                return Some(value.clone());
            }
            scope = scope.outer.as_deref()?;
        }
    }

    pub(crate) fn define(&self, name: &str, value: Value<'a>) {
        if name != "_" {
            self.variables.borrow_mut().insert(name.to_owned(), value);
        }
    }

    /// Changes a variable where it was defined; false if it is none of these scopes.
    pub(crate) fn set(&self, name: &str, value: Value<'a>) -> bool {
        let mut scope = self;
        loop {
            if let Some(slot) = scope.variables.borrow_mut().get_mut(name) {
                *slot = value;
                return true;
            }
            match scope.outer.as_deref() {
                Some(outer) => scope = outer,
                None => return false,
            }
        }
    }
}
