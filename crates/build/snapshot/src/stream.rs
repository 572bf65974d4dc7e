//! A layer's tar as a stream that another thread decompresses.
//!
//! Decompressing and hashing take as long as writing the files does, so that two processors halve the time. The stream is checked twice:
//! the compressed bytes against the descriptor, the tar against the config's diff id. The second is what makes it safe to share what
//! is unpacked by diff id: an image cannot put its files in another's place.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use longshore_events::Events;
use longshore_oci::{Digest, Digester};

use crate::error::{LayerReadError, SnapshotError};
use crate::image::ImageLayer;

/// Bytes that travel together.
const BLOCK: usize = 256 * 1024;

/// Blocks that wait at most.
const WAITING: usize = 4;

/// The tar of a layer.
pub(crate) struct TarStream {
    blocks: Receiver<io::Result<Vec<u8>>>,
    spent: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
    digester: Receiver<Digest>,
    expected: Digest,
    events: Events,
}

impl TarStream {
    /// Starts to read a layer. Errors: it is absent.
    pub(crate) fn open(layer: &ImageLayer, events: &Events) -> Result<TarStream, SnapshotError> {
        let tar = layer.image.open_layer(&layer.descriptor).map_err(layer.error())?;
        let (send, blocks) = sync_channel(WAITING);
        let (spent, empty) = sync_channel(WAITING + 2);
        let (digest, digester) = sync_channel(1);
        let hash = Digester::new(layer.diff_id.algorithm());
        let run = move || pump(tar, hash, &send, &empty, &digest);
        let thread = thread::Builder::new().name("decompress".to_owned()).spawn(run);
        thread.map_err(LayerReadError::Thread).map_err(layer.error())?;
        let (expected, events) = (layer.diff_id.clone(), events.clone());
        Ok(TarStream {
            blocks,
            spent,
            current: Vec::new(),
            position: 0,
            ended: false,
            digester,
            expected,
            events,
        })
    }

    /// Reads what is left, and checks that the whole was what the config says.
    pub(crate) fn finish(mut self) -> Result<(), LayerReadError> {
        io::copy(&mut self, &mut io::sink()).map_err(LayerReadError::Thread)?;
        let early = |_| LayerReadError::Thread(io::ErrorKind::UnexpectedEof.into());
        let actual = self.digester.recv().map_err(early)?;
        if actual == self.expected {
            Ok(())
        } else {
            Err(LayerReadError::DiffId { expected: self.expected, actual })
        }
    }

    fn advance(&mut self) -> io::Result<()> {
        self.events.check().map_err(io::Error::other)?;
        let next = match self.blocks.recv() {
            Ok(block) => block?,
            Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        self.ended = next.is_empty();
        let old = std::mem::replace(&mut self.current, next);
        self.position = 0;
        // Where the thread is gone, nobody needs the room.
        let _ = self.spent.try_send(old);
        Ok(())
    }
}

impl Read for TarStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() && !self.ended {
            self.advance()?;
        }
        let rest = &self.current[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

/// Decompresses until the end, an error, or until nobody listens. An empty block is the end.
fn pump(
    mut tar: Box<dyn Read + Send>,
    mut hash: Digester,
    blocks: &SyncSender<io::Result<Vec<u8>>>,
    empty: &Receiver<Vec<u8>>,
    digest: &SyncSender<Digest>,
) {
    loop {
        let mut block = empty.try_recv().unwrap_or_default();
        block.resize(BLOCK, 0);
        let result = fill(&mut *tar, &mut block);
        let ended = matches!(result, Ok(0) | Err(_));
        let message = result.map(|count| {
            block.truncate(count);
            hash.update(&block);
            block
        });
        // The reader gave up: there is nobody to tell.
        if blocks.send(message).is_err() {
            return;
        }
        if ended {
            let _ = digest.send(hash.finish());
            return;
        }
    }
}

fn fill(reader: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match reader.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
