//! The program that asks a service for its health where the image has nothing else to do it with (crates/probe, docs/probe.md).
//!
//! It is here as bytes: whoever builds longshore need not have a compiler for every platform of an image. `cargo xtask probe` makes them
//! again from their source and compares.

/// Where the program lies in images.
pub const PROBE_PATH: &str = "/usr/local/bin/probe";

/// The program for Linux on an architecture, by the name that images have for it; none where there is no such program.
#[must_use]
pub fn probe(architecture: &str) -> Option<&'static [u8]> {
    Some(match architecture {
        "amd64" => include_bytes!("../../../probe/prebuilt/probe-amd64"),
        "arm64" => include_bytes!("../../../probe/prebuilt/probe-arm64"),
        _ => return None,
    })
}
