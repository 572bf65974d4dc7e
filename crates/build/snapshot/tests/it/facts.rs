//! A tree as facts that can be compared: of a view, of a folder on disk, of an image.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use longshore_image::flatten::{FileKind, Tree};
use longshore_oci::Digest;
use longshore_snapshot::{NodeKind, View};
use longshore_testkit::Stop;

/// All about a path, as a text: times of folders are left out, since each way of changing them sets them anew.
pub(crate) type Facts = BTreeMap<PathBuf, String>;

fn attributes<'x>(xattrs: impl Iterator<Item = (&'x str, &'x [u8])>) -> String {
    xattrs.map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value))).collect()
}

/// The tree that a view shows.
pub(crate) fn of_view(view: &View) -> Result<Facts, Stop> {
    let mut facts = Facts::new();
    let mut names: HashMap<(u64, u64, u64), PathBuf> = HashMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for (name, node) in view.list(&folder)? {
            let path = folder.join(name);
            let owner = format!("{:o} {}:{}", node.mode, node.uid, node.gid);
            let extra =
                attributes(node.xattrs.iter().map(|(k, v)| (k.to_str().unwrap_or_default(), v.as_slice())));
            let time = node.mtime.0;
            let mut fact = match &node.kind {
                NodeKind::Directory => {
                    folders.push(path.clone());
                    format!("folder {owner}{extra}")
                }
                NodeKind::Symlink(target) => {
                    format!("link {} {}:{} at {time}", target.display(), node.uid, node.gid)
                }
                NodeKind::Fifo => format!("fifo {owner} at {time}"),
                NodeKind::CharacterDevice(major, minor) => {
                    format!("character {major}:{minor} {owner} at {time}")
                }
                NodeKind::BlockDevice(major, minor) => format!("block {major}:{minor} {owner} at {time}"),
                NodeKind::File { size } => {
                    let mut content = Vec::new();
                    view.open(&path)?.read_to_end(&mut content)?;
                    assert_eq!(content.len() as u64, *size, "{}", path.display());
                    format!("file {owner} {}{extra} at {time}", Digest::of(&content).short())
                }
                other => return Err(Stop::failed(format!("{} is {other:?}", path.display()))),
            };
            if let Some(inode) = node.inode {
                names.entry(inode).or_insert_with(|| path.clone());
                fact.push_str(" linked");
            }
            facts.insert(path, fact);
        }
    }
    Ok(facts)
}

/// The tree of a folder on disk.
pub(crate) fn of_folder(root: &Path) -> Result<Facts, Stop> {
    let mut facts = Facts::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let path = folder.join(entry?.file_name());
            let full = root.join(&path);
            let about = fs::symlink_metadata(&full)?;
            let owner = format!("{:o} {}:{}", about.mode() & 0o7777, about.uid(), about.gid());
            let device = format!("{}:{}", rustix::fs::major(about.rdev()), rustix::fs::minor(about.rdev()));
            let time = about.mtime();
            let kind = rustix::fs::FileType::from_raw_mode(about.mode());
            let mut fact = match kind {
                rustix::fs::FileType::Directory => {
                    folders.push(path.clone());
                    format!("folder {owner}{}", on_disk(&full)?)
                }
                rustix::fs::FileType::Symlink => {
                    let target = fs::read_link(&full)?;
                    format!("link {} {}:{} at {time}", target.display(), about.uid(), about.gid())
                }
                rustix::fs::FileType::Fifo => format!("fifo {owner} at {time}"),
                rustix::fs::FileType::CharacterDevice => format!("character {device} {owner} at {time}"),
                rustix::fs::FileType::BlockDevice => format!("block {device} {owner} at {time}"),
                _ => {
                    let digest = Digest::of(&fs::read(&full)?);
                    format!("file {owner} {}{} at {time}", digest.short(), on_disk(&full)?)
                }
            };
            if about.nlink() > 1 && kind != rustix::fs::FileType::Directory {
                fact.push_str(" linked");
            }
            facts.insert(path, fact);
        }
    }
    Ok(facts)
}

fn on_disk(path: &Path) -> Result<String, Stop> {
    let mut names = vec![0; 4096];
    let count = rustix::fs::llistxattr(path, &mut names[..])?;
    let mut found = BTreeMap::new();
    for name in names[..count].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = vec![0; 4096];
        let count = rustix::fs::lgetxattr(path, name.as_str(), &mut value[..])?;
        found.insert(name, value[..count].to_vec());
    }
    Ok(attributes(found.iter().map(|(name, value)| (name.as_str(), value.as_slice()))))
}

/// The tree of an image. Its hard links are files with the content of what they lead to.
pub(crate) fn of_image(tree: &Tree) -> Result<Facts, Stop> {
    let mut facts = Facts::new();
    for (path, file) in tree.files() {
        let owner = format!("{:o} {}:{}", file.mode, file.uid, file.gid);
        let extra = attributes(file.xattrs.iter().map(|(k, v)| (k.as_str(), v.as_slice())));
        let time = file.mtime;
        let device = file.device.map(|(major, minor)| format!("{major}:{minor}")).unwrap_or_default();
        let fact = match (file.kind, &file.target, &file.content) {
            (FileKind::Directory, ..) => format!("folder {owner}{extra}"),
            (FileKind::Symlink, Some(target), _) => {
                format!("link {} {}:{} at {time}", target.display(), file.uid, file.gid)
            }
            (FileKind::Fifo, ..) => format!("fifo {owner} at {time}"),
            (FileKind::CharacterDevice, ..) => format!("character {device} {owner} at {time}"),
            (FileKind::BlockDevice, ..) => format!("block {device} {owner} at {time}"),
            (FileKind::File | FileKind::Hardlink, _, Some(content)) => {
                format!("file {owner} {}{extra} at {time}", content.short())
            }
            other => return Err(Stop::failed(format!("{} is {other:?}", path.display()))),
        };
        facts.insert(path.to_owned(), fact);
    }
    Ok(facts)
}

/// The same without what tells which names are of one file.
pub(crate) fn unlinked(facts: &Facts) -> Facts {
    facts.iter().map(|(path, fact)| (path.clone(), fact.trim_end_matches(" linked").to_owned())).collect()
}

/// Says what differs, and fails where anything does.
pub(crate) fn assert_same(what: &str, ours: &Facts, theirs: &Facts) {
    let mut lines = Vec::new();
    for path in ours.keys().chain(theirs.keys()) {
        let (one, other) = (ours.get(path), theirs.get(path));
        if one != other {
            let line = format!("{}: {one:?} and {other:?}", path.display());
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
}

/// What an error says, with its causes. Errors: there is none.
pub(crate) fn refusal<T, E: std::error::Error>(result: Result<T, E>) -> Result<String, Stop> {
    let Err(error) = result else { return Err(Stop::failed("it was not refused")) };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text.push_str(": ");
        text.push_str(&next.to_string());
        source = next.source();
    }
    Ok(text)
}
