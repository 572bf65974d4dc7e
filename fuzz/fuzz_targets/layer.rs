//! Any bytes are a tar or are refused; what is read of one is as long as its entries say, and where they go is inside.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use longshore_image::layer::{entries, inside};

/// Zeros of a hole that are read at most: the bytes of a tar bound all else.
const MOST: u64 = 1 << 16;

/// Sets the checksum of every block that looks like a header: few bytes would get past it otherwise.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = &with_checksums(bytes)[..];
    let mut tar = entries(bytes);
    while let Ok(Some(entry)) = tar.next_entry() {
        assert!(entry.header_offset < entry.data_offset && entry.data_offset <= bytes.len() as u64);
        if let Some(path) = inside(&entry.path) {
            assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
        let mut content = entry.expand(tar.content()).take(MOST);
        if let Ok(count) = io::copy(&mut content, &mut io::sink()) {
            assert_eq!(count, entry.size.min(MOST));
        }
    }
});
