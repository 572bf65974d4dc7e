//! From a layer's tar to files on disk, in one pass.
//!
//! The tar is a stranger's. Its entries are placed by the tree that the index is made of; what is made is made in a folder that was opened
//! below the layer's own without following any link; and a layer gets its name when all of it is there, so that a full disk or a kill
//! leaves nothing half-made. Files get holes where they have zeros.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use longshore_events::{Events, TaskKind};
use longshore_image::layer::{TarEntry, TarKind, entries};
use rustix::fs::AtFlags;

use crate::beneath::{self, Beneath, split};
use crate::error::{LayerReadError, OWNER, SnapshotError};
use crate::image::{ImageLayer, LeftOut};
use crate::index::{Action, HELD, HELD_LIMIT, Index, Placed, RecordKind, TarTree};
use crate::marks::Marks;
use crate::node::{Metadata, NodeKind};
use crate::owners::{Owners, TABLE};
use crate::shelf::{DraftFolder, Shelf};
use crate::stream::TarStream;
use crate::view::View;

/// Zeros in a row that become a hole; a block of every file system there is.
const HOLE: usize = 4096;

/// An unpacked layer that needs something from those below it.
pub(crate) struct Pending {
    draft: DraftFolder,
    index: Index,
    owners: Option<Owners>,
}

/// Unpacks a layer. `None` where it is then there by its own name; otherwise it needs something from those below it.
///
/// No lock is held on return: what is pending would otherwise wait for layers that others hold while they wait for this one.
pub(crate) fn start(layer: &ImageLayer, events: &Events) -> Result<Option<Pending>, SnapshotError> {
    let _lock = layer.shelf.lock(&layer.folder_name(true))?;
    if layer.on_disk()?.is_some() {
        return Ok(None);
    }
    let task = events.task(TaskKind::Work, format!("unpack {}", layer.descriptor.digest.short()));
    let (pending, left_out) = fill(layer, events)?;
    left_out.tell(&layer.descriptor.digest, events);
    layer.keep_index(&pending.index)?;
    let pending = if pending.index.is_whole() {
        if let Some(owners) = &pending.owners {
            owners.write(&pending.draft.path().join(TABLE))?;
        }
        layer.shelf.adopt(pending.draft, &layer.folder_name(true))?;
        None
    } else {
        Some(pending)
    };
    task.done("");
    Ok(pending)
}

/// Unpacks a layer into a new draft. What it needs from those below it is still missing.
pub(crate) fn fill(layer: &ImageLayer, events: &Events) -> Result<(Pending, LeftOut), SnapshotError> {
    let draft = layer.shelf.draft()?;
    let mut unpacker = Unpacker::new(&layer.shelf, &draft)?;
    let mut stream = TarStream::open(layer, events)?;
    let result = unpacker.unpack(&mut stream).and_then(|()| stream.finish());
    events.check()?;
    result.map_err(layer.error())?;
    let (index, owners) = (unpacker.tree.finish(), unpacker.owners);
    set_folders(&unpacker.beneath, &index, owners.is_none()).map_err(layer.error())?;
    Ok((Pending { draft, index, owners }, unpacker.left_out))
}

