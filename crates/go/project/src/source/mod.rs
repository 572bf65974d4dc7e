//! Go source, read so that nothing in it can stop the reading.
//!
//! The lexer takes any bytes. The header reader looks at a file up to its last import, which is all that most files are
//! read for. The parser makes a small tree of the rest: it knows what longshore asks about and steps over what it does not
//! understand, so a file that does not compile still gives what can be read of it.

pub(crate) mod ast;
pub(crate) mod header;
pub(crate) mod lexer;
pub(crate) mod parser;
