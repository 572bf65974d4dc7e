//! Folders as layers: walked in order, streamed into the layout, and compared with what they were before a change.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use longshore_files::AtomicFile;
use longshore_image::Layout;
use longshore_image::layer::{Entry, EntryKind, Layer, LayerBuilder, Timestamps};
use longshore_oci::media_type::ImageFormat;

use super::EPOCH;
use crate::command::{Result, context};

/// A layer being written to a layout. All times become one.
pub(super) struct LayerFile<'l> {
    layout: &'l Layout,
    builder: LayerBuilder<AtomicFile>,
}

impl<'l> LayerFile<'l> {
    pub(super) fn new(layout: &'l Layout) -> Result<LayerFile<'l>> {
        let file = layout.blob_writer().map_err(|error| error.to_string())?;
        Ok(LayerFile { layout, builder: LayerBuilder::new(file, Timestamps::Fixed(EPOCH)) })
    }

    pub(super) fn append(&mut self, entry: &Entry, content: &mut dyn std::io::Read) -> Result<()> {
        self.builder
            .append(entry, content)
            .map_err(|error| format!("cannot add {}: {}", error.path.display(), error.kind))
    }

    pub(super) fn finish(self) -> Result<Layer> {
        let (layer, file) = self.builder.finish(ImageFormat::Oci).map_err(context("cannot end the layer"))?;
        self.layout.adopt(file, &layer.descriptor.digest).map_err(|error| error.to_string())?;
        Ok(layer)
    }
}

/// What a folder holds, by path relative to it, parents first. Sockets and devices are no part of an image.
pub(super) struct Tree {
    root: PathBuf,
    entries: BTreeMap<PathBuf, Metadata>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Tree> {
        let mut tree = Tree { root: root.to_owned(), entries: BTreeMap::new() };
        tree.list(Path::new(""))?;
        Ok(tree)
    }

    fn list(&mut self, below: &Path) -> Result<()> {
        let folder = self.root.join(below);
        let failed = |error| format!("cannot list {}: {error}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, metadata) = (below.join(entry.file_name()), entry.metadata().map_err(failed)?);
            let kind = metadata.file_type();
            if kind.is_socket() || kind.is_block_device() || kind.is_char_device() || kind.is_fifo() {
                continue;
            }
            self.entries.insert(path.clone(), metadata);
            if kind.is_dir() {
                self.list(&path)?;
            }
        }
        Ok(())
    }

    /// All of it as a layer.
    pub(super) fn layer(&self, layout: &Layout) -> Result<Layer> {
        self.write(layout, &BTreeMap::new())
    }

    /// What became of `before`, the same folder as it was, as a layer on top of that.
    pub(super) fn layer_since(&self, before: &Tree, layout: &Layout) -> Result<Layer> {
        self.write(layout, &before.entries)
    }

    fn write(&self, layout: &Layout, before: &BTreeMap<PathBuf, Metadata>) -> Result<Layer> {
        let mut layer = LayerFile::new(layout)?;
        let mut links = HashMap::new();
        for (path, metadata) in &self.entries {
            if before.get(path).is_some_and(|old| same(old, metadata)) {
                continue;
            }
            let entry = self.entry(path, metadata, &mut links)?;
            match entry.kind {
                EntryKind::File { .. } => {
                    let file = self.root.join(path);
                    let mut file =
                        File::open(&file).map_err(context(format!("cannot open {}", file.display())))?;
                    layer.append(&entry, &mut file)?;
                }
                _ => layer.append(&entry, &mut std::io::empty())?,
            }
        }
        for path in self.gone(before) {
            layer.append(&Entry::file(whiteout(path), 0, 0), &mut std::io::empty())?;
        }
        layer.finish()
    }

