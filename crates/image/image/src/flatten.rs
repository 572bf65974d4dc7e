//! The files of an image: its layers put on top of one another, without unpacking them.
//!
//! Whiteouts hide what lies below them, whatever their place in their own layer (OCI image-spec, layer.md). Paths are taken
//! literally: a file below a name that is a symbolic link in a lower layer stands where its path says, as overlay file systems
//! have it.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use longshore_events::{Cancelled, Events, TaskKind};
use longshore_oci::{Algorithm, Descriptor, Digest, Digester};
use serde::{Serialize, Serializer};

use crate::content::ContentError;
use crate::handle::Image;
use crate::layer::{TarContent, TarEntry, TarError, TarKind, entries, inside};

/// Most files that are held; a full Debian desktop has half a million.
const MAX_FILES: usize = 4_000_000;

/// Bytes that their paths, targets and attributes may have together.
const MAX_BYTES: usize = 512 * 1024 * 1024;

/// The key of the root's own entry.
const ROOT: &str = ".";

/// Whether files' contents are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Yes: [`TreeFile::content`] tells them apart.
    Hashed,
    /// No: names, kinds and sizes are enough.
    Skipped,
}

/// What a file of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file; size, mode, owner and content are that file's.
    Hardlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeFile {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Size in bytes; zero unless it is a file.
    pub size: u64,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// SHA-256 of its content; `None` for what is no file, or where contents were skipped.
    pub content: Option<Digest>,
    /// What a link points at: as it stands in a symbolic one, the path in the image for a hard one.
    pub target: Option<PathBuf>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Extended attributes; values that are no UTF-8 are shown with replacement characters.
    #[serde(serialize_with = "lossy")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Number of the layer that it comes from, from zero.
    pub layer: usize,
}

fn lossy<S: Serializer>(xattrs: &BTreeMap<String, Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(xattrs.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
}

/// The files of an image by their paths, relative to its root; the root's own is `.`, where the layers have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<PathBuf, TreeFile>,
    bytes: usize,
    layers: usize,
}

/// An image that could not be flattened.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the files of layer {layer}")]
pub struct FlattenError {
    /// The layer.
    pub layer: Digest,
    /// What went wrong.
    #[source]
    pub kind: FlattenErrorKind,
}

/// Why an image could not be flattened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlattenErrorKind {
    /// The layer cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Its tar is malformed or not what its descriptor says.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A file's content cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file's path in the image.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// There are more files than any image has.
    #[error("it has more than {MAX_FILES} files, or names of more than {MAX_BYTES} bytes")]
    TooMany,
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl FlattenError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            FlattenErrorKind::Content(error) => error.hint(),
            _ => None,
        }
    }
}

/// The files of a single image. Errors: `image` is an index, or a layer cannot be read.
pub fn flatten(image: &Image, contents: Contents, events: &Events) -> Result<Tree, FlattenError> {
    let manifest = image
        .manifest()
        .map_err(|error| FlattenError { layer: image.digest().clone(), kind: error.into() })?;
    let mut tree = Tree::default();
    for layer in &manifest.layers {
        tree.add_layer(image, layer, contents, events)?;
    }
    Ok(tree)
}

/// What a layer hides of those below it.
#[derive(Default)]
struct Hidden {
    whole: HashSet<PathBuf>,
    below: HashSet<PathBuf>,
}

impl Hidden {
    fn hides(&self, path: &Path) -> bool {
        let above = |path: &Path| self.whole.contains(path) || self.below.contains(path);
        self.whole.contains(path)
            || path.ancestors().skip(1).any(above)
            || (self.below.contains(Path::new(ROOT)) && path != Path::new(ROOT))
    }
}

