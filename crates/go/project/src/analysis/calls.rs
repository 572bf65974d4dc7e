//! Who is called: methods of routers, servers and the project's types, functions as values, and other people's packages.

use std::rc::Rc;

use super::Analyzer;
use super::value::{Object, Scope, Value};
use crate::source::ast::Expression;
use crate::source::parser::last_name;

/// A call as the interpreter sees it.
pub(super) struct Call<'a, 'b> {
    pub name: &'a str,
    pub arguments: &'b [Value<'a>],
    /// The arguments as they are written.
    pub written: &'a [Expression],
    pub line: u32,
}

impl<'a> Call<'a, '_> {
    pub(super) fn argument(&self, index: usize) -> Value<'a> {
        self.arguments.get(index).cloned().unwrap_or_default()
    }

    /// An argument that is a text, where all of it is known.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index)?.known()
    }
}

impl<'a> Analyzer<'a> {
    /// `holder.name(arguments)`.
    pub(super) fn call_member(
        &mut self,
        holder: Value<'a>,
        name: &'a str,
        written: &'a [Expression],
        line: u32,
        scope: &Rc<Scope<'a>>,
    ) -> Value<'a> {
        let arguments = self.arguments(written, scope);
        let call = Call { name, arguments: &arguments, written, line };
        match holder {
            Value::Package(path) => self.call_imported(path, &call, scope),
            Value::Unit(unit) => {
                self.registers_service(&call);
                match self.program.function_named(unit, name) {
                    Some(id) => self.call_function(id, None, arguments),
                    None => {
                        let value = self.member(Value::Unit(unit), name, line);
                        self.call_value(value, arguments)
                    }
                }
            }
            Value::Router(id) => self.call_router(id, &call),
            Value::Route(route) => self.call_route(route, &call),
            Value::Object(object) => self.call_method(&object, &call),
            Value::Arguments | Value::Text(_) | Value::List(_) => Value::Unknown,
            _ => {
                self.call_unknown(&call, scope);
                Value::Unknown
            }
        }
    }

    /// A method of a struct: its own, one that an embedded field lends it, or a field that holds a function.
    fn call_method(&mut self, object: &Rc<Object<'a>>, call: &Call<'a, '_>) -> Value<'a> {
        let receiver = Value::Object(object.clone());
        if let Some(id) = self.program.method(&object.type_, call.name) {
            return self.call_function(id, Some(receiver), call.arguments.to_vec());
        }
        if self.call_known_method(object, call) {
            return Value::Unknown;
        }
        if let Some(field) = receiver.field(call.name) {
            return self.call_value(field, call.arguments.to_vec());
        }
        for embedded in self.embedded(&object.type_) {
            match self.member(receiver.clone(), embedded, call.line) {
                Value::Object(inner) if self.program.method(&inner.type_, call.name).is_some() => {
                    return self.call_method(&inner, call);
                }
                Value::Object(inner) if inner.type_.0 == "net/http" => return self.call_method(&inner, call),
                Value::Router(id) => return self.call_router(id, call),
                _ => {}
            }
        }
        self.flag_like(call);
        Value::Unknown
    }

    /// The embedded fields of a struct: those that have the name of their type.
    fn embedded(&self, type_: &(String, String)) -> Vec<&'a str> {
        let program = self.program;
        let Some((_, declared)) = program.unit(&type_.0).and_then(|unit| program.type_(unit, &type_.1))
        else {
            return Vec::new();
        };
        let fields = declared
            .fields
            .iter()
            .filter(|field| field.type_.as_ref().and_then(last_name) == Some(field.name.as_str()));
        fields.map(|field| field.name.as_str()).collect()
    }

    /// Calls a value: a function, a method, a literal.
    pub(super) fn call_value(&mut self, value: Value<'a>, arguments: Vec<Value<'a>>) -> Value<'a> {
        match value {
            Value::Function(id) => self.call_function(id, None, arguments),
            Value::Method(id, receiver) => self.call_function(id, Some(*receiver), arguments),
            Value::Closure(function, place, scope) => {
                self.run_body(function, place, Some(scope), None, arguments)
            }
            Value::Imported(path, name) => {
                let call = Call { name, arguments: &arguments, written: &[], line: 0 };
                let scope = Scope::inside(None);
                // Without its own place, such a call tells nothing but its value.
                if call.arguments.is_empty() { Value::Unknown } else { self.pure_call(path, &call, &scope) }
            }
            _ => Value::Unknown,
        }
    }
}
