//! Statements.

use super::{DEPTH_LIMIT, Parser};
use crate::source::ast::{Branch, Case, Expression, Statement};
use crate::source::lexer::Kind;

impl Parser<'_> {
    /// `{ … }`. Too deep a nesting is stepped over.
    pub(super) fn block(&mut self) -> Vec<Statement> {
        self.depth += 1;
        let found = if self.depth > DEPTH_LIMIT {
            self.note_broken();
            self.skip_balanced();
            Vec::new()
        } else {
            self.advance();
            let found = self.statements();
            self.eat("}");
            found
        };
        self.depth -= 1;
        found
    }

    /// Statements up to a `}`, a case or the end.
    fn statements(&mut self) -> Vec<Statement> {
        let mut found = Vec::new();
        while !self.at("}") && !self.at("case") && !self.at("default") && self.token.kind != Kind::End {
            if self.token.kind == Kind::Semicolon {
                self.advance();
                continue;
            }
            if self.at_name() && self.ahead.is(":") {
                // A label; its statement follows.
                self.advance();
                self.advance();
                continue;
            }
            let before = (self.token.text.as_ptr(), self.token.line);
            self.statement(&mut found);
            if !self.ends() && !self.at("}") {
                self.note_broken();
                if (self.token.text.as_ptr(), self.token.line) == before {
                    self.skip_balanced();
                }
                self.skip_statement();
                if matches!(self.token.text, ")" | "]") {
                    self.advance();
                }
            }
        }
        found
    }

    fn statement(&mut self, found: &mut Vec<Statement>) {
        if self.token.kind != Kind::Word {
            if self.at("{") {
                found.push(Statement::Block(self.block()));
            } else {
                let simple = self.simple();
                found.push(simple);
            }
            return;
        }
        match self.token.text {
            "var" | "const" => found.push(Statement::Declare(self.values())),
            "type" => drop(self.types()),
            "return" => {
                self.advance();
                let values = if self.ends() || self.at("}") { Vec::new() } else { self.expressions() };
                found.push(Statement::Return(values));
            }
            "go" | "defer" => {
                self.advance();
                let call = self.expression();
                found.push(Statement::Expression(call));
            }
            "if" => found.push(self.if_()),
            "for" => found.push(self.for_()),
            "switch" | "select" => found.push(self.switch()),
            "break" | "continue" | "goto" | "fallthrough" => self.skip_statement(),
            _ => {
                let simple = self.simple();
                found.push(simple);
            }
        }
    }

    /// An expression or an assignment.
    fn simple(&mut self) -> Statement {
        if self.eat("range") {
            return Statement::Expression(self.expression());
        }
        let mut targets = self.expressions();
        if self.at("=") || self.at(":=") {
            let defines = self.advance().text == ":=";
            self.eat("range");
            let values = self.expressions();
            return Statement::Assign { targets, values, defines };
        }
        if self.token.kind == Kind::Operator && (self.token.text.ends_with('=') || self.at("<-")) {
            self.advance();
            let value = self.expression();
            targets.push(value);
        } else if self.at("++") || self.at("--") {
            self.advance();
        }
        let line = targets.first().map_or(self.token.line, |target| target.line);
        if targets.len() == 1
            && let Some(only) = targets.pop()
        {
            return Statement::Expression(only);
        }
        Statement::Assign { targets: vec![Expression::unknown(line)], values: targets, defines: false }
    }

    /// The parts of a header up to `{`, parted by semicolons.
    fn header(&mut self) -> Vec<Statement> {
        let outer = std::mem::replace(&mut self.in_header, true);
        let mut parts = Vec::new();
        while !self.at("{") && self.token.kind != Kind::End {
            if self.token.kind == Kind::Semicolon {
                self.advance();
                continue;
            }
            let before = (self.token.text.as_ptr(), self.token.line);
            let part = self.simple();
            parts.push(part);
            if self.token.kind != Kind::Semicolon && !self.at("{") {
                self.note_broken();
                if (self.token.text.as_ptr(), self.token.line) == before {
                    self.skip_balanced();
                }
                if matches!(self.token.text, "}" | ")" | "]") {
                    break;
                }
            }
        }
        self.in_header = outer;
        parts
    }

    /// An if with all its else branches.
    fn if_(&mut self) -> Statement {
        let mut branches = Vec::new();
        loop {
            self.advance();
            let mut header = self.header();
            let condition = match header.pop() {
                Some(Statement::Expression(condition)) => Some(condition),
                Some(other) => {
                    header.push(other);
                    None
                }
                None => None,
            };
            let body = if self.at("{") { self.block() } else { Vec::new() };
            branches.push(Branch { header, condition, body });
            if !self.eat("else") {
                break;
            }
            if self.at("{") {
                let body = self.block();
                branches.push(Branch { header: Vec::new(), condition: None, body });
                break;
            }
            if !self.at("if") {
                self.note_broken();
                break;
            }
        }
        Statement::If(branches)
    }

    fn for_(&mut self) -> Statement {
        self.advance();
        let header = self.header();
        let body = if self.at("{") { self.block() } else { Vec::new() };
        Statement::For { header, body }
    }

    /// A switch or a select.
    fn switch(&mut self) -> Statement {
        self.advance();
        let mut header = self.header();
        let tag = match header.pop() {
            Some(Statement::Expression(tag)) => Some(tag),
            Some(other) => {
                header.push(other);
                None
            }
            None => None,
        };
        let mut cases = Vec::new();
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            self.note_broken();
            self.skip_balanced();
        } else if self.eat("{") {
            while !self.at("}") && self.token.kind != Kind::End {
                let case = self.case();
                cases.push(case);
            }
            self.eat("}");
        }
        self.depth -= 1;
        Statement::Switch { header, tag, cases }
    }

    fn case(&mut self) -> Case {
        let mut values = Vec::new();
        let mut body = Vec::new();
        if self.eat("case") {
            let outer = std::mem::replace(&mut self.in_header, false);
            // A select's case may assign what it receives.
            match self.simple() {
                Statement::Expression(value) => values.push(value),
                Statement::Assign { targets, values: listed, defines } => {
                    let is_list = !defines
                        && matches!(targets[..], [ref only] if matches!(only.kind, crate::source::ast::ExpressionKind::Unknown));
                    if is_list {
                        values = listed;
                    } else {
                        body.push(Statement::Assign { targets, values: listed, defines });
                    }
                }
                _ => {}
            }
            self.in_header = outer;
        } else if !self.eat("default") {
            self.note_broken();
            self.skip_balanced();
            return Case { values, body };
        }
        if !self.eat(":") {
            self.note_broken();
        }
        body.extend(self.statements());
        Case { values, body }
    }
}
