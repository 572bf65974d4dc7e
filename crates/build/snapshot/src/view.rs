//! The tree that layers make together, read without mounting anything.
//!
//! The rules are the kernel's overlay's, so that what is seen here is what a step sees: the top layer that says something of a
//! path counts; folders of several layers are one, down to an opaque one; nothing shows through what is no folder. Links are
//! followed inside the root: an absolute one, and `..` above the root, stay in it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_events::Events;

use crate::error::SnapshotError;
use crate::image::ImageLayer;
use crate::index::Index;
use crate::node::Node;
use crate::source::{FolderSource, Found, Listed};

/// Links that are followed on the way to one path; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// Folders that are remembered. Beyond it all are forgotten, and looked up again.
const MAX_FOLDERS: usize = 8192;

/// One layer of a view.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// On disk.
    Disk(Arc<FolderSource>),
    /// In an image, not unpacked when the view was made: the index of its tar answers.
    Image(Arc<ImageLayer>),
}

/// A merged tree, read-only. Cheap to clone.
///
/// Paths are below its root, with or without leading slash, and never leave it.
#[derive(Debug, Clone)]
pub struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The top one first.
    sources: Vec<Source>,
    events: Events,
    /// Layers that have a part in a folder, by the folder's path. `None` where the top layer is still being written.
    folders: Option<Mutex<HashMap<PathBuf, Parts>>>,
}

/// Numbers of the layers that make a folder, the top one first.
pub(crate) type Parts = Arc<[usize]>;

/// What stands at a path that has no link on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Missing,
    Folder(Parts),
    Symlink(usize),
    Foreign(usize, PathBuf),
    Other(usize),
}

impl View {
    pub(crate) fn new(sources: Vec<Source>, events: &Events) -> View {
        let folders = Some(Mutex::default());
        View(Arc::new(Inner { sources, events: events.clone(), folders }))
    }

    /// The view with another layer on top that is still being written.
    pub(crate) fn under(&self, top: &Arc<FolderSource>) -> View {
        let mut sources = vec![Source::Disk(Arc::clone(top))];
        sources.extend(self.0.sources.iter().cloned());
        View(Arc::new(Inner { sources, events: self.0.events.clone(), folders: None }))
    }

    /// What stands at `path`; `None` where nothing does. A link at its end is not followed, those on the way are.
    ///
    /// Errors: links lead to links without end, or a layer cannot be read.
    pub fn lookup(&self, path: &Path) -> Result<Option<Node>, SnapshotError> {
        let (path, place) = self.walk(path, false)?;
        self.node(&path, &place)
    }

    /// Where `path` leads when all links are followed, the last one too, whether or not anything is there. Relative to the root.
    ///
    /// Errors: as [`View::lookup`].
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, SnapshotError> {
        Ok(self.walk(path, true)?.0)
    }

    /// What stands in a folder, by name. Links to the folder are followed.
    ///
    /// Errors: there is no such folder; otherwise as [`View::lookup`].
    pub fn list(&self, folder: &Path) -> Result<Vec<(OsString, Node)>, SnapshotError> {
        let (real, place) = self.walk(folder, true)?;
        let parts = match place {
            Place::Folder(parts) => parts,
            Place::Missing => return Err(SnapshotError::Missing(folder.to_owned())),
            _ => return Err(SnapshotError::NotAFolder(folder.to_owned())),
        };
        let mut nodes = Vec::new();
        for name in self.names(&parts, &real)? {
            let path = real.join(&name);
            let place = self.step(&parts, &path)?;
            if let Some(node) = self.node(&path, &place)? {
                nodes.push((name, node));
            }
        }
        Ok(nodes)
    }

    /// Opens a regular file. Its layer is unpacked first, where it was not. Links are followed.
    ///
    /// Errors: it is no regular file, or not there; otherwise as [`View::lookup`].
    pub fn open(&self, path: &Path) -> Result<File, SnapshotError> {
        let (real, place) = self.walk(path, true)?;
        match place {
            Place::Missing => Err(SnapshotError::Missing(path.to_owned())),
            Place::Foreign(layer, target) => self.below(layer).open(&target),
            Place::Other(layer) => {
                let disk = match &self.0.sources[layer] {
                    Source::Disk(disk) => Arc::clone(disk),
                    Source::Image(image) => image.unpacked(&self.0.events)?,
                };
                let file = disk.open(&real).map_err(SnapshotError::of("open", &real))?;
                let about = file.metadata().map_err(SnapshotError::of("look at", &real))?;
                if about.is_file() { Ok(file) } else { Err(SnapshotError::NotAFile(path.to_owned())) }
            }
            _ => Err(SnapshotError::NotAFile(path.to_owned())),
        }
    }

