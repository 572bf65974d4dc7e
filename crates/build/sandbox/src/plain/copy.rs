//! Copies of trees, with owners, modes, times and links, for mounts that cannot be mounted.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use longshore_files::{FileError, remove_tree};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

/// What marks, in a folder of a snapshot, that a name below is gone (OCI image-spec, layer.md, "Whiteouts").
const GONE: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Copies a file or a tree to a path where nothing is.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    merge(from, to, false)
}

/// Copies folders over each other, the bottom one first, leaving out what those above say is gone.
pub(super) fn copy_merged(folders: &[PathBuf], to: &Path) -> Result<(), FileError> {
    folders.iter().rev().try_for_each(|folder| merge(folder, to, true))
}

/// Copies one tree over what is there. Its depth is somebody else's choice, so no call goes into another here.
fn merge(from: &Path, to: &Path, marks: bool) -> Result<(), FileError> {
    let mut pending = vec![(from.to_owned(), to.to_owned())];
    let mut folders = Vec::new();
    while let Some((from, to)) = pending.pop() {
        let about = fs::symlink_metadata(&from).map_err(FileError::of("look at", &from))?;
        if !about.is_dir() {
            one(&from, &to, &about)?;
            continue;
        }
        prepare_folder(&to)?;
        for entry in fs::read_dir(&from).map_err(FileError::of("list", &from))? {
            let name = entry.map_err(FileError::of("list", &from))?.file_name();
            if marks && apply_mark(&name, &from, &to)? {
                continue;
            }
            pending.push((from.join(&name), to.join(&name)));
        }
        folders.push((to, about));
    }
    // Times of folders last: what is put into them changes them.
    folders.iter().rev().try_for_each(|(folder, about)| give(folder, about))
}

fn prepare_folder(folder: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(folder) {
        Ok(about) if about.is_dir() => return Ok(()),
        Ok(_) => remove_tree(folder)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::of("look at", folder)(error)),
    }
    fs::create_dir(folder).map_err(FileError::of("create", folder))
}

/// Does what a mark says. `false` if the name is none.
fn apply_mark(name: &std::ffi::OsStr, from: &Path, to: &Path) -> Result<bool, FileError> {
    if name.as_bytes() == OPAQUE {
        // What is there came from further below: the entries of this folder are all still pending.
        let listed = fs::read_dir(to).map_err(FileError::of("list", to))?;
        for entry in listed {
            remove_if_there(&entry.map_err(FileError::of("list", to))?.path())?;
        }
        return Ok(true);
    }
    if let Some(gone) = name.as_bytes().strip_prefix(GONE) {
        remove_if_there(&to.join(std::ffi::OsStr::from_bytes(gone)))?;
        return Ok(true);
    }
    let about = fs::symlink_metadata(from.join(name)).map_err(FileError::of("look at", from.join(name)))?;
    if about.file_type().is_char_device() && about.rdev() == 0 {
        remove_if_there(&to.join(name))?;
        return Ok(true);
    }
    Ok(false)
}

/// Removes a file or a tree, if there is one.
pub(super) fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => remove_tree(path),
        Ok(_) => fs::remove_file(path).map_err(FileError::of("remove", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::of("look at", path)(error)),
    }
}

fn one(from: &Path, to: &Path, about: &Metadata) -> Result<(), FileError> {
    remove_if_there(to)?;
    let kind = about.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(from).map_err(FileError::of("read the link", from))?;
        symlink(target, to).map_err(FileError::of("make the link", to))?;
    } else if kind.is_file() {
        // The kernel shares the blocks where the file system can.
        fs::copy(from, to).map_err(FileError::of("copy", from))?;
    } else if kind.is_socket() {
        return Ok(());
    } else {
        let kind = FileType::from_raw_mode(about.mode());
        mknodat(CWD, to, kind, Mode::from_raw_mode(about.mode() & 0o7777), about.rdev())
            .map_err(|error| FileError::of("make the node", to)(error.into()))?;
    }
    give(to, about)
}

/// Gives what stands at a path another's owner, mode and times.
pub(super) fn give(path: &Path, about: &Metadata) -> Result<(), FileError> {
    lchown(path, Some(about.uid()), Some(about.gid())).map_err(FileError::of("give the owner of", path))?;
    if !about.is_symlink() {
        let mode = Permissions::from_mode(about.mode() & 0o7777);
        fs::set_permissions(path, mode).map_err(FileError::of("set the mode of", path))?;
    }
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(about.atime(), about.atime_nsec()),
        last_modification: time(about.mtime(), about.mtime_nsec()),
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| FileError::of("set the times of", path)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_files::write_atomic;

    #[test]
    fn folders_are_copied_over_each_other_with_their_marks() {
        let folder = tempfile::tempdir().unwrap();
        let [top, middle, bottom, to] =
            ["top", "middle", "bottom", "to"].map(|name| folder.path().join(name));
        for (path, text) in [
            (bottom.join("a"), "bottom"),
            (bottom.join("gone"), "bottom"),
            (bottom.join("dir/old"), "bottom"),
            (bottom.join("dir/same"), "bottom"),
            (bottom.join("dir/sub/old"), "bottom"),
            (middle.join("a"), "middle"),
            (middle.join(".wh.gone"), ""),
            (middle.join("dir/.wh..wh..opq"), ""),
            (middle.join("dir/same"), "middle"),
            (middle.join("dir/sub/new"), "middle"),
            (top.join("b"), "top"),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_atomic(&path, text.as_bytes()).unwrap();
        }
        symlink("a", top.join("link")).unwrap();
        copy_merged(&[top, middle, bottom], &to).unwrap();
        let read = |name: &str| fs::read_to_string(to.join(name)).ok();
        assert_eq!(read("a").as_deref(), Some("middle"));
        assert_eq!(read("b").as_deref(), Some("top"));
        assert_eq!(read("link").as_deref(), Some("middle"));
        assert_eq!(read("dir/same").as_deref(), Some("middle"));
        assert_eq!((read("gone"), read("dir/old"), read(".wh.gone")), (None, None, None));
        assert_eq!((read("dir/sub/new").as_deref(), read("dir/sub/old")), (Some("middle"), None));
    }
}
