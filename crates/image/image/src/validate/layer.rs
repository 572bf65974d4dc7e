//! A layer: what its bytes are, and whether its tar can be unpacked safely and to the same files by every engine.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_events::{Cancelled, Events};
use longshore_oci::media_type::{self, Compression};
use longshore_oci::{Descriptor, Digest, Digester};

use crate::handle::Image;
use crate::layer::{TarEntry, TarErrorKind, TarKind, TarReader, decompress, entries, inside, sniff};
use crate::validate::blob::{GzipMembers, SharedBlob};
use crate::validate::{Findings, Violation, chain};

/// Entries whose paths are remembered to find duplicates and the targets of hard links; no real layer has as many.
const MAX_PATHS: usize = 2_000_000;
/// Bytes that those paths may have together.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Prefix of a whiteout's name; what follows is the name that is hidden. OCI image-spec, layer.md.
const WHITEOUT: &[u8] = b".wh.";
/// A whiteout that hides everything below in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Reads a layer to its end. `diff_id` is what the config says of its tar.
pub(super) fn check_layer(
    image: &Image,
    layer: &Descriptor,
    diff_id: Option<&Digest>,
    events: &Events,
) -> Result<Vec<Violation>, Cancelled> {
    let mut findings = Findings::about(&layer.digest);
    let Some(blob) = SharedBlob::open(image, layer, events, &mut findings) else {
        return Ok(findings.finish());
    };
    check_content(blob.clone(), layer, diff_id, &mut findings);
    events.check()?;
    blob.finish(layer, &mut findings);
    events.check()?;
    Ok(findings.finish())
}

fn check_content(blob: SharedBlob, layer: &Descriptor, diff_id: Option<&Digest>, findings: &mut Findings) {
    let declared = media_type::layer_compression(&layer.media_type).unwrap_or(Compression::None);
    let mut blob = BufReader::with_capacity(128 * 1024, blob);
    // What cannot be read is told of when the blob is finished.
    let Ok(start) = blob.fill_buf() else { return };
    let actual = sniff(start).unwrap_or(declared);
    if actual != declared {
        let message = format!("its media type says {}, and its bytes are {}", name(declared), name(actual));
        findings.error("layer-compression", "", message);
    }
    let garbage = Arc::new(AtomicBool::new(false));
    let tar: Box<dyn Read> = match actual {
        Compression::Gzip => Box::new(GzipMembers::new(blob, Arc::clone(&garbage))),
        other => match decompress(blob, other) {
            Ok(tar) => tar,
            Err(error) => return findings.error("layer-undecodable", "", chain(&error)),
        },
    };
    let algorithm = diff_id.unwrap_or(&layer.digest).algorithm();
    let mut tar = entries(Hashing { inner: tar, digester: Digester::new(algorithm) });
    let whole = check_tar(&mut tar, findings);
    if garbage.load(Ordering::Relaxed) {
        findings.error(
            "gzip-trailing-garbage",
            "",
            "bytes follow the end of the gzip stream that belong to no other",
        );
    }
    if let (true, Some(expected)) = (whole, diff_id) {
        let actual = tar.into_inner().digester.finish();
        if actual != *expected {
            let message = format!("its tar has the digest {actual}, and the config's diff id is {expected}");
            findings.error("diff-id", "", message);
        }
    }
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "a plain tar",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    }
}

/// Reads every entry. Returns whether the stream was read to its end, so that its digest is that of the whole.
fn check_tar<R: Read>(tar: &mut TarReader<R>, findings: &mut Findings) -> bool {
    let mut paths = Paths::default();
    loop {
        match tar.next_entry() {
            Ok(Some(entry)) => check_entry(&entry, &mut paths, findings),
            Ok(None) => break,
            Err(error) => {
                let rule = match &error.kind {
                    TarErrorKind::Truncated => "tar-truncated",
                    TarErrorKind::Io(_) => "layer-undecodable",
                    _ => "tar-malformed",
                };
                findings.error(rule, "", chain(&error));
                return false;
            }
        }
    }
    let end = tar.end().unwrap_or_default();
    if let Some(offset) = end.garbage {
        let message = format!("bytes that are not zero follow the tar's end, from byte {offset}");
        findings.error("tar-trailing-garbage", "", message);
    }
    // An empty stream is how some tools write an empty layer.
    if !end.marked && end.size > 0 {
        findings.notice(
            "tar-end-missing",
            "",
            "the tar ends without the two blocks of zeros that mark its end",
        );
    }
    true
}

