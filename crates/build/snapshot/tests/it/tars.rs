//! Tars as no tool of good will writes them, and images of them.

use std::io::Write as _;
use std::sync::Arc;

use longshore_image::mutate::Draft;
use longshore_image::{Image, Layout};
use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_oci::{Descriptor, Digest, History, Platform};
use longshore_testkit::Stop;

/// One entry: name, type flag, link target, content, mode.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) flag: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
}

pub(crate) fn file(name: &str, content: &[u8]) -> Raw {
    Raw { name: name.into(), flag: b'0', link: Vec::new(), content: content.to_vec(), mode: 0o644, uid: 0 }
}

pub(crate) fn folder(name: &str) -> Raw {
    Raw { flag: b'5', mode: 0o755, ..file(&format!("{name}/"), b"") }
}

pub(crate) fn symlink(name: &str, target: &str) -> Raw {
    Raw { flag: b'2', link: target.into(), mode: 0o777, ..file(name, b"") }
}

pub(crate) fn hard_link(name: &str, target: &str) -> Raw {
    Raw { flag: b'1', link: target.into(), ..file(name, b"") }
}

/// A record before the next entry.
pub(crate) fn pax(records: &[(&str, &str)]) -> Raw {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest..).find(|length| length - rest == length.to_string().len()).unwrap_or_default();
        content.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    Raw { flag: b'x', ..file("pax", &content) }
}

pub(crate) fn tar(entries: &[Raw]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let mut header = [0_u8; 512];
        header[..entry.name.len()].copy_from_slice(&entry.name);
        let mut number = |start: usize, width: usize, value: u64| {
            let text = format!("{value:0width$o}", width = width - 1);
            header[start..start + text.len()].copy_from_slice(text.as_bytes());
        };
        number(100, 8, u64::from(entry.mode));
        number(108, 8, u64::from(entry.uid));
        number(116, 8, 0);
        number(124, 12, entry.content.len() as u64);
        number(136, 12, 1_700_000_000);
        header[156] = entry.flag;
        header[157..157 + entry.link.len()].copy_from_slice(&entry.link);
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&entry.content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

pub(crate) fn platform() -> Result<Platform, Stop> {
    Ok("linux/amd64".parse()?)
}

/// An image whose layers are these tars, not compressed. `lie` makes its config name another diff id for the last one.
pub(crate) fn image(layout: &Layout, tars: &[Vec<u8>], lie: bool) -> Result<Image, Stop> {
    let mut draft = Draft::empty(&platform()?);
    for (number, tar) in tars.iter().enumerate() {
        let digest = Digest::of(tar);
        let mut file = layout.blob_writer()?;
        file.write_all(tar)?;
        layout.adopt(file, &digest)?;
        let last = number + 1 == tars.len();
        let diff_id = if lie && last { Digest::of(b"another") } else { digest.clone() };
        let media_type = ImageFormat::Oci.layer(Compression::None);
        let descriptor = Descriptor::new(media_type, digest, tar.len() as u64);
        draft.append(&longshore_image::layer::Layer { descriptor, diff_id }, History::default());
    }
    finish(layout, draft)
}

/// Writes an image's documents into a layout.
pub(crate) fn finish(layout: &Layout, draft: Draft) -> Result<Image, Stop> {
    let assembled = draft.finish(ImageFormat::Oci)?;
    for document in &assembled.documents {
        layout.write_bytes(&document.descriptor, &document.bytes)?;
    }
    Ok(Image::new(assembled.root, Arc::new(layout.clone())))
}

/// A layer with links of most kinds.
pub(crate) fn lower() -> Vec<Raw> {
    vec![
        folder("etc"),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
        folder("usr"),
        folder("usr/bin"),
        Raw { mode: 0o755, ..file("usr/bin/tool", b"#!/bin/sh\n") },
        symlink("bin", "usr/bin"),
        symlink("etc/absolute", "/usr/../usr/bin"),
        symlink("etc/loop", "loop"),
        symlink("etc/out", "../../../../etc"),
        Raw { mode: 0o555, ..folder("closed") },
        file("closed/file", b"1"),
        hard_link("closed/same", "closed/file"),
    ]
}
