//! A blob's bytes on their way into request bodies: from any byte on, and each read once.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crate::parallel::Stop;
use crate::progress::Progress;
use crate::upload::Upload;

/// Opens a blob from its beginning.
pub(crate) type OpenBlob = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

type BoxedReader = Box<dyn Read + Send>;

/// The blob from some byte on. Pieces that follow each other share one reader, so that no byte is read twice.
#[derive(Clone)]
pub(crate) struct Source {
    /// The first byte.
    pub(crate) start: u64,
    open: Arc<OpenBlob>,
    size: u64,
    idle: Arc<Mutex<Option<(u64, BoxedReader)>>>,
    progress: Progress,
    stop: Stop,
}

impl Source {
    pub(crate) fn new(upload: &Upload<'_>, start: u64) -> Source {
        Source {
            start,
            open: Arc::clone(&upload.open),
            size: upload.descriptor.size,
            idle: Arc::default(),
            progress: upload.progress.clone(),
            stop: upload.stop.clone(),
        }
    }

    /// The same blob from another byte on.
    pub(crate) fn at(&self, start: u64) -> Source {
        Source { start, ..self.clone() }
    }

    /// Reads `length` bytes. Nothing is opened before the first read: a request's body is made where nothing may block.
    pub(crate) fn piece(&self, length: u64) -> BoxedReader {
        Box::new(Piece {
            source: self.clone(),
            inner: Inner::Unopened,
            position: self.start,
            end: self.start + length,
        })
    }

    fn open(&self) -> io::Result<BoxedReader> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, reader)) = idle.filter(|(position, _)| *position == self.start) {
            return Ok(reader);
        }
        let mut reader = (self.open)()?;
        io::copy(&mut reader.by_ref().take(self.start), &mut io::sink())?;
        Ok(reader)
    }
}

enum Inner {
    Unopened,
    Open(BoxedReader),
    Ended,
}

/// One piece of the blob; leaves its reader for the next one.
struct Piece {
    source: Source,
    inner: Inner,
    position: u64,
    end: u64,
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.stop.check()?;
        let mut reader = match std::mem::replace(&mut self.inner, Inner::Ended) {
            Inner::Unopened => self.source.open()?,
            Inner::Open(reader) => reader,
            Inner::Ended => return Ok(0),
        };
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let count = match most {
            0 => 0,
            _ => reader.read(&mut buffer[..most])?,
        };
        if count == 0 && self.position < self.end {
            let message = format!("it ends after {} of {} bytes", self.position, self.source.size);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        if count == 0 {
            let mut idle = self.source.idle.lock().unwrap_or_else(PoisonError::into_inner);
            *idle = Some((self.position, reader));
            return Ok(0);
        }
        self.inner = Inner::Open(reader);
        self.position += count as u64;
        self.source.progress.report(self.position, self.source.size);
        Ok(count)
    }
}
