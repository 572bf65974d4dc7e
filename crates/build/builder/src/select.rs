//! What COPY and ADD copy: from a source as written to the files that it means.
//!
//! A source is a path or a pattern. A pattern is matched name by name against the tree, and what it matches is not looked into for
//! more matches. A link that is named is followed; links found in a folder are copied as links. `--parents` and `--exclude` choose
//! among what is below. Follows BuildKit's file operations and the copier they use.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use longshore_dockerfile::wildcard::{self, PatternError};
use longshore_snapshot::NodeKind;

use crate::key::KeyWriter;
use crate::parallel;
use crate::rules::Rules;
use crate::tree::{FileNode, FileTree, TreeError, base_name, below_root};

/// Folders below folders that are followed; deeper ones are no tree that a file system holds.
const MAX_DEPTH: usize = 2048;

/// One thing that was named, with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    /// Where it is, its own link followed.
    pub(crate) place: PathBuf,
    /// The name that it is copied under where the destination is a folder.
    pub(crate) name: PathBuf,
    pub(crate) node: FileNode,
    /// What is below it, each after its folder.
    pub(crate) items: Vec<Item>,
}

/// Something below what was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Path relative to what was named.
    pub(crate) path: PathBuf,
    pub(crate) node: FileNode,
    /// Whether it was meant, rather than being only on the way to something that was.
    pub(crate) meant: bool,
}

/// Which of the files below a source are meant.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// `--parents`: only what these match.
    pub(crate) include: Option<Rules>,
    /// `--exclude`: not what these match.
    pub(crate) exclude: Option<Rules>,
}

/// A source that means nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// It is not there.
    #[error("{} is not there", .0.display())]
    NotFound(PathBuf),
    /// Its pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Folders lie deeper than any file system has them.
    #[error("folders lie too deep below {}", .0.display())]
    Depth(PathBuf),
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Filter {
    fn is_meant(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|rules| rules.matches(path))
            && !self.exclude.as_ref().is_some_and(|rules| rules.matches(path))
    }

    /// Whether a folder that is left out can be passed over with all below it.
    fn is_closed(&self, folder: &Path) -> bool {
        self.exclude.as_ref().is_some_and(|rules| rules.matches(folder) && !rules.may_reinclude_below(folder))
    }
}

/// The files that `source` means. A pattern may mean none.
///
/// Errors: a path that is no pattern is not there, a pattern is malformed, the tree cannot be read.
pub(crate) fn select(
    tree: &dyn FileTree,
    source: &str,
    filter: &Filter,
) -> Result<Vec<Selected>, SelectError> {
    let mut selected = Vec::new();
    for path in matches(tree, source)? {
        let place = tree.resolve(&path)?;
        let found = tree.lookup(&place)?;
        let node = found.ok_or_else(|| SelectError::NotFound(Path::new("/").join(&path)))?;
        let items = if node.is_folder() { below(tree, &place, filter)? } else { Vec::new() };
        selected.push(Selected { name: PathBuf::from(base_name(&path)), place, node, items });
    }
    Ok(selected)
}

/// Everything below a folder that is meant, or on the way to what is, each after its folder. Folders of one depth are listed at the
/// same time.
fn below(tree: &dyn FileTree, root: &Path, filter: &Filter) -> Result<Vec<Item>, SelectError> {
    let mut listings = HashMap::new();
    let mut folders = vec![PathBuf::new()];
    for _ in 0..MAX_DEPTH {
        if folders.is_empty() {
            let mut items = Vec::new();
            gather(Path::new(""), &mut listings, &mut items);
            return Ok(items);
        }
        let listed = parallel::map(&folders, |folder| list(tree, root, folder, filter))?;
        let entered = listed.iter().flatten().filter(|item| item.node.is_folder());
        let next = entered.map(|item| item.path.clone()).collect();
        listings.extend(std::mem::replace(&mut folders, next).into_iter().zip(listed));
    }
    Err(SelectError::Depth(root.to_owned()))
}

/// What of a folder is meant, or may lead to what is.
fn list(tree: &dyn FileTree, root: &Path, folder: &Path, filter: &Filter) -> Result<Vec<Item>, SelectError> {
    let mut items = Vec::new();
    for (name, node) in tree.list(&root.join(folder))? {
        let path = folder.join(name);
        let meant = filter.is_meant(&path);
        if meant || (node.is_folder() && !filter.is_closed(&path)) {
            items.push(Item { path, node, meant });
        }
    }
    Ok(items)
}

