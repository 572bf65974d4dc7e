//! The real binary, as a user runs it: what it prints on each stream and what it ends with.

mod cli;
mod run;
