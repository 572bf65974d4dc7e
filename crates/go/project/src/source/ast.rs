//! The tree that the parser makes: what longshore asks about Go source, and no more.
//!
//! Types and operators are kept as far as the facts need them. Chains such as `r.Group("/api").GET("/x", f)` are flat, as a
//! base and the steps from it, so that no length of chain makes the tree deep.

/// A file behind its imports.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub functions: Vec<Function>,
    /// Constants and variables of the package.
    pub values: Vec<Values>,
    pub types: Vec<Type>,
    /// The line of the first thing that was not understood.
    pub broken: Option<u32>,
}

/// A function, a method or a function literal.
#[derive(Debug, Default)]
pub(crate) struct Function {
    /// Empty for a literal.
    pub name: String,
    pub receiver: Option<Parameter>,
    pub parameters: Vec<Parameter>,
    /// Named results, which a bare `return` returns.
    pub results: Vec<Parameter>,
    pub body: Option<Vec<Statement>>,
}

/// A parameter, a receiver, a result or a field.
#[derive(Debug, Default)]
pub(crate) struct Parameter {
    /// Empty if it has none; an embedded field has that of its type.
    pub name: String,
    pub type_: Option<Expression>,
    /// The tag of a field.
    pub tag: Option<String>,
}

/// A declared type.
#[derive(Debug)]
pub(crate) struct Type {
    pub name: String,
    /// The fields of a struct.
    pub fields: Vec<Parameter>,
}

/// `name, name Type = value, value` of a const or var declaration.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub names: Vec<String>,
    pub type_: Option<Expression>,
    pub values: Vec<Expression>,
}

/// An expression and the line of its first token.
#[derive(Debug)]
pub(crate) struct Expression {
    pub line: u32,
    pub kind: ExpressionKind,
}

#[derive(Debug)]
pub(crate) enum ExpressionKind {
    Name(String),
    Text(String),
    Integer(i64),
    /// A base and what is done with it, one after the other.
    Chain(Box<Expression>, Vec<Step>),
    /// `&x`, `*x`, `-x`, `!x` and so on: nothing asks which.
    Unary(Box<Expression>),
    /// Operands and the operators between them, in order; precedence is not resolved.
    Binary(Vec<Expression>, Vec<String>),
    /// `Type{…}`; the type is absent within another literal.
    Composite(Option<Box<Expression>>, Vec<Element>),
    Function(Box<Function>),
    /// `[]T`, `[N]T`, `chan T`: what the elements are.
    ListType(Box<Expression>),
    /// `map[K]V`: what the values are.
    MapType(Box<Expression>),
    /// An anonymous struct.
    StructType,
    /// What longshore never asks about: other types, literals without a value here, errors.
    Unknown,
}

/// One step of a chain, and its line.
#[derive(Debug)]
pub(crate) struct Step {
    pub line: u32,
    pub kind: StepKind,
}

#[derive(Debug)]
pub(crate) enum StepKind {
    Field(String),
    Call(Vec<Expression>),
    /// `x[i]`, and type arguments.
    Index(Vec<Expression>),
    /// `x[a:b]`.
    Slice,
    /// `x.(T)`.
    Assert,
}

/// An element of a composite literal.
#[derive(Debug)]
pub(crate) struct Element {
    pub key: Option<Expression>,
    pub value: Expression,
}

#[derive(Debug)]
pub(crate) enum Statement {
    Expression(Expression),
    /// `a, b = x, y` with any assignment operator but `op=`.
    Assign {
        targets: Vec<Expression>,
        values: Vec<Expression>,
        defines: bool,
    },
    Declare(Vec<Values>),
    /// The branches of an if, the last perhaps without a condition.
    If(Vec<Branch>),
    For {
        header: Vec<Statement>,
        body: Vec<Statement>,
    },
    Switch {
        header: Vec<Statement>,
        tag: Option<Expression>,
        cases: Vec<Case>,
    },
    Return(Vec<Expression>),
    Block(Vec<Statement>),
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub header: Vec<Statement>,
    pub condition: Option<Expression>,
    pub body: Vec<Statement>,
}

#[derive(Debug)]
pub(crate) struct Case {
    pub values: Vec<Expression>,
    pub body: Vec<Statement>,
}

impl Expression {
    pub(crate) fn unknown(line: u32) -> Self {
        Expression { line, kind: ExpressionKind::Unknown }
    }

    pub(crate) fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExpressionKind::Name(name) => Some(name),
            _ => None,
        }
    }
}
