//! From what a step left behind to the difference it made.
//!
//! A mounted overlay leaves more than differences: files that were copied up and not changed, marks of its own, folders that are opaque
//! with nothing below them. Each is taken out, so that the same change gives the same difference whether it was made through an
//! overlay, in a copy of the tree, or without mounting anything. What counts as unchanged is what BuildKit's differ holds for it
//! (kind, mode, owner, attributes, time, size), and the content as well.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat};

use crate::beneath;
use crate::error::SnapshotError;
use crate::marks::Marks;
use crate::node::{Node, NodeKind};
use crate::owners::Owners;
use crate::source::FolderSource;
use crate::view::{Place, View};

/// Who made the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This room's writer: every mark in it is meant.
    Written,
    /// A step, through an overlay or in a copy.
    Run,
}

pub(crate) struct Normaliser<'a> {
    source: &'a FolderSource,
    below: &'a View,
    origin: Origin,
    /// The owners that the step left, where they are in a table.
    found: Option<Owners>,
    owners: Option<Owners>,
}

/// A folder that is being walked.
struct Level {
    path: PathBuf,
    /// The layers that show through; empty where none does.
    parts: Vec<usize>,
    names: std::vec::IntoIter<std::ffi::OsString>,
    /// Time before anything in it was removed.
    mtime: (i64, u32),
    kept: usize,
    changed: bool,
    redundant: bool,
}

impl<'a> Normaliser<'a> {
    pub(crate) fn new(
        source: &'a FolderSource,
        below: &'a View,
        origin: Origin,
        found: Option<Owners>,
        owners: Option<Owners>,
    ) -> Self {
        Normaliser { source, below, origin, found, owners }
    }

    /// The owners of what is left, where they are in a table.
    pub(crate) fn into_owners(self) -> Option<Owners> {
        self.owners
    }

