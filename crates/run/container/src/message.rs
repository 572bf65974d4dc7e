//! What a monitor and whoever started it tell each other, over a socket, as frames.

use std::io::{self, Read, Write};

use crate::frame::{self, Head};

/// Longest message that is taken.
const LONGEST: u32 = 16 << 20;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// To the monitor: what it is to do, as JSON.
    Order(Vec<u8>),
    /// To the monitor: input for the program.
    Input(Vec<u8>),
    /// To the monitor: there is no more input.
    InputEnd,
    /// To the monitor: rows and columns of the terminal.
    Size(u16, u16),
    /// From the monitor: the program runs; the state as JSON.
    Started(Vec<u8>),
    /// From the monitor: it could not be started; the failure as JSON.
    Failed(Vec<u8>),
    /// From the monitor: the program wrote this to its standard output, or to its terminal.
    Output(Vec<u8>),
    /// From the monitor: the program wrote this to its standard error output.
    Errors(Vec<u8>),
    /// From the monitor: it has ended; the exit status as JSON.
    Ended(Vec<u8>),
}

impl Message {
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Message::Order(bytes) => (0, bytes),
            Message::Input(bytes) => (1, bytes),
            Message::InputEnd => (2, &[]),
            Message::Size(..) => (3, &[]),
            Message::Started(bytes) => (4, bytes),
            Message::Failed(bytes) => (5, bytes),
            Message::Output(bytes) => (6, bytes),
            Message::Errors(bytes) => (7, bytes),
            Message::Ended(bytes) => (8, bytes),
        }
    }

    /// Sends it.
    pub(crate) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let (kind, bytes) = self.parts();
        let size;
        let bytes = match self {
            Message::Size(rows, columns) => {
                size = [rows.to_le_bytes(), columns.to_le_bytes()].concat();
                &size
            }
            _ => bytes,
        };
        frame::send(to, kind, bytes)
    }

    /// Takes the first out of what was read so far; `None` where it is not whole yet.
    ///
    /// Errors: it is none.
    pub(crate) fn take(read: &mut Vec<u8>) -> io::Result<Option<Message>> {
        let Some(head) = Head::first(read) else { return Ok(None) };
        let whole = head.whole(LONGEST)?;
        let Some(mut bytes) = read.get(..whole) else { return Ok(None) };
        let message = Message::receive(&mut bytes)?;
        read.drain(..whole);
        Ok(message)
    }

    /// Receives one; `None` at the end.
    pub(crate) fn receive(from: &mut impl Read) -> io::Result<Option<Message>> {
        let Some(head) = Head::receive(from)? else { return Ok(None) };
        let bytes = head.body(from, LONGEST)?;
        Ok(Some(match head.kind {
            0 => Message::Order(bytes),
            1 => Message::Input(bytes),
            2 => Message::InputEnd,
            3 => match bytes.as_slice() {
                [a, b, c, d] => Message::Size(u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d])),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            },
            4 => Message::Started(bytes),
            5 => Message::Failed(bytes),
            6 => Message::Output(bytes),
            7 => Message::Errors(bytes),
            8 => Message::Ended(bytes),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let messages = [
            Message::Order(b"{}".to_vec()),
            Message::Input(vec![0; 70_000]),
            Message::InputEnd,
            Message::Size(24, 300),
            Message::Ended(Vec::new()),
        ];
        let mut bytes = Vec::new();
        for message in &messages {
            message.send(&mut bytes).unwrap();
        }
        // Byte by byte, as it may come.
        let (mut read, mut taken) = (Vec::new(), Vec::new());
        for byte in &bytes {
            read.push(*byte);
            taken.extend(Message::take(&mut read).unwrap());
        }
        assert_eq!((taken.as_slice(), read.len()), (messages.as_slice(), 0));
        assert!(Message::take(&mut vec![1, 255, 255, 255, 255]).is_err());
        let mut rest = bytes.as_slice();
        for message in messages {
            assert_eq!(Message::receive(&mut rest).unwrap(), Some(message));
        }
        assert_eq!(Message::receive(&mut rest).unwrap(), None);
        assert!(Message::receive(&mut [9, 0, 0, 0, 0].as_slice()).is_err());
        assert!(Message::receive(&mut [1, 255, 255, 255, 255].as_slice()).is_err());
    }
}
