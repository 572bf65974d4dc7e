//! A tree's files as a tar, with their owners.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_image::layer::{Entry, EntryKind, LayerBuilder, LayerErrorKind, Timestamps};
use longshore_oci::media_type::{Compression, ImageFormat};

use super::{Output, OutputError, Taker};
use crate::error::SnapshotError;
use crate::export::entry_of;
use crate::node::{Node, NodeKind};

/// A tar under way.
#[derive(Debug)]
pub struct TarOutput<W: Write> {
    builder: LayerBuilder<W>,
}

impl<W: Write> TarOutput<W> {
    /// A tar that goes to `writer`. Times become what `timestamps` says.
    pub fn new(writer: W, timestamps: Timestamps) -> Result<Self, OutputError> {
        let builder = LayerBuilder::compressed(writer, timestamps, Compression::None);
        Ok(TarOutput { builder: builder.map_err(OutputError::Write)? })
    }

    /// Appends the files of a tree, below a folder of the tar, which is made; an empty path means the tar's root. Times follow the tar's
    /// policy, not that of `output`.
    pub fn append(&mut self, output: &Output<'_>, below: &Path) -> Result<(), OutputError> {
        let real = output.real()?;
        if !below.as_os_str().is_empty() {
            write(&mut self.builder, &Entry::directory(below, 0o755), &mut io::empty())?;
        }
        let mut writer = TarWriter {
            output,
            real: real.clone(),
            below,
            builder: &mut self.builder,
            names: HashMap::new(),
        };
        output.walk(&real, &mut writer)
    }

    /// Writes the end of the tar, and gives the writer back.
    pub fn finish(self) -> Result<W, OutputError> {
        let (_, mut writer) = self.builder.finish(ImageFormat::Oci).map_err(OutputError::Write)?;
        writer.flush().map_err(OutputError::Write)?;
        Ok(writer)
    }
}

struct TarWriter<'o, W: Write> {
    output: &'o Output<'o>,
    /// The folder of the tree.
    real: PathBuf,
    below: &'o Path,
    builder: &'o mut LayerBuilder<W>,
    /// The first names of files that have several.
    names: HashMap<(u64, u64, u64), PathBuf>,
}

impl<W: Write> Taker for TarWriter<'_, W> {
    fn take(&mut self, path: &Path, node: &Node) -> Result<(), OutputError> {
        let place = self.below.join(path);
        let mut entry = entry_of(&place, node);
        if let Some(inode) = node.inode {
            if let Some(first) = self.names.get(&inode) {
                entry.kind = EntryKind::Hardlink { target: first.clone() };
                return write(self.builder, &entry, &mut io::empty());
            }
            self.names.insert(inode, place);
        }
        let NodeKind::File { .. } = node.kind else {
            return write(self.builder, &entry, &mut io::empty());
        };
        let file = self.output.view.open(&self.real.join(path))?;
        let mut content = Watched { content: file, events: self.output.events, failure: None };
        let written = write(self.builder, &entry, &mut content);
        self.output.events.check()?;
        match content.failure {
            Some(failure) => Err(SnapshotError::of("read", path)(failure).into()),
            None => written,
        }
    }

    fn leave(&mut self, _: &Path, _: &Node) -> Result<(), OutputError> {
        Ok(())
    }
}

fn write<W: Write>(
    builder: &mut LayerBuilder<W>,
    entry: &Entry,
    content: &mut dyn Read,
) -> Result<(), OutputError> {
    builder.append(entry, content).map_err(|error| match error.kind {
        LayerErrorKind::Io(error) => OutputError::Write(error),
        _ => error.into(),
    })
}

/// A file's content on its way into the tar: ends when the work is to stop, and keeps what went wrong with reading, as opposed to writing.
struct Watched<'e, R> {
    content: R,
    events: &'e Events,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.events.check().map_err(io::Error::other)?;
        self.content.read(buffer).map_err(|error| {
            let shown = io::Error::from(error.kind());
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            shown
        })
    }
}