    /// Opens a file that has no link on the way to it, where that needs no unpacking.
    pub(crate) fn open_on_disk(&self, path: &Path, place: &Place) -> Result<Option<File>, SnapshotError> {
        match place {
            Place::Other(layer) => match &self.0.sources[*layer] {
                Source::Disk(disk) => disk.open(path).map(Some).map_err(SnapshotError::of("open", path)),
                Source::Image(_) => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The content of a small regular file, without unpacking its layer; `None` where nothing is there. Links are followed.
    ///
    /// Errors: it is no regular file, or has more than `limit` bytes; otherwise as [`View::lookup`].
    pub fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, SnapshotError> {
        let (real, place) = self.walk(path, true)?;
        let content = match place {
            Place::Missing => return Ok(None),
            Place::Foreign(layer, target) => return self.below(layer).read_small(&target, limit),
            Place::Other(layer) => match &self.0.sources[layer] {
                Source::Image(image) => image.read(&real, limit, &self.0.events)?,
                Source::Disk(_) => {
                    let mut content = Vec::new();
                    let read = self.open(&real)?.take(limit.saturating_add(1)).read_to_end(&mut content);
                    read.map_err(SnapshotError::of("read", &real))?;
                    content
                }
            },
            _ => return Err(SnapshotError::NotAFile(path.to_owned())),
        };
        if content.len() as u64 > limit {
            return Err(SnapshotError::of("read", path)(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        Ok(Some(content))
    }

    /// The view of what is below a layer.
    pub(crate) fn below(&self, layer: usize) -> View {
        View::new(self.0.sources[layer + 1..].to_vec(), &self.0.events)
    }

    /// The names in a folder that these layers make, sorted.
    pub(crate) fn names(&self, parts: &[usize], folder: &Path) -> Result<Vec<OsString>, SnapshotError> {
        let mut names: BTreeMap<OsString, Listed> = BTreeMap::new();
        for layer in parts {
            let listed = match &self.0.sources[*layer] {
                Source::Disk(disk) => disk.list(folder).map_err(SnapshotError::of("list", folder))?,
                Source::Image(image) => listed(&*image.index(&self.0.events)?, folder),
            };
            for (name, what) in listed {
                names.entry(name).or_insert(what);
            }
        }
        Ok(names.into_iter().filter(|(_, what)| *what == Listed::Present).map(|(name, _)| name).collect())
    }

    /// All about what stands at a place.
    pub(crate) fn node(&self, path: &Path, place: &Place) -> Result<Option<Node>, SnapshotError> {
        match place {
            Place::Missing => Ok(None),
            Place::Symlink(layer) | Place::Other(layer) => self.node_in(*layer, path),
            Place::Foreign(layer, target) => {
                let node = self.below(*layer).lookup(target)?;
                Ok(node.map(|node| Node { inode: None, ..node }))
            }
            Place::Folder(parts) => {
                for layer in parts.iter() {
                    let implied =
                        matches!(self.find(*layer, path)?, Some(Found::Folder { implied: true, .. }));
                    if !implied {
                        return self.node_in(*layer, path);
                    }
                }
                parts.first().map_or(Ok(None), |layer| self.node_in(*layer, path))
            }
        }
    }

    fn node_in(&self, layer: usize, path: &Path) -> Result<Option<Node>, SnapshotError> {
        let node = match &self.0.sources[layer] {
            Source::Disk(disk) => disk.node(path).map_err(SnapshotError::of("look at", path))?,
            Source::Image(image) => image.index(&self.0.events)?.get(path).and_then(|record| record.node()),
        };
        // From the base, so that it stays the same when layers come on top.
        let number = (self.0.sources.len() - layer) as u64;
        Ok(node.map(|mut node| {
            node.inode = node.inode.map(|(_, device, inode)| (number, device, inode));
            node
        }))
    }

    fn find(&self, layer: usize, path: &Path) -> Result<Option<Found>, SnapshotError> {
        match &self.0.sources[layer] {
            Source::Disk(disk) => disk.find(path).map_err(SnapshotError::of("look at", path)),
            Source::Image(image) => Ok(image.index(&self.0.events)?.find(path)),
        }
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.0.sources
    }

    /// The layers that make the root.
    pub(crate) fn root(&self) -> Result<Parts, SnapshotError> {
        let all: Vec<usize> = (0..self.0.sources.len()).collect();
        match self.step(&all, Path::new(""))? {
            Place::Folder(parts) => Ok(parts),
            _ => Ok(Arc::default()),
        }
    }

    /// What these layers, which make the folder that `path` is in, have at `path`.
    pub(crate) fn step(&self, parts: &[usize], path: &Path) -> Result<Place, SnapshotError> {
        let mut folder = Vec::new();
        for layer in parts {
            match self.find(*layer, path)? {
                None => {}
                Some(Found::Folder { opaque, .. }) => {
                    folder.push(*layer);
                    if opaque {
                        break;
                    }
                }
                Some(_) if !folder.is_empty() => break,
                Some(Found::Whiteout) => break,
                Some(Found::Symlink) => return Ok(Place::Symlink(*layer)),
                Some(Found::Foreign(target)) => return Ok(Place::Foreign(*layer, target)),
                Some(Found::Other) => return Ok(Place::Other(*layer)),
            }
        }
        Ok(if folder.is_empty() { Place::Missing } else { Place::Folder(folder.into()) })
    }

    /// What stands at a path that has no link on the way to it.
    pub(crate) fn place(&self, path: &Path) -> Result<Place, SnapshotError> {
        let mut known: Vec<&Path> = Vec::new();
        let mut parts = None;
        for above in path.ancestors() {
            parts = if above.as_os_str().is_empty() { Some(self.root()?) } else { self.remembered(above) };
            if parts.is_some() {
                break;
            }
            known.push(above);
        }
        let mut parts = parts.unwrap_or_default();
        while let Some(below) = known.pop() {
            match self.step(&parts, below)? {
                Place::Folder(found) => {
                    self.remember(below, &found);
                    parts = found;
                }
                _ if !known.is_empty() => return Ok(Place::Missing),
                other => return Ok(other),
            }
        }
        Ok(Place::Folder(parts))
    }

    fn remembered(&self, folder: &Path) -> Option<Parts> {
        let folders = self.0.folders.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        folders.get(folder).cloned()
    }

    fn remember(&self, folder: &Path, parts: &Parts) {
        let Some(folders) = &self.0.folders else { return };
        let mut folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= MAX_FOLDERS {
            folders.clear();
        }
        folders.insert(folder.to_owned(), Arc::clone(parts));
    }

    pub(crate) fn walk(&self, path: &Path, follow: bool) -> Result<(PathBuf, Place), SnapshotError> {
        let mut rest: VecDeque<OsString> = names(path).collect();
        let mut real = PathBuf::new();
        let mut links = 0;
        let mut place = None;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                real.pop();
                place = None;
                continue;
            }
            real.push(&name);
            let found = match place {
                // Nothing is below what is not there.
                Some(Place::Missing) => Place::Missing,
                _ => self.place(&real)?,
            };
            if let (Place::Symlink(layer), true) = (&found, follow || !rest.is_empty()) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(SnapshotError::Links(path.to_owned()));
                }
                let target = self.target(*layer, &real)?;
                real.pop();
                if target.is_absolute() {
                    real = PathBuf::new();
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(name);
                }
                place = None;
                continue;
            }
            place = Some(found);
        }
        let place = match place {
            Some(place) => place,
            None => self.place(&real)?,
        };
        Ok((real, place))
    }

    fn target(&self, layer: usize, path: &Path) -> Result<PathBuf, SnapshotError> {
        match self.node_in(layer, path)?.map(|node| node.kind) {
            Some(crate::NodeKind::Symlink(target)) => Ok(target),
            _ => Err(SnapshotError::Missing(path.to_owned())),
        }
    }
}

fn listed(index: &Index, folder: &Path) -> Vec<(OsString, Listed)> {
    let what = |record: &crate::index::Record| match record.kind {
        crate::index::RecordKind::Whiteout => Listed::Whiteout,
        _ => Listed::Present,
    };
    index.list(folder).map(|(name, record)| (name, what(record))).collect()
}

/// The names of a path, `..` among them; slashes and `.` are left out.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let parts = parts.filter(|name| !name.is_empty() && *name != b".");
    parts.map(|name| OsStr::from_bytes(name).to_owned())
}