    /// Walks the whole difference, folders after what is in them.
    pub(crate) fn run(&mut self) -> Result<(), SnapshotError> {
        let parts = self.below.root()?.to_vec();
        let root = self.source.tree.stat(Path::new("")).map_err(SnapshotError::of("look at", "/"))?;
        let Some(stat) = root else { return Ok(()) };
        self.clean_folder(Path::new(""), &parts)?;
        self.settle_owner(Path::new(""));
        let mut levels = vec![self.level(PathBuf::new(), parts, &stat, false)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                let Some(done) = levels.pop() else { break };
                self.leave(&done, levels.last_mut())?;
                continue;
            };
            let path = level.path.join(&name);
            if let Some(next) = self.visit(level, &path, &name)? {
                levels.push(next);
            }
        }
        Ok(())
    }

    fn level(
        &self,
        path: PathBuf,
        parts: Vec<usize>,
        stat: &Stat,
        redundant: bool,
    ) -> Result<Level, SnapshotError> {
        let names = self.source.tree.names(&path).map_err(SnapshotError::of("list", &path))?;
        let mut names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        names.sort();
        let mtime = crate::source::mtime(stat);
        Ok(Level { path, parts, names: names.into_iter(), mtime, kept: 0, changed: false, redundant })
    }

    /// Looks at one entry of a folder. A folder is returned, to be walked.
    fn visit(
        &mut self,
        level: &mut Level,
        path: &Path,
        name: &OsStr,
    ) -> Result<Option<Level>, SnapshotError> {
        let stat = self.source.tree.stat(path).map_err(SnapshotError::of("look at", path))?;
        let Some(stat) = stat else { return Ok(None) };
        let is_mark_file = self.source.marks == Marks::Files && crate::marks::is_reserved(name);
        if is_mark_file {
            level.kept += 1;
            return Ok(None);
        }
        let place =
            if level.parts.is_empty() { Place::Missing } else { self.below.step(&level.parts, path)? };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let goes = match kind {
            FileType::Socket => true,
            _ if self.source.marks.is_whiteout(&stat) => place == Place::Missing,
            FileType::Directory => return self.enter(path, &stat, &place).map(Some),
            _ => {
                self.clean_file(path, kind)?;
                self.settle_owner(path);
                self.is_unchanged(path, &place)?
            }
        };
        if goes {
            self.remove(path)?;
            level.changed = true;
        } else {
            level.kept += 1;
        }
        Ok(None)
    }

    fn enter(&mut self, path: &Path, stat: &Stat, place: &Place) -> Result<Level, SnapshotError> {
        let parts = match place {
            Place::Folder(parts) => parts.to_vec(),
            _ => Vec::new(),
        };
        let opaque = self.clean_folder(path, &parts)?;
        self.settle_owner(path);
        let redundant = !opaque && self.is_unchanged(path, place)?;
        self.level(path.to_owned(), if opaque { Vec::new() } else { parts }, stat, redundant)
    }

    /// A folder was walked: it goes where it says nothing.
    fn leave(&mut self, level: &Level, above: Option<&mut Level>) -> Result<(), SnapshotError> {
        let Some(above) = above else { return self.restore_time(level) };
        if level.kept == 0 && level.redundant {
            above.changed = true;
            return self.remove(&level.path);
        }
        above.kept += 1;
        self.restore_time(level)
    }

    fn restore_time(&self, level: &Level) -> Result<(), SnapshotError> {
        if !level.changed {
            return Ok(());
        }
        let folder = self.source.tree.listed(&level.path).map_err(SnapshotError::of("open", &level.path))?;
        rustix::fs::futimens(folder, &beneath::times(level.mtime))
            .map_err(SnapshotError::of("set the time of", &level.path))
    }

    fn remove(&mut self, path: &Path) -> Result<(), SnapshotError> {
        if let Some(owners) = &mut self.owners {
            owners.remove(path);
        }
        self.source.tree.remove(path).map_err(SnapshotError::of("remove", path))?;
        Ok(())
    }

    /// Takes an overlay's own attributes off a folder. Returns whether it is opaque, which it stays only where something would show.
    fn clean_folder(&self, path: &Path, parts: &[usize]) -> Result<bool, SnapshotError> {
        let marks = self.source.marks;
        let folder = self.source.tree.listed(path).map_err(SnapshotError::of("open", path))?;
        let mut opaque = marks.is_opaque(&folder).map_err(SnapshotError::of("look at", path))?;
        if opaque && parts.is_empty() && self.origin == Origin::Run {
            if let Some(name) = marks.attribute("opaque") {
                let removed = rustix::fs::fremovexattr(&folder, name.as_os_str());
                removed.map_err(SnapshotError::of("clean", path))?;
            }
            opaque = false;
        }
        self.clean(path, &folder)?;
        Ok(opaque)
    }

    fn clean_file(&self, path: &Path, kind: FileType) -> Result<(), SnapshotError> {
        if kind != FileType::RegularFile || self.origin == Origin::Written {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.source.tree.at(path, flags).map_err(SnapshotError::of("open", path))?;
        self.clean(path, &file)
    }

    fn clean(&self, path: &Path, node: &std::os::fd::OwnedFd) -> Result<(), SnapshotError> {
        let (Some(prefix), Some(opaque)) =
            (self.source.marks.attribute(""), self.source.marks.attribute("opaque"))
        else {
            return Ok(());
        };
        if self.origin == Origin::Written {
            return Ok(());
        }
        for name in beneath::attribute_names(node).map_err(SnapshotError::of("look at", path))? {
            let Some(own) = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes()) else { continue };
            if own == b"redirect" || own == b"metacopy" {
                return Err(SnapshotError::Redirect(path.to_owned()));
            }
            if name != opaque {
                rustix::fs::fremovexattr(node, name.as_os_str()).map_err(SnapshotError::of("clean", path))?;
            }
        }
        Ok(())
    }

    /// Notes whose a path is after the step.
    fn settle_owner(&mut self, path: &Path) {
        if let (Some(found), Some(owners)) = (&self.found, &mut self.owners) {
            owners.set(path, found.get(path));
        }
    }

    fn node(&self, path: &Path) -> Result<Option<Node>, SnapshotError> {
        let mut node = self.source.node(path).map_err(SnapshotError::of("look at", path))?;
        if let (Some(node), Some(owners)) = (&mut node, &self.owners) {
            (node.uid, node.gid) = owners.get(path);
        }
        Ok(node)
    }

    /// Whether the tree below already has this, with the same metadata and content.
    fn is_unchanged(&self, path: &Path, place: &Place) -> Result<bool, SnapshotError> {
        if *place == Place::Missing {
            return Ok(false);
        }
        let (Some(now), Some(before)) = (self.node(path)?, self.below.node(path, place)?) else {
            return Ok(false);
        };
        if now.kind != before.kind || now.metadata() != before.metadata() {
            return Ok(false);
        }
        match now.kind {
            NodeKind::File { size } if size > 0 => self.has_same_content(path, place),
            _ => Ok(true),
        }
    }

    fn has_same_content(&self, path: &Path, place: &Place) -> Result<bool, SnapshotError> {
        // Reading it would unpack its layer, which costs more than a file that need not be in the difference.
        let Some(before) = self.below.open_on_disk(path, place)? else { return Ok(false) };
        let now = self.source.open(path).map_err(SnapshotError::of("open", path))?;
        same_content(now, before).map_err(SnapshotError::of("read", path))
    }
}

/// Whether two files have the same bytes.
pub(crate) fn same_content(mut one: File, mut other: File) -> io::Result<bool> {
    let (mut first, mut second) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let count = one.read(&mut first)?;
        if count == 0 {
            return Ok(other.read(&mut second[..1])? == 0);
        }
        match other.read_exact(&mut second[..count]) {
            Ok(()) if first[..count] == second[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
