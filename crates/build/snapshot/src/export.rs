//! From a difference to a layer of an image.
//!
//! Entries stand as containerd's differ has them: folders before what is in them, names in order, the folders on the way to each change,
//! no entry for the root; marks of what is gone in the place of what they hide. A file with several names has its content with the first
//! and links for the others. The layer is written in one pass and remembered beside the snapshot, so that the next image with it costs
//! nothing.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_events::{Events, TaskKind};
use longshore_files::{AtomicFile, write_atomic};
use longshore_image::Sink;
use longshore_image::layer::{Entry, EntryKind, FORMAT, Layer, LayerBuilder, Timestamps};
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_oci::{Descriptor, Digest};
use longshore_store::Writer;
use serde::{Deserialize, Serialize};

use crate::error::SnapshotError;
use crate::marks::{self, Marks, OPAQUE, PREFIX};
use crate::node::{Node, NodeKind};
use crate::snapshots::Snapshot;
use crate::source::{FolderSource, Found};

/// How a layer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerOptions {
    /// What becomes of modification times.
    pub timestamps: Timestamps,
    /// Whose media type the layer has.
    pub format: ImageFormat,
    /// How it is compressed.
    pub compression: Compression,
}

impl LayerOptions {
    /// A file name of its own for each that gives other bytes or another media type.
    fn file_name(&self) -> String {
        let times = match self.timestamps {
            Timestamps::Fixed(time) => format!("fixed{time}"),
            Timestamps::Clamp(time) => format!("clamp{time}"),
            Timestamps::Keep => "keep".to_owned(),
        };
        format!("layer-{FORMAT}-{times}-{:?}-{:?}.json", self.format, self.compression).to_lowercase()
    }
}

/// A layer that was written, as it is remembered.
#[derive(Serialize, Deserialize)]
struct Remembered {
    descriptor: Descriptor,
    diff_id: Digest,
}

impl Remembered {
    fn of(layer: &Layer) -> Remembered {
        Remembered { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id.clone() }
    }

    fn write(&self, memory: &Path) -> Result<(), SnapshotError> {
        let json = serde_json::to_vec(self).map_err(io::Error::other);
        Ok(write_atomic(memory, &json.map_err(SnapshotError::of("write", memory))?)?)
    }
}

/// Notes beside a difference in the making which layer it is, so that it need not be written once more.
pub(crate) fn remember(folder: &Path, layer: &Layer, options: &LayerOptions) -> Result<(), SnapshotError> {
    Remembered::of(layer).write(&folder.join(options.file_name()))
}

impl Snapshot {
    /// Whether the difference says nothing at all.
    pub fn is_empty(&self) -> Result<bool, SnapshotError> {
        let names =
            self.source.tree.names(Path::new("")).map_err(SnapshotError::of("list", self.folder()))?;
        Ok(names.is_empty())
    }

    /// The difference as a layer, written into the store unless it is there.
    pub fn layer(
        &self,
        into: &Writer,
        options: &LayerOptions,
        events: &Events,
    ) -> Result<Layer, SnapshotError> {
        let memory = self.folder().join(options.file_name());
        if let Some(layer) = self.remembered(&memory, into)? {
            return Ok(layer);
        }
        let task = events.task(TaskKind::Work, format!("write layer of {}", &self.id().as_str()[..8]));
        let builder = LayerBuilder::compressed(into.blob()?, options.timestamps, options.compression)
            .map_err(SnapshotError::of("write", self.folder()))?;
        let mut export = Export { source: &self.source, builder, names: HashMap::new(), events };
        export.tree()?;
        let finished = export.builder.finish(options.format);
        let (layer, file) = finished.map_err(SnapshotError::of("write", self.folder()))?;
        into.adopt(file, &layer.descriptor.digest)?;
        let remembered = Remembered::of(&layer);
        remembered.write(&memory)?;
        task.done(layer.descriptor.digest.short());
        Ok(layer)
    }

    fn remembered(&self, memory: &Path, into: &Writer) -> Result<Option<Layer>, SnapshotError> {
        let bytes = match std::fs::read(memory) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SnapshotError::of("read", memory)(error)),
        };
        // What cannot be read was cut off, and is written again.
        let Ok(Remembered { descriptor, diff_id }) = serde_json::from_slice(&bytes) else { return Ok(None) };
        let there = into.has(&descriptor).map_err(io::Error::other);
        let there = there.map_err(SnapshotError::of("look for the layer of", self.folder()))?;
        Ok(there.then_some(Layer { descriptor, diff_id }))
    }
}