/// The paths of a layer so far, and whether each is a folder.
#[derive(Default)]
struct Paths {
    folders: HashMap<PathBuf, bool>,
    told: HashSet<PathBuf>,
    bytes: usize,
}

impl Paths {
    fn is_full(&self) -> bool {
        self.folders.len() >= MAX_PATHS || self.bytes >= MAX_BYTES
    }
}

fn check_entry(entry: &TarEntry, paths: &mut Paths, findings: &mut Findings) {
    let path = &entry.path;
    if path.has_root() {
        findings.notice("tar-path-absolute", path, "its path is absolute");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        findings.error("tar-path-dots", path, "its path has `..` in it");
    }
    let Some(clean) = inside(path) else {
        findings.error("tar-path-escapes", path, "its path leaves the image's root");
        return;
    };
    if path.as_os_str().is_empty() {
        findings.error(
            "tar-path-empty",
            "",
            format!("the entry at byte {} has no name", entry.header_offset),
        );
        return;
    }
    match &entry.kind {
        TarKind::CharacterDevice(major, minor) | TarKind::BlockDevice(major, minor) => {
            findings.notice("tar-device", path, format!("it is a device node, {major}:{minor}"));
        }
        TarKind::Other(flag) => {
            findings.error(
                "tar-entry-type",
                path,
                format!("its type flag {flag} is none that engines unpack"),
            );
        }
        TarKind::File if entry.sparse => {
            findings.notice("tar-sparse", path, "it is stored with holes, which not every engine reads");
        }
        TarKind::Hardlink(target) => check_hard_link(path, target, paths, findings),
        _ => {}
    }
    check_whiteout(entry, &clean, findings);
    remember(entry, clean, paths, findings);
}

fn check_hard_link(path: &Path, target: &Path, paths: &Paths, findings: &mut Findings) {
    let Some(clean) = inside(target) else {
        findings.error(
            "tar-link-escapes",
            path,
            format!("it is a hard link to {}, out of the root", target.display()),
        );
        return;
    };
    match paths.folders.get(&clean) {
        Some(false) => {}
        Some(true) => {
            findings.error(
                "tar-link-target",
                path,
                format!("it is a hard link to the folder {}", target.display()),
            );
        }
        None if !paths.is_full() => {
            let message = format!(
                "it is a hard link to {}, which does not stand earlier in the layer",
                target.display()
            );
            findings.error("tar-link-target", path, message);
        }
        None => {}
    }
}

fn check_whiteout(entry: &TarEntry, clean: &Path, findings: &mut Findings) {
    let Some(name) = clean.file_name().map(OsStrExt::as_bytes).filter(|name| name.starts_with(WHITEOUT))
    else {
        return;
    };
    // AUFS's own files, `.wh..wh.plnk` and its like, are no whiteouts; engines skip them.
    let reserved = name.starts_with(b".wh..wh.");
    if name == WHITEOUT || name == b".wh.." || name == b".wh..." {
        findings.error("whiteout-name", &entry.path, "it is a whiteout of nothing that can be there");
    } else if reserved && name != OPAQUE {
        findings.notice("whiteout-reserved", &entry.path, "it is a file of AUFS's own, which engines skip");
    } else if entry.kind != TarKind::File || entry.size > 0 {
        findings.error("whiteout-content", &entry.path, "it is a whiteout, and no empty regular file");
    }
}

fn remember(entry: &TarEntry, clean: PathBuf, paths: &mut Paths, findings: &mut Findings) {
    if paths.is_full() || clean.as_os_str().is_empty() {
        return;
    }
    paths.bytes += clean.as_os_str().len();
    let folder = entry.kind == TarKind::Directory;
    // Writers repeat folders; only what replaces something is told of.
    if let Some(before) = paths.folders.insert(clean.clone(), folder)
        && !(before && folder)
        && paths.told.insert(clean)
    {
        findings.error("tar-duplicate", &entry.path, "it stands in the layer twice");
    }
}

struct Hashing<R> {
    inner: R,
    digester: Digester,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digester.update(&buffer[..count]);
        Ok(count)
    }
}
