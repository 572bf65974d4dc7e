//! From a tar's entries, one after another, to where each of them stands.
//!
//! What unpacks a layer and what only indexes it ask here where an entry goes, so that both see the same tree. Entries may stand over
//! each other: the later one counts. A path that leads through a link of the same layer follows it, inside the root, as engines do;
//! links of lower layers are not known here, and such a path stands where it says. Marks (`.wh.`) are OCI image-spec 1.1,
//! layer.md, "Whiteouts".

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_image::layer::{TarEntry, TarKind, inside};

use super::record::{Record, RecordKind};
use super::{Index, path as path_of};
use crate::error::LayerReadError;
use crate::node::is_kept;

/// Most entries of a layer; a full Debian desktop has half a million.
const MAX_ENTRIES: usize = 4_000_000;

/// Bytes that their names, targets and attributes may have together.
const MAX_BYTES: usize = 512 * 1024 * 1024;

/// Links that are followed on the way to one path; the kernel's own limit.
const MAX_LINKS: usize = 40;

const ROOT: u32 = 0;

/// Where an entry goes, and what must be done to get it there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Where it goes.
    pub(crate) path: PathBuf,
    /// What must go first, with all below it.
    pub(crate) remove: Vec<PathBuf>,
    /// Folders on the way that the layer did not have, the top one first.
    pub(crate) implied: Vec<PathBuf>,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make what the entry says.
    Make,
    /// It is a folder that is there: set its metadata.
    Update,
    /// Another name of the file at this path of the layer.
    Link(PathBuf),
    /// Another name of a file of a lower layer, or of nothing.
    Foreign(PathBuf),
    /// Mark the path as removed.
    Whiteout,
    /// Mark the folder, which is there, as one that nothing shows through from below.
    Opaque,
    /// Nothing is left to do.
    Nothing,
}

struct Slot {
    parent: u32,
    record: Record,
    live: bool,
}

/// The tree that a layer's entries make, while they come.
pub(crate) struct TarTree {
    slots: Vec<Slot>,
    children: BTreeMap<(u32, Box<[u8]>), u32>,
    bytes: usize,
    held: BTreeMap<u64, Vec<u8>>,
}

fn folder(implied: bool) -> Record {
    Record {
        path: Box::default(),
        kind: RecordKind::Directory { opaque: false, implied },
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        inode: 0,
        linked: false,
        xattrs: Vec::new(),
    }
}

/// A mark, by its name.
enum Mark<'n> {
    None,
    Whiteout(&'n [u8]),
    Opaque,
    Ignored,
}

fn mark(name: &[u8]) -> Mark<'_> {
    match name.strip_prefix(b".wh.") {
        None => Mark::None,
        Some(b".wh..opq") => Mark::Opaque,
        // Files of AUFS's own, and whiteouts of nothing.
        Some(rest) if rest.starts_with(b".wh.") || matches!(rest, b"" | b"." | b"..") => Mark::Ignored,
        Some(rest) => Mark::Whiteout(rest),
    }
}

impl TarTree {
    pub(crate) fn new() -> TarTree {
        let root = Slot { parent: ROOT, record: folder(true), live: true };
        TarTree { slots: vec![root], children: BTreeMap::new(), bytes: 0, held: BTreeMap::new() }
    }

    /// Takes the next entry. `None` where it is nothing that is unpacked.
    pub(crate) fn add(&mut self, entry: &TarEntry) -> Result<Option<Placed>, LayerReadError> {
        if matches!(entry.kind, TarKind::Other(_)) {
            return Ok(None);
        }
        let clean = inside(&entry.path).ok_or_else(|| LayerReadError::Outside(entry.path.clone()))?;
        let mut placed =
            Placed { path: PathBuf::new(), remove: Vec::new(), implied: Vec::new(), action: Action::Make };
        let Some(name) = clean.file_name().map(OsStr::as_bytes) else {
            return Ok(self.update_root(entry)?.then_some(Placed { action: Action::Update, ..placed }));
        };
        let mark = mark(name);
        if matches!(mark, Mark::Ignored) {
            return Ok(None);
        }
        let above = clean.parent().unwrap_or(Path::new(""));
        let (parent, parent_path) = self.walk(above, &clean, &mut placed)?;
        match mark {
            Mark::Opaque => {
                self.set_opaque(parent);
                placed.path = parent_path;
                placed.action = Action::Opaque;
            }
            Mark::Whiteout(hidden) => {
                placed.path = parent_path.join(OsStr::from_bytes(hidden));
                placed.action = self.whiteout(parent, hidden)?;
            }
            Mark::None | Mark::Ignored => {
                placed.path = parent_path.join(OsStr::from_bytes(name));
                self.put(parent, name, entry, &mut placed)?;
            }
        }
        Ok(Some(placed))
    }

