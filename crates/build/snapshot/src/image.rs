//! One layer of an image: in its blob, in its index, or unpacked.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_events::Events;
use longshore_files::{create_folders, write_unsynced};
use longshore_image::Image;
use longshore_image::layer::{TarKind, entries};
use longshore_oci::{Descriptor, Digest};

use crate::error::{LayerReadError, SnapshotError};
use crate::index::{HELD, HELD_LIMIT, Index, RecordKind, TarTree};
use crate::node::NodeKind;
use crate::shelf::Shelf;
use crate::source::FolderSource;
use crate::stream::TarStream;
use crate::unpack::{self, Pending};
use crate::view::{Source, View};

/// Layers that are unpacked at once. Each has two threads, and a decompressor's buffers.
const MAX_THREADS: usize = 4;

/// A layer of an image, with those below it.
#[derive(Debug)]
pub(crate) struct ImageLayer {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) image: Image,
    pub(crate) descriptor: Descriptor,
    pub(crate) diff_id: Digest,
    /// Digest over the diff ids from the base up to this one.
    chain: Digest,
    below: Option<Arc<ImageLayer>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    disk: Option<Arc<FolderSource>>,
    index: Option<Arc<Index>>,
}

impl ImageLayer {
    pub(crate) fn new(
        shelf: &Arc<Shelf>,
        image: &Image,
        descriptor: Descriptor,
        diff_id: Digest,
        below: Option<Arc<ImageLayer>>,
    ) -> ImageLayer {
        let chain = match &below {
            Some(below) => Digest::of(format!("{} {diff_id}", below.chain).as_bytes()),
            None => diff_id.clone(),
        };
        let (shelf, image, state) = (Arc::clone(shelf), image.clone(), Mutex::default());
        ImageLayer { shelf, image, descriptor, diff_id, chain, below, state }
    }

