//! The syntax tree: what a Dockerfile says, each part with the bytes it stands at.
//!
//! Words are kept as they were typed: quotes, escapes and variables are still in them, since what a variable holds is known to
//! the builder alone. [`crate::expand`] makes values of them. Sources: the Dockerfile reference, and the BuildKit frontend's
//! `instructions` and `parser` packages for what the reference leaves open.

use std::ops::Range;

/// Bytes of the source: from the first to the one after the last.
pub type Span = Range<usize>;

/// A piece of text with its place. `text` is what the builder works with: line continuations and the comments between them are
/// taken out, so it may be shorter than the span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text as typed, not expanded.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A heredoc: `<<EOF` and the lines that follow the instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// Its name, without quotes: also the file name that COPY and ADD give it.
    pub name: String,
    /// Whether variables in it are expanded: false where the name was quoted.
    pub expand: bool,
    /// Whether leading tabs are taken away: `<<-`.
    pub chomp: bool,
    /// File descriptor before `<<`, zero without one.
    pub descriptor: u32,
    /// The lines with their ends, before tabs are taken away.
    pub content: String,
    /// Where the content stands.
    pub span: Span,
}

impl Heredoc {
    /// The content as it is used: with `<<-`, without the tabs that lines start with.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// From the keyword to the end of the last line, heredocs included, without the last line's end.
    pub span: Span,
    /// Where the keyword stands.
    pub keyword: Word,
    /// Number of its first line, from 1.
    pub line: usize,
    /// Number of its last line, from 1.
    pub last_line: usize,
    /// The instruction as one line: continuations joined, comments taken out, heredocs left out. What history and progress show.
    pub text: String,
    /// What it says.
    pub kind: InstructionKind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstructionKind {
    /// `ADD`
    Add(Transfer),
    /// `ARG`
    Arg(Vec<Argument>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Transfer),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<Pair>),
    /// `EXPOSE`: `80`, `80/tcp`, `8000-8010/udp`
    Expose(Vec<Word>),
    /// `FROM`
    From(From),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `MAINTAINER`
    Maintainer(Word),
    /// `ONBUILD`: the instruction as it will be read in a later build (heredocs included), and as it is read now.
    Onbuild {
        /// The text after `ONBUILD`, as it is stored in an image.
        text: String,
        /// The instruction.
        instruction: Box<Instruction>,
    },
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME`
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
    /// A line that could not be read; a diagnostic says why.
    Malformed,
}

/// NAME and value of ENV and LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name, not expanded.
    pub name: Word,
    /// The value, quotes and variables still in it.
    pub value: Word,
    /// Whether it was written in the old form `NAME value`.
    pub legacy: bool,
}

/// NAME and default of an ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: Word,
    /// The default, where there is one.
    pub value: Option<Word>,
}

/// The command of RUN, CMD or ENTRYPOINT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// `["program", "argument"]`: not expanded, run as it is.
    Exec(Vec<String>),
    /// A line for the shell. For RUN with heredocs it still holds the `<<EOF`.
    Shell(Word),
}

/// A flag `--name=value` of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name, without dashes.
    pub name: Word,
    /// The value; `None` for a bare `--link`.
    pub value: Option<Word>,
}

/// `FROM`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`, not expanded.
    pub platform: Option<Word>,
    /// The image, stage or context, not expanded.
    pub image: Word,
    /// The stage's name, as typed.
    pub name: Option<Word>,
}

/// The name of a stage as BuildKit knows it: in lower case.
pub(crate) fn stage_name(name: &str) -> String {
    name.to_lowercase()
}

/// `COPY` or `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What is copied, in order: paths or addresses, not expanded.
    pub sources: Vec<Source>,
    /// Where to, not expanded.
    pub destination: Word,
    /// `--from`, not expanded; COPY alone.
    pub from: Option<Word>,
    /// `--chown`, not expanded.
    pub chown: Option<Word>,
    /// `--chmod`, not expanded.
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents`; COPY alone.
    pub parents: bool,
    /// `--exclude`, each, not expanded.
    pub exclude: Vec<Word>,
    /// `--checksum`, not expanded; ADD alone.
    pub checksum: Option<Word>,
    /// `--keep-git-dir`; ADD alone.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`; ADD alone.
    pub unpack: Option<bool>,
}

/// One thing that COPY or ADD copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, pattern or address.
    Path(Word),
    /// A file whose content stands in the Dockerfile.
    Heredoc(Heredoc),
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run. With heredocs alone (`RUN <<EOF`), the shell line is just `<<EOF`.
    pub command: CommandLine,
    /// Its heredocs, in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in order.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<Word>,
    /// `--security`
    pub security: Option<Word>,
    /// `--device`, in order, as typed.
    pub devices: Vec<Word>,
}

/// A `--mount` of RUN: its `key=value` fields, keys in lower case, values not expanded (a key without a value has `None`).
/// That each key exists and fits the type is checked by the parser; what the values are, after expansion, by
/// [`crate::mount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where the value of `--mount=` stands.
    pub span: Span,
    /// The fields in order.
    pub fields: Vec<(String, Option<Word>)>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a file has few of them")]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [flags] CMD …`; durations are as typed (`30s`), not expanded.
    Command {
        /// The command.
        command: CommandLine,
        /// `--interval`
        interval: Option<Word>,
        /// `--timeout`
        timeout: Option<Word>,
        /// `--start-period`
        start_period: Option<Word>,
        /// `--start-interval`
        start_interval: Option<Word>,
        /// `--retries`
        retries: Option<Word>,
    },
}
