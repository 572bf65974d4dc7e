//! From a compressed layer to its tar.

use std::io::{self, BufRead, BufReader, Read};

use longshore_oci::media_type::Compression;

/// Memory that a zstd stream may ask for, as a power of two: 128 MiB, what `zstd -d` allows without being told.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A layer's tar. What the bytes begin with decides, since registries hold layers whose media type lies; `declared` decides
/// where there are too few bytes to tell. Reads `reader` to its end, so that a verifying reader below gets to its check.
///
/// Errors: the first bytes cannot be read, or the decompressor cannot be set up.
pub fn decompress(
    reader: impl Read + Send + 'static,
    declared: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = BufReader::with_capacity(128 * 1024, reader);
    let start = reader.fill_buf()?;
    let compression = sniff(start).unwrap_or(if start.is_empty() { Compression::None } else { declared });
    Ok(match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Compression by magic number; `None` where fewer bytes than a magic number are at hand.
pub(crate) fn sniff(start: &[u8]) -> Option<Compression> {
    match start {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // Skippable frames, as zstd:chunked begins with.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        [_, _, _, _, ..] => Some(Compression::None),
        _ => None,
    }
}
