//! Writes into a difference as if into the tree that it will be part of.
//!
//! What a mounted overlay does in the kernel is done here with plain files: a folder that exists below is made in the difference with
//! the metadata it has there, what is removed leaves a mark if it exists below, and a folder in the place of something else is opaque.
//! Folders get their times at the end, since each thing that is made in one changes it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Stat};

use crate::beneath::{self, Beneath, below_root, split};
use crate::beside::Occupant;
use crate::copy::copy_file;
use crate::error::{OWNER, SnapshotError};
use crate::marks::{self, Marks};
use crate::node::{Metadata, NodeKind};
use crate::source::FolderSource;
use crate::unpack::copy_node;
use crate::view::{Place, View};
use crate::written::Written;

/// Writes into a difference as if into the tree.
///
/// Paths are below the root, with or without leading slash. Their folders must be there, and be folders: [`View::resolve`] follows
/// links. What stands at a path is replaced, except that a folder stays where a folder is written.
#[derive(Debug)]
pub struct Writer<'d> {
    tree: Beneath,
    marks: Marks,
    written: &'d mut Written,
    below: View,
    /// The folder that was used last: files come folder by folder.
    last: Option<(PathBuf, OwnedFd)>,
}

impl<'d> Writer<'d> {
    pub(crate) fn new(tree: Beneath, marks: Marks, written: &'d mut Written, below: View) -> Writer<'d> {
        Writer { tree, marks, written, below, last: None }
    }

    pub(crate) fn below(&self) -> &View {
        &self.below
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, SnapshotError> {
        self.tree.stat(path).map_err(SnapshotError::of("look at", path))
    }

    /// What was written at a path: nothing where it was not touched, `Some(None)` where what stood there is gone.
    pub(crate) fn written_at(&self, path: &Path) -> Result<Option<Option<Occupant>>, SnapshotError> {
        let stat = self.stat(path)?;
        Ok(stat.map(|stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Some(Occupant::Folder),
            _ if self.marks.is_whiteout(&stat) => None,
            _ => Some(Occupant::Other),
        }))
    }

    /// The tree with what was written up to now, and from now on.
    pub fn view(&self) -> Result<View, SnapshotError> {
        let path = self.tree.path();
        let tree = Beneath::open(path).map_err(SnapshotError::of("open", path))?;
        let source = FolderSource { tree, marks: self.marks, owners: self.written.owners.clone() };
        Ok(self.below.under(&Arc::new(source)))
    }

    /// Makes a folder and those above it that are missing, with this mode, owner and time. Links on the way are followed. Returns those
    /// that were made, the top one first.
    ///
    /// Errors: something on the way is no folder.
    pub fn create_folders(
        &mut self,
        path: &Path,
        mode: u32,
        uid: u32,
        gid: u32,
        mtime: (i64, u32),
    ) -> Result<Vec<PathBuf>, SnapshotError> {
        let path = below_root(path);
        if self.written.folders.contains_key(&path) {
            return Ok(Vec::new());
        }
        let view = self.view()?;
        let real = view.resolve(&path)?;
        let mut missing = Vec::new();
        for folder in real.ancestors() {
            match view.place(folder)? {
                Place::Folder(_) => break,
                Place::Missing => missing.push(folder.to_owned()),
                _ => return Err(SnapshotError::NotAFolder(folder.to_owned())),
            }
        }
        missing.reverse();
        let metadata = Metadata { mode, uid, gid, mtime, ..Metadata::default() };
        for folder in &missing {
            self.folder(folder, &metadata)?;
        }
        Ok(missing)
    }

    /// Makes a folder, or gives one that is there this metadata; what is in it stays.
    pub fn folder(&mut self, path: &Path, metadata: &Metadata) -> Result<(), SnapshotError> {
        let path = below_root(path);
        if path.as_os_str().is_empty() {
            return self.set_folder(&path, metadata);
        }
        if !self.written.folders.contains_key(&path) {
            self.make_folder(&path)?;
        }
        self.set_folder(&path, metadata)
    }

    /// Writes a file whose content a reader gives.
    pub fn file(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        content: &mut dyn Read,
    ) -> Result<(), SnapshotError> {
        self.write_file(path, metadata, |file| io::copy(content, file).map(drop))
    }

    /// Writes a file that has the content of another, which shares its blocks where the file system can.
    pub fn file_from(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        content: &File,
    ) -> Result<(), SnapshotError> {
        self.write_file(path, metadata, |file| copy_file(content, file))
    }

    /// Makes a symbolic link.
    pub fn symlink(&mut self, path: &Path, target: &Path, metadata: &Metadata) -> Result<(), SnapshotError> {
        self.node(path, &NodeKind::Symlink(target.to_owned()), metadata)
    }

    /// Makes a link, pipe, device, folder or empty file. Errors: devices cannot be made here.
    pub fn node(&mut self, path: &Path, kind: &NodeKind, metadata: &Metadata) -> Result<(), SnapshotError> {
        match kind {
            NodeKind::Directory => return self.folder(path, metadata),
            NodeKind::File { .. } => return self.file(path, metadata, &mut io::empty()),
            _ => {}
        }
        let path = below_root(path);
        self.place(&path, "create", |folder, name| beneath::make(folder, name, kind))?;
        self.set_named(&path, metadata, matches!(kind, NodeKind::Symlink(_)))
    }

    fn set_named(&mut self, path: &Path, metadata: &Metadata, is_link: bool) -> Result<(), SnapshotError> {
        let owner = self.written.set_owner(path, metadata);
        let (folder, name) = self.open_folder(path)?;
        beneath::set_named(folder, name, metadata, owner, is_link).map_err(SnapshotError::of(OWNER, path))
    }

    /// Makes another name of a file, link, pipe or device. Errors: `existing` is not there, or a folder.
    pub fn hard_link(&mut self, path: &Path, existing: &Path) -> Result<(), SnapshotError> {
        let (path, existing) = (below_root(path), below_root(existing));
        self.copy_up(&existing)?;
        if path == existing {
            return Ok(());
        }
        let (above, file) = split(&existing);
        let above = self.tree.folder(above).map_err(SnapshotError::of("link", &existing))?;
        self.place(&path, "link", |folder, name| {
            Ok(rustix::fs::linkat(&above, file, folder, name, AtFlags::empty())?)
        })?;
        if let Some(owners) = &mut self.written.owners {
            let owner = owners.get(&existing);
            owners.set(&path, owner);
        }
        Ok(())
    }

    /// Gives a file, link, pipe or device other metadata. Owners that are recorded, rather than on disk, are this name's alone.
    pub fn set_metadata(&mut self, path: &Path, metadata: &Metadata) -> Result<(), SnapshotError> {
        let path = below_root(path);
        self.copy_up(&path)?;
        let kind = self.stat(&path)?.map(|stat| FileType::from_raw_mode(stat.st_mode));
        self.set_named(&path, metadata, kind == Some(FileType::Symlink))
    }

    /// Removes what stands at a path, with all below it. Returns whether anything did.
    pub fn remove(&mut self, path: &Path) -> Result<bool, SnapshotError> {
        let path = below_root(path);
        if path.as_os_str().is_empty() {
            return Err(SnapshotError::NotAFile(path));
        }
        let was_written = self.remove_written(&path)?;
        let (above, name) = split(&path);
        let Some(parts) = self.parts(above)? else { return Ok(was_written) };
        if parts.is_empty() || self.below.step(&parts, &path)? == Place::Missing {
            return Ok(was_written);
        }
        self.ensure(above)?;
        let folder = self.tree.folder(above).map_err(SnapshotError::of("open", above))?;
        match self.marks.whiteout(&folder, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(was_written),
            other => other.map(|()| true).map_err(SnapshotError::of("mark as removed", &path)),
        }
    }

    /// Takes what stands at a path out of the difference, marks too. Returns whether it was more than a mark.
    fn remove_written(&mut self, path: &Path) -> Result<bool, SnapshotError> {
        self.last = None;
        let Some(stat) = self.stat(path)? else { return Ok(false) };
        if self.marks.is_whiteout(&stat) {
            return Ok(false);
        }
        self.tree.remove(path).map_err(SnapshotError::of("remove", path))?;
        self.written.forget(path);
        Ok(true)
    }

    /// The layers below that show through a folder of the tree; `None` where there is no such folder.
    pub(crate) fn parts(&self, folder: &Path) -> Result<Option<Vec<usize>>, SnapshotError> {
        let mut unknown = Vec::new();
        let mut parts = None;
        for above in folder.ancestors() {
            parts = self.written.folders.get(above).cloned();
            if parts.is_some() {
                break;
            }
            unknown.push(above);
        }
        let mut parts = match parts {
            Some(parts) => parts,
            None => {
                unknown.pop();
                self.below.root()?.to_vec()
            }
        };
        while let Some(path) = unknown.pop() {
            let written = self.stat(path)?;
            match written.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
                Some(FileType::Directory) | None => {}
                Some(_) => return Ok(None),
            }
            match self.below.step(&parts, path)? {
                Place::Folder(found) => parts = found.to_vec(),
                _ if written.is_some() => parts = Vec::new(),
                _ => return Ok(None),
            }
        }
        Ok(Some(parts))
    }

