//! A tree as a build context: one folder of it as the root, less what .dockerignore leaves out, whether the tree is a folder of this
//! machine or comes from elsewhere.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_dockerfile::ignore::FolderMatches;
use longshore_files::FileError;

use crate::rules::Rules;
use crate::tree::{FileNode, FileTree, TreeError, resolve_links};

/// A folder of a tree. Links in it do not leave it.
pub(crate) struct Scoped {
    pub(crate) tree: Arc<dyn FileTree>,
    /// The folder, without links on the way to it.
    pub(crate) folder: PathBuf,
    pub(crate) ignore: Rules,
}

impl Scoped {
    /// What stands at a path that has no link on the way to it, left out or not.
    fn node(&self, place: &Path) -> Result<Option<FileNode>, TreeError> {
        self.tree.lookup(&self.folder.join(place))
    }

    /// Whether .dockerignore leaves it, in a folder of which `above` is known: a folder that is left out may lead to files that are not.
    fn is_visible(&self, above: &FolderMatches, path: &Path, node: &FileNode) -> Result<bool, TreeError> {
        if !self.ignore.matches_in(above, path) {
            return Ok(true);
        }
        if !node.is_folder() || !self.ignore.may_reinclude_below(path) {
            return Ok(false);
        }
        let within = self.ignore.enter(above, path);
        for (name, node) in self.tree.list(&self.folder.join(path))? {
            if self.is_visible(&within, &path.join(name), &node)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl FileTree for Scoped {
    fn lookup(&self, path: &Path) -> Result<Option<FileNode>, TreeError> {
        let folder = self.resolve(path.parent().unwrap_or(Path::new("")))?;
        let place = path.file_name().map_or_else(PathBuf::new, |name| folder.join(name));
        let Some(node) = self.node(&place)? else { return Ok(None) };
        let is_visible = self.is_visible(&self.ignore.within(&folder), &place, &node)?;
        Ok(is_visible.then_some(node))
    }

    fn list(&self, folder: &Path) -> Result<Vec<(OsString, FileNode)>, TreeError> {
        let above = self.ignore.within(folder);
        let mut listed = Vec::new();
        for (name, node) in self.tree.list(&self.folder.join(folder))? {
            if self.is_visible(&above, &folder.join(&name), &node)? {
                listed.push((name, node));
            }
        }
        Ok(listed)
    }

    fn open(&self, path: &Path) -> Result<File, TreeError> {
        self.tree.open(&self.folder.join(path))
    }

    fn hash(&self, path: &Path, node: &FileNode) -> Result<[u8; 32], TreeError> {
        self.tree.hash(&self.folder.join(path), node)
    }

    fn hides(&self, path: &Path) -> bool {
        self.ignore.matches(path) && self.node(path).is_ok_and(|node| node.is_some())
    }

    fn remember(&self) -> Result<(), FileError> {
        self.tree.remember()
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, TreeError> {
        resolve_links(path, &mut |place| Ok(self.node(place)?.map(|node| node.kind)))
    }
}
