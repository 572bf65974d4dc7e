//! Reading bytes that must have a known size and digest.

use std::io::{self, Read};

use longshore_oci::{Descriptor, Digest, Digester};

/// A reader that fails at the end of its bytes unless they are what a descriptor says, and as soon as there are too many.
///
/// The failure is [`io::ErrorKind::InvalidData`] for altered or surplus bytes and [`io::ErrorKind::UnexpectedEof`] for missing
/// ones. A reader that is not read to its end proves nothing.
pub struct VerifyingReader<R> {
    inner: R,
    digester: Option<Digester>,
    expected: Digest,
    size: u64,
    seen: u64,
}

impl<R> std::fmt::Debug for VerifyingReader<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VerifyingReader").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl<R: Read> VerifyingReader<R> {
    /// Reads from `inner` what `descriptor` describes.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        VerifyingReader {
            inner,
            digester: Some(Digester::new(descriptor.digest.algorithm())),
            expected: descriptor.digest.clone(),
            size: descriptor.size,
            seen: 0,
        }
    }

    fn check_end(&mut self) -> io::Result<()> {
        // A second read after the end finds no digester and has nothing left to check.
        let Some(digester) = self.digester.take() else { return Ok(()) };
        if self.seen < self.size {
            let message = format!("it ends after {} of {} bytes", self.seen, self.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let actual = digester.finish();
        if actual == self.expected {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("its bytes have the digest {actual}")))
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.check_end()?;
            return Ok(0);
        }
        self.seen += count as u64;
        if self.seen > self.size {
            let message = format!("it has more than the {} bytes its descriptor says", self.size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..count]);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_bytes_pass_and_altered_missing_or_surplus_ones_fail() {
        let descriptor = Descriptor::of("x", b"hello");
        let read = |bytes: &[u8]| {
            let mut out = Vec::new();
            VerifyingReader::new(bytes, &descriptor).read_to_end(&mut out).map_err(|error| error.kind())
        };
        assert_eq!(read(b"hello"), Ok(5));
        assert_eq!(read(b"hellO"), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(b"hell"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(b"hello!"), Err(io::ErrorKind::InvalidData));
    }
}
