//! The files of an archive by name, found in one pass over its headers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::MAX_DOCUMENT;
use crate::archive::ArchiveErrorKind;
use crate::layer::{TarEntry, TarKind, entries_of_file, inside};

/// Images have up to 127 layers of three files each; this is room for hundreds of images.
const MAX_ENTRIES: usize = 65_536;

/// Longest name in bytes; real ones have some eighty.
const MAX_NAME: usize = 512;

/// Links that lead to links, further than any writer's.
const MAX_LINKS: usize = 16;

/// Where a file's bytes stand in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Member {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// The files and links of an archive.
#[derive(Debug)]
pub(super) struct Members {
    file: Arc<File>,
    files: HashMap<PathBuf, Member>,
    links: HashMap<PathBuf, PathBuf>,
}

impl Members {
    /// Reads the headers of a tar. Errors: it is no tar, it is cut short, or an entry has no place in an archive of images.
    pub(super) fn index(file: File) -> Result<Members, ArchiveErrorKind> {
        let length = file.metadata()?.len();
        let mut members =
            Members { file: Arc::new(file.try_clone()?), files: HashMap::new(), links: HashMap::new() };
        let mut reader = entries_of_file(file);
        let mut count = 0;
        while let Some(entry) = reader.next_entry()? {
            count += 1;
            if count > MAX_ENTRIES {
                return Err(ArchiveErrorKind::TooMany(MAX_ENTRIES));
            }
            let cut = entry.data_offset.checked_add(entry.size).is_none_or(|end| end > length);
            let refused = |reason| ArchiveErrorKind::Entry {
                name: entry.path.to_string_lossy().chars().take(MAX_NAME).collect(),
                reason,
            };
            if cut && !entry.sparse {
                return Err(refused("is cut short: the archive ends inside it"));
            }
            members.insert(&entry).map_err(refused)?;
        }
        Ok(members)
    }

    fn insert(&mut self, entry: &TarEntry) -> Result<(), &'static str> {
        let path = confined(&entry.path)?;
        let fresh = match &entry.kind {
            TarKind::Directory => return Ok(()),
            TarKind::File if entry.sparse => return Err("is stored with holes, as no writer of images does"),
            TarKind::File => {
                let member = Member { offset: entry.data_offset, size: entry.size };
                !self.links.contains_key(&path) && self.files.insert(path, member).is_none()
            }
            TarKind::Symlink(target) => {
                // Joined to an absolute target, the folder would vanish: such a target leaves the archive.
                let joined = path.parent().unwrap_or(Path::new("")).join(target);
                self.link(path, &joined)?
            }
            TarKind::Hardlink(target) => self.link(path, target)?,
            TarKind::CharacterDevice(..) | TarKind::BlockDevice(..) | TarKind::Fifo => {
                return Err("is a device or a pipe");
            }
            TarKind::Other(_) => return Err("is of an unknown type"),
        };
        if fresh { Ok(()) } else { Err("stands there twice") }
    }

    fn link(&mut self, path: PathBuf, target: &Path) -> Result<bool, &'static str> {
        let outside = target.is_absolute() || target.as_os_str().len() > MAX_NAME;
        let target = inside(target).filter(|_| !outside).ok_or("is a link that leaves the archive")?;
        Ok(!self.files.contains_key(&path) && self.links.insert(path, target).is_none())
    }

    /// Where a file stands, links followed.
    pub(super) fn find(&self, path: &Path) -> Option<Member> {
        let mut path = path;
        for _ in 0..MAX_LINKS {
            match self.links.get(path) {
                Some(target) => path = target,
                None => return self.files.get(path).copied(),
            }
        }
        None
    }

    /// A small file's bytes; `None` where there is none of that name.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, ArchiveErrorKind> {
        let Some(member) = self.find(path) else { return Ok(None) };
        if member.size > MAX_DOCUMENT {
            return Err(ArchiveErrorKind::TooLarge(path.display().to_string()));
        }
        let mut bytes = Vec::new();
        self.open(member).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Reads a file from its first byte; readers do not disturb one another.
    pub(super) fn open(&self, member: Member) -> MemberReader {
        MemberReader { file: Arc::clone(&self.file), offset: member.offset, left: member.size }
    }
}

/// A name as every writer of archives writes it: relative, inside, and short.
fn confined(path: &Path) -> Result<PathBuf, &'static str> {
    if path.as_os_str().len() > MAX_NAME {
        return Err("has a name longer than any writer's");
    }
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !path.components().all(plain) {
        return Err("has a name that is absolute or has `..` in it");
    }
    inside(path).ok_or("has a name that leaves the archive")
}

/// Reads a part of a file by position.
#[derive(Debug)]
pub(super) struct MemberReader {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive was cut short meanwhile"));
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
