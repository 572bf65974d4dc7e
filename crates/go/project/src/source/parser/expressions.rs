//! Expressions.

use super::{DEPTH_LIMIT, Parser};
use crate::source::ast::{Element, Expression, ExpressionKind, Function, Step, StepKind};
use crate::source::lexer::{Kind, literal_text};

const BINARY: [&str; 19] =
    ["||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "|", "^", "*", "/", "%", "<<", ">>", "&", "&^"];

const UNARY: [&str; 8] = ["&", "*", "-", "+", "!", "^", "<-", "~"];

impl Parser<'_> {
    /// Expressions parted by commas.
    pub(super) fn expressions(&mut self) -> Vec<Expression> {
        let mut found = vec![self.expression()];
        while self.eat(",") {
            found.push(self.expression());
        }
        found
    }

    pub(super) fn expression(&mut self) -> Expression {
        let first = self.operand();
        let mut operands = vec![first];
        let mut operators = Vec::new();
        while self.token.kind == Kind::Operator && BINARY.contains(&self.token.text) {
            operators.push(self.advance().text.to_owned());
            let next = self.operand();
            operands.push(next);
        }
        match (operands.pop(), operators.is_empty()) {
            (Some(only), true) => only,
            (Some(last), false) => {
                operands.push(last);
                let line = operands[0].line;
                Expression { line, kind: ExpressionKind::Binary(operands, operators) }
            }
            (None, _) => Expression::unknown(self.token.line),
        }
    }

    /// A unary expression. Too deep a nesting is stepped over.
    fn operand(&mut self) -> Expression {
        let line = self.token.line;
        self.depth += 1;
        let found = if self.depth > DEPTH_LIMIT {
            self.note_broken();
            self.skip_statement();
            Expression::unknown(line)
        } else {
            let unary = self.token.kind == Kind::Operator && UNARY.contains(&self.token.text);
            if unary {
                self.advance();
                let inner = self.operand();
                Expression { line, kind: ExpressionKind::Unary(Box::new(inner)) }
            } else {
                self.chain()
            }
        };
        self.depth -= 1;
        found
    }

    fn chain(&mut self) -> Expression {
        let base = self.primary();
        let mut steps = Vec::new();
        let line = base.line;
        loop {
            let line = self.token.line;
            let kind = if self.at(".") {
                self.advance();
                if self.at("(") {
                    self.skip_balanced();
                    StepKind::Assert
                } else if self.token.kind == Kind::Word {
                    StepKind::Field(self.advance().text.to_owned())
                } else {
                    self.note_broken();
                    break;
                }
            } else if self.at("(") {
                StepKind::Call(self.arguments())
            } else if self.at("[") {
                self.index()
            } else if self.at("{") && self.may_be_literal(&base, &steps) {
                let elements = self.elements();
                let type_ = Box::new(finish(line, base, steps));
                let literal =
                    Expression { line: type_.line, kind: ExpressionKind::Composite(Some(type_), elements) };
                return self.chain_from(literal);
            } else {
                break;
            };
            steps.push(Step { line, kind });
        }
        finish(line, base, steps)
    }

    /// Steps behind a literal: `Config{…}.Load()`.
    fn chain_from(&mut self, base: Expression) -> Expression {
        let line = base.line;
        let mut steps = Vec::new();
        while self.at(".") && self.ahead.kind == Kind::Word {
            self.advance();
            let field = self.advance();
            steps.push(Step { line: field.line, kind: StepKind::Field(field.text.to_owned()) });
            if self.at("(") {
                let line = self.token.line;
                let arguments = self.arguments();
                steps.push(Step { line, kind: StepKind::Call(arguments) });
            }
        }
        finish(line, base, steps)
    }

    /// Whether `{` after an expression begins a literal: the expression can be a type, and no header's body can begin here.
    fn may_be_literal(&self, base: &Expression, steps: &[Step]) -> bool {
        let named = matches!(base.kind, ExpressionKind::Name(_))
            && steps.iter().all(|step| matches!(step.kind, StepKind::Field(_) | StepKind::Index(_)));
        let other = matches!(
            base.kind,
            ExpressionKind::ListType(_) | ExpressionKind::MapType(_) | ExpressionKind::StructType
        ) && steps.is_empty();
        other || (named && !self.in_header)
    }

    fn primary(&mut self) -> Expression {
        let line = self.token.line;
        let new = |kind| Expression { line, kind };
        match self.token.kind {
            Kind::Text => {
                let text = literal_text(self.advance().text);
                new(text.map_or(ExpressionKind::Unknown, ExpressionKind::Text))
            }
            Kind::Integer => {
                new(integer(self.advance().text).map_or(ExpressionKind::Unknown, ExpressionKind::Integer))
            }
            Kind::Other => {
                self.advance();
                new(ExpressionKind::Unknown)
            }
            Kind::Word if self.at_name() => new(ExpressionKind::Name(self.advance().text.to_owned())),
            Kind::Word if self.at("func") => {
                self.advance();
                let mut function: Function = self.signature();
                if self.at("{") {
                    let outer = std::mem::replace(&mut self.in_header, false);
                    function.body = Some(self.block());
                    self.in_header = outer;
                    return new(ExpressionKind::Function(Box::new(function)));
                }
                new(ExpressionKind::Unknown)
            }
            _ if self.at("(") => {
                self.advance();
                let outer = std::mem::replace(&mut self.in_header, false);
                let inner = self.expression();
                self.in_header = outer;
                if !self.eat(")") {
                    self.note_broken();
                }
                inner
            }
            _ if self.at("[") || matches!(self.token.text, "map" | "chan" | "struct" | "interface") => {
                self.type_().unwrap_or(Expression::unknown(line))
            }
            _ => {
                self.note_broken();
                // Brackets and ends belong to whoever opened them.
                if !self.ends() && !matches!(self.token.text, ")" | "]" | "}" | "," | ":" | "{" | "=" | ":=")
                {
                    self.advance();
                }
                Expression::unknown(line)
            }
        }
    }

    fn arguments(&mut self) -> Vec<Expression> {
        self.list(")", |parser| {
            let argument = parser.expression();
            parser.eat("...");
            argument
        })
    }

    fn index(&mut self) -> StepKind {
        let mut slices = false;
        let indices = self.list("]", |parser| {
            slices |= parser.at(":");
            let index =
                if parser.at(":") { Expression::unknown(parser.token.line) } else { parser.expression() };
            while parser.eat(":") {
                slices = true;
                if !parser.at("]") && !parser.at(":") {
                    parser.expression();
                }
            }
            index
        });
        if slices { StepKind::Slice } else { StepKind::Index(indices) }
    }

    /// What stands between an opening bracket and `close`, parted by commas.
    fn list<T>(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let outer = std::mem::replace(&mut self.in_header, false);
        let mut found = Vec::new();
        self.advance();
        while !self.at(close) && self.token.kind != Kind::End {
            let before = (self.token.text.as_ptr(), self.token.line);
            found.push(item(self));
            if self.eat(",") {
                continue;
            }
            if self.token.kind == Kind::Semicolon {
                self.advance();
            } else if !self.at(close) {
                self.note_broken();
                if (self.token.text.as_ptr(), self.token.line) == before
                    || !matches!(self.token.text, ")" | "]" | "}")
                {
                    self.skip_balanced();
                } else {
                    break;
                }
            }
        }
        self.eat(close);
        self.in_header = outer;
        found
    }

    fn elements(&mut self) -> Vec<Element> {
        self.list("}", |parser| {
            let first = parser.element_value();
            if parser.eat(":") {
                let value = parser.element_value();
                Element { key: Some(first), value }
            } else {
                Element { key: None, value: first }
            }
        })
    }

    fn element_value(&mut self) -> Expression {
        if !self.at("{") {
            return self.expression();
        }
        let line = self.token.line;
        self.depth += 1;
        let found = if self.depth > DEPTH_LIMIT {
            self.skip_balanced();
            Expression::unknown(line)
        } else {
            Expression { line, kind: ExpressionKind::Composite(None, self.elements()) }
        };
        self.depth -= 1;
        found
    }
}

fn finish(line: u32, base: Expression, steps: Vec<Step>) -> Expression {
    if steps.is_empty() {
        return base;
    }
    Expression { line, kind: ExpressionKind::Chain(Box::new(base), steps) }
}

/// The value of an integer literal, where it fits.
fn integer(literal: &str) -> Option<i64> {
    let digits = literal.replace('_', "");
    let radix = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ if digits.len() > 1 && digits.starts_with('0') => return i64::from_str_radix(&digits[1..], 8).ok(),
        _ => return digits.parse().ok(),
    };
    i64::from_str_radix(&digits[2..], radix).ok()
}
