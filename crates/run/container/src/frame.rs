//! How processes of a container and whoever started them write to a socket: a kind, a length as four bytes, little-endian, and that many bytes.

use std::io::{self, Read, Write};

/// What comes before the bytes of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    length: u32,
}

impl Head {
    const SIZE: usize = 5;

    fn new([kind, length @ ..]: [u8; Head::SIZE]) -> Head {
        Head { kind, length: u32::from_le_bytes(length) }
    }

    /// The head of what was read so far; `None` where it is not whole yet.
    pub(crate) fn first(read: &[u8]) -> Option<Head> {
        read.first_chunk().copied().map(Head::new)
    }

    /// Receives one; `None` at the end.
    pub(crate) fn receive(from: &mut impl Read) -> io::Result<Option<Head>> {
        let mut head = [0; Head::SIZE];
        match from.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            answer => answer.map(|()| Some(Head::new(head))),
        }
    }

    /// Bytes of the whole frame. Errors: it has more than `longest` after its head.
    pub(crate) fn whole(self, longest: u32) -> io::Result<usize> {
        if self.length > longest {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Head::SIZE + self.length as usize)
    }

    /// Receives the bytes after it. Errors: there are more than `longest`, or fewer than it says.
    pub(crate) fn body(self, from: &mut impl Read, longest: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.whole(longest)? - Head::SIZE];
        from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Sends a frame, in one write where the socket takes it.
pub(crate) fn send(to: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut whole = Vec::with_capacity(Head::SIZE + bytes.len());
    whole.push(kind);
    whole.extend_from_slice(&length.to_le_bytes());
    whole.extend_from_slice(bytes);
    to.write_all(&whole)
}
