//! Dockerfiles: bytes to a syntax tree with spans, expansion, the stage graph, .dockerignore.
//!
//! Everything here is pure: bytes in, values and diagnostics out. What a Dockerfile means is what BuildKit's frontend 1.19 makes of
//! it (github.com/moby/buildkit/frontend/dockerfile, v0.34), including what the reference does not say. Known differences, all
//! towards accepting or explaining more: text is read as characters where BuildKit takes flags apart byte by byte; lines may be
//! longer than 64 KiB (a warning says so); every fault is reported, not the first.

pub mod arguments;
pub mod diagnostic;
pub mod directive;
pub mod durations;
pub mod expand;
pub mod ignore;
pub mod instruction;
mod json;
pub mod mount;
mod parse;
pub mod paths;
pub mod ports;
pub mod signals;
pub mod sizes;
mod source;
pub mod stages;
mod tree;
pub mod values;
pub mod wildcard;

pub use diagnostic::{Diagnostic, Severity};
pub use directive::{CheckOptions, Directive, detect_check, detect_syntax};
pub use expand::{ExpandError, ExpandErrorKind, Expander, Expansion, expand, expand_heredoc, expand_words};
pub use ignore::{FolderMatches, IgnoreRules};
pub use instruction::{Instruction, InstructionKind, Span, Word};
pub use mount::{MountKind, MountSpec, Sharing};
pub use parse::{parse, parse_trigger};
pub use stages::{Base, Need, NeededSource, Scope, Stage, StageGraph, StageOptions};
pub use tree::{Comment, Dockerfile, Parsed, print};
