//! A copy of the tree for a step to run in, where no overlay can be mounted, and what the step changed in it.
//!
//! What changed is told by inode and change time, which no program can set: a file that has both as they were when it was copied was not
//! touched. What was touched is moved into the difference, where it is compared with what was below, as after an overlay.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use longshore_events::{Events, TaskKind};
use longshore_files::remove_tree;
use rustix::fs::{AtFlags, FileType, Stat, StatxFlags};

use crate::beneath::{self, Beneath, split};
use crate::error::SnapshotError;
use crate::marks;
use crate::node::{Node, NodeKind};
use crate::shelf::Shelf;
use crate::source::FolderSource;
use crate::unpack::copy_node;
use crate::view::{Place, View};

/// Change times are as coarse as the kernel's clock tick: what was copied this shortly before the step began may have the time that a
/// change by the step would have.
const TICK: Duration = Duration::from_millis(20);

/// Inode of a folder, and when it was made: numbers are used again.
type Birth = (u64, i64, u32);

fn birth(folder: &OwnedFd) -> std::io::Result<Birth> {
    let about = rustix::fs::statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::BTIME)?;
    Ok((about.stx_ino, about.stx_btime.tv_sec, about.stx_btime.tv_nsec))
}

/// Inode and change time: seconds and nanoseconds.
type Stamp = (u64, i64, i64);

fn stamp(stat: &Stat) -> Stamp {
    (stat.st_ino, stat.st_ctime, stat.st_ctime_nsec.cast_signed())
}

/// A copy of a tree.
#[derive(Debug)]
pub(crate) struct Duplicate {
    folder: PathBuf,
    stamps: HashMap<PathBuf, Stamp>,
    folders: HashMap<PathBuf, Birth>,
    /// What has a later change time than this must be looked into.
    certain: (i64, i64),
}

impl Duplicate {
    /// Copies a tree to `folder`, which is not there yet: what is below, with what was written on top.
    pub(crate) fn make(
        folder: &Path,
        below: &View,
        written: &Arc<FolderSource>,
        shelf: &Shelf,
        events: &Events,
    ) -> Result<Duplicate, SnapshotError> {
        let view = &below.under(written);
        let task = events.task(TaskKind::Work, "copy the files of the step");
        fs::create_dir(folder).map_err(SnapshotError::of("create the folder", folder))?;
        let tree = Beneath::open(folder).map_err(SnapshotError::of("open", folder))?;
        let mut names: HashMap<(u64, u64, u64), PathBuf> = HashMap::new();
        let mut paths = Vec::new();
        let mut folders = vec![PathBuf::new()];
        let mut next = 0;
        while let Some(path) = folders.get(next).cloned() {
            next += 1;
            events.check()?;
            if !matches!(view.place(&path)?, Place::Folder(_)) {
                continue;
            }
            for (name, node) in view.list(&path)? {
                let path = path.join(name);
                copy_one(&tree, &path, &node, view, shelf, &mut names)?;
                if node.is_folder() {
                    folders.push(path);
                } else {
                    paths.push(path);
                }
            }
        }
        let mut births = HashMap::with_capacity(folders.len());
        for path in folders.iter().rev() {
            let Some(node) = view.node(path, &view.place(path)?)? else { continue };
            let owner = shelf.keeps_owners().then_some((node.uid, node.gid));
            let open = tree.listed(path).map_err(SnapshotError::of("open", path))?;
            births.insert(path.clone(), birth(&open).map_err(SnapshotError::of("look at", path))?);
            beneath::set_open(open, &node.metadata(), owner)
                .map_err(SnapshotError::of("set the metadata of", path))?;
        }
        paths.extend(folders);
        let mut stamps = HashMap::with_capacity(paths.len());
        for path in paths {
            // What a writer put into the difference before is a change, whether or not the step touches it.
            if written.find(&path).map_err(SnapshotError::of("look at", &path))?.is_some() {
                continue;
            }
            if let Some(stat) = tree.stat(&path).map_err(SnapshotError::of("look at", &path))? {
                stamps.insert(path, stamp(&stat));
            }
        }
        task.done("");
        Ok(Duplicate { folder: folder.to_owned(), stamps, folders: births, certain: certain() })
    }

