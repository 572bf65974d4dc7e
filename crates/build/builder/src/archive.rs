//! ADD of local archives: tars, compressed or not, unpacked where they are added.
//!
//! Whether a file is one is told from its first bytes, never from its name. What is no archive is copied as it is. Follows what
//! BuildKit's unpacking does (`moby/go-archive`, in a root of its own): paths and links on the way to them stay in the destination
//! whatever dots and slashes they have; what is there is replaced, but folders are merged; folders that the archive leaves out are
//! root's, with mode 0755; a hard link's metadata becomes that of the file; `--chmod` reaches nothing of it. A name that layers give a
//! meaning, such as `.wh.file`, has it.

mod packed;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_image::layer::{TarEntry, TarError, TarKind, entries};
use longshore_snapshot::{Metadata, NodeKind};

use crate::error::InstructionErrorKind;
use crate::place::Placer;
use crate::select::Selected;
use crate::tree::{FileTree, TreeError, below_root, resolve_links};

/// What a name begins with that says that another is gone.
const WHITEOUT: &[u8] = b".wh.";

/// An archive that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is malformed.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A file in it cannot be read to its end.
    #[error("cannot read {} in it", path.display())]
    Content {
        /// The file's path in the archive.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// An entry is nothing that a file system has.
    #[error("its entry {} is of the type `{}`, which is not read", path.display(), flag.escape_ascii())]
    Kind {
        /// The entry's path.
        path: PathBuf,
        /// Its type flag.
        flag: u8,
    },
    /// An entry's owner is no number of a user or group.
    #[error("its entry {} has the owner {owner}, which no file can have", path.display())]
    Owner {
        /// The entry's path.
        path: PathBuf,
        /// The number.
        owner: u64,
    },
}

/// Unpacks a selected file if it is an archive. False where it is none.
pub(crate) fn unpack(placer: &mut Placer<'_, '_>, selected: &Selected) -> Result<bool, InstructionErrorKind> {
    let is_file = matches!(selected.node.kind, NodeKind::File { .. });
    if !is_file || !is_archive(placer.tree, &selected.place)? {
        return Ok(false);
    }
    let file = placer.tree.open(&selected.place)?;
    let broken = |error: ArchiveError| InstructionErrorKind::Archive {
        path: selected.place.clone(),
        source: Box::new(error),
    };
    let reader = packed::decompressed(file)
        .map_err(|source| broken(ArchiveError::Content { path: selected.place.clone(), source }))?;
    let root = destination(placer)?;
    let mut unpacking = Unpacking { placer, root, folders: HashMap::new() };
    let mut tar = entries(reader);
    while let Some(entry) = tar.next_entry().map_err(|error| broken(error.into()))? {
        unpacking.placer.events.check()?;
        unpacking.entry(&entry, &mut tar.content()).map_err(|failure| match failure {
            Failure::Archive(error) => broken(error),
            Failure::Other(kind) => kind,
        })?;
    }
    Ok(true)
}

/// Whether the first entry can be read. A tar without entries is none, as for BuildKit.
pub(crate) fn is_archive(tree: &dyn FileTree, place: &Path) -> Result<bool, TreeError> {
    let file = tree.open(place)?;
    let Ok(reader) = packed::decompressed(file) else { return Ok(false) };
    Ok(matches!(entries(reader).next_entry(), Ok(Some(_))))
}

/// The folder to unpack into, made where it is missing.
fn destination(placer: &mut Placer<'_, '_>) -> Result<PathBuf, InstructionErrorKind> {
    let root = below_root(&placer.writer.resolve(&placer.to.path)?);
    let (uid, gid) = placer.to.owner.unwrap_or((0, 0));
    let time = placer.to.time.unwrap_or(placer.to.now);
    placer.writer.create_folders(&root, 0o755, uid, gid, (time, 0))?;
    Ok(root)
}

/// Why an entry was not unpacked.
enum Failure {
    Archive(ArchiveError),
    Other(InstructionErrorKind),
}

impl<E: Into<InstructionErrorKind>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Other(error.into())
    }
}

struct Unpacking<'p, 'a, 'w> {
    placer: &'p mut Placer<'a, 'w>,
    /// The destination, without links.
    root: PathBuf,
    /// Where folders of the archive are below the destination, links followed. Only those that were made or seen.
    folders: HashMap<PathBuf, PathBuf>,
}

