//! A difference in the making.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_events::Events;
use longshore_files::remove_tree;

use crate::beneath::{self, Beneath};
use crate::chain::Chain;
use crate::duplicate::Duplicate;
use crate::error::SnapshotError;
use crate::id::SnapshotId;
use crate::node::Metadata;
use crate::normalise::{Normaliser, Origin};
use crate::owners::{Owners, TABLE};
use crate::shelf::{DraftFolder, Shelf};
use crate::snapshots::Snapshot;
use crate::source::FolderSource;
use crate::view::View;
use crate::writer::Writer;
use crate::written::Written;

const WORK: &str = "work";
const FOUND: &str = "found-owners";

/// A difference in the making. Dropped before [`Draft::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    shelf: Arc<Shelf>,
    parent: Chain,
    folder: DraftFolder,
    /// Whether the root of the tree has the metadata of the root below.
    has_root: bool,
    origin: Origin,
    duplicate: Option<Duplicate>,
    written: Written,
}

impl Draft {
    pub(crate) fn new(shelf: &Arc<Shelf>, parent: &Chain) -> Result<Draft, SnapshotError> {
        Ok(Draft {
            shelf: Arc::clone(shelf),
            parent: parent.clone(),
            folder: shelf.draft()?,
            has_root: false,
            origin: Origin::Written,
            duplicate: None,
            written: Written::with_owners((!shelf.keeps_owners()).then(Owners::default)),
        })
    }

    /// The root folder for a step that runs. All layers below are unpacked first, and [`Draft::owners_table`] is written.
    ///
    /// Where overlays can be mounted it is one; where they cannot, or there is nothing below, a folder. Whoever mounts the overlay
    /// must turn its redirects and its metadata-only copies off: layers have no form for them.
    pub fn root(&mut self, events: &Events) -> Result<longshore_sandbox::Root, SnapshotError> {
        let lower = self.parent.folders(events)?;
        let view = self.parent.view(events)?;
        self.take_root(&view)?;
        self.written.set_times(&self.source()?.tree)?;
        self.origin = Origin::Run;
        if let Some(table) = self.owners_table() {
            let written = Arc::new(self.source()?);
            Owners::merged(&view.under(&written))?.write(&table)?;
        }
        let upper = self.folder.tree();
        if self.shelf.overlay && lower.is_empty() {
            return Ok(longshore_sandbox::Root::Folder(upper));
        }
        if !self.shelf.overlay {
            let merged = self.folder.path().join("merged");
            let written = Arc::new(self.source()?);
            self.duplicate = Some(Duplicate::make(&merged, &view, &written, &self.shelf, events)?);
            return Ok(longshore_sandbox::Root::Folder(merged));
        }
        let work = self.folder.path().join(WORK);
        fs::create_dir_all(&work).map_err(SnapshotError::of("create the folder", &work))?;
        let user_xattr = self.shelf.marks == crate::marks::Marks::User;
        Ok(longshore_sandbox::Root::Overlay { lower, upper, work, user_xattr })
    }

    /// The file that names the owners of what a step finds, and that the sandbox brings up to date: `UID GID PATH` and a zero byte each, root's
    /// left out. `None` where owners are those on disk.
    pub fn owners_table(&self) -> Option<PathBuf> {
        (!self.shelf.keeps_owners()).then(|| self.folder.path().join(FOUND))
    }

    /// Writes into the difference as if into the tree, without mounting anything. `view` is the tree below: the parent's.
    pub fn writer(&mut self, view: View) -> Result<Writer<'_>, SnapshotError> {
        self.take_root(&view)?;
        let tree =
            Beneath::open(&self.folder.tree()).map_err(SnapshotError::of("open", self.folder.tree()))?;
        Ok(Writer::new(tree, self.shelf.marks, &mut self.written, view))
    }

    fn source(&self) -> Result<FolderSource, SnapshotError> {
        let tree = self.folder.tree();
        let tree = Beneath::open(&tree).map_err(SnapshotError::of("open", &tree))?;
        Ok(FolderSource { tree, marks: self.shelf.marks, owners: self.written.owners.clone() })
    }

    /// Gives the tree's root the metadata of the root below, which a mounted overlay would otherwise hide.
    fn take_root(&mut self, view: &View) -> Result<(), SnapshotError> {
        if self.has_root {
            return Ok(());
        }
        let metadata = match view.lookup(Path::new(""))? {
            Some(root) => root.metadata(),
            None => Metadata { mode: 0o755, ..Metadata::default() },
        };
        let owner = self.shelf.keeps_owners().then_some((metadata.uid, metadata.gid));
        if let Some(owners) = &mut self.written.owners {
            owners.set(Path::new(""), (metadata.uid, metadata.gid));
        }
        let tree = self.folder.tree();
        let open = File::open(&tree).and_then(|folder| beneath::set_open(folder, &metadata, owner));
        open.map_err(SnapshotError::of("set the metadata of", &tree))?;
        self.has_root = true;
        Ok(())
    }

    /// Gives up the difference and moves its files to `place`, on the same file system, where nothing may stand. For a draft on nothing:
    /// marks of what is gone would come with it.
    pub fn release(mut self, place: &Path) -> Result<(), SnapshotError> {
        let source = self.source()?;
        self.written.set_times(&source.tree)?;
        drop(source);
        fs::rename(self.folder.tree(), place).map_err(SnapshotError::of("move to", place))
    }

    /// Ends the difference and gives it its name: what is in it and is no difference is taken out, and a rename makes it visible to
    /// all. Where another process made the same one first, that is the result.
    pub fn commit(mut self, id: &SnapshotId) -> Result<Snapshot, SnapshotError> {
        let events = Events::silent();
        let view = self.parent.view(&events)?;
        self.take_root(&view)?;
        if let Some(duplicate) = self.duplicate.take() {
            duplicate.difference(&self.folder.tree(), &view, &self.shelf)?;
        }
        let found = match self.owners_table().filter(|_| self.origin == Origin::Run) {
            Some(table) => Some(Owners::read(&table)?),
            None => None,
        };
        let source = self.source()?;
        self.written.set_times(&source.tree)?;
        let mut normaliser = Normaliser::new(&source, &view, self.origin, found, self.written.owners.take());
        normaliser.run()?;
        if let Some(owners) = normaliser.into_owners() {
            owners.write(&self.folder.path().join(TABLE))?;
        }
        drop(source);
        remove_tree(&self.folder.path().join(WORK))?;
        let found = self.folder.path().join(FOUND);
        match fs::remove_file(&found) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SnapshotError::of("remove", found)(error));
            }
            _ => {}
        }
        let path = self.shelf.adopt(self.folder, id.as_str())?;
        Snapshot::new(&self.shelf, id, &path)
    }
}