    fn is_untouched(&self, path: &Path, stat: &Stat) -> bool {
        let stamp = stamp(stat);
        self.stamps.get(path) == Some(&stamp) && (stamp.1, stamp.2) < self.certain
    }

    /// Whether a folder was removed and another one made in its place.
    fn is_another(&self, path: &Path, folder: &OwnedFd) -> std::io::Result<bool> {
        let now = birth(folder)?;
        Ok(self.folders.get(path).is_some_and(|before| *before != now))
    }

    /// Moves what differs from `below` into `target`, and removes the rest.
    pub(crate) fn difference(self, target: &Path, below: &View, shelf: &Shelf) -> Result<(), SnapshotError> {
        let open = |path: &Path| Beneath::open(path).map_err(SnapshotError::of("open", path));
        let (from, to) = (open(&self.folder)?, open(target)?);
        // What a writer put there before the step ran is in the copy as well.
        for (name, _) in to.names(Path::new("")).map_err(SnapshotError::of("list", target))? {
            to.remove(Path::new(&name)).map_err(SnapshotError::of("remove", &name))?;
        }
        let mut walk = Walk { duplicate: &self, from, to, below, shelf, made: BTreeSet::new() };
        walk.run()?;
        remove_tree(&self.folder)?;
        Ok(())
    }
}