    /// An adapter for `map_err`.
    pub(crate) fn error<E: Into<LayerReadError>>(&self) -> impl FnOnce(E) -> SnapshotError {
        let layer = self.descriptor.digest.clone();
        move |kind| SnapshotError::Layer { layer, kind: kind.into() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the layer is unpacked to: by itself where it can be, otherwise for the layers below it.
    pub(crate) fn folder_name(&self, whole: bool) -> String {
        let name = |digest: &Digest| format!("{}-{}", digest.algorithm().name(), digest.encoded());
        if whole { name(&self.diff_id) } else { format!("{}-on-{}", name(&self.diff_id), self.chain.short()) }
    }

    /// The unpacked layer, where it is unpacked.
    pub(crate) fn on_disk(&self) -> Result<Option<Arc<FolderSource>>, SnapshotError> {
        if let Some(disk) = &self.state().disk {
            return Ok(Some(Arc::clone(disk)));
        }
        for whole in [true, false] {
            if let Some(found) = self.shelf.find(&self.folder_name(whole))? {
                let disk = Arc::new(self.shelf.source(&found)?);
                self.state().disk = Some(Arc::clone(&disk));
                return Ok(Some(disk));
            }
        }
        Ok(None)
    }

    /// The unpacked layer; unpacks it first where it is not.
    pub(crate) fn unpacked(self: &Arc<Self>, events: &Events) -> Result<Arc<FolderSource>, SnapshotError> {
        if let Some(disk) = self.on_disk()? {
            return Ok(disk);
        }
        match unpack::start(self, events)? {
            None => self.found_again(),
            Some(pending) => self.complete(pending, events),
        }
    }

    /// Gives an unpacked layer what it takes from those below, and its name.
    fn complete(
        self: &Arc<Self>,
        pending: Pending,
        events: &Events,
    ) -> Result<Arc<FolderSource>, SnapshotError> {
        let mut sources = Vec::new();
        let mut below = self.below.clone();
        while let Some(layer) = below {
            sources.push(Source::Disk(layer.unpacked(events)?));
            below = layer.below.clone();
        }
        let draft = pending.borrow(self, &View::new(sources, events))?;
        self.shelf.adopt(draft, &self.folder_name(false))?;
        self.found_again()
    }

    fn found_again(&self) -> Result<Arc<FolderSource>, SnapshotError> {
        let missing = || SnapshotError::Missing(self.shelf.folder.join(self.folder_name(true)));
        self.on_disk()?.ok_or_else(missing)
    }

    /// What the layer holds, by its tar's headers.
    pub(crate) fn index(&self, events: &Events) -> Result<Arc<Index>, SnapshotError> {
        if let Some(index) = &self.state().index {
            return Ok(Arc::clone(index));
        }
        let file = self.index_file();
        let index = match std::fs::read(&file).ok().and_then(|bytes| Index::from_bytes(&bytes)) {
            Some(index) => {
                self.shelf.mark_used(&self.index_folder())?;
                index
            }
            None => self.make_index(events)?,
        };
        let index = Arc::new(index);
        self.state().index = Some(Arc::clone(&index));
        Ok(index)
    }

    fn index_folder(&self) -> PathBuf {
        self.shelf.store.cache_folder("layer-index").join(self.folder_name(true))
    }

    fn index_file(&self) -> PathBuf {
        self.index_folder().join("index")
    }

    fn make_index(&self, events: &Events) -> Result<Index, SnapshotError> {
        let mut tree = TarTree::new();
        let mut stream = TarStream::open(self, events)?;
        let mut read = || -> Result<(), LayerReadError> {
            let mut tar = entries(&mut stream);
            while let Some(entry) = tar.next_entry()? {
                let placed = tree.add(&entry)?;
                let is_held = |path: &Path| HELD.iter().any(|held| Path::new(held) == path);
                let is_small = entry.kind == TarKind::File && entry.size <= HELD_LIMIT && !entry.sparse;
                if placed.is_some_and(|placed| is_held(&placed.path)) && is_small {
                    let mut content = Vec::new();
                    let action =
                        |source| LayerReadError::Entry { action: "read", path: entry.path.clone(), source };
                    tar.content().read_to_end(&mut content).map_err(action)?;
                    tree.hold(entry.data_offset, content);
                }
            }
            Ok(())
        };
        let result = read().and_then(|()| stream.finish());
        events.check()?;
        result.map_err(self.error())?;
        let index = tree.finish();
        self.keep_index(&index)?;
        Ok(index)
    }

    /// Keeps an index for later views.
    pub(crate) fn keep_index(&self, index: &Index) -> Result<(), SnapshotError> {
        let (folder, file) = (self.index_folder(), self.index_file());
        create_folders(&folder)?;
        write_unsynced(&file, &index.to_bytes())?;
        self.shelf.mark_used(&folder)
    }

    /// The content of a regular file, out of the index or the tar. At most one byte more than `limit` is read.
    pub(crate) fn read(
        self: &Arc<Self>,
        path: &Path,
        limit: u64,
        events: &Events,
    ) -> Result<Vec<u8>, SnapshotError> {
        let index = self.index(events)?;
        let Some(RecordKind::File { size, offset, sparse }) = index.get(path).map(|record| &record.kind)
        else {
            return Err(SnapshotError::NotAFile(path.to_owned()));
        };
        if *sparse {
            // Its pieces would have to be put together, which unpacking does.
            let file = self.unpacked(events)?.open(path).map_err(SnapshotError::of("open", path))?;
            let mut content = Vec::new();
            let read = file.take(limit.saturating_add(1)).read_to_end(&mut content);
            return read.map(|_| content).map_err(SnapshotError::of("read", path));
        }
        if let Some(content) = index.held(*offset) {
            return Ok(content.to_vec());
        }
        let mut stream = TarStream::open(self, events)?;
        let mut read = || -> io::Result<Vec<u8>> {
            let passed = io::copy(&mut (&mut stream).take(*offset), &mut io::sink())?;
            let mut content = Vec::new();
            (&mut stream).take((*size).min(limit.saturating_add(1))).read_to_end(&mut content)?;
            if passed < *offset {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(content)
        };
        let entry = |source| LayerReadError::Entry { action: "read", path: path.to_owned(), source };
        let content = read().map_err(entry).map_err(self.error())?;
        stream.finish().map_err(self.error())?;
        Ok(content)
    }
}

/// Unpacks all of these that are not, several at once. They stand base first.
pub(crate) fn unpack_all(layers: &[Arc<ImageLayer>], events: &Events) -> Result<(), SnapshotError> {
    let mut missing: Vec<&Arc<ImageLayer>> = Vec::new();
    for layer in layers {
        // An image may have the same layer twice, as an empty one.
        if layer.on_disk()?.is_none() && missing.iter().all(|other| other.diff_id != layer.diff_id) {
            missing.push(layer);
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    for group in missing.chunks(threads) {
        let started: Vec<_> = std::thread::scope(|scope| {
            let run = |layer: &&Arc<ImageLayer>| {
                let layer = Arc::clone(layer);
                scope.spawn(move || unpack::start(&layer, events))
            };
            let running: Vec<_> = group.iter().map(run).collect();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for (layer, result) in group.iter().zip(started) {
            let died = |_| {
                SnapshotError::of("unpack", layer.shelf.folder.as_path())(io::Error::other("a thread died"))
            };
            if let Some(pending) = result.map_err(died)?? {
                layer.complete(pending, events)?;
            }
        }
    }
    for layer in layers {
        layer.unpacked(events)?;
    }
    Ok(())
}

/// What devices a layer holds that cannot be made here: how many, and the first.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(HashMap<PathBuf, NodeKind>);

impl LeftOut {
    pub(crate) fn add(&mut self, path: &Path, kind: &NodeKind) {
        self.0.insert(path.to_owned(), kind.clone());
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<&Path> {
        self.0.keys().min().map(PathBuf::as_path)
    }

    /// Says it, where there is anything to say.
    pub(crate) fn tell(&self, layer: &Digest, events: &Events) {
        if let Some(first) = self.first() {
            let (count, first) = (self.0.len(), first.display());
            events.warn(format!(
                "layer {} has {count} device files that cannot be made here, such as {first}: steps do not see them",
                layer.short()
            ));
        }
    }
}
