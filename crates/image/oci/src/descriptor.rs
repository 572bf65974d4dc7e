//! Descriptors: typed, sized pointers to content.

use serde::{Deserialize, Serialize};

use crate::config::nullable;
use crate::{Digest, Platform, StringMap, Unknown};

/// A pointer to content by its digest. OCI image-spec 1.1, descriptor.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    #[serde(default)]
    pub media_type: String,
    /// Digest of the content's raw bytes.
    pub digest: Digest,
    /// Size of the content's raw bytes.
    pub size: u64,
    /// Places to fetch the content from besides the registry that holds the manifest.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free-form facts about the content.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "StringMap::is_empty")]
    pub annotations: StringMap,
    /// The content itself, base64, where it is small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Type of the artifact, where the content is the manifest of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Platform that the image runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Descriptor {
    /// A descriptor with nothing but its three required fields.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: StringMap::new(),
            data: None,
            artifact_type: None,
            platform: None,
            unknown: Unknown::new(),
        }
    }

    /// A descriptor of `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}