fn certain() -> (i64, i64) {
    let since =
        SystemTime::now().checked_sub(TICK).and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or((0, 0), |since| {
        (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
    })
}

fn copy_one(
    tree: &Beneath,
    path: &Path,
    node: &Node,
    view: &View,
    shelf: &Shelf,
    names: &mut HashMap<(u64, u64, u64), PathBuf>,
) -> Result<(), SnapshotError> {
    let (folder, name) = split(path);
    let folder = tree.folder(folder).map_err(SnapshotError::of("open", folder))?;
    if node.is_folder() {
        return beneath::make(folder, name, &NodeKind::Directory).map_err(SnapshotError::of("create", path));
    }
    if let Some(inode) = node.inode {
        if let Some(first) = names.get(&inode) {
            return link(tree, first, &folder, name).map_err(SnapshotError::of("link", path));
        }
        names.insert(inode, path.to_owned());
    }
    let owner = shelf.keeps_owners().then_some((node.uid, node.gid));
    copy_node(tree, path, node, owner, || view.open(path))
}

fn link(tree: &Beneath, first: &Path, folder: &OwnedFd, name: &OsStr) -> std::io::Result<()> {
    let (above, file) = split(first);
    Ok(rustix::fs::linkat(tree.folder(above)?, file, folder, name, AtFlags::empty())?)
}

struct Walk<'a> {
    duplicate: &'a Duplicate,
    from: Beneath,
    to: Beneath,
    below: &'a View,
    shelf: &'a Shelf,
    /// Folders that are in the difference, deepest last.
    made: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), SnapshotError> {
        let root = self.below.root()?.to_vec();
        let mut folders = vec![(PathBuf::new(), root)];
        let mut metadata = HashMap::new();
        self.made.insert(PathBuf::new());
        while let Some((folder, mut parts)) = folders.pop() {
            let stat = self.stat(&folder)?;
            let Some(stat) = stat else { continue };
            if !parts.is_empty() && self.is_another(&folder)? {
                self.make_opaque(&folder)?;
                parts.clear();
            }
            metadata.insert(folder.clone(), crate::source::mtime(&stat));
            if !self.duplicate.is_untouched(&folder, &stat) || parts.is_empty() {
                self.ensure(&folder)?;
            }
            let names = self.from.names(&folder).map_err(SnapshotError::of("list", &folder))?;
            let there: BTreeSet<_> = names.into_iter().map(|(name, _)| name).collect();
            for name in self.below.names(&parts, &folder)? {
                let path = folder.join(&name);
                let is_there = self.below.step(&parts, &path)? != Place::Missing;
                if is_there && !there.contains(&name) {
                    self.hide(&path)?;
                }
            }
            for name in there {
                let path = folder.join(&name);
                if marks::is_reserved(&name) {
                    return Err(SnapshotError::Reserved(path));
                }
                if let Some(parts) = self.visit(&path, &parts)? {
                    folders.push((path, parts));
                }
            }
        }
        let made = std::mem::take(&mut self.made);
        for folder in made.iter().rev() {
            self.finish_folder(folder, metadata.get(folder).copied())?;
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, SnapshotError> {
        self.from.stat(path).map_err(SnapshotError::of("look at", path))
    }

    /// Looks at one entry. For a folder, the layers below that have it.
    fn visit(&mut self, path: &Path, parts: &[usize]) -> Result<Option<Vec<usize>>, SnapshotError> {
        let Some(stat) = self.stat(path)? else { return Ok(None) };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let place = if parts.is_empty() { Place::Missing } else { self.below.step(parts, path)? };
                return Ok(Some(match place {
                    Place::Folder(parts) => parts.to_vec(),
                    _ => Vec::new(),
                }));
            }
            FileType::Socket => {}
            _ if self.duplicate.is_untouched(path, &stat) => {}
            _ => {
                let (folder, name) = split(path);
                self.ensure(folder)?;
                let from = self.from.folder(folder).map_err(SnapshotError::of("open", folder))?;
                let to = self.to.folder(folder).map_err(SnapshotError::of("open", folder))?;
                rustix::fs::renameat(from, name, to, name).map_err(SnapshotError::of("move", path))?;
            }
        }
        Ok(None)
    }

    fn hide(&mut self, path: &Path) -> Result<(), SnapshotError> {
        let (folder, name) = split(path);
        self.ensure(folder)?;
        let to = self.to.folder(folder).map_err(SnapshotError::of("open", folder))?;
        self.shelf.marks.whiteout(to, name).map_err(SnapshotError::of("mark as removed", path))
    }

    fn is_another(&self, folder: &Path) -> Result<bool, SnapshotError> {
        let open = self.from.listed(folder);
        let another = open.and_then(|open| self.duplicate.is_another(folder, &open));
        another.map_err(SnapshotError::of("look at", folder))
    }

    fn make_opaque(&mut self, folder: &Path) -> Result<(), SnapshotError> {
        self.ensure(folder)?;
        let to = self.to.listed(folder).map_err(SnapshotError::of("open", folder))?;
        self.shelf.marks.set_opaque(to).map_err(SnapshotError::of("mark as opaque", folder))
    }

    fn ensure(&mut self, folder: &Path) -> Result<(), SnapshotError> {
        let mut missing: Vec<&Path> =
            folder.ancestors().take_while(|above| !self.made.contains(*above)).collect();
        while let Some(path) = missing.pop() {
            let (above, name) = split(path);
            let above = self.to.folder(above).map_err(SnapshotError::of("open", above))?;
            beneath::make(above, name, &NodeKind::Directory).map_err(SnapshotError::of("create", path))?;
            self.made.insert(path.to_owned());
        }
        Ok(())
    }

    /// Gives a folder of the difference the metadata that it has in the copy, and the time it had before files were moved out of it.
    fn finish_folder(&self, path: &Path, mtime: Option<(i64, u32)>) -> Result<(), SnapshotError> {
        let look = || SnapshotError::of::<std::io::Error>("look at", path);
        let from = self.from.listed(path).map_err(look())?;
        let stat = rustix::fs::fstat(&from).map_err(std::io::Error::from).map_err(look())?;
        let metadata = crate::Metadata {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: mtime.unwrap_or_else(|| crate::source::mtime(&stat)),
            xattrs: beneath::xattrs(&from).map_err(look())?,
        };
        let owner = self.shelf.keeps_owners().then_some((metadata.uid, metadata.gid));
        let to = self.to.listed(path).map_err(look())?;
        beneath::set_open(to, &metadata, owner).map_err(SnapshotError::of("set the metadata of", path))
    }
}
