//! Reads Go into the tree of [`super::ast`], stepping over what it does not understand.
//!
//! Every loop takes a token or ends, nesting is bounded, and errors only note their line: any text gives a tree, in time
//! linear in its length. Source of the grammar: <https://go.dev/ref/spec>.

mod expressions;
mod statements;
mod types;

use super::ast::{File, Function, Parameter, Type, Values};
use super::lexer::{Kind, Lexer, Token, is_keyword};
pub(crate) use types::last_name;

/// Deeper nesting than this is stepped over. Generated code nests some dozens deep.
const DEPTH_LIMIT: u32 = 150;

pub(crate) struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// The token after it.
    ahead: Token<'a>,
    depth: u32,
    /// Within the header of an if, for or switch `T {` begins the body and no literal.
    in_header: bool,
    broken: Option<u32>,
}

impl<'a> Parser<'a> {
    /// Reads a file's declarations.
    pub(crate) fn file(source: &'a str) -> File {
        let mut lexer = Lexer::new(source);
        let token = lexer.next();
        let ahead = lexer.next();
        let mut parser = Parser { lexer, token, ahead, depth: 0, in_header: false, broken: None };
        let mut file = File::default();
        while parser.token.kind != Kind::End {
            parser.declaration(&mut file);
        }
        file.broken = parser.broken;
        file
    }

