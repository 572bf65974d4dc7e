//! /sys/fs/cgroup of a container: its own control groups, read-only, by which programs find out what they may use (Go 1.25 sets
//! GOMAXPROCS by them). Where the kernel does not allow it, there is none.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::mounts::{Attributes, Filesystem, Place, restrict};

const FOLDER: &str = "/sys/fs/cgroup";

/// The trees of control groups, seen from the present namespace of control groups.
pub(super) fn open() -> Vec<(PathBuf, OwnedFd)> {
    let Ok(own) = std::fs::read_to_string("/proc/self/cgroup") else { return Vec::new() };
    let names: Vec<&str> = own.lines().filter_map(|line| line.split(':').nth(1)).collect();
    // With the second version alone, the folder is the tree itself.
    if names == [""] {
        return unified(Path::new(FOLDER)).into_iter().collect();
    }
    let mut trees = Vec::new();
    if let Ok(folder) = Filesystem::new("tmpfs")
        .and_then(|folder| folder.option("mode", "755")?.option("size", "64k")?.mount(attributes()))
    {
        trees.push((PathBuf::from(FOLDER), folder));
    }
    for name in names {
        // A tree without controllers is systemd's own.
        let tree = if name.is_empty() || name.starts_with("name=") { None } else { first(name) };
        trees.extend(tree);
    }
    trees
}

fn attributes() -> Attributes {
    Attributes::NO_DEVICES | Attributes::NO_SETUID | Attributes::NO_PROGRAMS
}

fn unified(at: &Path) -> Option<(PathBuf, OwnedFd)> {
    let tree =
        Filesystem::new("cgroup2").and_then(|tree| tree.mount(attributes() | Attributes::READ_ONLY)).ok()?;
    Some((at.to_owned(), tree))
}

fn first(controllers: &str) -> Option<(PathBuf, OwnedFd)> {
    let tree = controllers
        .split(',')
        .try_fold(Filesystem::new("cgroup").ok()?, |tree, controller| tree.flag(controller).ok())?
        .mount(attributes() | Attributes::READ_ONLY)
        .ok()?;
    Some((Path::new(FOLDER).join(controllers), tree))
}

/// Mounts them. What cannot be mounted is not there.
pub(super) fn mount(place: &mut Place, trees: &[(PathBuf, OwnedFd)]) {
    for (at, tree) in trees {
        let _ = place.mount(tree.as_fd(), at);
    }
    if let Some((_, folder)) = trees.first() {
        // The folder that holds the others had to be written until now.
        let _ = restrict(folder, Attributes::READ_ONLY, false);
    }
}
