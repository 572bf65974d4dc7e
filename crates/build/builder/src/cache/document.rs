//! The records of a cache, as they travel: in the config of a cache's manifest, or in an image's config.
//!
//! They name steps by their keys, which are hashes, and layers by their places in the manifest, so that a tool that compresses layers anew
//! breaks nothing. Whoever reads them reads what a stranger wrote: sizes and numbers are bounded, every place and digest is looked at
//! before anything is done.

use std::collections::HashSet;

use longshore_oci::{Digest, media_type};
use serde::{Deserialize, Serialize};

use super::error::CacheError;
use crate::key::Key;

/// Type of a cache: of its manifest as an artifact, and of its config.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.longshore.build-cache.v1+json";

/// The field of an image's config that holds an inline cache.
pub(crate) const INLINE: &str = "longshore.build-cache.v1";

/// The field that holds BuildKit's own.
pub(crate) const BUILDKIT_INLINE: &str = "moby.buildkit.cache.v0";

/// Type of the config of BuildKit's caches, whose keys are digests of its own description of a build.
pub(crate) const BUILDKIT_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// Raised when records mean something else than before. Readers leave what they do not know.
const VERSION: u32 = 1;

/// Steps that are read. A Dockerfile has some dozens.
const MAX_STEPS: usize = 20_000;

/// Contents that are read.
const MAX_CONTENTS: usize = 20_000;

/// What is known of a build's steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    version: u32,
    pub(crate) steps: Vec<StepRecord>,
    pub(crate) contents: Vec<ContentRecord>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepRecord {
    /// What its words, its environment and what it stands on give.
    pub(crate) key: Key,
    /// What names the result that it had; the key itself for what is named by content.
    pub(crate) result: Key,
    /// The layer, where it came along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<LayerRecord>,
}

/// What a step left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerRecord {
    /// Which of the manifest's layers, from 0.
    pub(crate) index: usize,
    /// Digest of its tar.
    pub(crate) diff_id: Digest,
    /// When the step was done. It stands in the image's history.
    pub(crate) created: jiff::Timestamp,
    /// The latest time in it, in seconds since 1970, where later ones were cut to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clamp: Option<i64>,
}

/// What somebody saw who took files from a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContentRecord {
    /// Which files of which result.
    pub(crate) key: Key,
    /// What was in them.
    pub(crate) content: Key,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Document {
    /// Records of this version.
    pub(crate) fn new(steps: Vec<StepRecord>, contents: Vec<ContentRecord>) -> Document {
        Document { version: VERSION, steps, contents }
    }

    /// Reads the records of a cache whose manifest has these layers.
    pub(crate) fn read(bytes: &[u8], layers: &[longshore_oci::Descriptor]) -> Result<Document, CacheError> {
        let version = serde_json::from_slice::<Versioned>(bytes).map_err(CacheError::Json)?.version;
        if version != VERSION {
            return Err(CacheError::Version(version));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(CacheError::Json)?;
        document.check(layers)?;
        Ok(document)
    }

    fn check(&self, layers: &[longshore_oci::Descriptor]) -> Result<(), CacheError> {
        for (what, count, most) in
            [("steps", self.steps.len(), MAX_STEPS), ("contents", self.contents.len(), MAX_CONTENTS)]
        {
            if count > most {
                return Err(CacheError::TooMany { what, count, most });
            }
        }
        let mut results = HashSet::new();
        for step in &self.steps {
            if !results.insert(step.result) {
                return Err(CacheError::Twice);
            }
            let Some(layer) = &step.layer else { continue };
            let descriptor = layers.get(layer.index);
            let descriptor =
                descriptor.ok_or(CacheError::NoLayer { index: layer.index, layers: layers.len() })?;
            if media_type::layer_compression(&descriptor.media_type).is_none() {
                return Err(CacheError::LayerType(descriptor.media_type.clone()));
            }
        }
        Ok(())
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        match hex::decode_to_slice(&*text, &mut bytes) {
            Ok(()) => Ok(Key::from_bytes(bytes)),
            Err(_) => Err(serde::de::Error::custom("a key must have 64 hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_oci::Descriptor;

    use super::*;
    use crate::key::KeyWriter;

    fn key(name: &str) -> Key {
        KeyWriter::new(name).finish()
    }

    fn sample() -> Document {
        let layer = LayerRecord {
            index: 0,
            diff_id: Digest::of(b"tar"),
            created: "2026-01-02T03:04:05.678901234Z".parse().unwrap(),
            clamp: Some(7),
        };
        let steps = vec![
            StepRecord { key: key("a"), result: key("b"), layer: Some(layer) },
            StepRecord { key: key("c"), result: key("c"), layer: None },
        ];
        Document::new(steps, vec![ContentRecord { key: key("d"), content: key("e") }])
    }

    fn layers() -> Vec<Descriptor> {
        vec![Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer")]
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let bytes = serde_json::to_vec(&sample()).unwrap();
        assert_eq!(Document::read(&bytes, &layers()).unwrap(), sample());
    }

    #[test]
    fn what_a_stranger_wrote_is_refused_by_name() {
        let change = |change: &dyn Fn(&mut Document)| {
            let mut document = sample();
            change(&mut document);
            let bytes = serde_json::to_vec(&document).unwrap();
            Document::read(&bytes, &layers()).unwrap_err().to_string()
        };
        let key_a = key("a");
        for (message, expected) in [
            (
                change(&|document| document.version = 2),
                "its records are of version 2, and only version 1 is known",
            ),
            (
                change(&|document| document.steps[0].layer.as_mut().unwrap().index = 1),
                "a record names layer 1, and the number of layers is 1",
            ),
            (change(&|document| document.steps[1].result = key("b")), "two records are about one result"),
            (
                change(&|document| {
                    let content = ContentRecord { key: key_a, content: key_a };
                    document.contents = vec![content; MAX_CONTENTS + 1];
                }),
                "it has 20001 contents, and at most 20000 are read",
            ),
        ] {
            assert_eq!(message, expected);
        }
        let wrong_type = [Descriptor::of("text/plain", b"layer")];
        let bytes = serde_json::to_vec(&sample()).unwrap();
        let refused = Document::read(&bytes, &wrong_type).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a record names a layer of the type `text/plain`, which is no layer's"
        );
        let text = String::from_utf8(bytes).unwrap();
        let hex = key("a").hex();
        for damaged in [
            text[..text.len() - 3].to_owned(),
            text.replace(&hex, &hex[1..]),
            text.replace(&hex, &format!("../{}", &hex[3..])),
            text.replace("sha256:", "sha1:"),
            text.replace("2026-01", "2026-13"),
            "[]".to_owned(),
        ] {
            assert!(
                matches!(Document::read(damaged.as_bytes(), &layers()), Err(CacheError::Json(_))),
                "{damaged}"
            );
        }
    }
}