    /// Keeps a file's content in the index.
    pub(crate) fn hold(&mut self, offset: u64, content: Vec<u8>) {
        self.held.insert(offset, content);
    }

    /// The index of what came.
    pub(crate) fn finish(self) -> Index {
        let mut names = vec![0_u32; self.slots.len()];
        for slot in self.slots.iter().filter(|slot| slot.live) {
            names[slot.record.inode as usize] += 1;
        }
        let paths: Vec<(u32, Box<[u8]>)> =
            self.children.iter().map(|((_, _), slot)| (*slot, self.path(*slot))).collect();
        let mut slots: Vec<Option<Slot>> = self.slots.into_iter().map(Some).collect();
        let mut records = Vec::with_capacity(paths.len() + 1);
        let all = std::iter::once((ROOT, Box::default())).chain(paths);
        for (number, path) in all {
            let Some(slot) = slots[number as usize].take() else { continue };
            let mut record = slot.record;
            record.path = path;
            record.linked = names[record.inode as usize] > 1;
            records.push(record);
        }
        records.sort_by(|a, b| super::key(&a.path).cmp(&super::key(&b.path)));
        Index { records, held: self.held }
    }

    fn path(&self, mut number: u32) -> Box<[u8]> {
        let mut names = Vec::new();
        while number != ROOT {
            let slot = &self.slots[number as usize];
            names.push(&slot.record.path);
            number = slot.parent;
        }
        names.reverse();
        names.iter().map(|name| &name[..]).collect::<Vec<_>>().join(&b'/').into()
    }

    fn child(&self, parent: u32, name: &[u8]) -> Option<u32> {
        self.children.get(&(parent, name.into())).copied()
    }

    fn record(&self, number: u32) -> &Record {
        &self.slots[number as usize].record
    }

