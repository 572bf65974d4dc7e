//! Putting what was selected where COPY or ADD want it.
//!
//! Follows what BuildKit's copier does: parents that are missing are made with mode 0755; a folder's content is copied, not the folder;
//! a file goes into a destination that is a folder and otherwise becomes it; what is there is replaced, but no folder by a file and no
//! file by a folder; folders that exist keep their files and take the source's mode and owner, the destination itself excepted.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use longshore_events::{Cancelled, Events};
use longshore_snapshot::{Metadata, NodeKind, Occupant, SnapshotError, Writer};

use crate::mode::ModeChange;
use crate::select::Selected;
use crate::tree::{FileNode, FileTree, TreeError, below_root};

/// Where to, and as whose.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// Path below the root, links not yet followed.
    pub(crate) path: PathBuf,
    /// Whether it was written as a folder, with a slash at its end.
    pub(crate) is_folder: bool,
    /// `--chown`, looked up.
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`
    pub(crate) mode: Option<ModeChange>,
    /// SOURCE_DATE_EPOCH: the time of folders that are made.
    pub(crate) time: Option<i64>,
    /// Time of folders that are made, in seconds since 1970.
    pub(crate) now: i64,
}

impl Destination {
    /// The root folder.
    pub(crate) fn root(now: i64) -> Destination {
        Destination { path: PathBuf::new(), is_folder: true, owner: None, mode: None, time: None, now }
    }
}

/// Files that could not be put where they should.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A folder is in the way of a file.
    #[error("cannot replace the folder /{} with a file", .0.display())]
    FolderInTheWay(PathBuf),
    /// A file is in the way of a folder.
    #[error("cannot copy a folder over /{}, which is none", .0.display())]
    NoFolder(PathBuf),
    /// The source cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The stage cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Writes selected files of one source tree into a stage.
pub(crate) struct Placer<'a, 'w> {
    pub(crate) tree: &'a dyn FileTree,
    pub(crate) writer: &'a mut Writer<'w>,
    pub(crate) to: &'a Destination,
    pub(crate) events: &'a Events,
    /// Names that files with several names got, by inode.
    links: HashMap<(u64, u64, u64), PathBuf>,
}

impl<'a, 'w> Placer<'a, 'w> {
    pub(crate) fn new(
        tree: &'a dyn FileTree,
        writer: &'a mut Writer<'w>,
        to: &'a Destination,
        events: &'a Events,
    ) -> Self {
        Placer { tree, writer, to, events, links: HashMap::new() }
    }

    /// The destination with its links followed, its parents made.
    pub(crate) fn prepare(&mut self) -> Result<PathBuf, PlaceError> {
        let ensured = if self.to.is_folder { Some(self.to.path.as_path()) } else { self.to.path.parent() };
        if let Some(folder) = ensured.filter(|folder| !folder.as_os_str().is_empty()) {
            let folder = below_root(&self.writer.resolve(folder)?);
            self.make_folders(&folder)?;
        }
        Ok(below_root(&self.writer.resolve(&self.to.path)?))
    }

    pub(crate) fn make_folders(&mut self, folder: &Path) -> Result<(), PlaceError> {
        if folder.as_os_str().is_empty() {
            return Ok(());
        }
        for place in folder.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !place.as_os_str().is_empty() && self.writer.occupant(place)? == Some(Occupant::Other) {
                return Err(PlaceError::NoFolder(place.to_owned()));
            }
        }
        let made = self.made();
        self.writer.create_folders(folder, made.mode, made.uid, made.gid, made.mtime)?;
        Ok(())
    }

    /// What folders are like that the destination lacks.
    fn made(&self) -> Metadata {
        let (uid, gid) = self.to.owner.unwrap_or((0, 0));
        let mode = match &self.to.mode {
            // As mkdir(2) is asked by BuildKit: without set-group-id and sticky bits.
            Some(ModeChange::Bits(bits)) => *bits & 0o777,
            _ => 0o755,
        };
        let mtime = (self.to.time.unwrap_or(self.to.now), 0);
        Metadata { mode, uid, gid, mtime, xattrs: BTreeMap::new() }
    }

    /// Puts one selected source at its place.
    pub(crate) fn place(&mut self, selected: &Selected) -> Result<(), PlaceError> {
        let was_there = self.writer.occupant(&below_root(&self.writer.resolve(&self.to.path)?))?.is_some();
        let mut target = self.prepare()?;
        let existing = self.writer.occupant(&target)?;
        if selected.node.is_folder() {
            match existing {
                Some(Occupant::Folder) if was_there => {}
                None | Some(Occupant::Folder) => self.new_folder(&target, selected)?,
                Some(_) => return Err(PlaceError::NoFolder(target)),
            }
            for item in &selected.items {
                self.events.check()?;
                let source = selected.place.join(&item.path);
                self.node(&source, &target.join(&item.path), &item.node, item.meant)?;
            }
            return Ok(());
        }
        if existing == Some(Occupant::Folder) {
            target.push(&selected.name);
        }
        if let Some(parent) = target.parent().map(Path::to_owned) {
            self.make_folders(&parent)?;
        }
        self.node(&selected.place, &target, &selected.node, true)
    }

    /// The folder that a copied one becomes where there was none. Of what the source's is like only the time is copied, and of a
    /// context's own folder nothing.
    fn new_folder(&mut self, target: &Path, selected: &Selected) -> Result<(), PlaceError> {
        if let Some(parent) = target.parent() {
            self.make_folders(parent)?;
        }
        let mut metadata = self.made();
        if !selected.place.as_os_str().is_empty() {
            metadata.mtime = selected.node.mtime;
        }
        Ok(self.writer.folder(target, &metadata)?)
    }

    fn node(&mut self, source: &Path, target: &Path, node: &FileNode, meant: bool) -> Result<(), PlaceError> {
        let existing = self.writer.occupant(target)?;
        let metadata = self.metadata(node);
        if node.is_folder() {
            return match existing {
                Some(Occupant::Folder) if !meant => Ok(()),
                Some(Occupant::Folder) | None => Ok(self.writer.folder(target, &metadata)?),
                Some(_) => Err(PlaceError::NoFolder(target.to_owned())),
            };
        }
        if existing == Some(Occupant::Folder) {
            return Err(PlaceError::FolderInTheWay(target.to_owned()));
        }
        if let Some(inode) = node.inode {
            if let Some(first) = self.links.get(&inode) {
                return Ok(self.writer.hard_link(target, first)?);
            }
            self.links.insert(inode, target.to_owned());
        }
        match &node.kind {
            NodeKind::File { .. } => {
                let file = self.tree.open(source)?;
                self.writer.file_from(target, &metadata, &file)?;
            }
            NodeKind::Symlink(link) => self.writer.symlink(target, link, &metadata)?,
            kind => self.writer.node(target, kind, &metadata)?,
        }
        Ok(())
    }

    fn metadata(&self, node: &FileNode) -> Metadata {
        let (uid, gid) = self.to.owner.unwrap_or((node.uid, node.gid));
        let mode = match &self.to.mode {
            Some(change) if !node.is_link() => change.apply(node.mode, node.is_folder()),
            _ => node.mode,
        };
        Metadata { mode, uid, gid, mtime: node.mtime, xattrs: node.xattrs.clone() }
    }
}
