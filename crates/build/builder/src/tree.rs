//! Where COPY and ADD read from: the build context, a stage, an image, or text that stands in the Dockerfile.
//!
//! All look the same from here: a tree of nodes below a root that nothing leaves. Links are resolved inside the root, as
//! BuildKit does: an absolute link, and `..` above the root, stay below it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use longshore_files::FileError;
use longshore_files::Stat;
use longshore_oci::Digest;
pub(crate) use longshore_snapshot::below_root;
use longshore_snapshot::{NodeKind, SnapshotError, View};

/// Links that are followed on the way to one path; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// A file, folder or link of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileNode {
    pub(crate) kind: NodeKind,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The same for two names of one file, where it has several.
    pub(crate) inode: Option<(u64, u64, u64)>,
    /// What the system says of it, where it is a regular file on this machine's disk: tells whether it was hashed before.
    pub(crate) stat: Option<Stat>,
}

impl FileNode {
    /// What is on no disk and nobody's but root's, without attributes; its time in seconds since 1970.
    pub(crate) fn new(kind: NodeKind, mode: u32, time: i64) -> FileNode {
        FileNode {
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (time, 0),
            xattrs: BTreeMap::new(),
            inode: None,
            stat: None,
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// Bytes of a regular file's content.
    pub(crate) fn size(&self) -> u64 {
        if let NodeKind::File { size } = self.kind { size } else { 0 }
    }

    pub(crate) fn is_link(&self) -> bool {
        matches!(self.kind, NodeKind::Symlink(_))
    }
}

/// A tree that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file of the build context.
    #[error("cannot {action} {} in the build context", path.display())]
    Context {
        /// What was being done.
        action: &'static str,
        /// Path relative to the context.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of a stage or an image.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Links lead to links without end.
    #[error("too many links on the way to {}", .0.display())]
    Links(PathBuf),
    /// A folder was meant.
    #[error("{} is no regular file", .0.display())]
    NotAFile(PathBuf),
}

/// A tree to copy from. Paths are relative to the root, without `.` and `..`; the empty path is the root.
pub(crate) trait FileTree: Send + Sync {
    /// The node at `path`, its last link not followed; those on the way are.
    fn lookup(&self, path: &Path) -> Result<Option<FileNode>, TreeError>;
    /// What stands in a folder, sorted by name.
    fn list(&self, folder: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError>;
    /// Opens a regular file.
    fn open(&self, path: &Path) -> Result<File, TreeError>;
    /// Hash of a regular file's content.
    fn hash(&self, path: &Path, node: &FileNode) -> Result<[u8; 32], TreeError>;

    /// Whether something stands at a path that rules of the tree's own leave out.
    fn hides(&self, _: &Path) -> bool {
        false
    }

    /// Keeps what was hashed for the next build, where that is of use.
    fn remember(&self) -> Result<(), FileError> {
        Ok(())
    }

    /// Where a path leads when all links are followed, whether or not something is there.
    fn resolve(&self, path: &Path) -> Result<PathBuf, TreeError> {
        resolve_links(path, &mut |place| Ok(self.lookup(place)?.map(|node| node.kind)))
    }
}

/// Follows links below a root. `kind` says what stands at a path that has no link on the way to it.
pub(crate) fn resolve_links(
    path: &Path,
    kind: &mut dyn FnMut(&Path) -> Result<Option<NodeKind>, TreeError>,
) -> Result<PathBuf, TreeError> {
    let mut rest: VecDeque<OsString> = names(path).collect();
    let mut place = PathBuf::new();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            place.pop();
            continue;
        }
        place.push(&name);
        let Some(NodeKind::Symlink(target)) = kind(&place)? else { continue };
        links += 1;
        if links > MAX_LINKS {
            return Err(TreeError::Links(path.to_owned()));
        }
        place.pop();
        if target.is_absolute() {
            place = PathBuf::new();
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            rest.push_front(name);
        }
    }
    Ok(place)
}

/// The names of a path, `..` among them; slashes and `.` are left out.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

/// Hash of what a reader gives, which is some `size` bytes.
pub(crate) fn hash_reader(mut reader: impl Read, size: u64) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    // One more than there is, so that one read finds the end: most files are small, and there are many.
    let room = usize::try_from(size.saturating_add(1)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; room.clamp(512, 64 * 1024)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(*hasher.finalize().as_bytes()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The files of a stage or an image.
pub(crate) struct SnapshotTree(pub(crate) View);

impl SnapshotTree {
    fn node(node: longshore_snapshot::Node) -> FileNode {
        FileNode {
            kind: node.kind,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            xattrs: node.xattrs,
            inode: node.inode,
            stat: None,
        }
    }
}

impl FileTree for SnapshotTree {
    fn lookup(&self, path: &Path) -> Result<Option<FileNode>, TreeError> {
        Ok(self.0.lookup(path)?.map(SnapshotTree::node))
    }

    fn list(&self, folder: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError> {
        let listed = self.0.list(folder)?;
        Ok(listed.into_iter().map(|(name, node)| (name, SnapshotTree::node(node))).collect())
    }

    fn open(&self, path: &Path) -> Result<File, TreeError> {
        Ok(self.0.open(path)?)
    }

    fn hash(&self, path: &Path, node: &FileNode) -> Result<[u8; 32], TreeError> {
        let action = |source| TreeError::Context { action: "read", path: path.to_owned(), source };
        hash_reader(self.open(path)?, node.size()).map_err(action)
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, TreeError> {
        Ok(below_root(&self.0.resolve(path)?))
    }
}

/// One file whose content stands in the Dockerfile or was fetched.
pub(crate) struct SingleFile {
    /// Its name.
    pub(crate) name: OsString,
    /// Its node.
    pub(crate) node: FileNode,
    /// Its content, in a file that has no name any more.
    pub(crate) content: File,
    /// Hash of the content.
    pub(crate) digest: [u8; 32],
}

impl SingleFile {
    /// A file that came from elsewhere and has this digest. Its time is in seconds since 1970.
    pub(crate) fn fetched(
        name: OsString,
        (content, size): (File, u64),
        time: i64,
        digest: &Digest,
    ) -> SingleFile {
        let node = FileNode::new(NodeKind::File { size }, 0o600, time);
        let digest = *blake3::hash(digest.to_string().as_bytes()).as_bytes();
        SingleFile { name, node, content, digest }
    }

    fn root() -> FileNode {
        FileNode::new(NodeKind::Directory, 0o755, 0)
    }

    fn is_it(&self, path: &Path) -> bool {
        path.as_os_str() == self.name
    }
}

impl FileTree for SingleFile {
    fn lookup(&self, path: &Path) -> Result<Option<FileNode>, TreeError> {
        Ok(match path {
            path if path.as_os_str().is_empty() => Some(SingleFile::root()),
            path if self.is_it(path) => Some(self.node.clone()),
            _ => None,
        })
    }

    fn list(&self, folder: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError> {
        let is_root = folder.as_os_str().is_empty();
        Ok(if is_root { vec![(self.name.clone(), self.node.clone())] } else { Vec::new() })
    }

    fn open(&self, path: &Path) -> Result<File, TreeError> {
        if !self.is_it(path) {
            return Err(TreeError::NotAFile(path.to_owned()));
        }
        // A descriptor of its own, since two readers of one would share a position.
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.content));
        File::open(again).or_else(|_| self.content.try_clone()).map_err(|source| TreeError::Context {
            action: "read",
            path: path.to_owned(),
            source,
        })
    }

    fn hash(&self, _: &Path, _: &FileNode) -> Result<[u8; 32], TreeError> {
        Ok(self.digest)
    }
}

/// Whether a name ends with a slash, `/.` or `/..`: then only a folder can be meant.
pub(crate) fn names_folder(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

/// The last name of a path, empty for the root.
pub(crate) fn base_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(OsStr::from_bytes(b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let links: BTreeMap<&str, &str> =
            [("a", "/etc"), ("etc/up", "../../../b"), ("loop", "loop"), ("b/deep", "../a/up")].into();
        let mut kind = |path: &Path| {
            Ok(links.get(path.to_str().unwrap()).map(|target| NodeKind::Symlink(PathBuf::from(target))))
        };
        for (path, expected) in [
            ("x/y", "x/y"),
            ("/x/../y", "y"),
            ("../../x", "x"),
            ("a/passwd", "etc/passwd"),
            ("a/up/x", "b/x"),
            ("b/deep/y", "b/y"),
            (".", ""),
        ] {
            assert_eq!(resolve_links(Path::new(path), &mut kind).unwrap(), Path::new(expected), "{path}");
        }
        assert!(matches!(resolve_links(Path::new("loop/x"), &mut kind), Err(TreeError::Links(_))));
        assert_eq!(below_root(Path::new("/a/./../../b/")), Path::new("b"));
    }
}
