//! ADD of local archives: tars, compressed or not, unpacked where they are added.
//!
//! Whether a file is one is told from its first bytes, never from its name. What is no archive is copied as it is. Entries that would
//! leave the destination are refused by the writer, which never leaves the stage.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use longshore_image::layer::{TarKind, entries, inside};
use longshore_oci::media_type::Compression;
use longshore_snapshot::{Metadata, NodeKind};

use crate::error::InstructionErrorKind;
use crate::place::Placer;
use crate::select::Selected;

/// Unpacks a selected file if it is an archive. False where it is none.
pub(crate) fn unpack(placer: &mut Placer<'_, '_>, selected: &Selected) -> Result<bool, InstructionErrorKind> {
    if !matches!(selected.node.kind, NodeKind::File { .. }) {
        return Ok(false);
    }
    if !is_archive(placer, selected)? {
        return Ok(false);
    }
    let broken = |source: Box<dyn std::error::Error + Send + Sync>| InstructionErrorKind::Archive {
        path: selected.place.clone(),
        source,
    };
    let target = placer.prepare()?;
    placer.make_folders(&target)?;
    let mut tar = entries(plain(placer, selected).map_err(|error| broken(error.into()))?);
    while let Some(entry) = tar.next_entry().map_err(|error| broken(error.into()))? {
        placer.events.check()?;
        let Some(path) = inside(&entry.path).filter(|path| !path.as_os_str().is_empty()) else { continue };
        let place = target.join(path);
        let owner = |number: u64| u32::try_from(number).unwrap_or(u32::MAX - 1);
        let (uid, gid) = placer.to.owner.unwrap_or((owner(entry.uid), owner(entry.gid)));
        let metadata = Metadata {
            mode: entry.mode,
            uid,
            gid,
            mtime: placer.to.time.map_or((entry.mtime, 0), |time| (time, 0)),
            xattrs: xattrs(&entry.xattrs),
        };
        if let Some(parent) = place.parent().map(Path::to_owned) {
            placer.make_folders(&parent)?;
        }
        match &entry.kind {
            TarKind::File => {
                placer.writer.file(&place, &metadata, &mut tar.content())?;
            }
            TarKind::Directory => placer.writer.folder(&place, &metadata)?,
            TarKind::Symlink(link) => placer.writer.symlink(&place, link, &metadata)?,
            TarKind::Hardlink(link) => {
                let Some(link) = inside(link) else { continue };
                placer.writer.hard_link(&place, &target.join(link))?;
            }
            TarKind::CharacterDevice(major, minor) => {
                placer.writer.node(&place, &NodeKind::CharacterDevice(*major, *minor), &metadata)?;
            }
            TarKind::BlockDevice(major, minor) => {
                placer.writer.node(&place, &NodeKind::BlockDevice(*major, *minor), &metadata)?;
            }
            TarKind::Fifo => placer.writer.node(&place, &NodeKind::Fifo, &metadata)?,
            _ => {}
        }
    }
    Ok(true)
}

fn xattrs(attributes: &BTreeMap<String, Vec<u8>>) -> BTreeMap<OsString, Vec<u8>> {
    attributes.iter().map(|(name, value)| (OsString::from(name), value.clone())).collect()
}

fn plain(placer: &Placer<'_, '_>, selected: &Selected) -> Result<Box<dyn Read + Send>, std::io::Error> {
    let file = placer.tree.open(&selected.place).map_err(std::io::Error::other)?;
    longshore_image::layer::decompress(file, Compression::None)
}

/// Whether the first entry can be read.
fn is_archive(placer: &Placer<'_, '_>, selected: &Selected) -> Result<bool, InstructionErrorKind> {
    let file = placer.tree.open(&selected.place)?;
    drop(file);
    let Ok(reader) = plain(placer, selected) else { return Ok(false) };
    Ok(matches!(entries(reader).next_entry(), Ok(Some(_))))
}
