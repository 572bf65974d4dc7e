//! An image as a base: which files it has, read from the headers of its layers without unpacking them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use longshore_image::Image;
use longshore_image::layer::{TarKind, entries, inside};
use longshore_oci::{Digest, Manifest};
use serde::{Deserialize, Serialize};

use super::BaseError;

/// Links in a row that are followed, as Linux does.
const MOST_LINKS: usize = 40;
/// A tar with more files than any image has is an attack on memory.
const MOST_FILES: usize = 4_000_000;

/// An image that programs stand on, for one platform.
#[derive(Debug, Clone)]
pub(crate) struct ForeignBase {
    /// The reference as it was written.
    pub(crate) reference: String,
    /// What the reference stood for: the index, or the manifest where there is none.
    pub(crate) digest: Digest,
    pub(crate) image: Image,
    pub(crate) manifest: Manifest,
    pub(crate) tree: Tree,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Node {
    Folder,
    File,
    Link(Vec<u8>),
}

/// The files of an image by path, without their content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    /// Reads the headers of an image's layers, lowest first.
    pub(crate) fn read(reference: &str, image: &Image, manifest: &Manifest) -> Result<Tree, BaseError> {
        let mut tree = Tree::default();
        for layer in &manifest.layers {
            let content = |source| BaseError::Content { reference: reference.to_owned(), source };
            let tar = image.open_layer(layer).map_err(content)?;
            let files = |source| BaseError::Files { reference: reference.to_owned(), source };
            tree.add_layer(tar).map_err(files)?;
        }
        Ok(tree)
    }

    /// A tree of these paths, for the built-in base.
    pub(crate) fn of_folders<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Tree {
        Tree { nodes: folders.into_iter().map(|path| (path.to_owned(), Node::Folder)).collect() }
    }

