//! Moving an image from any source to any sink.

use std::io::Read;
use std::path::PathBuf;

use longshore_events::{Cancelled, Events, TaskKind};
use longshore_files::FileError;
use longshore_oci::Descriptor;

use crate::content::{ContentError, ContentErrorKind};
use crate::handle::Image;

/// Something that takes blobs: a layout, an archive, the store.
pub trait Sink {
    /// Whether the sink holds a blob already, so that it need not be sent.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, SinkError>;

    /// Takes a blob. `bytes` is verified: it fails at its end unless it is what `descriptor` says, and the sink must read to
    /// the end and keep nothing of a stream that failed.
    fn write(&mut self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), SinkError>;
}

/// A sink that did not take a blob.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The sink's own files cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The source's bytes could not be read, or were not what their descriptor says.
    #[error("cannot read the source")]
    Source(#[source] std::io::Error),
    /// The sink's archive cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file being written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl SinkError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            SinkError::File(error) => error.hint(),
            _ => None,
        }
    }
}

/// A copy that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The image could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A blob was not taken.
    #[error("cannot write blob {}", descriptor.digest)]
    Sink {
        /// The blob.
        descriptor: Box<Descriptor>,
        /// Why it was not taken.
        #[source]
        source: SinkError,
    },
    /// The copy was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl CopyError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            CopyError::Content(error) => error.hint(),
            CopyError::Sink { source, .. } => source.hint(),
            CopyError::Cancelled(_) => None,
        }
    }
}

/// Copies every blob that `image` reaches and `sink` lacks, leaves first. Returns the blobs in that order, the root last.
///
/// Errors: the image cannot be read or is not what its descriptors say, the sink cannot take a blob, or the work was
/// cancelled. What was copied before stays: it is valid by its digest.
pub fn copy(image: &Image, sink: &mut dyn Sink, events: &Events) -> Result<Vec<Descriptor>, CopyError> {
    let blobs = image.blobs()?;
    for descriptor in &blobs {
        events.check()?;
        let refused = |source| CopyError::Sink { descriptor: Box::new(descriptor.clone()), source };
        if sink.has(descriptor).map_err(refused)? {
            continue;
        }
        let task = events.task(TaskKind::Work, format!("copy {}", descriptor.digest.short()));
        let mut reader = CancellableReader {
            inner: image.open(descriptor)?,
            events,
            done: 0,
            task: &task,
            total: descriptor.size,
        };
        sink.write(descriptor, &mut reader).map_err(|error| match error {
            SinkError::Source(_) if events.is_cancelled() => CopyError::Cancelled(Cancelled),
            SinkError::Source(error) => {
                CopyError::Content(ContentError::new(descriptor, ContentErrorKind::Io(error)))
            }
            other => refused(other),
        })?;
        task.done(descriptor.digest.to_string());
    }
    Ok(blobs)
}

struct CancellableReader<'a, R> {
    inner: R,
    events: &'a Events,
    task: &'a longshore_events::Task,
    done: u64,
    total: u64,
}

impl<R: Read> Read for CancellableReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.events.check().map_err(std::io::Error::other)?;
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.task.progress(self.done, Some(self.total));
        Ok(count)
    }
}
