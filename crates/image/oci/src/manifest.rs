//! Manifests and indexes.

use serde::{Deserialize, Serialize};

use crate::config::nullable;
use crate::media_type::ImageFormat;
use crate::{Descriptor, Platform, StringMap, Unknown};

/// The manifest of one image for one platform. OCI image-spec 1.1, manifest.md; Docker schema 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of the manifest itself; may be absent in OCI manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's config.
    pub config: Descriptor,
    /// The image's layers, base first.
    #[serde(default, deserialize_with = "nullable")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one says something about (OCI 1.1 referrers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free-form facts about the image.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "StringMap::is_empty")]
    pub annotations: StringMap,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Manifest {
    /// A manifest of `format` with a config and layers.
    pub fn new(format: ImageFormat, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Manifest {
            schema_version: 2,
            media_type: Some(format.manifest().to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: StringMap::new(),
            unknown: Unknown::new(),
        }
    }
}

/// A list of manifests: one image for several platforms. OCI image-spec 1.1, image-index.md; Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of the index itself; may be absent in OCI indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default, deserialize_with = "nullable")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free-form facts about the index.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "StringMap::is_empty")]
    pub annotations: StringMap,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Index {
    /// An index of `format`.
    pub fn new(format: ImageFormat, manifests: Vec<Descriptor>) -> Self {
        Index {
            schema_version: 2,
            media_type: Some(format.index().to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: StringMap::new(),
            unknown: Unknown::new(),
        }
    }

    /// The manifest that runs best on `platform`: the same platform, otherwise the newest variant that it can run.
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let of = |descriptor: &Descriptor| {
            descriptor.platform.as_ref().filter(|own| own.satisfies(platform)).cloned()
        };
        let same = |descriptor: &&Descriptor| descriptor.platform.as_ref().is_some_and(|own| own == platform);
        self.manifests.iter().find(same).or_else(|| {
            let newest_first = |d: &&Descriptor| std::cmp::Reverse(of(d).map_or(0, |own| own.level()));
            self.manifests.iter().filter(|d| of(d).is_some()).min_by_key(newest_first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let text = concat!(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","#,
            r#""digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"x-own":[1]},"#,
            r#""layers":[],"annotations":{"b":"1","a":"2"},"future":{"z":1,"a":2}}"#
        );
        let manifest: Manifest = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&manifest).unwrap(), text);
    }

    #[test]
    fn nulls_for_empty_lists_and_maps_are_read() {
        let text = r#"{"schemaVersion":2,"manifests":null,"annotations":null}"#;
        let index: Index = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&index).unwrap(), r#"{"schemaVersion":2,"manifests":[]}"#);
    }

    #[test]
    fn an_index_prefers_the_exact_variant() {
        let of = |platform: &str, size| {
            let mut descriptor = Descriptor::of(crate::media_type::OCI_MANIFEST, platform.as_bytes());
            descriptor.platform = Some(platform.parse().unwrap());
            descriptor.size = size;
            descriptor
        };
        let index = Index::new(
            ImageFormat::Oci,
            vec![of("linux/arm/v6", 6), of("linux/arm/v7", 7), of("linux/amd64", 64)],
        );
        let size = |platform: &str| index.select(&platform.parse().unwrap()).map(|d| d.size);
        assert_eq!(size("linux/arm/v7"), Some(7));
        assert_eq!(size("linux/arm/v6"), Some(6));
        assert_eq!(size("linux/arm/v8"), Some(7));
        assert_eq!(size("linux/amd64"), Some(64));
        assert_eq!(size("linux/s390x"), None);
    }
}