    fn insert(&mut self, parent: u32, name: &[u8], mut record: Record) -> Result<u32, LayerReadError> {
        let extra: usize = record.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let target = match &record.kind {
            RecordKind::Symlink(target) | RecordKind::Foreign(target) => target.len(),
            _ => 0,
        };
        self.bytes += name.len() + extra + target;
        let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        if self.slots.len() >= MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(LayerReadError::TooMany(MAX_ENTRIES));
        }
        record.path = name.into();
        if record.inode == 0 {
            record.inode = number;
        }
        self.slots.push(Slot { parent, record, live: true });
        self.children.insert((parent, name.into()), number);
        Ok(number)
    }

    /// Takes a name and all below it out of the tree.
    fn remove(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        slot.live = false;
        let key = (slot.parent, slot.record.path.clone());
        self.children.remove(&key);
        let mut gone = vec![number];
        while let Some(parent) = gone.pop() {
            let start = (parent, Box::default());
            let below: Vec<_> = self
                .children
                .range(start..)
                .take_while(|(key, _)| key.0 == parent)
                .map(|(key, slot)| (key.clone(), *slot))
                .collect();
            for (key, slot) in below {
                self.children.remove(&key);
                self.slots[slot as usize].live = false;
                gone.push(slot);
            }
        }
    }

    fn set_opaque(&mut self, number: u32) {
        if let RecordKind::Directory { opaque, .. } = &mut self.slots[number as usize].record.kind {
            *opaque = true;
        }
    }

    fn update_root(&mut self, entry: &TarEntry) -> Result<bool, LayerReadError> {
        if entry.kind != TarKind::Directory {
            return Ok(false);
        }
        let opaque = matches!(self.record(ROOT).kind, RecordKind::Directory { opaque: true, .. });
        let kind = RecordKind::Directory { opaque, implied: false };
        self.slots[ROOT as usize].record = record(entry, kind, 0)?;
        Ok(true)
    }

    /// The folder at `path`, made where the layer has none.
    fn walk(
        &mut self,
        path: &Path,
        whole: &Path,
        placed: &mut Placed,
    ) -> Result<(u32, PathBuf), LayerReadError> {
        let mut rest: VecDeque<Box<[u8]>> = names(path).collect();
        let mut way = vec![ROOT];
        let mut place = PathBuf::new();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if &name[..] == b".." {
                if way.len() > 1 {
                    way.pop();
                    place.pop();
                }
                continue;
            }
            let current = way.last().copied().unwrap_or(ROOT);
            let child = self.child(current, &name);
            let kind = child.map(|number| self.record(number).kind.clone());
            if let Some(RecordKind::Symlink(target)) = &kind {
                links += 1;
                if links > MAX_LINKS {
                    return Err(LayerReadError::Links(whole.to_owned()));
                }
                if target.starts_with(b"/") {
                    way.truncate(1);
                    place = PathBuf::new();
                }
                let target = path_of(target);
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(name);
                }
                continue;
            }
            place.push(OsStr::from_bytes(&name));
            let number = match (child, kind) {
                (Some(number), Some(RecordKind::Directory { .. })) => number,
                (other, _) => {
                    // A file, or a mark: what stands below it now cannot show from further below.
                    if let Some(number) = other {
                        self.remove(number);
                        placed.remove.push(place.clone());
                    }
                    let number = self.insert(current, &name, folder(true))?;
                    if other.is_some() {
                        self.set_opaque(number);
                    }
                    placed.implied.push(place.clone());
                    number
                }
            };
            way.push(number);
        }
        Ok((way.last().copied().unwrap_or(ROOT), place))
    }

    fn whiteout(&mut self, parent: u32, name: &[u8]) -> Result<Action, LayerReadError> {
        match self.child(parent, name) {
            Some(number) if matches!(self.record(number).kind, RecordKind::Directory { .. }) => {
                self.set_opaque(number);
                Ok(Action::Opaque)
            }
            Some(_) => Ok(Action::Nothing),
            None => {
                self.insert(parent, name, Record { kind: RecordKind::Whiteout, ..folder(true) })?;
                Ok(Action::Whiteout)
            }
        }
    }

    fn put(
        &mut self,
        parent: u32,
        name: &[u8],
        entry: &TarEntry,
        placed: &mut Placed,
    ) -> Result<(), LayerReadError> {
        let link = self.link(entry, placed)?;
        let old = self.child(parent, name);
        if let (Some(old), Some((Action::Link(_), target))) = (old, &link)
            && self.record(old).inode == target.inode
        {
            placed.action = Action::Nothing;
            return Ok(());
        }
        let mut opaque = false;
        if let Some(old) = old {
            let was = self.record(old).kind.clone();
            if let (RecordKind::Directory { opaque, .. }, TarKind::Directory) = (&was, &entry.kind) {
                let kind = RecordKind::Directory { opaque: *opaque, implied: false };
                let new = record(entry, kind, self.record(old).inode)?;
                let name = std::mem::take(&mut self.slots[old as usize].record.path);
                self.slots[old as usize].record = Record { path: name, ..new };
                placed.action = Action::Update;
                return Ok(());
            }
            opaque = true;
            self.remove(old);
            placed.remove.push(placed.path.clone());
        }
        let new = match link {
            Some((action, target)) => {
                placed.action = action;
                target
            }
            None => record(entry, kind(entry, opaque), 0)?,
        };
        self.insert(parent, name, new)?;
        Ok(())
    }

    /// What a hard link is: a name of a file of this layer, or of one below. `None` where the entry is no hard link.
    fn link(&self, entry: &TarEntry, placed: &Placed) -> Result<Option<(Action, Record)>, LayerReadError> {
        let TarKind::Hardlink(target) = &entry.kind else { return Ok(None) };
        let refuse = || LayerReadError::HardLink { path: placed.path.clone(), target: target.clone() };
        let clean = inside(target).ok_or_else(refuse)?;
        let (Some(name), above) = (clean.file_name(), clean.parent().unwrap_or(Path::new(""))) else {
            return Err(refuse());
        };
        let found = self
            .find(above, &clean)?
            .and_then(|(folder, place)| Some((self.child(folder, name.as_bytes())?, place.join(name))));
        match found {
            Some((number, place)) => match &self.record(number).kind {
                RecordKind::Directory { .. } | RecordKind::Whiteout => Err(refuse()),
                RecordKind::Foreign(target) => {
                    let record = self.record(number).clone();
                    Ok(Some((Action::Foreign(path_of(target)), record)))
                }
                _ => Ok(Some((Action::Link(place), self.record(number).clone()))),
            },
            None => {
                let kind = RecordKind::Foreign(clean.as_os_str().as_bytes().into());
                Ok(Some((Action::Foreign(clean), record(entry, kind, 0)?)))
            }
        }
    }

    /// The folder at `path`, where the layer has it.
    fn find(&self, path: &Path, whole: &Path) -> Result<Option<(u32, PathBuf)>, LayerReadError> {
        let mut rest: VecDeque<Box<[u8]>> = names(path).collect();
        let mut way = vec![ROOT];
        let mut place = PathBuf::new();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if &name[..] == b".." {
                if way.len() > 1 {
                    way.pop();
                    place.pop();
                }
                continue;
            }
            let Some(number) = self.child(way.last().copied().unwrap_or(ROOT), &name) else {
                return Ok(None);
            };
            match &self.record(number).kind {
                RecordKind::Directory { .. } => {
                    way.push(number);
                    place.push(OsStr::from_bytes(&name));
                }
                RecordKind::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(LayerReadError::Links(whole.to_owned()));
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                        place = PathBuf::new();
                    }
                    let target = path_of(target);
                    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                _ => return Ok(None),
            }
        }
        Ok(Some((way.last().copied().unwrap_or(ROOT), place)))
    }
}

