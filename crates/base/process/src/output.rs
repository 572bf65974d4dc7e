//! What a child wrote and how it ended.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::{ProcessError, ProcessErrorKind};

/// A line longer than this many bytes is passed on in pieces.
const LONGEST_LINE: usize = 64 * 1024;
/// How much of the output an error carries, in bytes, counted from its end.
const ERROR_TAIL: usize = 8 * 1024;

/// One of a child's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Out,
    /// The standard error.
    Err,
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Stream::Out => "standard output",
            Stream::Err => "standard error",
        })
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code; 0 is success.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Status {
    pub(crate) fn from_std(status: std::process::ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Status::Code(code),
            (None, signal) => Status::Signal(signal.unwrap_or_default()),
        }
    }

    /// Whether it exited with code 0.
    pub fn is_success(self) -> bool {
        self == Status::Code(0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Code(code) => write!(formatter, "exit code {code}"),
            Status::Signal(9) => {
                formatter.write_str("signal 9 (SIGKILL: memory ran out, or somebody ended it)")
            }
            Status::Signal(signal) => write!(formatter, "signal {signal}"),
        }
    }
}

/// What was kept of an output: all of it, or its start and its end.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    written: u64,
    limit: usize,
}

impl Captured {
    pub(crate) fn new(limit: usize) -> Self {
        Captured { limit, ..Captured::default() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        let tail_limit = self.limit / 2;
        let head_limit = self.limit - tail_limit;
        let room = head_limit.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(tail_limit)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(tail_limit);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    /// Bytes that were written, kept or not.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether everything that was written was kept.
    pub fn is_complete(&self) -> bool {
        self.written == (self.head.len() + self.tail.len()) as u64
    }

    /// What was kept, with a line that says how much is missing in its middle; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if !self.is_complete() {
            let missing = self.written - (self.head.len() + self.tail.len()) as u64;
            bytes.extend_from_slice(format!("\n[{missing} bytes left out]\n").as_bytes());
        }
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        bytes.extend(self.tail);
        bytes
    }
}

/// A child that ran and ended, successfully or not.
#[derive(Debug, Clone)]
pub struct Finished {
    pub(crate) program: String,
    pub(crate) environment: Environment,
    /// How it ended.
    pub status: Status,
    /// What was kept of its standard output.
    pub stdout: Captured,
    /// What was kept of its standard error.
    pub stderr: Captured,
    /// Time from start to end.
    pub elapsed: Duration,
    /// Processor time of the child and of the children that it waited for, where /proc could be read; in steps of 10 ms.
    pub processor_time: Option<Duration>,
}

impl Finished {
    /// Passes on a success; anything else becomes an error that holds the end of what the child said.
    pub fn success(self) -> Result<Self, ProcessError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said = if self.stderr.written == 0 { &self.stdout } else { &self.stderr };
        let text = said.text();
        let text = self.environment.mask(&text).unwrap_or(text);
        let output = tail(text.trim_end(), ERROR_TAIL).to_owned();
        Err(self.error(ProcessErrorKind::Failed { status: self.status, output }))
    }

    /// The whole standard output, as it was written. Fails if more was written than kept.
    pub fn into_stdout(self) -> Result<Vec<u8>, ProcessError> {
        if self.stdout.is_complete() {
            return Ok(self.stdout.into_bytes());
        }
        let kind = ProcessErrorKind::TooMuchOutput {
            stream: Stream::Out,
            written: self.stdout.written,
            limit: self.stdout.limit,
        };
        Err(self.error(kind))
    }

    fn error(&self, kind: ProcessErrorKind) -> ProcessError {
        ProcessError { program: self.program.clone(), hint_if_missing: None, kind }
    }
}

/// The last `limit` bytes of `text`, begun at a whole line where there is one.
fn tail(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let start = (text.len() - limit..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let cut = &text[start..];
    cut.split_once('\n').map_or(cut, |(_, rest)| rest)
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes bytes and passes on each line that they complete, without its end.
    pub(crate) fn push(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.extend(piece, on_line);
            pass_on(&std::mem::take(&mut self.rest), on_line);
        }
        self.extend(last, on_line);
    }

    /// Passes on a last line that has no end.
    pub(crate) fn finish(&mut self, on_line: &mut dyn FnMut(&str)) {
        if !self.rest.is_empty() {
            pass_on(&std::mem::take(&mut self.rest), on_line);
        }
    }

    fn extend(&mut self, mut piece: &[u8], on_line: &mut dyn FnMut(&str)) {
        while self.rest.len() + piece.len() > LONGEST_LINE {
            let (now, later) = piece.split_at(LONGEST_LINE - self.rest.len());
            self.rest.extend_from_slice(now);
            pass_on(&std::mem::take(&mut self.rest), on_line);
            piece = later;
        }
        self.rest.extend_from_slice(piece);
    }
}

fn pass_on(line: &[u8], on_line: &mut dyn FnMut(&str)) {
    let line: Cow<'_, str> = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    on_line(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_the_same_however_the_bytes_arrive() {
        let text = b"one\r\ntwo\n\n\xff\xfe three\nlast";
        let expected = ["one", "two", "", "\u{fffd}\u{fffd} three", "last"];
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                lines.push(chunk, &mut |line| seen.push(line.to_owned()));
            }
            lines.finish(&mut |line| seen.push(line.to_owned()));
            assert_eq!(seen, expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_line_without_end_comes_in_bounded_pieces() {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        lines.push(&vec![b'x'; LONGEST_LINE * 2 + 5], &mut |line| seen.push(line.len()));
        lines.finish(&mut |line| seen.push(line.len()));
        assert_eq!(seen, [LONGEST_LINE, LONGEST_LINE, 5]);
    }

    #[test]
    fn what_is_kept_is_the_start_and_the_end() {
        let cases: &[(usize, &str, &str)] = &[
            (10, "0123456789", "0123456789"),
            (10, "0123456789ab", "01234\n[2 bytes left out]\n789ab"),
            (5, "0123456789", "012\n[5 bytes left out]\n89"),
            (0, "abc", "\n[3 bytes left out]\n"),
        ];
        for (limit, written, kept) in cases {
            for size in 1..=written.len() {
                let mut captured = Captured::new(*limit);
                written.as_bytes().chunks(size).for_each(|chunk| captured.push(chunk));
                assert_eq!(captured.text(), *kept, "limit {limit}, chunks of {size}");
                assert_eq!(captured.written(), written.len() as u64);
            }
        }
    }

    #[test]
    fn an_errors_tail_begins_at_a_line_and_a_character() {
        assert_eq!(tail("short", 10), "short");
        assert_eq!(tail("first line\nsecond", 10), "second");
        assert_eq!(tail("ééééé", 3), "é");
    }
}