impl Unpacking<'_, '_, '_> {
    fn entry(&mut self, entry: &TarEntry, content: &mut dyn Read) -> Result<(), Failure> {
        let path = below_root(&entry.path);
        let Some(name) = path.file_name() else { return Ok(()) };
        let folder = self.folder(path.parent().unwrap_or(Path::new("")))?;
        if let Some(gone) = whiteout(name) {
            self.placer.writer.remove(&folder.join(gone))?;
            self.folders.clear();
            return Ok(());
        }
        let place = folder.join(name);
        let metadata = self.metadata(entry)?;
        match &entry.kind {
            TarKind::File => self.file(&path, &place, &metadata, &mut entry.expand(content))?,
            TarKind::Directory => self.placer.writer.folder(&place, &metadata)?,
            TarKind::Symlink(link) => self.placer.writer.symlink(&place, link, &metadata)?,
            TarKind::Hardlink(link) => {
                let existing = self.existing(link)?;
                self.placer.writer.hard_link(&place, &existing)?;
                self.placer.writer.set_metadata(&existing, &metadata)?;
                self.placer.writer.set_metadata(&place, &metadata)?;
            }
            TarKind::CharacterDevice(major, minor) => {
                self.placer.writer.node(&place, &NodeKind::CharacterDevice(*major, *minor), &metadata)?;
            }
            TarKind::BlockDevice(major, minor) => {
                self.placer.writer.node(&place, &NodeKind::BlockDevice(*major, *minor), &metadata)?;
            }
            TarKind::Fifo => self.placer.writer.node(&place, &NodeKind::Fifo, &metadata)?,
            TarKind::Other(flag) => return Err(Failure::Archive(ArchiveError::Kind { path, flag: *flag })),
            _ => return Err(Failure::Archive(ArchiveError::Kind { path, flag: b'?' })),
        }
        // What stands at a path now may lead elsewhere than what stood there before.
        if entry.kind != TarKind::Directory || self.folders.get(&path).is_some_and(|known| *known != place) {
            self.forget(&path);
        }
        Ok(())
    }

    /// The place of a folder of the archive, made if it is missing.
    fn folder(&mut self, path: &Path) -> Result<PathBuf, Failure> {
        if let Some(known) = self.folders.get(path) {
            return Ok(known.clone());
        }
        let place = self.resolve(path)?;
        let time = self.placer.to.time.unwrap_or(self.placer.to.now);
        self.placer.writer.create_folders(&place, 0o755, 0, 0, (time, 0))?;
        self.folders.insert(path.to_owned(), place.clone());
        Ok(place)
    }

    /// Where a path leads, with the destination as the root of all links.
    fn resolve(&self, path: &Path) -> Result<PathBuf, Failure> {
        let view = self.placer.writer.view()?;
        let below =
            resolve_links(path, &mut |place| Ok(view.lookup(&self.root.join(place))?.map(|node| node.kind)))?;
        Ok(self.root.join(below))
    }

    /// What a hard link names. Links on the way to it are followed, it itself is not.
    fn existing(&mut self, link: &Path) -> Result<PathBuf, Failure> {
        let path = below_root(link);
        let folder = self.resolve(path.parent().unwrap_or(Path::new("")))?;
        Ok(folder.join(path.file_name().unwrap_or(OsStr::new(""))))
    }

    /// Forgets what is known of a path and all below it.
    fn forget(&mut self, path: &Path) {
        if self.folders.contains_key(path) {
            self.folders.retain(|folder, _| !folder.starts_with(path));
        }
    }

    fn file(
        &mut self,
        path: &Path,
        place: &Path,
        metadata: &Metadata,
        content: &mut dyn Read,
    ) -> Result<(), Failure> {
        let mut watched = Watched { content, events: self.placer.events, failure: None };
        let written = self.placer.writer.file(place, metadata, &mut watched);
        let failure = watched.failure.take();
        self.placer.events.check()?;
        match failure {
            Some(source) => Err(Failure::Archive(ArchiveError::Content { path: path.to_owned(), source })),
            None => Ok(written?),
        }
    }

    fn metadata(&self, entry: &TarEntry) -> Result<Metadata, Failure> {
        let number = |owner: u64| {
            let number = u32::try_from(owner).ok().filter(|number| *number != u32::MAX);
            number.ok_or_else(|| Failure::Archive(ArchiveError::Owner { path: entry.path.clone(), owner }))
        };
        let (uid, gid) = match self.placer.to.owner {
            Some(owner) => owner,
            None => (number(entry.uid)?, number(entry.gid)?),
        };
        let own = if entry.mtime < 0 { (0, 0) } else { (entry.mtime, entry.mtime_nanos) };
        let mtime = self.placer.to.time.map_or(own, |latest| own.min((latest, 0)));
        Ok(Metadata { mode: entry.mode, uid, gid, mtime, xattrs: xattrs(&entry.xattrs) })
    }
}

/// The name that a whiteout says is gone. Other marks that layers have are left to the writer, which refuses them.
fn whiteout(name: &OsStr) -> Option<&OsStr> {
    let gone = name.as_bytes().strip_prefix(WHITEOUT)?;
    (!gone.is_empty() && !gone.starts_with(WHITEOUT)).then(|| OsStr::from_bytes(gone))
}

/// Content on its way to a file: ends when the work is to stop, and keeps what went wrong with reading, as opposed to writing.
struct Watched<'c> {
    content: &'c mut dyn Read,
    events: &'c Events,
    failure: Option<io::Error>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.events.check().map_err(io::Error::other)?;
        self.content.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            let shown = io::Error::new(error.kind(), error.to_string());
            self.failure = Some(error);
            shown
        })
    }
}

fn xattrs(attributes: &BTreeMap<String, Vec<u8>>) -> BTreeMap<OsString, Vec<u8>> {
    attributes.iter().map(|(name, value)| (OsString::from(name), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whiteouts_of_a_name_say_that_something_is_gone() {
        for (name, expected) in [
            (".wh.file", Some("file")),
            (".wh..hidden", Some(".hidden")),
            (".wh.", None),
            (".wh..wh..opq", None),
            ("file", None),
            ("a.wh.b", None),
        ] {
            assert_eq!(whiteout(OsStr::new(name)), expected.map(OsStr::new), "{name}");
        }
    }
}
