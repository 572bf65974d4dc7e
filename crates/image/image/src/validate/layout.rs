//! A layout in a folder: its own files, every image that it lists, and the blobs that nothing lists.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use longshore_events::{Cancelled, Events};
use longshore_oci::{Descriptor, Digest};

use crate::layout::Layout;
use crate::validate::blob::SharedBlob;
use crate::validate::image::Walk;
use crate::validate::{Findings, Violation, chain};

/// Everything that is wrong with the OCI image layout at `folder`. Errors: only that the work was asked to stop.
pub fn validate_layout(folder: &Path, events: &Events) -> Result<Vec<Violation>, Cancelled> {
    let mut findings = Findings::default();
    let layout = match Layout::open(folder) {
        Ok(layout) => layout,
        Err(error) => {
            findings.error("layout-marker", "oci-layout", chain(&error));
            return Ok(findings.finish());
        }
    };
    let mut walk = Walk::default();
    match layout.index() {
        Ok(index) => {
            if index.schema_version != 2 {
                let message = format!("schemaVersion is {}, and must be 2", index.schema_version);
                findings.error("schema-version", "index.json", message);
            }
            for root in index.manifests {
                walk.follow(&layout.image(&root), 0, events)?;
            }
        }
        Err(error) => findings.error("layout-index", "index.json", chain(&error)),
    }
    let reached = walk.seen.clone();
    let mut violations = findings.finish();
    violations.extend(walk.finish(events)?);
    for algorithm in ["sha256", "sha512"] {
        violations.extend(check_folder(&layout, algorithm, &reached, events)?);
    }
    Ok(violations)
}

fn check_folder(
    layout: &Layout,
    algorithm: &str,
    reached: &HashSet<Digest>,
    events: &Events,
) -> Result<Vec<Violation>, Cancelled> {
    let relative = Path::new("blobs").join(algorithm);
    let Ok(entries) = fs::read_dir(layout.folder().join(&relative)) else { return Ok(Vec::new()) };
    let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    names.sort();
    let mut violations = Vec::new();
    for name in names {
        events.check()?;
        let path = relative.join(&name);
        let digest = name.to_str().and_then(|name| format!("{algorithm}:{name}").parse::<Digest>().ok());
        let Some(digest) = digest else {
            let mut findings = Findings::default();
            findings.notice("layout-stray-file", path, "its name is no digest");
            violations.extend(findings.finish());
            continue;
        };
        if reached.contains(&digest) {
            continue;
        }
        let mut findings = Findings::about(&digest);
        findings.notice("layout-orphan", path, "no image of the layout reaches it");
        let size = fs::metadata(layout.blob_path(&digest)).map_or(0, |metadata| metadata.len());
        let descriptor = Descriptor::new("", digest, size);
        let image = layout.image(&descriptor);
        if let Some(blob) = SharedBlob::open(&image, &descriptor, events, &mut findings) {
            blob.finish(&descriptor, &mut findings);
        }
        violations.extend(findings.finish());
    }
    events.check()?;
    Ok(violations)
}
