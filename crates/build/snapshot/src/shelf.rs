//! Where snapshots stand on disk, and how they get there.
//!
//! ```text
//! cache/snapshots-root/NAME/   one finished difference or unpacked layer
//!     tree/        its files: a lower folder of overlays as it is
//!     owners       owners that cannot stand on disk
//!     checked      how much it holds
//!     complete     written last
//! cache/drafts-root/NAME/      one that is being made; `lock` is held by its process
//! ```
//!
//! A difference gets its name by a rename, so a kill leaves a draft and nothing else; drafts whose lock nobody holds are removed when
//! the snapshots are opened next. Nothing is synced, since all of it can be made again; `checked` tells what a power failure cut short.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use longshore_files::{Lock, create_folders, remove_tree};
use longshore_store::{Lease, Store};

use crate::beneath::Beneath;
use crate::error::SnapshotError;
use crate::marks::Marks;
use crate::owners::{Owners, TABLE};
use crate::snapshots::Ownership;
use crate::source::FolderSource;

const COMPLETE: &str = "complete";
const USED: &str = "last-used";
const LOCK: &str = "lock";

/// The folder of files in a snapshot's folder.
pub(crate) const TREE: &str = "tree";

/// A draft without a lock is one whose process is between two calls, unless it is this old.
const ABANDONED: Duration = Duration::from_secs(600);

/// The folders of one kind of ownership.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) store: Store,
    pub(crate) ownership: Ownership,
    pub(crate) overlay: bool,
    pub(crate) marks: Marks,
    pub(crate) kind: String,
    pub(crate) folder: PathBuf,
    drafts: PathBuf,
    next: AtomicU64,
    /// Nothing is pruned while anyone is at work.
    _lease: Lease,
}

/// A folder that is being filled. Dropped before it is adopted, it leaves nothing.
#[derive(Debug)]
pub(crate) struct DraftFolder {
    path: PathBuf,
    renamed: bool,
    _lock: Lock,
}

impl DraftFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.path.join(TREE)
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        // After a rename the path may be another process's, in a container that counts its processes alike.
        if !self.renamed {
            // What cannot be removed now is removed when the snapshots are opened next.
            let _ = remove_tree(&self.path);
        }
    }
}

impl Shelf {
    pub(crate) fn open(store: &Store, ownership: Ownership, overlay: bool) -> Result<Shelf, SnapshotError> {
        let kind = match ownership {
            Ownership::Root => "root",
            Ownership::UserNamespace => "user",
            Ownership::Recorded => "single",
        };
        // Marks are files there, which no overlay understands: the two never share a folder.
        let kind = if overlay { kind.to_owned() } else { format!("{kind}-copy") };
        let marks = match (overlay, ownership) {
            (false, _) => Marks::Files,
            (true, Ownership::Root) => Marks::Trusted,
            (true, _) => Marks::User,
        };
        let lease = store.lease()?;
        let folder = store.cache_folder(&format!("snapshots-{kind}"));
        let drafts = store.cache_folder(&format!("drafts-{kind}"));
        create_folders(&folder)?;
        create_folders(&drafts)?;
        let store = store.clone();
        let next = AtomicU64::new(0);
        let shelf = Shelf { store, ownership, overlay, marks, kind, folder, drafts, next, _lease: lease };
        shelf.remove_abandoned()?;
        Ok(shelf)
    }