/// The names of a path, `..` among them; slashes and `.` are left out.
fn names(path: &Path) -> impl Iterator<Item = Box<[u8]>> + '_ {
    let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    parts.filter(|name| !name.is_empty() && *name != b".").map(Box::from)
}

fn kind(entry: &TarEntry, opaque: bool) -> RecordKind {
    match &entry.kind {
        TarKind::Directory => RecordKind::Directory { opaque, implied: false },
        TarKind::Symlink(target) => RecordKind::Symlink(target.as_os_str().as_bytes().into()),
        TarKind::CharacterDevice(major, minor) => RecordKind::CharacterDevice(*major, *minor),
        TarKind::BlockDevice(major, minor) => RecordKind::BlockDevice(*major, *minor),
        TarKind::Fifo => RecordKind::Fifo,
        _ => RecordKind::File { size: entry.size, offset: entry.data_offset, sparse: entry.sparse },
    }
}

fn record(entry: &TarEntry, kind: RecordKind, inode: u32) -> Result<Record, LayerReadError> {
    let owner = |owner: u64| {
        // The number that means "leave it as it is" to chown(2) is no owner.
        let number = u32::try_from(owner).ok().filter(|number| *number != u32::MAX);
        number.ok_or_else(|| LayerReadError::Owner { path: entry.path.clone(), owner })
    };
    let kept = entry.xattrs.iter().filter(|(name, _)| is_kept(name.as_bytes()));
    Ok(Record {
        path: Box::default(),
        mode: entry.mode & 0o7777,
        uid: owner(entry.uid)?,
        gid: owner(entry.gid)?,
        mtime: (entry.mtime, entry.mtime_nanos),
        inode,
        linked: false,
        xattrs: kept.map(|(name, value)| (name.as_bytes().into(), value.as_slice().into())).collect(),
        kind,
    })
}
