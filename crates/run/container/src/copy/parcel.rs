//! What the process in a container and whoever asked it tell each other, over a socket, as frames.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use longshore_events::Events;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CopyError;
use crate::frame::{self, Head};

/// Bytes of a tar that travel at once.
const CHUNK: usize = 64 << 10;
/// Sentences that are kept.
const MOST_NOTES: usize = 20;
/// Longest parcel that is taken.
const LONGEST: u32 = 1 << 20;
/// How often somebody who waits asks whether they still are to.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// One parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parcel {
    /// What is to be done, or what came of it, as JSON.
    Word(Vec<u8>),
    /// It failed; the error as JSON.
    Failed(Vec<u8>),
    /// Something that is worth saying, and no failure.
    Note(Vec<u8>),
    /// A part of a tar.
    Data(Vec<u8>),
    /// The tar's end.
    End,
}

impl Parcel {
    /// Sends it.
    pub(super) fn send(&self, mut to: &UnixStream) -> io::Result<()> {
        let (kind, bytes): (u8, &[u8]) = match self {
            Parcel::Word(bytes) => (0, bytes),
            Parcel::Failed(bytes) => (1, bytes),
            Parcel::Note(bytes) => (2, bytes),
            Parcel::Data(bytes) => (3, bytes),
            Parcel::End => (4, &[]),
        };
        frame::send(&mut to, kind, bytes)
    }

    /// Receives one; `None` at the end.
    pub(super) fn receive(mut from: &UnixStream) -> io::Result<Option<Parcel>> {
        let head = match Head::receive(&mut from) {
            // Whoever hangs up with something unread gives this.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            head => head?,
        };
        let Some(head) = head else { return Ok(None) };
        let bytes = head.body(&mut from, LONGEST)?;
        Ok(Some(match head.kind {
            0 => Parcel::Word(bytes),
            1 => Parcel::Failed(bytes),
            2 => Parcel::Note(bytes),
            3 => Parcel::Data(bytes),
            4 => Parcel::End,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }))
    }

    /// A word.
    pub(super) fn word(value: &impl Serialize) -> Result<Parcel, CopyError> {
        serde_json::to_vec(value).map(Parcel::Word).map_err(|error| CopyError::Output(error.to_string()))
    }

    /// The news of a failure.
    pub(super) fn failed(error: &CopyError) -> Parcel {
        // Writing texts to memory does not fail; an empty one says at least that something did.
        Parcel::Failed(serde_json::to_vec(error).unwrap_or_default())
    }
}

/// Sentences about what was left out. A container may have any number of things to be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Notes {
    pub(super) kept: Vec<String>,
    pub(super) more: u64,
}

impl Notes {
    pub(super) fn add(&mut self, sentence: String) {
        if self.kept.len() < MOST_NOTES { self.kept.push(sentence) } else { self.more += 1 }
    }

    pub(super) fn append(&mut self, others: Notes) {
        others.kept.into_iter().for_each(|sentence| self.add(sentence));
        self.more += others.more;
    }
}

/// What one end of the conversation hears.
#[derive(Debug)]
pub(super) struct Line<'s> {
    pub(super) socket: &'s UnixStream,
    /// Who is asked whether to go on.
    pub(super) events: &'s Events,
    /// What was said beside the matter.
    pub(super) notes: Notes,
}

impl<'s> Line<'s> {
    pub(super) fn new(socket: &'s UnixStream, events: &'s Events) -> Line<'s> {
        Line { socket, events, notes: Notes::default() }
    }

    /// The next parcel that is no note. Errors: the other end failed, or is gone.
    fn next(&mut self) -> Result<Parcel, CopyError> {
        loop {
            self.wait()?;
            let heard = Parcel::receive(self.socket);
            match heard.map_err(|error| CopyError::Output(error.to_string()))? {
                None => return Err(CopyError::Lost),
                Some(Parcel::Note(text)) => self.notes.add(String::from_utf8_lossy(&text).into_owned()),
                Some(Parcel::Failed(bytes)) => {
                    return Err(serde_json::from_slice(&bytes).unwrap_or(CopyError::Lost));
                }
                Some(parcel) => return Ok(parcel),
            }
        }
    }

    fn wait(&self) -> Result<(), CopyError> {
        loop {
            self.events.check()?;
            match poll(&mut [PollFd::new(self.socket, PollFlags::IN)], Some(&TICK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // Whatever else there is to be said, receiving says it.
                _ => return Ok(()),
            }
        }
    }

    /// Hears a word.
    pub(super) fn hear<T: DeserializeOwned>(&mut self) -> Result<T, CopyError> {
        let Parcel::Word(bytes) = self.next()? else { return Err(CopyError::Lost) };
        serde_json::from_slice(&bytes).map_err(|_| CopyError::Lost)
    }

    /// Says something. Where nobody hears it any more, they may have said why.
    pub(super) fn say(&mut self, parcel: &Parcel) -> Result<(), CopyError> {
        if parcel.send(self.socket).is_ok() {
            return Ok(());
        }
        loop {
            if !matches!(self.next()?, Parcel::Data(_)) {
                return Err(CopyError::Lost);
            }
        }
    }
}