    /// What is no longer there, without what went with its folder.
    fn gone<'b>(&self, before: &'b BTreeMap<PathBuf, Metadata>) -> Vec<&'b Path> {
        let is_gone = |path: &Path| !path.as_os_str().is_empty() && !self.entries.contains_key(path);
        let gone = before.keys().filter(|path| is_gone(path));
        gone.filter(|path| !path.parent().is_some_and(is_gone)).map(PathBuf::as_path).collect()
    }

    fn entry(
        &self,
        path: &Path,
        metadata: &Metadata,
        links: &mut HashMap<(u64, u64), PathBuf>,
    ) -> Result<Entry> {
        let first = match metadata.nlink() > 1 && metadata.is_file() {
            true => links.insert((metadata.dev(), metadata.ino()), path.to_owned()),
            false => None,
        };
        let kind = if let Some(first) = first {
            links.insert((metadata.dev(), metadata.ino()), first.clone());
            EntryKind::Hardlink { target: first }
        } else if metadata.is_dir() {
            EntryKind::Directory
        } else if metadata.is_symlink() {
            let link = self.root.join(path);
            let target =
                std::fs::read_link(&link).map_err(context(format!("cannot read {}", link.display())))?;
            EntryKind::Symlink { target }
        } else {
            EntryKind::File { size: metadata.len() }
        };
        let mode = metadata.mode() & 0o7777;
        let owner = (u64::from(metadata.uid()), u64::from(metadata.gid()));
        let entry = Entry { kind, ..Entry::directory(path, mode) };
        Ok(entry.owned_by(owner.0, owner.1))
    }
}

/// Whether nothing happened to a file: a folder whose entries changed is the same folder.
fn same(old: &Metadata, new: &Metadata) -> bool {
    let outside = |metadata: &Metadata| (metadata.mode(), metadata.uid(), metadata.gid());
    let inside = |metadata: &Metadata| {
        (metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.ctime())
    };
    outside(old) == outside(new) && (new.is_dir() || inside(old) == inside(new))
}

/// The file that hides another in the layers below. OCI image-spec 1.1, layer.md, "Whiteouts".
fn whiteout(path: &Path) -> PathBuf {
    let mut name = OsString::from(".wh.");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use longshore_image::layer::{TarKind, decompress, entries};
    use longshore_oci::media_type::Compression;
    use longshore_testkit::Folder;

    use super::*;

    fn listing(layout: &Layout, layer: &Layer) -> Vec<String> {
        let file = File::open(layout.blob_path(&layer.descriptor.digest)).unwrap();
        let mut reader = entries(decompress(file, Compression::Gzip).unwrap());
        let mut lines = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let kind = match entry.kind {
                TarKind::File => "file".to_owned(),
                TarKind::Directory => "folder".to_owned(),
                TarKind::Symlink(target) | TarKind::Hardlink(target) => {
                    format!("link to {}", target.display())
                }
                other => format!("{other:?}"),
            };
            lines.push(format!("{} {:o} {kind} {}", entry.path.display(), entry.mode, entry.size));
        }
        lines
    }

    #[test]
    fn a_change_is_a_layer_of_what_came_and_whiteouts_of_what_went() {
        let folder = Folder::new().unwrap();
        let layout = Layout::create(&folder.join("layout")).unwrap();
        for path in ["root/etc/kept", "root/etc/changed", "root/gone/a", "root/gone/b", "root/etc/went"] {
            folder.write(path, "one").unwrap();
        }
        let root = folder.join("root");
        let before = Tree::read(&root).unwrap();
        let all = listing(&layout, &before.layer(&layout).unwrap());
        assert_eq!(all[..2], ["etc/ 755 folder 0", "etc/changed 644 file 3"]);
        assert_eq!(all.len(), 7);

        std::fs::remove_dir_all(root.join("gone")).unwrap();
        std::fs::remove_file(root.join("etc/went")).unwrap();
        folder.write("root/etc/changed", "other").unwrap();
        folder.write("root/new/tool", "tool").unwrap();
        std::fs::set_permissions(root.join("new/tool"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        std::fs::hard_link(root.join("new/tool"), root.join("new/tool2")).unwrap();
        symlink("../new/tool", root.join("etc/link")).unwrap();
        let layer = Tree::read(&root).unwrap().layer_since(&before, &layout).unwrap();
        assert_eq!(
            listing(&layout, &layer),
            [
                "etc/changed 644 file 5",
                "etc/link 777 link to ../new/tool 0",
                "new/ 755 folder 0",
                "new/tool 4755 file 4",
                "new/tool2 4755 link to new/tool 0",
                "etc/.wh.went 0 file 0",
                ".wh.gone 0 file 0",
            ]
        );
    }
}