/// Puts listings into the order of a walk. Folders that lead to nothing that is meant are left out.
fn gather(folder: &Path, listings: &mut HashMap<PathBuf, Vec<Item>>, items: &mut Vec<Item>) {
    for item in listings.remove(folder).unwrap_or_default() {
        let (meant, path) = (item.meant, item.node.is_folder().then(|| item.path.clone()));
        items.push(item);
        let Some(path) = path else { continue };
        let place = items.len();
        gather(&path, listings, items);
        if !meant && items.len() == place {
            items.pop();
        }
    }
}

/// The paths that a source matches, in the order of a walk.
fn matches(tree: &dyn FileTree, source: &str) -> Result<Vec<PathBuf>, SelectError> {
    let path = below_root(Path::new(source));
    let names: Vec<&OsStr> = path.iter().collect();
    let Some(first) = names.iter().position(|name| wildcard::is_pattern(&name.to_string_lossy())) else {
        return Ok(vec![path]);
    };
    let start: PathBuf = names[..first].iter().collect();
    let pattern: Vec<String> =
        names[first..].iter().map(|name| name.to_string_lossy().into_owned()).collect();
    for part in &pattern {
        wildcard::matches(part, "")?;
    }
    let root = tree.resolve(&start)?;
    let is_folder = tree.lookup(&root)?.is_some_and(|node| node.is_folder());
    if !is_folder {
        return Err(SelectError::NotFound(Path::new("/").join(&start)));
    }
    let mut found = Vec::new();
    descend(tree, &root, &pattern, &mut found)?;
    Ok(found)
}

fn descend(
    tree: &dyn FileTree,
    folder: &Path,
    pattern: &[String],
    found: &mut Vec<PathBuf>,
) -> Result<(), SelectError> {
    let [part, rest @ ..] = pattern else { return Ok(()) };
    for (name, node) in tree.list(folder)? {
        let fits = wildcard::matches(part, &name.to_string_lossy())?;
        match (fits, rest.is_empty()) {
            (true, true) => found.push(folder.join(name)),
            (true, false) if node.is_folder() => descend(tree, &folder.join(name), rest, found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes what is selected into a key: names, kinds, modes, owners, attributes and contents, but no times.
pub(crate) fn describe(
    tree: &dyn FileTree,
    selected: &[Selected],
    key: &mut KeyWriter,
) -> Result<(), TreeError> {
    key.number(selected.len() as u64);
    for root in selected {
        key.bytes(root.name.as_os_str().as_bytes());
        describe_node(&root.node, &content(tree, &root.place, &root.node)?, key);
        key.number(root.items.len() as u64);
        let contents =
            parallel::map(&root.items, |item| content(tree, &root.place.join(&item.path), &item.node))?;
        for (item, content) in root.items.iter().zip(contents) {
            key.bytes(item.path.as_os_str().as_bytes()).flag(item.meant);
            describe_node(&item.node, &content, key);
        }
    }
    Ok(())
}

/// Hash of a regular file's content, nothing of anything else.
fn content(tree: &dyn FileTree, path: &Path, node: &FileNode) -> Result<Option<[u8; 32]>, TreeError> {
    matches!(node.kind, NodeKind::File { .. }).then(|| tree.hash(path, node)).transpose()
}

fn describe_node(node: &FileNode, content: &Option<[u8; 32]>, key: &mut KeyWriter) {
    key.number(u64::from(node.mode)).number(u64::from(node.uid)).number(u64::from(node.gid));
    key.number(node.xattrs.len() as u64);
    for (name, value) in &node.xattrs {
        key.bytes(name.as_bytes()).bytes(value);
    }
    match &node.kind {
        NodeKind::Directory => key.text("folder"),
        NodeKind::File { .. } => key.text("file").bytes(content.as_ref().map_or(&[], |hash| hash)),
        NodeKind::Symlink(target) => key.text("link").bytes(target.as_os_str().as_bytes()),
        NodeKind::Fifo => key.text("fifo"),
        NodeKind::CharacterDevice(major, minor) => {
            key.text("character").number(u64::from(*major)).number(u64::from(*minor))
        }
        NodeKind::BlockDevice(major, minor) => {
            key.text("block").number(u64::from(*major)).number(u64::from(*minor))
        }
        _ => key.text("other"),
    };
}
