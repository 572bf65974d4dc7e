//! The two outputs of a program in one stream: frames of eight bytes of head and a payload.
//!
//! Source: Docker Engine API, "Attach to a container", stream format: the first byte is 1 or 2, bytes 4 to 7 are the payload's size, big-endian. With a
//! terminal there are no frames.

use std::io::{self, Read};
use std::time::SystemTime;

use longshore_runtime::{LogLine, LogStream, form};
use serde::Deserialize;

/// Longest payload of a frame: engines send what they read at once.
const MOST_FRAME: u32 = 64 << 20;

/// A payload, and where it came from; `None` at the end.
fn frame(stream: &mut impl Read) -> io::Result<Option<(LogStream, Vec<u8>)>> {
    let mut head = [0; 8];
    let mut filled = 0;
    while filled < head.len() {
        match stream.read(&mut head[filled..])? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    let [kind, _, _, _, size @ ..] = head;
    let size = u32::from_be_bytes(size);
    let source = match kind {
        0 | 1 => LogStream::Stdout,
        2 => LogStream::Stderr,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no stream of an engine")),
    };
    if size > MOST_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a part of it is larger than any engine sends",
        ));
    }
    let mut payload = Vec::new();
    let read = stream.take(u64::from(size)).read_to_end(&mut payload)?;
    match u32::try_from(read) == Ok(size) {
        true => Ok(Some((source, payload))),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// All that a program wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Both outputs, each to its end.
pub(super) fn separated(mut stream: impl Read) -> io::Result<Outputs> {
    let mut outputs = Outputs::default();
    while let Some((source, payload)) = frame(&mut stream)? {
        match source {
            LogStream::Stdout => outputs.stdout.extend(payload),
            LogStream::Stderr => outputs.stderr.extend(payload),
        }
    }
    Ok(outputs)
}

/// The lines of a log with their times before them.
pub(super) fn lines(mut stream: impl Read, is_terminal: bool) -> io::Result<Vec<LogLine>> {
    let mut found = Vec::new();
    if is_terminal {
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        found.extend(all.split_inclusive(|byte| *byte == b'\n').map(|text| line(LogStream::Stdout, text)));
        return Ok(found);
    }
    while let Some((source, payload)) = frame(&mut stream)? {
        // A frame is a line, or a part of a long one.
        found.extend(payload.split_inclusive(|byte| *byte == b'\n').map(|text| line(source, text)));
    }
    Ok(found)
}

fn line(stream: LogStream, text: &[u8]) -> LogLine {
    #[derive(Deserialize)]
    struct Time(#[serde(with = "form::time")] SystemTime);
    let space = text.iter().position(|byte| *byte == b' ');
    let (time, rest) = match space {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (&[][..], text),
    };
    let time = serde_json::Value::String(String::from_utf8_lossy(time).into_owned());
    match Time::deserialize(time) {
        Ok(Time(time)) => LogLine { time, stream, text: rest.to_vec() },
        Err(_) => LogLine { time: SystemTime::UNIX_EPOCH, stream, text: text.to_vec() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(parts: &[(u8, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, text) in parts {
            bytes.extend([*kind, 0, 0, 0]);
            bytes.extend(u32::try_from(text.len()).expect("it is short").to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn outputs_are_told_apart() {
        let stream = framed(&[(1, "one"), (2, "two"), (1, " three"), (1, "")]);
        let outputs = separated(&*stream).expect("it is whole");
        assert_eq!((&*outputs.stdout, &*outputs.stderr), (&b"one three"[..], &b"two"[..]));
        assert!(separated(&stream[..5]).is_err(), "a head that is cut");
        assert!(separated(&stream[..9]).is_err(), "a payload that is cut");
        assert!(separated(&b"HTTP/1.1 400 Bad"[..]).is_err(), "no stream at all");
        assert!(separated(&[1, 0, 0, 0, 255, 255, 255, 255][..]).is_err(), "more than any engine sends");
    }

    #[test]
    fn lines_have_times() {
        let stream = framed(&[(1, "2026-12-01T03:15:27.5Z hello world\n"), (2, "no time\n")]);
        let found = lines(&*stream, false).expect("it is whole");
        let [first, second] = &found[..] else { panic!("{found:?}") };
        assert_eq!((first.stream, &*first.text), (LogStream::Stdout, &b"hello world\n"[..]));
        assert!(first.time > SystemTime::UNIX_EPOCH);
        assert_eq!((second.stream, &*second.text), (LogStream::Stderr, &b"no time\n"[..]));
    }
}
