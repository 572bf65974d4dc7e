//! The files of a tree for people: written into a folder of theirs, or as a tar.
//!
//! What BuildKit's exporters `local` and `tar` do (`exporter/local`, `exporter/tar`, and the receiving side in fsutil): folders come before
//! what is in them, names in order, and the root itself is no entry. A folder belongs to whoever runs this; a tar keeps owners. Nobody's
//! work is lost by it: what stands in the folder beside the tree's files stays, and a folder with something in it is never replaced by a
//! file, where BuildKit removes it.

mod folder;
mod tar;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use longshore_events::{Cancelled, Events};
use longshore_files::FileError;
use longshore_image::layer::{LayerError, Timestamps};

use crate::error::SnapshotError;
use crate::node::Node;
use crate::view::View;

pub use self::tar::TarOutput;

/// Files that could not be written for a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] SnapshotError),
    /// The folder whose content is meant is not there, or no folder.
    #[error("there is no folder {} among the files", .0.display())]
    NoSource(PathBuf),
    /// The folder cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder with something in it stands where a file would.
    #[error("cannot replace the folder {} by a file: there is something in it", .0.display())]
    FolderInTheWay(PathBuf),
    /// A file cannot stand in a tar.
    #[error(transparent)]
    Entry(#[from] LayerError),
    /// The tar cannot be written.
    #[error("cannot write the tar")]
    Write(#[source] io::Error),
    /// The work was asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl OutputError {
    /// Whether all that happened is that the work was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, OutputError::Cancelled(_) | OutputError::Tree(SnapshotError::Cancelled(_)))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            OutputError::Tree(error) => error.hint(),
            OutputError::File(error) => error.hint(),
            OutputError::FolderInTheWay(_) => Some("move it away, or write to another folder".to_owned()),
            _ => None,
        }
    }
}

/// Files of a tree that are to be written, and how.
#[derive(Debug, Clone)]
pub struct Output<'o> {
    /// The tree.
    pub view: &'o View,
    /// The folder of the tree whose content is meant; links to it are followed. Empty for all.
    pub source: &'o Path,
    /// What becomes of modification times.
    pub timestamps: Timestamps,
    /// Who is told of progress, and may ask to stop.
    pub events: &'o Events,
}

/// Who takes the files of a tree, by their paths below the folder that is meant.
trait Taker {
    /// A file, or a folder before what is in it.
    fn take(&mut self, path: &Path, node: &Node) -> Result<(), OutputError>;
    /// A folder after what is in it.
    fn leave(&mut self, path: &Path, node: &Node) -> Result<(), OutputError>;
}

/// A folder that is being gone through.
struct Level {
    path: PathBuf,
    node: Node,
    rest: std::vec::IntoIter<(OsString, Node)>,
}

impl Output<'_> {
    /// The folder that is meant, links followed. Errors: it is not there, or no folder.
    fn real(&self) -> Result<PathBuf, OutputError> {
        let real = self.view.resolve(self.source)?;
        match self.view.lookup(&real)? {
            Some(node) if node.is_folder() => Ok(real),
            // Of a tree without any layer not even the root is there.
            None if real.as_os_str().is_empty() => Ok(real),
            _ => Err(OutputError::NoSource(Path::new("/").join(self.source))),
        }
    }

    /// Hands every file to `taker`. Not by recursion: a tree may be deeper than the stack.
    fn walk(&self, real: &Path, taker: &mut dyn Taker) -> Result<(), OutputError> {
        if self.view.lookup(real)?.is_none() {
            return Ok(());
        }
        let mut first = self.view.list(real)?.into_iter();
        let mut levels: Vec<Level> = Vec::new();
        loop {
            self.events.check()?;
            let (folder, rest) = match levels.last_mut() {
                Some(level) => (level.path.clone(), &mut level.rest),
                None => (PathBuf::new(), &mut first),
            };
            let Some((name, node)) = rest.next() else {
                let Some(level) = levels.pop() else { return Ok(()) };
                taker.leave(&level.path, &level.node)?;
                continue;
            };
            let path = folder.join(name);
            taker.take(&path, &node)?;
            if node.is_folder() {
                let rest = self.view.list(&real.join(&path))?.into_iter();
                levels.push(Level { path, node, rest });
            }
        }
    }
}
