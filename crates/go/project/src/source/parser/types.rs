//! Types, as far as facts need them.

use super::Parser;
use crate::source::ast::{Expression, ExpressionKind, Parameter, Step, StepKind};
use crate::source::lexer::{Kind, literal_text};

impl Parser<'_> {
    /// Reads a type; none if there is no type here, and then nothing was taken.
    pub(super) fn type_(&mut self) -> Option<Expression> {
        self.depth += 1;
        let found = if self.depth > super::DEPTH_LIMIT {
            self.note_broken();
            self.skip_balanced();
            None
        } else {
            self.type_inner()
        };
        self.depth -= 1;
        found
    }

    fn type_inner(&mut self) -> Option<Expression> {
        let line = self.token.line;
        let new = |kind| Some(Expression { line, kind });
        match self.token.text {
            "*" => {
                self.advance();
                self.type_()
            }
            "(" => {
                self.advance();
                let inner = self.type_();
                self.eat(")");
                inner
            }
            "[" => {
                self.skip_balanced();
                let element = self.type_().unwrap_or(Expression::unknown(line));
                new(ExpressionKind::ListType(Box::new(element)))
            }
            "map" => {
                self.advance();
                if self.at("[") {
                    self.skip_balanced();
                }
                let value = self.type_().unwrap_or(Expression::unknown(line));
                new(ExpressionKind::MapType(Box::new(value)))
            }
            "chan" | "<-" => {
                self.advance();
                self.eat("chan");
                self.eat("<-");
                let element = self.type_().unwrap_or(Expression::unknown(line));
                new(ExpressionKind::ListType(Box::new(element)))
            }
            "struct" => {
                self.struct_fields();
                new(ExpressionKind::StructType)
            }
            "interface" => {
                self.advance();
                if self.at("{") {
                    self.skip_balanced();
                }
                new(ExpressionKind::Unknown)
            }
            "func" => {
                self.advance();
                self.signature();
                new(ExpressionKind::Unknown)
            }
            _ if self.at_name() => Some(self.type_name()),
            _ => None,
        }
    }

    /// `Name`, `pkg.Name`, either with type arguments.
    fn type_name(&mut self) -> Expression {
        let first = self.advance();
        let base = Expression { line: first.line, kind: ExpressionKind::Name(first.text.to_owned()) };
        let mut steps = Vec::new();
        while self.at(".") && self.ahead.kind == Kind::Word {
            self.advance();
            let field = self.advance();
            steps.push(Step { line: field.line, kind: StepKind::Field(field.text.to_owned()) });
        }
        if self.at("[") {
            self.skip_balanced();
        }
        if steps.is_empty() {
            return base;
        }
        Expression { line: first.line, kind: ExpressionKind::Chain(Box::new(base), steps) }
    }

    /// `struct { … }`, from the keyword on.
    pub(super) fn struct_fields(&mut self) -> Vec<Parameter> {
        self.advance();
        let mut fields = Vec::new();
        if !self.eat("{") {
            return fields;
        }
        while !self.at("}") && self.token.kind != Kind::End {
            self.field_line(&mut fields);
            if self.token.kind == Kind::Semicolon {
                self.advance();
            } else if !self.at("}") {
                self.note_broken();
                self.skip_balanced();
                self.skip_statement();
            }
        }
        self.advance();
        fields
    }

    fn field_line(&mut self, fields: &mut Vec<Parameter>) {
        let mut names = Vec::new();
        let embedded = self.at("*")
            || (self.at_name()
                && (matches!(self.ahead.text, "." | "}")
                    || matches!(self.ahead.kind, Kind::Semicolon | Kind::Text)));
        if !embedded {
            while self.at_name() {
                names.push(self.advance().text.to_owned());
                if !self.eat(",") {
                    break;
                }
            }
        }
        let type_ = self.type_();
        let tag = if self.token.kind == Kind::Text { literal_text(self.advance().text) } else { None };
        if embedded && let Some(name) = type_.as_ref().and_then(last_name) {
            names.push(name.to_owned());
        }
        for name in names {
            fields.push(Parameter { name, type_: type_.as_ref().and_then(copy), tag: tag.clone() });
        }
    }
}

/// The last name of `Name` or `pkg.Name`.
pub(crate) fn last_name(type_: &Expression) -> Option<&str> {
    match &type_.kind {
        ExpressionKind::Name(name) => Some(name),
        ExpressionKind::Chain(_, steps) => match &steps.last()?.kind {
            StepKind::Field(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// A copy of a type that several names share. Only names and lists of them are copied: nothing asks about others, and copying
/// whole structs for every name could grow without bound.
pub(super) fn copy(type_: &Expression) -> Option<Expression> {
    let line = type_.line;
    let kind = match &type_.kind {
        ExpressionKind::Name(name) => ExpressionKind::Name(name.clone()),
        ExpressionKind::Chain(base, _) => {
            let name = last_name(type_)?.to_owned();
            let step = Step { line, kind: StepKind::Field(name) };
            ExpressionKind::Chain(Box::new(copy(base)?), vec![step])
        }
        ExpressionKind::ListType(element) => ExpressionKind::ListType(Box::new(copy(element)?)),
        ExpressionKind::MapType(value) => ExpressionKind::MapType(Box::new(copy(value)?)),
        _ => return None,
    };
    Some(Expression { line, kind })
}