    fn advance(&mut self) -> Token<'a> {
        let next = self.lexer.next();
        std::mem::replace(&mut self.token, std::mem::replace(&mut self.ahead, next))
    }

    fn at(&self, text: &str) -> bool {
        self.token.is(text)
    }

    /// Takes the token if it is this one.
    fn eat(&mut self, text: &str) -> bool {
        let found = self.at(text);
        if found {
            self.advance();
        }
        found
    }

    fn at_name(&self) -> bool {
        self.token.kind == Kind::Word && !is_keyword(self.token.text)
    }

    fn ends(&self) -> bool {
        matches!(self.token.kind, Kind::Semicolon | Kind::End)
    }

    fn note_broken(&mut self) {
        self.broken.get_or_insert(self.token.line);
    }

    /// Steps over a bracket and everything up to the one that closes it, or over one token that is no bracket.
    fn skip_balanced(&mut self) {
        let mut open = 0_u32;
        loop {
            let token = self.advance();
            match token.kind {
                Kind::End => return,
                Kind::Operator if matches!(token.text, "(" | "[" | "{") => open += 1,
                Kind::Operator if matches!(token.text, ")" | "]" | "}") => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 {
                return;
            }
        }
    }

    /// Steps to the end of a statement: a semicolon, or a closing bracket, which is left.
    fn skip_statement(&mut self) {
        while !self.ends() && !matches!(self.token.text, ")" | "]" | "}") {
            self.skip_balanced();
        }
    }

    fn declaration(&mut self, file: &mut File) {
        match self.token.text {
            "func" => {
                let function = self.function_declaration();
                file.functions.push(function);
            }
            "var" | "const" => file.values.extend(self.values()),
            "type" => file.types.extend(self.types()),
            "package" | "import" | ";" => self.skip_statement(),
            _ => self.note_broken(),
        }
        if self.token.kind == Kind::Semicolon {
            self.advance();
        } else if self.token.kind != Kind::End {
            self.note_broken();
            self.skip_balanced();
            self.skip_statement();
        }
    }

    fn function_declaration(&mut self) -> Function {
        self.advance();
        let receiver = if self.at("(") { self.parameters().pop() } else { None };
        let name = if self.at_name() { self.advance().text.to_owned() } else { String::new() };
        if self.at("[") {
            self.skip_balanced();
        }
        let mut function = self.signature();
        if self.at("{") {
            function.body = Some(self.block());
        }
        Function { name, receiver, ..function }
    }

    /// Parameters and results.
    fn signature(&mut self) -> Function {
        let parameters = if self.at("(") { self.parameters() } else { Vec::new() };
        let results = if self.at("(") {
            self.parameters()
        } else if self.at("{") || self.ends() || self.at(")") || self.at(",") {
            Vec::new()
        } else {
            let type_ = self.type_();
            vec![Parameter { type_, ..Parameter::default() }]
        };
        Function { parameters, results, ..Function::default() }
    }

    /// `(a, b T, c ...U)`, or types alone.
    fn parameters(&mut self) -> Vec<Parameter> {
        let mut found: Vec<Parameter> = Vec::new();
        let mut named = false;
        self.advance();
        while !self.at(")") && self.token.kind != Kind::End {
            let before = self.token;
            let names_follow = self.at_name()
                && !matches!(self.ahead.text, "," | ")" | "." | "[")
                && self.ahead.kind != Kind::Semicolon;
            // `a []T` and `a [N]T` look like an index at first.
            let name = if names_follow || (self.at_name() && self.ahead.is("[")) {
                Some(self.advance().text.to_owned())
            } else {
                None
            };
            named |= name.is_some();
            self.eat("...");
            let type_ = self.type_();
            found.push(Parameter { name: name.unwrap_or_default(), type_, tag: None });
            if !self.eat(",") {
                if self.token.kind == Kind::Semicolon {
                    self.advance();
                } else if self.token == before {
                    self.note_broken();
                    self.advance();
                } else if !self.at(")") {
                    self.note_broken();
                    self.skip_balanced();
                }
            }
        }
        self.advance();
        if named {
            spread_types(&mut found);
        }
        found
    }

    /// `var x = 1`, `const x = 1`, or a block of them.
    fn values(&mut self) -> Vec<Values> {
        self.advance();
        let mut found = Vec::new();
        self.specs(|parser| {
            let values = parser.value_spec();
            found.push(values);
        });
        found
    }

    fn value_spec(&mut self) -> Values {
        let mut values = Values::default();
        while self.at_name() {
            values.names.push(self.advance().text.to_owned());
            if !self.eat(",") {
                break;
            }
        }
        if !self.at("=") && !self.ends() && !self.at(")") {
            values.type_ = self.type_();
        }
        if self.eat("=") {
            values.values = self.expressions();
        }
        values
    }

    fn types(&mut self) -> Vec<Type> {
        self.advance();
        let mut found = Vec::new();
        self.specs(|parser| {
            if !parser.at_name() {
                return;
            }
            let name = parser.advance().text.to_owned();
            if parser.at("[") && !parser.ahead.is("]") && parser.ahead.kind == Kind::Word {
                // Type parameters, or an array whose length is a constant; nothing asks about either.
                parser.skip_balanced();
            }
            parser.eat("=");
            if parser.at("struct") {
                let fields = parser.struct_fields();
                found.push(Type { name, fields });
            } else {
                parser.type_();
                found.push(Type { name, fields: Vec::new() });
            }
        });
        found
    }

    /// One spec, or those between parentheses.
    fn specs(&mut self, mut spec: impl FnMut(&mut Self)) {
        if !self.eat("(") {
            spec(self);
            return;
        }
        while !self.at(")") && self.token.kind != Kind::End {
            spec(self);
            if self.token.kind == Kind::Semicolon {
                self.advance();
            } else if !self.at(")") {
                self.note_broken();
                self.skip_balanced();
                self.skip_statement();
            }
        }
        self.advance();
    }
}

/// In `a, b T` only the last has a type at first, and `a` was read as a type: gives all of them names and the type.
fn spread_types(parameters: &mut [Parameter]) {
    for index in 0..parameters.len() {
        if !parameters[index].name.is_empty() {
            continue;
        }
        let name = parameters[index].type_.as_ref().and_then(|type_| type_.as_name()).map(str::to_owned);
        let Some(name) = name else { continue };
        parameters[index].name = name;
        let typed = parameters[index + 1..].iter().find(|parameter| !parameter.name.is_empty());
        parameters[index].type_ = typed.and_then(|parameter| types::copy(parameter.type_.as_ref()?));
    }
}
