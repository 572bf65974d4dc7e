//! What comes out of a build.

use longshore_config::Lock;
use longshore_oci::{Descriptor, Platform};
use longshore_store::Writer;
use serde::{Deserialize, Serialize};

/// An image that stands in the store, under its digest and without a name yet.
#[derive(Debug, Clone)]
pub struct BuildOutcome {
    /// The manifest, or the index where there are several platforms.
    pub root: Descriptor,
    /// The images, one a platform, in the order of the request.
    pub images: Vec<PlatformImage>,
    /// Whether nothing had changed, and the image is the one of last time.
    pub cached: bool,
    /// What the image was made of besides the source.
    pub pins: Lock,
    /// Why nothing could be remembered, or why what was remembered did not hold: for `--progress plain` and for people
    /// who wonder. One sentence.
    pub reason: Option<String>,
    /// Keeps the image from being pruned until this is dropped: give it a name before.
    pub kept: Writer,
}

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformImage {
    /// Its manifest.
    pub manifest: Descriptor,
    /// What it runs on.
    pub platform: Platform,
    /// Compressed size of its layers in bytes, the base's included.
    pub size: u64,
    /// Size of the program in bytes.
    pub program_size: u64,
    /// Whether the program needs neither a loader nor libraries.
    pub is_static: bool,
    /// What went in and what did not, with the reason: "CA certificates: the program links crypto/x509".
    pub decisions: Vec<String>,
}
