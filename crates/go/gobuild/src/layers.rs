//! The layers of an image, each written once and remembered by what it is made of.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_files::FileError;
use longshore_image::Sink;
use longshore_image::layer::{Entry, FORMAT, Layer, LayerBuilder, LayerError, LayerErrorKind, Timestamps};
use longshore_oci::Descriptor;
use longshore_oci::media_type::ImageFormat;
use longshore_store::Writer;
use serde::{Deserialize, Serialize};

use crate::assets::Assets;
use crate::base::{BaseFile, Tree};
use crate::error::BuildError;
use crate::memory::{Key, Memory, Recalled, Watch};

/// What writes layers: into which store, at what time, in which format.
pub(crate) struct Layers<'a> {
    pub(crate) writer: &'a Writer,
    pub(crate) memory: &'a Memory,
    pub(crate) format: ImageFormat,
    /// The time of every file, in seconds since 1970.
    pub(crate) time: i64,
    pub(crate) events: &'a Events,
}

/// One entry to write: its place and mode, and where its content is.
struct Item {
    entry: Entry,
    content: Content,
}

enum Content {
    None,
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A layer as it is remembered.
#[derive(Serialize, Deserialize)]
struct Remembered {
    descriptor: Descriptor,
    diff_id: longshore_oci::Digest,
}

impl Layers<'_> {
    /// A layer of a base's own files.
    pub(crate) fn of_base(&self, files: &[BaseFile], tree: &Tree) -> Result<Layer, BuildError> {
        let mut items = Vec::new();
        let mut folders = BTreeSet::new();
        for file in files {
            let place = tree.place(file.path());
            match file {
                BaseFile::Folder(_, mode, owner) => {
                    if folders.insert(place.clone()) && !tree.has_folder(&place) {
                        let entry = Entry::directory(place, *mode).owned_by(*owner, *owner);
                        items.push(Item { entry, content: Content::None });
                    }
                }
                BaseFile::File(_, bytes) => {
                    push_parents(&place, tree, &mut folders, &mut items);
                    let entry = Entry::file(place, 0o644, bytes.len() as u64);
                    items.push(Item { entry, content: Content::Bytes(bytes.clone()) });
                }
            }
        }
        self.write(&items)
    }

    /// The layer of files that go in beside the program.
    pub(crate) fn of_assets(&self, assets: &Assets, tree: &Tree) -> Result<Layer, BuildError> {
        let mut items = Vec::new();
        let mut folders = BTreeSet::new();
        for (path, asset) in &assets.files {
            let place = tree.place(path);
            push_parents(&place, tree, &mut folders, &mut items);
            let entry = Entry::file(place, asset.mode, asset.size);
            items.push(Item { entry, content: Content::File(asset.source.clone()) });
        }
        self.write(&items)
    }

    /// The layer of the program: `place`, mode 0555, root's.
    pub(crate) fn of_program(
        &self,
        program: &Path,
        size: u64,
        place: &Path,
        tree: &Tree,
    ) -> Result<Layer, BuildError> {
        let mut items = Vec::new();
        let place = tree.place(place);
        push_parents(&place, tree, &mut BTreeSet::new(), &mut items);
        let entry = Entry::file(place, 0o555, size);
        items.push(Item { entry, content: Content::File(program.to_owned()) });
        self.write(&items)
    }

    /// The layer of a program that longshore brings: `place`, mode 0555, root's.
    pub(crate) fn of_own_program(
        &self,
        bytes: &[u8],
        place: &Path,
        tree: &Tree,
    ) -> Result<Layer, BuildError> {
        let mut items = Vec::new();
        let place = tree.place(place);
        push_parents(&place, tree, &mut BTreeSet::new(), &mut items);
        let entry = Entry::file(place, 0o555, bytes.len() as u64);
        items.push(Item { entry, content: Content::Bytes(bytes.to_owned()) });
        self.write(&items)
    }

    fn write(&self, items: &[Item]) -> Result<Layer, BuildError> {
        let key = self.key(items)?;
        if let Recalled::Valid(value) = self.memory.recall(&key)
            && let Ok(known) = serde_json::from_slice::<Remembered>(&value)
            && self.writer.has(&known.descriptor)?
        {
            return Ok(Layer { descriptor: known.descriptor, diff_id: known.diff_id });
        }
        let layer = self.compress(items)?;
        let known = Remembered { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id.clone() };
        if let Ok(value) = serde_json::to_vec(&known)
            && let Ok(record) = Watch::since(longshore_files::FileInstant::now()).into_record(value)
        {
            // A layer that cannot be remembered is compressed again, no more.
            let _ = self.memory.remember(&key, &record);
        }
        Ok(layer)
    }

    fn compress(&self, items: &[Item]) -> Result<Layer, BuildError> {
        let mut builder = LayerBuilder::new(self.writer.blob()?, Timestamps::Fixed(self.time));
        for Item { entry, content } in items {
            self.events.check()?;
            match content {
                Content::None => builder.append_empty(entry)?,
                Content::Bytes(bytes) => builder.append(entry, &mut bytes.as_slice())?,
                Content::File(path) => {
                    let file = File::open(path).map_err(FileError::of("read", path))?;
                    let mut stoppable = Stoppable { inner: file, events: self.events };
                    let written = builder.append(entry, &mut stoppable);
                    self.events.check()?;
                    written?;
                }
            }
        }
        let failed =
            |kind: io::Error| LayerError { path: PathBuf::from("."), kind: LayerErrorKind::Io(kind) };
        let (layer, blob) = builder.finish(self.format).map_err(failed)?;
        self.writer.adopt(blob, &layer.descriptor.digest)?;
        Ok(layer)
    }

    /// Everything that a layer's bytes depend on, file contents included.
    fn key(&self, items: &[Item]) -> Result<Key, BuildError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("layer {FORMAT} {:?} {}\n", self.format, self.time).as_bytes());
        for Item { entry, content } in items {
            hasher.update(format!("{entry:?}\n").as_bytes());
            match content {
                Content::None => {}
                Content::Bytes(bytes) => {
                    hasher.update(bytes);
                }
                Content::File(path) => {
                    let file = File::open(path).map_err(FileError::of("read", path))?;
                    hasher.update_reader(file).map_err(FileError::of("read", path))?;
                }
            }
        }
        Ok(Key::of([hasher.finalize().as_bytes().as_slice()]))
    }
}

/// The folders above `place` that neither the base nor this layer has yet.
fn push_parents(place: &Path, tree: &Tree, folders: &mut BTreeSet<PathBuf>, items: &mut Vec<Item>) {
    let mut parents: Vec<&Path> =
        place.ancestors().skip(1).filter(|parent| *parent != Path::new("")).collect();
    parents.reverse();
    for parent in parents {
        if !tree.has_folder(parent) && folders.insert(parent.to_owned()) {
            items.push(Item { entry: Entry::directory(parent, 0o755), content: Content::None });
        }
    }
}

/// A reader that ends early once the work was asked to stop; whoever reads asks why afterwards.
struct Stoppable<'a> {
    inner: File,
    events: &'a Events,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.events.is_cancelled() { Ok(0) } else { self.inner.read(buffer) }
    }
}
