//! What COPY and ADD take from elsewhere than a tree: text in the Dockerfile, addresses.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use longshore_files::FileError;
use longshore_snapshot::NodeKind;

use crate::tree::{FileNode, FileTree, SingleFile};

/// A tree with one file whose content stands in the Dockerfile.
pub(crate) fn inline(name: &str, text: &[u8], now: i64, folder: &Path) -> Result<SingleFile, FileError> {
    let content = unnamed(folder, text)?;
    let kind = NodeKind::File { size: text.len() as u64 };
    let node =
        FileNode { kind, mode: 0o644, uid: 0, gid: 0, mtime: (now, 0), xattrs: BTreeMap::new(), inode: None };
    Ok(SingleFile { name: OsString::from(name), node, content, digest: *blake3::hash(text).as_bytes() })
}

/// A tree with nothing in it.
pub(crate) fn nothing() -> Nothing {
    Nothing
}

/// A tree with nothing in it: for folders that are made and filled by nobody.
pub(crate) struct Nothing;

impl FileTree for Nothing {
    fn lookup(&self, _: &Path) -> Result<Option<FileNode>, crate::tree::TreeError> {
        Ok(None)
    }

    fn list(&self, _: &Path) -> Result<Vec<(OsString, FileNode)>, crate::tree::TreeError> {
        Ok(Vec::new())
    }

    fn open(&self, path: &Path) -> Result<File, crate::tree::TreeError> {
        Err(crate::tree::TreeError::NotAFile(path.to_owned()))
    }

    fn hash(&self, path: &Path, _: &FileNode) -> Result<[u8; 32], crate::tree::TreeError> {
        Err(crate::tree::TreeError::NotAFile(path.to_owned()))
    }
}

/// A file without a name that holds `bytes`.
fn unnamed(folder: &Path, bytes: &[u8]) -> Result<File, FileError> {
    let mut file = tempfile::tempfile_in(folder).map_err(FileError::of("create a file in", folder))?;
    file.write_all(bytes).map_err(FileError::of("write a file in", folder))?;
    Ok(file)
}

/// What was fetched.
pub(crate) struct Fetched {
    pub(crate) tree: Arc<dyn FileTree>,
    /// What of the tree is meant.
    pub(crate) path: String,
}

/// The address of something that ADD fetches.
pub(crate) struct Address;

impl Address {
    /// Reads a source as an address; nothing where it is a path.
    pub(crate) fn read(_: &str) -> Option<Address> {
        None
    }
}

/// What ADD says of an address.
pub(crate) struct Wanted<'w> {
    pub(crate) checksum: Option<&'w str>,
    pub(crate) keep_git_dir: bool,
}

impl<'a> crate::solve::Solve<'a> {
    pub(crate) fn fetch(
        &self,
        at: &crate::solve::At<'_>,
        _: &Address,
        wanted: &Wanted<'_>,
        _: crate::solve::Mode,
    ) -> Result<Fetched, crate::solve::Stop> {
        let expected = format!("{:?} {}", wanted.checksum, wanted.keep_git_dir);
        Err(crate::origin::failed(
            at,
            crate::error::InstructionErrorKind::Value { what: "", value: String::new(), expected },
        ))
    }
}
