//! Statements, and calls of the project's own functions.

use std::rc::Rc;

use super::program::FunctionId;
use super::value::{Scope, Text, Value};
use super::{Analyzer, CALL_LIMIT, NESTING_LIMIT};
use crate::source::ast::{
    Branch, Expression, ExpressionKind, Function, Parameter, Statement, StepKind, Values,
};

/// How many calls' results are remembered.
const RESULT_LIMIT: usize = 50_000;

/// What a function's body returns.
type Returned<'a> = Vec<Value<'a>>;

impl<'a> Analyzer<'a> {
    /// Calls a function of the project. Missing and unknown arguments become what their types tell.
    pub(super) fn call_function(
        &mut self,
        id: FunctionId,
        receiver: Option<Value<'a>>,
        arguments: Vec<Value<'a>>,
    ) -> Value<'a> {
        let program = self.program;
        let function = program.function(id);
        let all = receiver.iter().chain(&arguments);
        let key = (id, all.map(Value::fingerprint).collect::<Vec<_>>().join(";"));
        if let Some(known) = self.results.get(&key) {
            return known.clone();
        }
        let result = self.run_body(function, (id.unit, id.file), None, receiver, arguments);
        if self.results.len() < RESULT_LIMIT {
            self.results.insert(key, result.clone());
        }
        result
    }

    /// Runs a body where it stands, in a scope of its own.
    pub(super) fn run_body(
        &mut self,
        function: &'a Function,
        place: (usize, usize),
        outer: Option<Rc<Scope<'a>>>,
        receiver: Option<Value<'a>>,
        arguments: Vec<Value<'a>>,
    ) -> Value<'a> {
        let address = std::ptr::from_ref(function);
        let Some(body) = &function.body else { return Value::Unknown };
        if self.stack.len() >= CALL_LIMIT || self.stack.contains(&address) || self.steps >= self.limit {
            return Value::Unknown;
        }
        self.visited.insert(address);
        self.stack.push(address);
        let caller = (self.unit, self.file, self.conditional);
        (self.unit, self.file) = place;
        self.conditional = 0;
        let scope = Scope::inside(outer);
        if let Some(parameter) = &function.receiver {
            self.bind(&scope, parameter, receiver);
        }
        self.bind_all(&scope, &function.parameters, arguments);
        for result in function.results.iter().filter(|result| !result.name.is_empty()) {
            scope.define(&result.name, Value::Unknown);
        }
        let mut returned = Vec::new();
        self.statements(body, &scope, &function.results, &mut returned);
        (self.unit, self.file, self.conditional) = caller;
        self.stack.pop();
        match returned.len() {
            0 => Value::Unknown,
            1 => returned.pop().unwrap_or_default(),
            _ => Value::Tuple(Rc::new(returned)),
        }
    }

    fn bind_all(&mut self, scope: &Rc<Scope<'a>>, parameters: &'a [Parameter], arguments: Vec<Value<'a>>) {
        let mut arguments = arguments.into_iter();
        for (index, parameter) in parameters.iter().enumerate() {
            let last = index + 1 == parameters.len();
            let argument = arguments.next();
            if last && arguments.len() > 0 {
                // More arguments than parameters: the last one is variadic.
                let all: Vec<_> = argument.into_iter().chain(arguments.by_ref()).collect();
                scope.define(&parameter.name, Value::List(Rc::new(all)));
            } else {
                self.bind(scope, parameter, argument);
            }
        }
    }

    fn bind(&mut self, scope: &Rc<Scope<'a>>, parameter: &'a Parameter, argument: Option<Value<'a>>) {
        let value = match (argument, &parameter.type_) {
            (Some(Value::Unknown) | None, Some(type_)) => self.of_type(type_),
            (argument, _) => argument.unwrap_or_default(),
        };
        scope.define(&parameter.name, value);
    }

    /// Something of a type, of which nothing else is known.
    pub(super) fn of_type(&mut self, type_: &'a Expression) -> Value<'a> {
        match &type_.kind {
            ExpressionKind::Name(_) | ExpressionKind::Chain(..) => {
                match self.program.resolve_type(self.unit, self.file, type_) {
                    Some((path, name)) => self.of_named_type(&path, &name),
                    None => Value::Unknown,
                }
            }
            _ => Value::Unknown,
        }
    }

    pub(super) fn of_named_type(&mut self, path: &str, name: &str) -> Value<'a> {
        if let Some(framework) = super::routers::framework_of(path, name) {
            return Value::Router(self.routers.add(framework));
        }
        match self.program.unit(path) {
            Some(unit) if self.program.type_(unit, name).is_none() => Value::Unknown,
            _ => Value::object(path, name),
        }
    }

    pub(super) fn statements(
        &mut self,
        statements: &'a [Statement],
        scope: &Rc<Scope<'a>>,
        results: &'a [Parameter],
        returned: &mut Returned<'a>,
    ) {
        self.nesting += 1;
        if self.nesting < NESTING_LIMIT {
            for statement in statements {
                self.steps += 1;
                if self.steps >= self.limit {
                    break;
                }
                self.statement(statement, scope, results, returned);
            }
        }
        self.nesting -= 1;
    }

    fn statement(
        &mut self,
        statement: &'a Statement,
        scope: &Rc<Scope<'a>>,
        results: &'a [Parameter],
        returned: &mut Returned<'a>,
    ) {
        match statement {
            Statement::Expression(expression) => {
                self.evaluate(expression, scope);
            }
            Statement::Assign { targets, values, defines } => {
                self.assign_all(targets, values, *defines, scope);
            }
            Statement::Declare(declared) => {
                for values in declared {
                    self.declare(values, scope);
                }
            }
            Statement::If(branches) => self.branches(branches, scope, results, returned),
            Statement::For { header, body } => {
                self.statements(header, scope, results, returned);
                self.conditional += 1;
                self.statements(body, scope, results, returned);
                self.conditional -= 1;
            }
            Statement::Switch { header, tag, cases } => {
                self.statements(header, scope, results, returned);
                let tag = tag.as_ref().map(|tag| self.evaluate(tag, scope));
                self.conditional += 1;
                for case in cases {
                    for value in &case.values {
                        let line = value.line;
                        let value = self.evaluate(value, scope);
                        if let Some(tag) = &tag {
                            self.compare(tag, &value, line);
                        }
                    }
                    self.statements(&case.body, scope, results, returned);
                }
                self.conditional -= 1;
            }
            Statement::Return(values) => self.return_(values, scope, results, returned),
            Statement::Block(body) => self.statements(body, scope, results, returned),
        }
    }

    fn branches(
        &mut self,
        branches: &'a [Branch],
        scope: &Rc<Scope<'a>>,
        results: &'a [Parameter],
        returned: &mut Returned<'a>,
    ) {
        for branch in branches {
            self.statements(&branch.header, scope, results, returned);
            if let Some(condition) = &branch.condition {
                self.evaluate(condition, scope);
            }
            self.conditional += 1;
            self.statements(&branch.body, scope, results, returned);
            self.conditional -= 1;
        }
    }

    /// All returns of a body are joined, value by value.
    fn return_(
        &mut self,
        values: &'a [Expression],
        scope: &Rc<Scope<'a>>,
        results: &'a [Parameter],
        returned: &mut Returned<'a>,
    ) {
        let mut found: Vec<Value<'a>> = if values.is_empty() {
            results.iter().map(|result| scope.get(&result.name).unwrap_or_default()).collect()
        } else {
            values.iter().map(|value| self.evaluate(value, scope)).collect()
        };
        if let [Value::Tuple(tuple)] = &found[..] {
            found = tuple.to_vec();
        }
        for (index, value) in found.into_iter().enumerate() {
            match returned.get_mut(index) {
                Some(before) => {
                    let joined = self.join(std::mem::take(before), value);
                    *before = joined;
                }
                None => returned.push(value),
            }
        }
    }

    fn declare(&mut self, declared: &'a Values, scope: &Rc<Scope<'a>>) {
        let mut values: Vec<Value<'a>> =
            declared.values.iter().map(|value| self.evaluate(value, scope)).collect();
        if let [Value::Tuple(tuple)] = &values[..] {
            values = tuple.to_vec();
        }
        let mut values = values.into_iter();
        for name in &declared.names {
            let value = match (values.next(), &declared.type_) {
                (Some(value), _) => value,
                (None, Some(type_)) => self.of_type(type_),
                (None, None) => Value::Unknown,
            };
            scope.define(name, value);
        }
    }

    fn assign_all(
        &mut self,
        targets: &'a [Expression],
        values: &'a [Expression],
        defines: bool,
        scope: &Rc<Scope<'a>>,
    ) {
        let mut found: Vec<Value<'a>> = values.iter().map(|value| self.evaluate(value, scope)).collect();
        match &found[..] {
            [Value::Tuple(tuple)] => found = tuple.to_vec(),
            // `v, ok := os.LookupEnv(…)`, `for i, v := range list`: one value for several targets.
            [Value::Arguments | Value::List(_)] if targets.len() == 2 => {
                let element = match found.pop() {
                    Some(Value::Arguments) => Value::Argument,
                    Some(Value::List(list)) => list.first().cloned().unwrap_or_default(),
                    _ => Value::Unknown,
                };
                found = vec![Value::Unknown, element];
            }
            _ => {}
        }
        for (target, value) in targets.iter().zip(found) {
            self.assign(target, value, defines, scope);
        }
    }

    /// Gives a value to a variable or a field. Under a condition the old value may stay, so both are joined.
    pub(super) fn assign(
        &mut self,
        target: &'a Expression,
        value: Value<'a>,
        defines: bool,
        scope: &Rc<Scope<'a>>,
    ) {
        match &target.kind {
            ExpressionKind::Name(name) if defines => scope.define(name, value),
            ExpressionKind::Name(name) => {
                let old = scope.get(name).unwrap_or_default();
                let value = if self.conditional > 0 { self.join(old, value) } else { value };
                if !scope.set(name, value.clone()) && self.program.global(self.unit, name).is_some() {
                    let key = (self.unit, name.clone());
                    let old = self.globals.get(&key).cloned().flatten().unwrap_or_default();
                    let value = self.join(old, value);
                    self.globals.insert(key, Some(value));
                }
            }
            ExpressionKind::Unary(inner) => self.assign(inner, value, defines, scope),
            ExpressionKind::Chain(base, steps) => {
                let Some((last, front)) = steps.split_last() else { return };
                let StepKind::Field(name) = &last.kind else { return };
                let holder = self.chain(base, front, scope);
                if let Value::Object(object) = holder {
                    let old = object.fields.borrow().get(name).cloned();
                    let value = match old {
                        Some(old) if self.conditional > 0 => self.join(old, value),
                        _ => value,
                    };
                    object.fields.borrow_mut().insert(name.clone(), value);
                }
            }
            _ => {}
        }
    }

    /// What a variable is after a branch that may or may not have been taken.
    ///
    /// A literal that meets an environment variable is its default, in whichever order they come.
    pub(super) fn join(&mut self, old: Value<'a>, new: Value<'a>) -> Value<'a> {
        match (old, new) {
            (Value::Unknown, other) | (other, Value::Unknown) => other,
            (Value::Text(old), Value::Text(new)) => {
                let meaningful = |text: &Text| text.known.clone().filter(|known| !known.is_empty());
                let known = meaningful(&old).or_else(|| meaningful(&new));
                for text in [&old, &new] {
                    if let ([name], None) = (&text.environment[..], &text.known)
                        && let Some(default) = &known
                    {
                        self.findings.default_of(name, default);
                    }
                }
                let both_empty = old.environment.is_empty() && new.environment.is_empty();
                let known = known.or(if both_empty { old.known.clone().or(new.known.clone()) } else { None });
                let mut joined = Text { known, environment: Vec::new(), numeric: old.numeric || new.numeric };
                joined.absorb(&old);
                joined.absorb(&new);
                Value::Text(joined)
            }
            (old, _) => old,
        }
    }
}