    /// Sees to it that a folder of the tree is in the difference.
    fn ensure(&mut self, folder: &Path) -> Result<(), SnapshotError> {
        let mut missing: Vec<&Path> = Vec::new();
        for above in folder.ancestors() {
            if self.written.folders.contains_key(above) {
                break;
            }
            missing.push(above);
        }
        while let Some(path) = missing.pop() {
            self.ensure_one(path)?;
        }
        Ok(())
    }

    fn ensure_one(&mut self, path: &Path) -> Result<(), SnapshotError> {
        if path.as_os_str().is_empty() {
            let root = self.below.root()?.to_vec();
            self.keep_time(path)?;
            self.written.folders.insert(PathBuf::new(), root);
            return Ok(());
        }
        let (above, name) = split(path);
        let parts = self.written.folders.get(above).cloned().unwrap_or_default();
        let place = if parts.is_empty() { Place::Missing } else { self.below.step(&parts, path)? };
        if let Some(stat) = self.stat(path)? {
            return match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.take_folder(path, &place),
                _ if self.marks.is_whiteout(&stat) => Err(SnapshotError::Missing(path.to_owned())),
                _ => Err(SnapshotError::NotAFolder(path.to_owned())),
            };
        }
        match &place {
            Place::Folder(parts) => {
                let node = self.below.node(path, &place)?;
                let metadata = node.map(|node| node.metadata()).unwrap_or_default();
                let folder = self.tree.folder(above).map_err(SnapshotError::of("open", above))?;
                beneath::make(&folder, name, &NodeKind::Directory)
                    .map_err(SnapshotError::of("create the folder", path))?;
                self.written.folders.insert(path.to_owned(), parts.to_vec());
                self.set_folder(path, &metadata)
            }
            Place::Missing => Err(SnapshotError::Missing(path.to_owned())),
            _ => Err(SnapshotError::NotAFolder(path.to_owned())),
        }
    }

    /// A folder that a step left in the difference.
    fn take_folder(&mut self, path: &Path, place: &Place) -> Result<(), SnapshotError> {
        let folder = self.tree.listed(path).map_err(SnapshotError::of("open", path))?;
        let opaque = self.marks.is_opaque(folder).map_err(SnapshotError::of("look at", path))?;
        let parts = match place {
            Place::Folder(parts) if !opaque => parts.to_vec(),
            _ => Vec::new(),
        };
        self.keep_time(path)?;
        self.written.folders.insert(path.to_owned(), parts);
        Ok(())
    }

    /// A folder that is there gets the time it has now again at the end.
    fn keep_time(&mut self, path: &Path) -> Result<(), SnapshotError> {
        if let Some(stat) = self.stat(path)? {
            self.written.times.entry(path.to_owned()).or_insert(crate::source::mtime(&stat));
        }
        Ok(())
    }

    /// Makes a folder that is not in the difference.
    fn make_folder(&mut self, path: &Path) -> Result<(), SnapshotError> {
        let (above, name) = split(path);
        if marks::is_reserved(name) {
            return Err(SnapshotError::Reserved(path.to_owned()));
        }
        self.ensure(above)?;
        let parts = self.written.folders.get(above).cloned().unwrap_or_default();
        let place = if parts.is_empty() { Place::Missing } else { self.below.step(&parts, path)? };
        let stat = self.stat(path)?;
        if stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            return self.take_folder(path, &place);
        }
        let mut replaces = stat.is_some();
        if replaces {
            self.last = None;
            self.tree.remove(path).map_err(SnapshotError::of("remove", path))?;
            self.written.forget(path);
        }
        replaces |= self.remove_mark(path)?;
        let folder = self.tree.folder(above).map_err(SnapshotError::of("open", above))?;
        beneath::make(&folder, name, &NodeKind::Directory).map_err(SnapshotError::of("create", path))?;
        let parts = match place {
            Place::Folder(parts) if !replaces => parts.to_vec(),
            Place::Folder(_) => {
                let made = self.tree.listed(path).map_err(SnapshotError::of("open", path))?;
                self.marks.set_opaque(made).map_err(SnapshotError::of("make opaque", path))?;
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.written.folders.insert(path.to_owned(), parts);
        Ok(())
    }

    /// Removes the file that says that a path is gone, where marks are files.
    fn remove_mark(&self, path: &Path) -> Result<bool, SnapshotError> {
        let (folder, name) = split(path);
        match self.marks.whiteout_file(name) {
            Some(mark) => {
                self.tree.remove(&folder.join(mark)).map_err(SnapshotError::of("remove the mark of", path))
            }
            None => Ok(false),
        }
    }

    fn set_folder(&mut self, path: &Path, metadata: &Metadata) -> Result<(), SnapshotError> {
        let owner = self.written.set_owner(path, metadata);
        let folder = self.tree.listed(path).map_err(SnapshotError::of("open", path))?;
        beneath::set_owner(&folder, owner).map_err(SnapshotError::of(OWNER, path))?;
        let set = beneath::remove_xattrs(&folder, metadata)
            .and_then(|()| beneath::set_open(folder, metadata, None));
        set.map_err(SnapshotError::of("set the metadata of", path))?;
        self.written.times.insert(path.to_owned(), metadata.mtime);
        Ok(())
    }

    fn write_file(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), SnapshotError> {
        let path = below_root(path);
        let file =
            self.place(&path, "create", |folder, name| beneath::create(folder, name, metadata.mode))?;
        let mut file = File::from(file);
        fill(&mut file).map_err(SnapshotError::of("write", &path))?;
        let owner = self.written.set_owner(&path, metadata);
        beneath::set_owner(&file, owner).map_err(SnapshotError::of(OWNER, &path))?;
        beneath::set_open(&file, metadata, None).map_err(SnapshotError::of("set the metadata of", &path))
    }

    /// The open folder that a path is in, in the difference, and the path's name.
    fn open_folder<'p>(&mut self, path: &'p Path) -> Result<(&OwnedFd, &'p OsStr), SnapshotError> {
        let (folder, name) = split(path);
        let known = self.last.as_ref().is_some_and(|(last, _)| last == folder);
        if !known {
            self.ensure(folder)?;
            let open = self.tree.folder(folder).map_err(SnapshotError::of("open", folder))?;
            self.last = Some((folder.to_owned(), open));
        }
        match &self.last {
            Some((_, open)) => Ok((open, name)),
            None => Err(SnapshotError::Missing(folder.to_owned())),
        }
    }

    /// Makes something new at a path, in the place of what is there.
    fn place<T>(
        &mut self,
        path: &Path,
        action: &'static str,
        make: impl Fn(&OwnedFd, &OsStr) -> io::Result<T>,
    ) -> Result<T, SnapshotError> {
        if path.file_name().is_none_or(marks::is_reserved) {
            return Err(SnapshotError::Reserved(path.to_owned()));
        }
        self.remove_mark(path)?;
        let (folder, name) = self.open_folder(path)?;
        match make(folder, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map_err(SnapshotError::of(action, path)),
        }
        self.last = None;
        self.tree.remove(path).map_err(SnapshotError::of("remove", path))?;
        self.written.forget(path);
        let (folder, name) = self.open_folder(path)?;
        make(folder, name).map_err(SnapshotError::of(action, path))
    }

    /// Sees to it that a file of the tree is in the difference.
    fn copy_up(&mut self, path: &Path) -> Result<(), SnapshotError> {
        if let Some(stat) = self.stat(path)? {
            return match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Err(SnapshotError::NotAFile(path.to_owned())),
                _ if self.marks.is_whiteout(&stat) => Err(SnapshotError::Missing(path.to_owned())),
                _ => Ok(()),
            };
        }
        let (above, _) = split(path);
        let parts = self.parts(above)?.unwrap_or_default();
        let place = self.below.step(&parts, path)?;
        let node = self.below.node(path, &place)?;
        let node = node.ok_or_else(|| SnapshotError::Missing(path.to_owned()))?;
        if node.is_folder() {
            return Err(SnapshotError::NotAFile(path.to_owned()));
        }
        self.ensure(above)?;
        let owner = self.written.set_owner(path, &node.metadata());
        copy_node(&self.tree, path, &node, owner, || self.below.open(path))
    }
}