    fn remove_abandoned(&self) -> Result<(), SnapshotError> {
        let entries = fs::read_dir(&self.drafts).map_err(SnapshotError::of("list", &self.drafts))?;
        for entry in entries {
            let path = entry.map_err(SnapshotError::of("list", &self.drafts))?.path();
            let lock = path.join(LOCK);
            // Held until it is removed: whoever has just made it waits for its own lock, and sees then that it is gone.
            let (has_lock, mut held) = (lock.exists(), None);
            let is_abandoned = if has_lock {
                held = Lock::try_exclusive(&lock).ok().flatten();
                held.is_some()
            } else {
                let age = fs::metadata(&path).and_then(|about| about.modified());
                age.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > ABANDONED))
            };
            if is_abandoned {
                remove_tree(&path)?;
            }
            drop(held);
        }
        Ok(())
    }

    /// The file whose time is that of the making of a finished folder.
    pub(crate) fn completion(folder: &Path) -> PathBuf {
        folder.join(COMPLETE)
    }

    /// Whether owners are numbers on disk as they are in the image.
    pub(crate) fn keeps_owners(&self) -> bool {
        self.ownership != Ownership::Recorded
    }

    /// A finished folder's path.
    pub(crate) fn find(&self, name: &str) -> Result<Option<PathBuf>, SnapshotError> {
        let path = self.folder.join(name);
        match fs::symlink_metadata(path.join(COMPLETE)) {
            Ok(_) if !crate::whole::is_whole(&path)? => Ok(None),
            Ok(_) => {
                self.mark_used(&path)?;
                Ok(Some(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SnapshotError::of("look at", path)(error)),
        }
    }

    /// The files of a finished folder.
    pub(crate) fn source(&self, path: &Path) -> Result<FolderSource, SnapshotError> {
        let tree = path.join(TREE);
        let owners = if self.keeps_owners() { None } else { Some(Owners::read(&path.join(TABLE))?) };
        let tree = Beneath::open(&tree).map_err(SnapshotError::of("open", &tree))?;
        Ok(FolderSource { tree, marks: self.marks, owners })
    }

    /// Notes that an item of the cache is in use. A store that is on a read-only disk is not written.
    pub(crate) fn mark_used(&self, folder: &Path) -> Result<(), SnapshotError> {
        let path = folder.join(USED);
        let stamped = File::options().write(true).create(true).truncate(false).open(&path);
        match stamped.and_then(|file| file.set_modified(SystemTime::now())) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            other => other.map_err(SnapshotError::of("write", &path)),
        }
    }

    /// A new folder to be filled, with an empty tree in it.
    pub(crate) fn draft(&self) -> Result<DraftFolder, SnapshotError> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.drafts.join(format!("{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                // A process before this one had the same number, and died.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(SnapshotError::of("create the folder", &path)(error)),
            }
            let lock = Lock::exclusive(&path.join(LOCK))?;
            if !path.join(LOCK).exists() {
                // Another process thought that nobody is at it.
                continue;
            }
            let draft = DraftFolder { path, renamed: false, _lock: lock };
            let tree = draft.tree();
            fs::create_dir(&tree).map_err(SnapshotError::of("create the folder", &tree))?;
            // It may become the root of a file system, which every user in it enters, whatever this process's mask is.
            fs::set_permissions(&tree, fs::Permissions::from_mode(0o755))
                .map_err(SnapshotError::of("create the folder", &tree))?;
            return Ok(draft);
        }
    }

    /// Waits until nobody else makes what is called `name`. The lock's file stays: removing one that others may wait for would give
    /// the lock twice.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, SnapshotError> {
        Ok(Lock::exclusive(&self.folder.join(format!(".{name}.lock")))?)
    }

    /// Gives a draft its name. Where another process was first, its folder stays. Returns the path.
    pub(crate) fn adopt(&self, draft: DraftFolder, name: &str) -> Result<PathBuf, SnapshotError> {
        self.adopt_made(draft, name, None)
    }

    /// Like [`Shelf::adopt`], for what was made at a time that is not now.
    pub(crate) fn adopt_made(
        &self,
        mut draft: DraftFolder,
        name: &str,
        made: Option<SystemTime>,
    ) -> Result<PathBuf, SnapshotError> {
        let path = self.folder.join(name);
        let inside = |name: &str| draft.path.join(name);
        crate::whole::note(&draft.path)?;
        let complete = File::create(inside(COMPLETE));
        let complete = complete.and_then(|file| made.map_or(Ok(()), |time| file.set_modified(time)));
        complete.map_err(SnapshotError::of("write", inside(COMPLETE)))?;
        File::create(inside(USED)).map_err(SnapshotError::of("write", inside(USED)))?;
        if fs::rename(&draft.path, &path).is_err() {
            if let Some(theirs) = self.find(name)? {
                return Ok(theirs);
            }
            self.clear_away(&path)?;
            fs::rename(&draft.path, &path).map_err(SnapshotError::of("rename to", &path))?;
        }
        draft.renamed = true;
        // Not before: a draft without it might be taken for one of a process that died.
        let lock = path.join(LOCK);
        fs::remove_file(&lock).map_err(SnapshotError::of("remove", &lock))?;
        Ok(path)
    }

    /// Takes a folder away that has a finished one's name and is not whole. By a rename, so that nobody finds half of it.
    fn clear_away(&self, path: &Path) -> Result<(), SnapshotError> {
        let away = self.draft()?;
        match fs::rename(path, away.path.join("damaged")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SnapshotError::of("move away", path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_of_a_process_at_work_is_not_taken_for_an_abandoned_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let open = || Shelf::open(&store, Ownership::Root, true);
        let shelf = open().unwrap();
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                for number in 0..500 {
                    let draft = shelf.draft().unwrap();
                    File::create(draft.tree().join("file")).unwrap();
                    let name = number.to_string();
                    let finished = shelf.adopt(draft, &name).unwrap();
                    assert!(finished.join(TREE).join("file").exists() && !finished.join(LOCK).exists());
                    assert_eq!(shelf.find(&name).unwrap(), Some(finished));
                }
            });
            while !work.is_finished() {
                open().unwrap();
            }
        });
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let shelf = Shelf::open(&store, Ownership::Root, true).unwrap();
        let (kept, left) = (shelf.draft().unwrap(), shelf.drafts.join("7-0"));
        create_folders(&left.join(TREE)).unwrap();
        File::create(left.join(LOCK)).unwrap();
        Shelf::open(&store, Ownership::Root, true).unwrap();
        assert!(kept.tree().is_dir() && !left.exists());
    }
}