struct Export<'a> {
    source: &'a FolderSource,
    builder: LayerBuilder<AtomicFile>,
    /// The first names of files that have several.
    names: HashMap<(u64, u64), PathBuf>,
    events: &'a Events,
}

impl Export<'_> {
    fn tree(&mut self) -> Result<(), SnapshotError> {
        let root = self.source.find(Path::new("")).map_err(SnapshotError::of("look at", "/"))?;
        if let Some(Found::Folder { opaque: true, .. }) = root {
            self.mark(Path::new(OPAQUE))?;
        }
        let mut levels = vec![(PathBuf::new(), self.children(Path::new(""))?.into_iter())];
        while let Some((folder, names)) = levels.last_mut() {
            self.events.check()?;
            let Some((name, mark)) = names.next() else {
                levels.pop();
                continue;
            };
            let path = folder.join(&name);
            if mark {
                self.mark(&folder.join(marks::prefixed(&name)))?;
            } else if self.entry(&path)? {
                let below = self.children(&path)?.into_iter();
                levels.push((path, below));
            }
        }
        Ok(())
    }

    /// What is in a folder, by name, and whether it is gone.
    fn children(&self, folder: &Path) -> Result<Vec<(OsString, bool)>, SnapshotError> {
        let names = self.source.tree.names(folder).map_err(SnapshotError::of("list", folder))?;
        let mut children = Vec::with_capacity(names.len());
        for (name, _) in names {
            if self.source.marks != Marks::Files {
                if marks::is_reserved(&name) {
                    return Err(SnapshotError::Reserved(folder.join(name)));
                }
                children.push((name, false));
            } else if !marks::is_reserved(&name) {
                children.push((name, false));
            } else if name != OPAQUE {
                children.push((OsStr::from_bytes(&name.as_bytes()[PREFIX.len()..]).to_owned(), true));
            }
        }
        children.sort();
        Ok(children)
    }

    fn mark(&mut self, path: &Path) -> Result<(), SnapshotError> {
        Ok(self.builder.append_empty(&Entry::file(path, 0, 0))?)
    }

    /// Writes one entry. Returns whether it is a folder.
    fn entry(&mut self, path: &Path) -> Result<bool, SnapshotError> {
        let at = || SnapshotError::of::<io::Error>("look at", path);
        let opaque = match self.source.find(path).map_err(at())? {
            None => return Ok(false),
            Some(Found::Whiteout) => {
                let (folder, name) = crate::beneath::split(path);
                self.mark(&folder.join(marks::prefixed(name)))?;
                return Ok(false);
            }
            Some(Found::Folder { opaque, .. }) => opaque,
            Some(_) => false,
        };
        let Some(node) = self.source.node(path).map_err(at())? else { return Ok(false) };
        let mut entry = entry_of(path, &node);
        if let Some((_, device, inode)) = node.inode {
            match self.names.get(&(device, inode)) {
                Some(first) => {
                    entry.kind = EntryKind::Hardlink { target: first.clone() };
                    self.builder.append_empty(&entry)?;
                    return Ok(false);
                }
                None => {
                    self.names.insert((device, inode), path.to_owned());
                }
            }
        }
        match node.kind {
            NodeKind::File { .. } => {
                let mut file = self.source.open(path).map_err(SnapshotError::of("open", path))?;
                self.builder.append(&entry, &mut file)?;
            }
            _ => self.builder.append_empty(&entry)?,
        }
        if opaque {
            self.mark(&path.join(OPAQUE))?;
        }
        Ok(node.is_folder())
    }
}

/// A node as the entry of a tar.
pub(crate) fn entry_of(path: &Path, node: &Node) -> Entry {
    let kind = match &node.kind {
        NodeKind::File { size } => EntryKind::File { size: *size },
        NodeKind::Directory => EntryKind::Directory,
        NodeKind::Symlink(target) => EntryKind::Symlink { target: target.clone() },
        NodeKind::CharacterDevice(major, minor) => {
            EntryKind::CharacterDevice { major: *major, minor: *minor }
        }
        NodeKind::BlockDevice(major, minor) => EntryKind::BlockDevice { major: *major, minor: *minor },
        NodeKind::Fifo => EntryKind::Fifo,
    };
    // A pax record's key is UTF-8: an attribute whose name is not has no form in a tar.
    let name = |name: &OsString| name.to_str().map(str::to_owned);
    let xattrs = node.xattrs.iter().filter_map(|(key, value)| Some((name(key)?, value.clone())));
    Entry {
        path: path.to_owned(),
        kind,
        mode: node.mode,
        uid: u64::from(node.uid),
        gid: u64::from(node.gid),
        mtime: node.mtime.0,
        xattrs: xattrs.collect(),
    }
}