    fn add_layer(&mut self, tar: impl Read) -> io::Result<()> {
        let mut reader = entries(tar);
        let mut added: Vec<(PathBuf, Node)> = Vec::new();
        while let Some(entry) = reader.next_entry().map_err(io::Error::other)? {
            let Some(path) = inside(&entry.path).filter(|path| path != Path::new("")) else { continue };
            let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            if let Some(hidden) = name.strip_prefix(b".wh.") {
                let folder = path.parent().unwrap_or(Path::new(""));
                if hidden == b".wh..opq" {
                    self.remove_below(folder);
                } else {
                    self.remove(&folder.join(OsStr::from_bytes(hidden)));
                }
                continue;
            }
            let node = match entry.kind {
                TarKind::Directory => Node::Folder,
                TarKind::Symlink(target) => Node::Link(target.into_os_string().into_vec()),
                _ => Node::File,
            };
            added.push((path, node));
            if self.nodes.len() + added.len() > MOST_FILES {
                return Err(io::Error::other("it has more files than any image"));
            }
        }
        // A layer's removals are of what lies below it, wherever they stand in it.
        for (path, node) in added {
            if node != Node::Folder {
                self.remove(&path);
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) {
        self.nodes.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, folder: &Path) {
        let below = self.nodes.range(folder.to_owned()..).map(|(path, _)| path);
        let below: Vec<PathBuf> = below
            .take_while(|path| path.starts_with(folder))
            .filter(|path| path.as_path() != folder)
            .cloned()
            .collect();
        for path in below {
            self.nodes.remove(&path);
        }
    }

    /// Where a path leads when the links on its way are followed, the last component excepted; relative to the root.
    pub(crate) fn place(&self, path: &Path) -> PathBuf {
        let Some(name) = path.file_name() else { return path.to_owned() };
        let folder = path.parent().unwrap_or(Path::new(""));
        self.follow(folder).unwrap_or_else(|| folder.to_owned()).join(name)
    }

    /// Whether there is a folder at `path`.
    pub(crate) fn has_folder(&self, path: &Path) -> bool {
        path == Path::new("") || self.nodes.get(path) == Some(&Node::Folder)
    }

    /// Whether `path`, links followed, is a file.
    pub(crate) fn has_file(&self, path: &Path) -> bool {
        let path = normal(path).unwrap_or_default();
        self.follow(&path).is_some_and(|path| self.nodes.get(&path) == Some(&Node::File))
    }

    /// Whether a library of this name lies in one of the folders that loaders look into.
    pub(crate) fn has_library(&self, name: &str) -> bool {
        let is_library_folder = |folder: &Path| {
            let folder = folder.strip_prefix("usr").unwrap_or(folder);
            let folder = folder.strip_prefix("local").unwrap_or(folder);
            ["lib", "lib64", "lib32"].iter().any(|library| folder.starts_with(library))
        };
        let named = |path: &PathBuf| path.file_name() == Some(OsStr::new(name));
        let found = |path: &PathBuf| path.parent().is_some_and(is_library_folder) && self.has_file(path);
        self.nodes.keys().any(|path| named(path) && found(path))
    }

    fn follow(&self, path: &Path) -> Option<PathBuf> {
        let mut pending: Vec<std::ffi::OsString> = components(path);
        let mut place = PathBuf::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == ".." {
                place.pop();
                continue;
            }
            place.push(&name);
            if let Some(Node::Link(target)) = self.nodes.get(&place) {
                links += 1;
                if links > MOST_LINKS {
                    return None;
                }
                place.pop();
                let target = PathBuf::from(std::ffi::OsString::from_vec(target.clone()));
                if target.is_absolute() {
                    place = PathBuf::new();
                }
                pending.extend(components(&target));
            }
        }
        Some(place)
    }
}

/// The components of a path, the last first; `..` stays, the rest is names.
fn components(path: &Path) -> Vec<std::ffi::OsString> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

/// A path of a tar without `.` and leading slashes; none for one that leaves the root, or the root itself.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => return None,
            _ => {}
        }
    }
    (normal != Path::new("")).then_some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(entries: &[(&str, char, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, target) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_entry_type(match kind {
                'd' => tar::EntryType::Directory,
                'l' => tar::EntryType::Symlink,
                _ => tar::EntryType::Regular,
            });
            if *kind == 'l' {
                header.set_link_name(target).unwrap();
            }
            builder.append_data(&mut header, path, io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn links_are_followed_and_whiteouts_removed() {
        let mut tree = Tree::default();
        let lower = layer(&[
            ("bin", 'l', "usr/bin"),
            ("lib64", 'l', "/usr/lib64"),
            ("usr/lib64", 'd', ""),
            ("usr/lib64/ld-linux-x86-64.so.2", 'l', "../lib/x86_64-linux-gnu/ld.so"),
            ("usr/lib/x86_64-linux-gnu/ld.so", 'f', ""),
            ("usr/lib/x86_64-linux-gnu/libc.so.6", 'f', ""),
            ("opt/libz.so.1", 'f', ""),
            ("loop", 'l', "loop"),
            ("gone/a", 'f', ""),
            ("./opaque/old", 'f', ""),
        ]);
        tree.add_layer(&lower[..]).unwrap();
        assert!(tree.has_file(Path::new("/lib64/ld-linux-x86-64.so.2")));
        assert!(tree.has_library("libc.so.6"));
        assert!(!tree.has_library("libz.so.1"), "opt is no folder of libraries");
        assert!(!tree.has_file(Path::new("/loop")));
        assert_eq!(tree.place(Path::new("bin/tool")), Path::new("usr/bin/tool"));
        assert_eq!(tree.place(Path::new("app/tool")), Path::new("app/tool"));
        assert!(tree.has_file(Path::new("gone/a")) && tree.has_file(Path::new("opaque/old")));
        let upper =
            layer(&[(".wh.gone", 'f', ""), ("opaque/new", 'f', ""), ("opaque/.wh..wh..opq", 'f', "")]);
        tree.add_layer(&upper[..]).unwrap();
        assert!(!tree.has_file(Path::new("gone/a")) && !tree.has_file(Path::new("opaque/old")));
        assert!(tree.has_file(Path::new("opaque/new")));
    }
}
