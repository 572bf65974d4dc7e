//! The walk over everything that an image reaches.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use longshore_events::{Cancelled, Events, TaskKind};
use longshore_oci::media_type;
use longshore_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform};
use serde::de::DeserializeOwned;

use crate::MAX_DOCUMENT;
use crate::handle::{Image, MAX_NESTING};
use crate::validate::blob::SharedBlob;
use crate::validate::{Findings, Violation, config, document, layer};

/// Layers that are read at the same time.
const MAX_THREADS: usize = 4;

/// Everything that is wrong with `image` and all that it reaches. Errors: only that the work was asked to stop.
pub fn validate(image: &Image, events: &Events) -> Result<Vec<Violation>, Cancelled> {
    let mut walk = Walk::default();
    walk.follow(image, 0, events)?;
    walk.finish(events)
}

/// A layer to be read, and the diff id that a config says it has.
struct Pending {
    image: Image,
    layer: Descriptor,
    diff_id: Option<Digest>,
}

/// What was found so far, and what is still to be read.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) seen: HashSet<Digest>,
    pub(super) violations: Vec<Violation>,
    layers: Vec<Pending>,
    known_layers: HashSet<(Digest, Option<Digest>)>,
}

impl Walk {
    /// Checks a manifest or index and the documents that it reaches; its layers are read by [`Walk::finish`].
    pub(super) fn follow(&mut self, image: &Image, depth: usize, events: &Events) -> Result<(), Cancelled> {
        events.check()?;
        let descriptor = image.descriptor();
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let mut findings = Findings::about(&descriptor.digest);
        let mut children = Vec::new();
        if media_type::is_index(&descriptor.media_type) {
            if let Some(index) = self.document::<Index>(image, "an index", &mut findings, events) {
                document::check_index(&index, &mut findings);
                children = index.manifests;
            }
        } else if media_type::is_manifest(&descriptor.media_type) {
            if let Some(manifest) = self.document::<Manifest>(image, "a manifest", &mut findings, events) {
                document::check_manifest(&manifest, &mut findings);
                self.violations.extend(findings.finish());
                return self.manifest(image, &manifest, events);
            }
        } else {
            // An index tells itself of what it lists.
            if depth == 0 {
                let message = format!(
                    "`{}` is the media type of neither a manifest nor an index",
                    descriptor.media_type
                );
                findings.error("descriptor-media-type", "", message);
            }
            check_blob(image, descriptor, &mut findings, events);
        }
        if depth == MAX_NESTING && !children.is_empty() {
            findings.error(
                "index-nesting",
                "",
                format!("indexes are nested deeper than {MAX_NESTING} levels"),
            );
            children.clear();
        }
        self.violations.extend(findings.finish());
        children.into_iter().try_for_each(|child| self.follow(&image.child(child), depth + 1, events))
    }

    fn document<T: DeserializeOwned>(
        &self,
        image: &Image,
        kind: &'static str,
        findings: &mut Findings,
        events: &Events,
    ) -> Option<T> {
        let descriptor = image.descriptor();
        let bytes = check_bytes(image, descriptor, findings, events)?;
        let value = parse::<serde_json::Value>(&bytes, kind, findings)?;
        document::check_head(&value, descriptor, kind, findings);
        parse(&bytes, kind, findings)
    }

    fn manifest(&mut self, image: &Image, manifest: &Manifest, events: &Events) -> Result<(), Cancelled> {
        let is_image = media_type::is_config(&manifest.config.media_type);
        let mut diff_ids = None;
        let mut findings = Findings::about(&manifest.config.digest);
        self.seen.insert(manifest.config.digest.clone());
        if let Some(bytes) = check_bytes(image, &manifest.config, &mut findings, events)
            && is_image
            && let Some(config) = parse::<ImageConfig>(&bytes, "a config", &mut findings)
        {
            config::check_config(&config, &mut findings);
            let platform = image.descriptor().platform.as_ref().filter(|platform| known(platform));
            config::check_agreement(&config, manifest, platform, &mut findings);
            diff_ids = Some(config.rootfs.diff_ids);
        }
        self.violations.extend(findings.finish());
        for (number, layer) in manifest.layers.iter().enumerate() {
            self.seen.insert(layer.digest.clone());
            let diff_id = diff_ids.as_ref().and_then(|diff_ids| diff_ids.get(number)).cloned();
            let file_system = is_image && media_type::layer_compression(&layer.media_type).is_some();
            if !file_system {
                let mut findings = Findings::about(&layer.digest);
                check_blob(image, layer, &mut findings, events);
                events.check()?;
                self.violations.extend(findings.finish());
            } else if self.known_layers.insert((layer.digest.clone(), diff_id.clone())) {
                self.layers.push(Pending { image: image.clone(), layer: layer.clone(), diff_id });
            }
        }
        Ok(())
    }

    /// Reads the layers, several at a time, and returns everything that was found, the layers' in their order.
    pub(super) fn finish(mut self, events: &Events) -> Result<Vec<Violation>, Cancelled> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let layers = &self.layers;
        let work = || -> Result<(), Cancelled> {
            while let Some((number, pending)) = take(&next, layers) {
                let task = events.task(TaskKind::Work, format!("check {}", pending.layer.digest.short()));
                let found =
                    layer::check_layer(&pending.image, &pending.layer, pending.diff_id.as_ref(), events)?;
                task.done("");
                done.lock().unwrap_or_else(PoisonError::into_inner).push((number, found));
            }
            Ok(())
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 1..processors.min(MAX_THREADS).min(layers.len()) {
                scope.spawn(work);
            }
            work()
        })?;
        events.check()?;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(number, _)| *number);
        self.violations.extend(done.into_iter().flat_map(|(_, found)| found));
        Ok(self.violations)
    }
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, items.get(number)?))
}

fn known(platform: &Platform) -> bool {
    platform.os != "unknown"
}

/// Checks a blob whose content is not looked at.
fn check_blob(image: &Image, descriptor: &Descriptor, findings: &mut Findings, events: &Events) {
    if let Some(blob) = SharedBlob::open(image, descriptor, events, findings) {
        blob.finish(descriptor, findings);
    }
}

/// Checks a document's size and digest, and returns its bytes, right or wrong. `None` where there are none to look at.
fn check_bytes(
    image: &Image,
    descriptor: &Descriptor,
    findings: &mut Findings,
    events: &Events,
) -> Option<Vec<u8>> {
    let mut blob = SharedBlob::open(image, descriptor, events, findings)?;
    let mut bytes = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(&mut blob, MAX_DOCUMENT + 1), &mut bytes);
    blob.finish(descriptor, findings);
    if bytes.len() as u64 > MAX_DOCUMENT {
        let message = format!("it has more than {MAX_DOCUMENT} bytes, and no document of an image may");
        findings.error("document-size", "", message);
        return None;
    }
    read.ok().map(|_| bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], kind: &'static str, findings: &mut Findings) -> Option<T> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            // Once is enough for a document that is no JSON at all.
            findings.error("json", "", format!("it is not {kind}: {error}"));
            None
        }
    }
}
