//! Images and tars for tests.

use std::path::Path;

use longshore_oci::media_type::ImageFormat;
use longshore_oci::{History, Platform};

use crate::copy::Sink;
use crate::layer::{Entry, Layer, LayerBuilder, Timestamps};
use crate::layout::Layout;
use crate::mutate::{Assembled, Draft};
use crate::{Image, VerifyingReader};

/// Writes a layer of `entries` into `layout`.
pub(crate) fn layer(layout: &Layout, entries: &[(Entry, &[u8])]) -> Layer {
    let mut builder = LayerBuilder::new(layout.blob_writer().unwrap(), Timestamps::Fixed(0));
    for (entry, content) in entries {
        builder.append(entry, &mut &content[..]).unwrap();
    }
    let (layer, file) = builder.finish(ImageFormat::Oci).unwrap();
    layout.adopt(file, &layer.descriptor.digest).unwrap();
    layer
}

/// Writes an image's documents into `layout`.
pub(crate) fn store(layout: &Layout, assembled: &Assembled) -> Image {
    let mut sink = layout.clone();
    for document in &assembled.documents {
        let mut bytes = VerifyingReader::new(&document.bytes[..], &document.descriptor);
        sink.write(&document.descriptor, &mut bytes).unwrap();
    }
    layout.image(&assembled.root)
}

/// A file that root owns.
pub(crate) fn file(path: &str, content: &'static [u8]) -> (Entry, &'static [u8]) {
    (Entry::file(path, 0o644, content.len() as u64), content)
}

/// A draft for linux/amd64 with a layer for each slice.
pub(crate) fn draft(layout: &Layout, layers: &[&[(Entry, &[u8])]]) -> Draft {
    let mut draft = Draft::empty(&Platform::new("linux", "amd64", None));
    draft.config.config.env = vec!["PATH=/bin".to_owned()];
    draft.config.config.entrypoint = Some(vec!["/app".to_owned()]);
    for (number, entries) in layers.iter().enumerate() {
        let history = History { created_by: Some(format!("layer {number}")), ..History::default() };
        draft.append(&layer(layout, entries), history);
    }
    draft
}

/// A layout in `folder` with one image of two layers.
pub(crate) fn image(folder: &Path) -> (Layout, Image) {
    let layout = Layout::create(folder).unwrap();
    let below = [
        (Entry::directory("etc", 0o755), &b""[..]),
        file("etc/passwd", b"root:x:0:0::/:\n"),
        file("etc/old", b"old"),
    ];
    let above = [file("app", b"\x7fELF program"), file("etc/.wh.old", b"")];
    let draft = draft(&layout, &[&below, &above]);
    let image = store(&layout, &draft.finish(ImageFormat::Oci).unwrap());
    (layout, image)
}

/// An entry of a tar that no sane writer makes: name, type flag, link target, content.
pub(crate) struct Raw<'a>(pub(crate) &'a str, pub(crate) u8, pub(crate) &'a str, pub(crate) &'a [u8]);

/// A tar of `entries`, ended as it should be.
pub(crate) fn tar(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Raw(name, flag, link, content) in entries {
        bytes.extend(header(name, *flag, link, content.len() as u64));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A header with a right checksum.
pub(crate) fn header(name: &str, flag: u8, link: &str, size: u64) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(157, link);
    put(257, "ustar\x0000");
    block[156] = flag;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
