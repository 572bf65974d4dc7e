//! Manifests and indexes: what they say of themselves and of what they point at.

use longshore_oci::media_type;
use longshore_oci::{Descriptor, Index, Manifest};

use crate::validate::Findings;

/// What a JSON document is, told from its fields alone.
pub(super) fn kind(value: &serde_json::Value) -> &'static str {
    let has = |key| value.get(key).is_some();
    match () {
        () if has("manifests") => "an index",
        () if has("config") && has("layers") => "a manifest",
        () if has("fsLayers") => "a manifest of schema 1",
        () if has("rootfs") => "a config",
        () => "no document of an image",
    }
}

/// Checks what manifests and indexes share. `expected` is what the media type of the descriptor says.
pub(super) fn check_head(
    value: &serde_json::Value,
    descriptor: &Descriptor,
    expected: &'static str,
    findings: &mut Findings,
) {
    if value.get("schemaVersion").and_then(serde_json::Value::as_u64) != Some(2) {
        let found = value.get("schemaVersion").map_or("absent".to_owned(), ToString::to_string);
        findings.error("schema-version", "schemaVersion", format!("schemaVersion is {found}, and must be 2"));
    }
    let found = kind(value);
    if found != expected {
        let message =
            format!("its descriptor says `{}`, and its fields are those of {found}", descriptor.media_type);
        findings.error("media-type-content", "", message);
    }
    let own = value.get("mediaType").and_then(serde_json::Value::as_str);
    if own.is_some_and(|own| own != descriptor.media_type) {
        let message = format!(
            "it says of itself `{}`, and its descriptor says `{}`",
            own.unwrap_or_default(),
            descriptor.media_type
        );
        findings.error("media-type-mismatch", "mediaType", message);
    }
    if own.is_none()
        && matches!(descriptor.media_type.as_str(), media_type::DOCKER_MANIFEST | media_type::DOCKER_INDEX)
    {
        findings.error("media-type-missing", "mediaType", "Docker's format demands a mediaType field");
    }
}

/// Checks the media types that a manifest's descriptors name: known ones, and all of one format.
pub(super) fn check_manifest(manifest: &Manifest, findings: &mut Findings) {
    let artifact = manifest.artifact_type.is_some() || !media_type::is_config(&manifest.config.media_type);
    if artifact {
        return;
    }
    let docker = manifest.config.media_type == media_type::DOCKER_CONFIG;
    for (number, layer) in manifest.layers.iter().enumerate() {
        let path = format!("layers[{number}].mediaType");
        if media_type::layer_compression(&layer.media_type).is_none() {
            let message = format!("`{}` is the media type of no file-system layer", layer.media_type);
            findings.error("layer-media-type", path, message);
        } else if docker != layer.media_type.starts_with("application/vnd.docker.") {
            let message = format!(
                "the config is of `{}` and the layer of `{}`: two formats in one image",
                manifest.config.media_type, layer.media_type
            );
            findings.notice("media-type-mixed", path, message);
        }
    }
}

/// Checks an index's own list.
pub(super) fn check_index(index: &Index, findings: &mut Findings) {
    let mut seen = std::collections::HashSet::new();
    for (number, child) in index.manifests.iter().enumerate() {
        let path = format!("manifests[{number}]");
        let known = media_type::is_manifest(&child.media_type) || media_type::is_index(&child.media_type);
        if !known {
            let message =
                format!("`{}` is the media type of neither a manifest nor an index", child.media_type);
            findings.notice("index-media-type", format!("{path}.mediaType"), message);
        }
        let Some(platform) = &child.platform else {
            if index.manifests.len() > 1 && known {
                findings.notice(
                    "index-platform-missing",
                    path,
                    "it has no platform: engines cannot choose it",
                );
            }
            continue;
        };
        let version = platform.os_version.clone().unwrap_or_default();
        if platform.os != "unknown" && !seen.insert((platform.to_string(), version)) {
            let message = format!("{platform} is listed twice: the second is never chosen");
            findings.error("index-platform-duplicate", path, message);
        }
    }
}