impl Pending {
    /// Takes what the layer does not say itself from those below: the metadata of folders on the way to its files, and the files that
    /// its hard links lead to.
    pub(crate) fn borrow(mut self, layer: &ImageLayer, below: &View) -> Result<DraftFolder, SnapshotError> {
        let tree = Beneath::open(&self.draft.tree()).map_err(SnapshotError::of("open", self.draft.tree()))?;
        for record in self.index.records() {
            let path = crate::index::path(&record.path);
            if let RecordKind::Foreign(target) = &record.kind {
                let target = crate::index::path(target);
                let refuse = || LayerReadError::HardLink { path: path.clone(), target: target.clone() };
                let node = below.lookup(&target)?.filter(|node| !node.is_folder());
                let node = node.ok_or_else(refuse).map_err(layer.error())?;
                let owner = layer.shelf.keeps_owners().then_some((node.uid, node.gid));
                copy_node(&tree, &path, &node, owner, || below.open(&target))?;
                if let Some(owners) = &mut self.owners {
                    owners.set(&path, (node.uid, node.gid));
                }
            }
        }
        // Deepest first: what is made in a folder changes its time.
        for record in self.index.records().iter().rev() {
            if !matches!(record.kind, RecordKind::Directory { .. }) {
                continue;
            }
            let path = crate::index::path(&record.path);
            let mut metadata = record.metadata();
            if matches!(record.kind, RecordKind::Directory { implied: true, .. })
                && let Some(node) = below.lookup(&path)?.filter(crate::Node::is_folder)
            {
                metadata = node.metadata();
            }
            let owner = layer.shelf.keeps_owners().then_some((metadata.uid, metadata.gid));
            let set = tree.listed(&path).and_then(|folder| beneath::set_open(folder, &metadata, owner));
            set.map_err(SnapshotError::of("set the metadata of", &path))?;
            if let Some(owners) = &mut self.owners {
                owners.set(&path, (metadata.uid, metadata.gid));
            }
        }
        if let Some(owners) = &self.owners {
            owners.write(&self.draft.path().join(TABLE))?;
        }
        Ok(self.draft)
    }
}

/// Makes a copy of a node that is no folder. Nothing stands at `path`, and its folder is there.
pub(crate) fn copy_node(
    tree: &Beneath,
    path: &Path,
    node: &crate::Node,
    owner: Option<(u32, u32)>,
    open: impl FnOnce() -> Result<File, SnapshotError>,
) -> Result<(), SnapshotError> {
    let (folder, name) = split(path);
    let folder = tree.folder(folder).map_err(SnapshotError::of("open the folder of", path))?;
    if let NodeKind::File { .. } = node.kind {
        let source = open()?;
        let write = || -> io::Result<()> {
            let mut file = File::from(beneath::create(&folder, name, node.mode)?);
            crate::copy::copy_file(&source, &mut file)?;
            beneath::set_open(file, &node.metadata(), owner)
        };
        return write().map_err(SnapshotError::of("write", path));
    }
    let is_link = matches!(node.kind, NodeKind::Symlink(_));
    beneath::make(&folder, name, &node.kind).map_err(SnapshotError::of("create", path))?;
    beneath::set_named(&folder, name, &node.metadata(), owner, is_link)
        .map_err(SnapshotError::of("set the metadata of", path))
}

/// Gives all folders their metadata, deepest first, since what is made in a folder changes its time.
fn set_folders(tree: &Beneath, index: &Index, owners: bool) -> Result<(), LayerReadError> {
    for record in index.records().iter().rev() {
        if !matches!(record.kind, RecordKind::Directory { .. }) {
            continue;
        }
        let path = crate::index::path(&record.path);
        let owner = owners.then_some((record.uid, record.gid));
        let set = tree.listed(&path).and_then(|folder| beneath::set_open(folder, &record.metadata(), owner));
        set.map_err(|source| LayerReadError::Entry { action: "set the metadata of", path, source })?;
    }
    Ok(())
}

struct Unpacker {
    beneath: Beneath,
    marks: Marks,
    tree: TarTree,
    owners: Option<Owners>,
    /// The folder that was used last: entries come folder by folder.
    last: Option<(PathBuf, OwnedFd)>,
    left_out: LeftOut,
    buffer: Vec<u8>,
}

impl Unpacker {
    fn new(shelf: &Shelf, draft: &DraftFolder) -> Result<Unpacker, SnapshotError> {
        let tree = draft.tree();
        Ok(Unpacker {
            beneath: Beneath::open(&tree).map_err(SnapshotError::of("open", &tree))?,
            marks: shelf.marks,
            tree: TarTree::new(),
            owners: (!shelf.keeps_owners()).then(Owners::default),
            last: None,
            left_out: LeftOut::default(),
            buffer: vec![0; 64 * 1024],
        })
    }

