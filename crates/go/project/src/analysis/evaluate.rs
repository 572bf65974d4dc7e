//! Expressions.

use std::rc::Rc;

use super::value::{Scope, Text, Value};
use super::{Analyzer, NESTING_LIMIT, Pending};
use crate::source::ast::{Element, Expression, ExpressionKind, Parameter, Step, StepKind};

impl<'a> Analyzer<'a> {
    pub(super) fn evaluate(&mut self, expression: &'a Expression, scope: &Rc<Scope<'a>>) -> Value<'a> {
        self.steps += 1;
        if self.nesting >= NESTING_LIMIT || self.steps >= self.limit {
            return Value::Unknown;
        }
        self.nesting += 1;
        let value = self.evaluate_inner(expression, scope);
        self.nesting -= 1;
        value
    }

    fn evaluate_inner(&mut self, expression: &'a Expression, scope: &Rc<Scope<'a>>) -> Value<'a> {
        match &expression.kind {
            ExpressionKind::Name(name) => {
                let value = self.name(name, scope);
                self.passed_on(&value);
                value
            }
            ExpressionKind::Text(text) => {
                if text.starts_with("https://") {
                    self.findings.https_literal(self.evidence(expression.line));
                }
                Value::text(text)
            }
            ExpressionKind::Integer(number) => Value::Text(Text::number(*number)),
            ExpressionKind::Chain(base, steps) => {
                let value = self.chain(base, steps, scope);
                if !steps.last().is_some_and(|step| matches!(step.kind, StepKind::Call(_))) {
                    self.passed_on(&value);
                }
                value
            }
            ExpressionKind::Unary(inner) => self.evaluate(inner, scope),
            ExpressionKind::Binary(operands, operators) => self.binary(operands, operators, scope),
            ExpressionKind::Composite(type_, elements) => {
                self.composite(type_.as_deref(), elements, expression.line, scope)
            }
            ExpressionKind::Function(function) => {
                let (unit, file) = (self.unit, self.file);
                self.pending.push(Pending { function, unit, file, scope: Some(scope.clone()) });
                Value::Closure(function, (unit, file), scope.clone())
            }
            ExpressionKind::ListType(_)
            | ExpressionKind::MapType(_)
            | ExpressionKind::StructType
            | ExpressionKind::Unknown => Value::Unknown,
        }
    }

    /// A function that is named without being called will be called by somebody else.
    fn passed_on(&mut self, value: &Value<'a>) {
        if let Value::Function(id) | Value::Method(id, _) = value {
            let function = self.program.function(*id);
            self.pending.push(Pending { function, unit: id.unit, file: id.file, scope: None });
        }
    }

    /// What a name means: a variable, something of the package, or an import.
    fn name(&mut self, name: &'a str, scope: &Rc<Scope<'a>>) -> Value<'a> {
        if let Some(value) = scope.get(name) {
            return value;
        }
        let program = self.program;
        if program.global(self.unit, name).is_some() {
            return self.global(self.unit, name);
        }
        if let Some(id) = program.function_named(self.unit, name) {
            return Value::Function(id);
        }
        match program.import(self.unit, self.file, name) {
            Some(path) => program.unit(path).map_or(Value::Package(path), Value::Unit),
            None => Value::Unknown,
        }
    }

    /// The value of a package variable or constant, computed when it is first asked for.
    pub(super) fn global(&mut self, unit: usize, name: &str) -> Value<'a> {
        let key = (unit, name.to_owned());
        if let Some(known) = self.globals.get(&key) {
            return known.clone().unwrap_or_default();
        }
        let program = self.program;
        let Some((file, declared, position)) = program.global(unit, name) else { return Value::Unknown };
        self.globals.insert(key.clone(), None);
        let place = (self.unit, self.file, self.conditional);
        (self.unit, self.file, self.conditional) = (unit, file, 0);
        let scope = Scope::inside(None);
        let value = match (declared.values.get(position), declared.values.first(), &declared.type_) {
            (Some(value), _, _) => self.evaluate(value, &scope).first(),
            (None, Some(call), _) => match self.evaluate(call, &scope) {
                Value::Tuple(values) => values.get(position).cloned().unwrap_or_default(),
                _ => Value::Unknown,
            },
            (None, None, Some(type_)) => self.of_type(type_),
            (None, None, None) => Value::Unknown,
        };
        (self.unit, self.file, self.conditional) = place;
        self.globals.insert(key, Some(value.clone()));
        value
    }

    /// A base and the steps from it. A field that is called at once is a method call.
    pub(super) fn chain(
        &mut self,
        base: &'a Expression,
        steps: &'a [Step],
        scope: &Rc<Scope<'a>>,
    ) -> Value<'a> {
        let mut value = match &base.kind {
            ExpressionKind::Name(name) => match self.builtin(name, steps, scope) {
                Some(value) => return value,
                None => self.name(name, scope),
            },
            _ => self.evaluate(base, scope),
        };
        let mut index = 0;
        while let Some(step) = steps.get(index) {
            index += 1;
            value = match &step.kind {
                StepKind::Field(name) => match steps.get(index).map(|next| &next.kind) {
                    Some(StepKind::Call(arguments)) => {
                        index += 1;
                        self.call_member(value, name, arguments, step.line, scope)
                    }
                    _ => self.member(value, name, step.line),
                },
                StepKind::Call(arguments) => {
                    let arguments = self.arguments(arguments, scope);
                    self.call_value(value, arguments)
                }
                StepKind::Index(indices) => {
                    for index in indices {
                        self.evaluate(index, scope);
                    }
                    match value {
                        Value::Arguments => Value::Argument,
                        Value::List(list) => list.first().cloned().unwrap_or_default(),
                        Value::Function(_) | Value::Imported(..) => value,
                        _ => Value::Unknown,
                    }
                }
                StepKind::Slice => match value {
                    Value::Arguments | Value::List(_) => value,
                    _ => Value::Unknown,
                },
                StepKind::Assert => value,
            };
        }
        value
    }

    /// Calls of built-in functions and conversions; none if the name is something else.
    fn builtin(&mut self, name: &str, steps: &'a [Step], scope: &Rc<Scope<'a>>) -> Option<Value<'a>> {
        let [Step { kind: StepKind::Call(arguments), .. }] = steps else { return None };
        if scope.get(name).is_some() {
            return None;
        }
        match name {
            "new" => Some(self.of_type(arguments.first()?)),
            "append" => {
                let values = self.arguments(arguments, scope);
                let mut all = Vec::new();
                for value in values {
                    match value {
                        Value::List(list) => all.extend(list.iter().cloned()),
                        other => all.push(other),
                    }
                }
                Some(Value::List(Rc::new(all)))
            }
            "string" | "int" | "int16" | "int32" | "int64" | "uint" | "uint16" | "uint32" | "uint64" => {
                let mut values = self.arguments(arguments, scope);
                Some(if values.is_empty() { Value::Unknown } else { values.swap_remove(0) })
            }
            _ => None,
        }
    }

    pub(super) fn arguments(&mut self, arguments: &'a [Expression], scope: &Rc<Scope<'a>>) -> Vec<Value<'a>> {
        arguments.iter().map(|argument| self.evaluate(argument, scope).first()).collect()
    }

    /// A field, or what a package exports.
    pub(super) fn member(&mut self, holder: Value<'a>, name: &'a str, line: u32) -> Value<'a> {
        match holder {
            Value::Unit(unit) => {
                if self.program.global(unit, name).is_some() {
                    return self.global(unit, name);
                }
                self.program.function_named(unit, name).map_or(Value::Unknown, Value::Function)
            }
            Value::Package(path) => self.imported_value(path, name, line),
            Value::Object(ref object) => {
                if let Some(value) = holder.field(name) {
                    return value;
                }
                if let Some(id) = self.program.method(&object.type_, name) {
                    return Value::Method(id, Box::new(holder));
                }
                let Some(value) = self.missing_field(&object.type_, name) else { return Value::Unknown };
                object.fields.borrow_mut().insert(name.to_owned(), value.clone());
                value
            }
            // Routers have fields that are routers (echo.Group, gin's embedded group).
            Value::Router(_) => holder,
            _ => Value::Unknown,
        }
    }

    /// A field that nobody set: its tag may name an environment variable, and its type tells something.
    fn missing_field(&mut self, type_: &(String, String), name: &str) -> Option<Value<'a>> {
        let (unit, file, field) = self.program.field(type_, name)?;
        if let Some(text) = field.tag.as_deref().and_then(super::findings::tagged_variable) {
            return Some(Value::Text(text));
        }
        let place = (self.unit, self.file);
        (self.unit, self.file) = (unit, file);
        let value = field.type_.as_ref().map(|type_| self.of_type(type_));
        (self.unit, self.file) = place;
        value
    }

    fn binary(
        &mut self,
        operands: &'a [Expression],
        operators: &'a [String],
        scope: &Rc<Scope<'a>>,
    ) -> Value<'a> {
        let values: Vec<Value<'a>> = operands.iter().map(|operand| self.evaluate(operand, scope)).collect();
        for (pair, operator) in values.windows(2).zip(operators) {
            if operator == "==" {
                self.compare(&pair[0], &pair[1], operands[0].line);
            }
        }
        if operators.iter().any(|operator| operator != "+") {
            return Value::Unknown;
        }
        let texts: Vec<Text> = values.iter().map(Value::as_text).collect();
        let mut sum = concatenate(&texts);
        if texts.iter().all(|text| text.numeric) {
            let numbers = texts.iter().map(|text| text.known.as_deref()?.parse::<i64>().ok());
            let total = numbers.sum::<Option<i64>>();
            sum = Text { known: total.map(|total| total.to_string()), numeric: true, ..sum };
        }
        Value::Text(sum)
    }

    /// Notes a comparison of a command-line argument with a word.
    pub(super) fn compare(&mut self, left: &Value<'a>, right: &Value<'a>, line: u32) {
        let word = match (left, right) {
            (Value::Argument, word) | (word, Value::Argument) => word.known(),
            _ => None,
        };
        if let Some(word) = word {
            self.findings.argument(word, self.evidence(line));
        }
    }

    fn composite(
        &mut self,
        type_: Option<&'a Expression>,
        elements: &'a [Element],
        line: u32,
        scope: &Rc<Scope<'a>>,
    ) -> Value<'a> {
        let named = type_.and_then(|type_| self.program.resolve_type(self.unit, self.file, type_));
        let Some((path, name)) = named else {
            let values = elements.iter().map(|element| self.evaluate(&element.value, scope)).collect();
            return Value::List(Rc::new(values));
        };
        let path_and_name = (path, name);
        let fields = self.field_names(&path_and_name);
        let (path, name) = path_and_name;
        let value = self.of_named_type(&path, &name);
        let value = if matches!(value, Value::Unknown) { Value::object(&path, &name) } else { value };
        for (index, element) in elements.iter().enumerate() {
            let content = self.evaluate(&element.value, scope);
            let field = match &element.key {
                Some(key) => key.as_name().map(str::to_owned),
                None => fields.get(index).cloned(),
            };
            if let (Value::Object(object), Some(field)) = (&value, field) {
                object.fields.borrow_mut().insert(field, content);
            }
        }
        self.composed(&path, &name, &value, line);
        value
    }

    fn field_names(&self, type_: &(String, String)) -> Vec<String> {
        let unit = self.program.unit(&type_.0);
        let declared = unit.and_then(|unit| self.program.type_(unit, &type_.1));
        let fields: &[Parameter] = declared.map_or(&[], |(_, declared)| &declared.fields);
        fields.iter().map(|field| field.name.clone()).collect()
    }
}

/// Longer texts than this are unknown: no port or path is so long, and sums of sums could fill the memory.
const TEXT_LIMIT: usize = 4096;

/// Texts put together.
pub(super) fn concatenate(texts: &[Text]) -> Text {
    let mut whole = Text { known: Some(String::new()), ..Text::default() };
    for text in texts {
        whole.known = match (whole.known, &text.known) {
            (Some(front), Some(back)) if front.len() + back.len() <= TEXT_LIMIT => Some(front + back),
            _ => None,
        };
        whole.absorb(text);
    }
    whole
}
