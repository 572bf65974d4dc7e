//! Folders that outlive containers, or that live as long as one.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use longshore_files::create_folders;
use longshore_snapshot::{Node, NodeKind, SnapshotError, View};

use crate::error::ContainerError;
use crate::folder::{Container, Containers, is_name};

impl Containers {
    /// The folder of a named volume, made where it is not there. It takes over owner and mode of what the image has at `target`; its
    /// files too, where the volume is new.
    pub(crate) fn volume(
        &self,
        name: &str,
        (view, target): (&View, &Path),
    ) -> Result<PathBuf, ContainerError> {
        if !is_name(name) {
            return Err(ContainerError::new(format!(
                "`{name}` is no name of a volume: it has letters, digits, `_`, `.` and `-`"
            )));
        }
        let folder = self.volumes().join(name);
        make(&folder, view, target)?;
        Ok(folder)
    }
}

impl Container {
    /// The folder of a volume without a name, by its number.
    pub(crate) fn volume(
        &self,
        number: usize,
        (view, target): (&View, &Path),
    ) -> Result<PathBuf, ContainerError> {
        let folder = self.path("volumes").join(number.to_string());
        make(&folder, view, target)?;
        Ok(folder)
    }
}

fn make(folder: &Path, view: &View, target: &Path) -> Result<(), ContainerError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    create_folders(parent)?;
    let draft =
        parent.join(format!(".{}-{}", folder.file_name().unwrap_or_default().display(), std::process::id()));
    fs::create_dir(&draft).map_err(ContainerError::at("create", &draft))?;
    copy_out(view, target, &draft)?;
    match fs::rename(&draft, folder) {
        // Another container was first.
        Err(_) if folder.is_dir() => Ok(longshore_files::remove_tree(&draft)?),
        answer => answer.map_err(ContainerError::at("rename to", folder)),
    }
}

/// Copies what the image has in a folder, with owners and modes. Only files, folders and links: what else may stand there is no data.
fn copy_out(view: &View, source: &Path, target: &Path) -> Result<(), ContainerError> {
    let read = |error: SnapshotError| ContainerError::of(&error, error.hint());
    let Some(node) = view.lookup(&view.resolve(source).map_err(read)?).map_err(read)? else { return Ok(()) };
    if !node.is_folder() {
        return Ok(());
    }
    for (name, child) in view.list(source).map_err(read)? {
        let (from, to) = (source.join(&name), target.join(&name));
        match &child.kind {
            NodeKind::Directory => {
                fs::create_dir(&to).map_err(ContainerError::at("create", &to))?;
                copy_out(view, &from, &to)?;
            }
            NodeKind::File { .. } => {
                let mut reader = view.open(&from).map_err(read)?;
                let mut writer = fs::File::create_new(&to).map_err(ContainerError::at("create", &to))?;
                io::copy(&mut reader, &mut writer).map_err(ContainerError::at("write", &to))?;
                dress(&to, &child)?;
            }
            NodeKind::Symlink(link) => {
                std::os::unix::fs::symlink(link, &to).map_err(ContainerError::at("create", &to))?;
            }
            _ => {}
        }
    }
    dress(target, &node)
}

fn dress(path: &Path, node: &Node) -> Result<(), ContainerError> {
    let metadata = node.metadata();
    match std::os::unix::fs::lchown(path, Some(metadata.uid), Some(metadata.gid)) {
        // With a single id, all files are that one's.
        Err(error)
            if !matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) =>
        {
            return Err(ContainerError::at("give an owner to", path)(error));
        }
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode))
        .map_err(ContainerError::at("give a mode to", path))
}