impl Tree {
    /// The file at `path`, which may begin with a slash or not.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&TreeFile> {
        let clean = inside(path.as_ref())?;
        self.files.get(if clean.as_os_str().is_empty() { Path::new(ROOT) } else { &clean })
    }

    /// All files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &TreeFile)> {
        self.files.iter().map(|(path, file)| (path.as_path(), file))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Puts another layer on top.
    pub(crate) fn add_layer(
        &mut self,
        image: &Image,
        layer: &Descriptor,
        contents: Contents,
        events: &Events,
    ) -> Result<(), FlattenError> {
        let task = events.task(TaskKind::Work, format!("read {}", layer.digest.short()));
        let number = self.layers;
        self.layers += 1;
        let mut read = || -> Result<(), FlattenErrorKind> {
            let mut hidden = Hidden::default();
            let mut tar = entries(image.open_layer(layer)?);
            while let Some(entry) = tar.next_entry()? {
                events.check()?;
                // A path out of the root is unpacked by nobody.
                let Some(path) = inside(&entry.path) else { continue };
                let path = if path.as_os_str().is_empty() { PathBuf::from(ROOT) } else { path };
                if hide(&path, &mut hidden) {
                    continue;
                }
                let hashed = contents == Contents::Hashed && entry.kind == TarKind::File;
                let content = hashed.then(|| hash(tar.content(), events)).transpose();
                let content =
                    content.map_err(|source| FlattenErrorKind::File { path: path.clone(), source })?;
                self.insert(path, entry, content, number, &mut hidden)?;
            }
            if !(hidden.whole.is_empty() && hidden.below.is_empty()) {
                self.files.retain(|path, file| file.layer == number || !hidden.hides(path));
            }
            Ok(())
        };
        read().map_err(|kind| FlattenError { layer: layer.digest.clone(), kind })?;
        task.done("");
        Ok(())
    }

    fn insert(
        &mut self,
        path: PathBuf,
        entry: TarEntry,
        content: Option<Digest>,
        layer: usize,
        hidden: &mut Hidden,
    ) -> Result<(), FlattenErrorKind> {
        let Some(file) = self.file(entry, content, layer) else { return Ok(()) };
        let size = |path: &Path, file: &TreeFile| {
            let attributes: usize = file.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
            path.as_os_str().len() + file.target.as_ref().map_or(0, |t| t.as_os_str().len()) + attributes
        };
        self.bytes += size(&path, &file);
        if self.files.len() >= MAX_FILES || self.bytes > MAX_BYTES {
            return Err(FlattenErrorKind::TooMany);
        }
        let folder = file.kind == FileKind::Directory;
        if let Some(before) = self.files.insert(path.clone(), file) {
            self.bytes = self.bytes.saturating_sub(size(&path, &before));
            // What replaces a folder takes the place of all that was in it.
            if before.kind == FileKind::Directory && !folder {
                hidden.below.insert(path);
            }
        }
        Ok(())
    }

    /// What is kept of an entry; `None` for what engines do not unpack.
    fn file(&self, entry: TarEntry, content: Option<Digest>, layer: usize) -> Option<TreeFile> {
        let mut file = TreeFile {
            kind: FileKind::File,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            mtime: entry.mtime,
            content,
            target: None,
            device: None,
            xattrs: entry.xattrs,
            layer,
        };
        match entry.kind {
            TarKind::File => {}
            TarKind::Directory => file.kind = FileKind::Directory,
            TarKind::Symlink(target) => (file.kind, file.target) = (FileKind::Symlink, Some(target)),
            TarKind::Hardlink(target) => {
                let target = inside(&target)?;
                if let Some(of) = self.files.get(&target) {
                    file = TreeFile { layer, ..of.clone() };
                }
                // The name of a name is that of the file itself.
                file.target = file.target.filter(|_| file.kind == FileKind::Hardlink).or(Some(target));
                file.kind = FileKind::Hardlink;
            }
            TarKind::CharacterDevice(major, minor) => {
                (file.kind, file.device) = (FileKind::CharacterDevice, Some((major, minor)));
            }
            TarKind::BlockDevice(major, minor) => {
                (file.kind, file.device) = (FileKind::BlockDevice, Some((major, minor)));
            }
            TarKind::Fifo => file.kind = FileKind::Fifo,
            TarKind::Other(_) => return None,
        }
        Some(file)
    }
}

/// Takes a whiteout. False where the path is none.
fn hide(path: &Path, hidden: &mut Hidden) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
    let Some(rest) = name.as_bytes().strip_prefix(b".wh.") else { return false };
    match rest {
        b".wh..opq" => {
            let root = folder.as_os_str().is_empty();
            hidden.below.insert(if root { PathBuf::from(ROOT) } else { folder.to_owned() });
        }
        // Files of AUFS's own, and whiteouts of nothing.
        _ if rest.starts_with(b".wh.") || matches!(rest, b"" | b"." | b"..") => {}
        _ => {
            hidden.whole.insert(folder.join(std::ffi::OsString::from_vec(rest.to_vec())));
        }
    }
    true
}

fn hash<R: Read>(mut content: TarContent<'_, R>, events: &Events) -> io::Result<Digest> {
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        events.check().map_err(io::Error::other)?;
        match content.read(&mut buffer) {
            Ok(0) => return Ok(digester.finish()),
            Ok(count) => digester.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
#[path = "flatten_tests.rs"]
mod tests;
