//! Compressed archives, told from their first bytes.
//!
//! BuildKit takes gzip, bzip2, xz and zstd (`moby/go-archive/compression`); so do we. The decoders of bzip2 and xz are plain Rust and
//! know no network and no other program.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use longshore_oci::media_type::Compression;
use lzma_rust2::XzReader;

/// The most memory that a decoder of xz may take, in KiB: `xz -9` asks for 65 MiB.
const XZ_MEMORY: u32 = 256 * 1024;

/// What a file holds, decompressed. Errors: it cannot be read, or is no compressed stream although it begins like one.
pub(super) fn decompressed(file: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = BufReader::with_capacity(128 * 1024, file);
    match reader.fill_buf()? {
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Ok(Box::new(MultiBzDecoder::new(reader))),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Ok(Box::new(XzReader::new_mem_limit(reader, true, XZ_MEMORY)))
        }
        _ => longshore_image::layer::decompress(reader, Compression::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &'static [u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        decompressed(bytes)?.read_to_end(&mut text)?;
        Ok(text)
    }

    // What `printf 'packed\n'` leaves in `xz` and in `bzip2`.
    const XZ: &[u8] = b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x06packed\n\x00\x00\
        \x68\xd0\xaa\xdc\x39\x82\x2a\x42\x00\x01\x1f\x07\x16\x2e\xb8\x73\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04YZ";
    const BZIP2: &[u8] =
        b"BZh91AY&SY\x5b\xda\x09\xa8\x00\x00\x03\x41\x80\x00\x10\x2e\x08\x40\x00\x20\x00\x31\x0c\x01\
        \x06\x4d\xa3\x1c\x02\x8b\xb9\x22\x9c\x28\x48\x2d\xed\x04\xd4\x00";

    #[test]
    fn xz_and_bzip2_are_read_in_one_stream_or_several() {
        for packed in [XZ, BZIP2] {
            assert_eq!(read(packed).unwrap(), b"packed\n");
            let twice = [packed, packed].concat().leak();
            assert_eq!(read(twice).unwrap(), b"packed\npacked\n");
            assert!(read(&packed[..packed.len() - 6]).is_err());
        }
    }

    #[test]
    fn what_begins_like_xz_and_is_none_is_an_error() {
        assert!(read(&XZ[..12]).is_err());
        assert!(read(b"BZh9 is how this text begins").is_err());
    }

    #[test]
    fn plain_text_and_nothing_stay_as_they_are() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"BZ").unwrap(), b"BZ");
        assert_eq!(read(b"").unwrap(), b"");
    }
}