    fn unpack(&mut self, stream: &mut TarStream) -> Result<(), LayerReadError> {
        let mut tar = entries(stream);
        while let Some(entry) = tar.next_entry()? {
            let Some(placed) = self.tree.add(&entry)? else { continue };
            let is_held = HELD.iter().any(|held| Path::new(held) == placed.path);
            if is_held && entry.kind == TarKind::File && entry.size <= HELD_LIMIT && !entry.sparse {
                let mut content = Vec::new();
                let read = tar.content().read_to_end(&mut content);
                read.map_err(entry_error("read", &placed.path))?;
                self.place(&entry, &placed, &mut content.as_slice())?;
                self.tree.hold(entry.data_offset, content);
            } else {
                self.place(&entry, &placed, &mut tar.content())?;
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        entry: &TarEntry,
        placed: &Placed,
        content: &mut dyn Read,
    ) -> Result<(), LayerReadError> {
        for path in &placed.remove {
            // The folder at hand may go with it.
            self.last = None;
            self.beneath.remove(path).map_err(entry_error("remove", path))?;
            let (folder, name) = split(path);
            if let Some(mark) = self.marks.whiteout_file(name) {
                self.beneath.remove(&folder.join(mark)).map_err(entry_error("remove the mark of", path))?;
            }
            if let Some(owners) = &mut self.owners {
                owners.remove(path);
            }
        }
        for path in &placed.implied {
            self.make(path, &NodeKind::Directory)?;
        }
        let opaque = !placed.remove.is_empty();
        match &placed.action {
            Action::Nothing | Action::Update => self.note_owner(entry, placed),
            Action::Opaque => self.set_opaque(&placed.path)?,
            Action::Whiteout => {
                let marks = self.marks;
                self.in_folder(&placed.path, "mark as removed", |folder, name| marks.whiteout(folder, name))?;
            }
            Action::Link(target) => self.link(&placed.path, target)?,
            // Made when the layers below are there.
            Action::Foreign(_) => {}
            Action::Make => {
                self.note_owner(entry, placed);
                self.make_entry(entry, &placed.path, content)?;
            }
        }
        // A folder in the place of something else: nothing shows through from below, as what it replaces would not have let it.
        if opaque {
            let replaced = placed.implied.iter().filter(|path| placed.remove.contains(path));
            for path in replaced {
                self.set_opaque(path)?;
            }
            if entry.kind == TarKind::Directory && placed.remove.contains(&placed.path) {
                self.set_opaque(&placed.path)?;
            }
        }
        Ok(())
    }

    fn note_owner(&mut self, entry: &TarEntry, placed: &Placed) {
        // The tree refused owners that have more bits.
        let number = |id: u64| u32::try_from(id).unwrap_or_default();
        if let Some(owners) = &mut self.owners {
            owners.set(&placed.path, (number(entry.uid), number(entry.gid)));
        }
    }

    fn in_folder<T>(
        &mut self,
        path: &Path,
        action: &'static str,
        run: impl FnOnce(&OwnedFd, &OsStr) -> io::Result<T>,
    ) -> Result<T, LayerReadError> {
        let (folder, name) = split(path);
        let folder = match &mut self.last {
            Some((last, open)) if last == folder => open,
            last => {
                let open = self.beneath.folder(folder).map_err(entry_error(action, path))?;
                &mut last.insert((folder.to_owned(), open)).1
            }
        };
        run(folder, name).map_err(entry_error(action, path))
    }

    fn make(&mut self, path: &Path, kind: &NodeKind) -> Result<(), LayerReadError> {
        self.in_folder(path, "create", |folder, name| beneath::make(folder, name, kind))
    }

    fn set_opaque(&mut self, path: &Path) -> Result<(), LayerReadError> {
        let set = self.beneath.listed(path).and_then(|folder| self.marks.set_opaque(folder));
        set.map_err(entry_error("make opaque", path))
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), LayerReadError> {
        let (above, file) = split(target);
        let above = self.beneath.folder(above).map_err(entry_error("link", target))?;
        if let Some(owners) = &mut self.owners {
            let owner = owners.get(target);
            owners.set(path, owner);
        }
        self.in_folder(path, "link", |folder, name| {
            Ok(rustix::fs::linkat(above, file, folder, name, AtFlags::empty())?)
        })
    }

    fn make_entry(
        &mut self,
        entry: &TarEntry,
        path: &Path,
        content: &mut dyn Read,
    ) -> Result<(), LayerReadError> {
        let metadata = metadata(entry);
        let owner = self.owners.is_none().then_some((metadata.uid, metadata.gid));
        let kind = match &entry.kind {
            // Folders get their metadata when all is in them.
            TarKind::Directory => return self.make(path, &NodeKind::Directory),
            TarKind::Symlink(target) => NodeKind::Symlink(target.clone()),
            TarKind::CharacterDevice(major, minor) => NodeKind::CharacterDevice(*major, *minor),
            TarKind::BlockDevice(major, minor) => NodeKind::BlockDevice(*major, *minor),
            TarKind::Fifo => NodeKind::Fifo,
            _ => {
                let mut buffer = std::mem::take(&mut self.buffer);
                let written = self.in_folder(path, "write", |folder, name| {
                    let mut file = File::from(beneath::create(folder, name, entry.mode)?);
                    write_content(&mut file, content, entry, &mut buffer)?;
                    Ok(file)
                });
                self.buffer = buffer;
                let file = written?;
                beneath::set_owner(&file, owner).map_err(entry_error(OWNER, path))?;
                return beneath::set_open(&file, &metadata, None)
                    .map_err(entry_error("set the metadata of", path));
            }
        };
        let is_device = matches!(kind, NodeKind::CharacterDevice(..) | NodeKind::BlockDevice(..));
        match self.make(path, &kind) {
            Err(LayerReadError::Entry { source, .. })
                if is_device && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                self.left_out.add(path, &kind);
                return Ok(());
            }
            other => other?,
        }
        let is_link = matches!(kind, NodeKind::Symlink(_));
        self.in_folder(path, OWNER, |folder, name| {
            beneath::set_named(folder, name, &metadata, owner, is_link)
        })
    }
}

fn entry_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LayerReadError {
    let path = path.to_owned();
    move |source| LayerReadError::Entry { action, path, source }
}

fn metadata(entry: &TarEntry) -> Metadata {
    // The tree refused owners that have more bits.
    let number = |id: u64| u32::try_from(id).unwrap_or_default();
    let name = |name: &String| std::ffi::OsString::from(name);
    Metadata {
        mode: entry.mode,
        uid: number(entry.uid),
        gid: number(entry.gid),
        mtime: (entry.mtime, entry.mtime_nanos),
        xattrs: entry.xattrs.iter().map(|(key, value)| (name(key), value.clone())).collect(),
    }
}

/// Writes the content of an entry. What the tar says is a hole is passed over, however large it is.
fn write_content(
    file: &mut File,
    content: &mut dyn Read,
    entry: &TarEntry,
    buffer: &mut [u8],
) -> io::Result<()> {
    if !entry.sparse {
        return write_with_holes(file, content, entry.size, buffer);
    }
    for piece in &entry.pieces {
        file.seek(SeekFrom::Start(piece.offset))?;
        write_with_holes(file, content, piece.length, buffer)?;
    }
    file.set_len(entry.size)
}

/// Writes `size` bytes; where zeros stand for a whole block the file has a hole.
pub(crate) fn write_with_holes(
    file: &mut File,
    content: &mut dyn Read,
    size: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut left = size;
    let mut hole = false;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        content.read_exact(&mut buffer[..most])?;
        left -= most as u64;
        // A small file is written at once; looking for zeros in it would gain nothing.
        if size < HOLE as u64 {
            file.write_all(&buffer[..most])?;
            continue;
        }
        let mut start = 0;
        while start < most {
            let is_hole = |block: &[u8]| block.len() == HOLE && block.iter().all(|byte| *byte == 0);
            let mut end = (start + HOLE).min(most);
            hole = is_hole(&buffer[start..end]);
            while end < most && is_hole(&buffer[end..(end + HOLE).min(most)]) == hole {
                end = (end + HOLE).min(most);
            }
            if hole {
                file.seek(SeekFrom::Current(i64::try_from(end - start).unwrap_or_default()))?;
            } else {
                file.write_all(&buffer[start..end])?;
            }
            start = end;
        }
    }
    if hole {
        let end = file.stream_position()?;
        file.set_len(end)?;
    }
    Ok(())
}