/// A tar that arrives, to its end.
#[derive(Debug)]
pub(super) struct Arriving<'l, 's> {
    line: &'l mut Line<'s>,
    rest: Vec<u8>,
    taken: usize,
    over: bool,
    /// Bytes so far.
    pub(super) count: u64,
    /// Why it ended before its time.
    pub(super) failure: Option<CopyError>,
}

impl<'l, 's> Arriving<'l, 's> {
    pub(super) fn new(line: &'l mut Line<'s>) -> Arriving<'l, 's> {
        Arriving { line, rest: Vec::new(), taken: 0, over: false, count: 0, failure: None }
    }

    /// The next part; `None` at the end.
    pub(super) fn part(&mut self) -> Result<Option<Vec<u8>>, CopyError> {
        match self.line.next()? {
            Parcel::Data(bytes) => {
                self.count += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Parcel::End => Ok(None),
            _ => Err(CopyError::Lost),
        }
    }
}

impl Read for Arriving<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.rest.len() && !self.over {
            match self.part() {
                Ok(Some(bytes)) => (self.rest, self.taken) = (bytes, 0),
                Ok(None) => self.over = true,
                Err(error) => {
                    self.over = true;
                    let shown = io::Error::other(error.to_string());
                    self.failure = Some(error);
                    return Err(shown);
                }
            }
        }
        let rest = self.rest.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// A tar that leaves.
#[derive(Debug)]
pub(super) struct Leaving<'s> {
    socket: &'s UnixStream,
    buffer: Vec<u8>,
    /// Bytes so far.
    pub(super) count: u64,
}

impl<'s> Leaving<'s> {
    pub(super) fn new(socket: &'s UnixStream) -> Leaving<'s> {
        Leaving { socket, buffer: Vec::with_capacity(CHUNK), count: 0 }
    }
}

impl Write for Leaving<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        self.count += count as u64;
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let parcel = Parcel::Data(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        parcel.send(self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tar_arrives_with_notes_and_to_its_end_or_to_the_reason_why_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let expected = bytes.clone();
        let sender = std::thread::spawn(move || {
            let mut leaving = Leaving::new(&theirs);
            leaving.write_all(&bytes).unwrap();
            leaving.flush().unwrap();
            Parcel::Note(b"by the way".to_vec()).send(&theirs).unwrap();
            Parcel::End.send(&theirs).unwrap();
            Parcel::failed(&CopyError::ReadOnlyRoot).send(&theirs).unwrap();
        });
        let events = Events::silent();
        let mut line = Line::new(&ours, &events);
        let mut read = Vec::new();
        let mut arriving = Arriving::new(&mut line);
        arriving.read_to_end(&mut read).unwrap();
        assert_eq!((read, arriving.count), (expected, 200_000));
        sender.join().unwrap();
        let mut arriving = Arriving::new(&mut line);
        arriving.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(arriving.failure, Some(CopyError::ReadOnlyRoot));
        assert_eq!((line.notes.kept.as_slice(), line.notes.more), (&["by the way".to_owned()][..], 0));
        assert_eq!(line.hear::<bool>(), Err(CopyError::Lost));
    }

    #[test]
    fn whoever_speaks_to_one_who_left_hears_why() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        Parcel::failed(&CopyError::ReadOnlyVolume).send(&theirs).unwrap();
        drop(theirs);
        let events = Events::silent();
        assert_eq!(Line::new(&ours, &events).say(&Parcel::End), Err(CopyError::ReadOnlyVolume));
        assert!(Parcel::receive(&ours).unwrap().is_none());
    }
}
