//! Caches that a build takes results from: believed until one of their layers is not what it should be.
//!
//! A build that finds all it needs on this machine asks no cache. Reading one is reading its manifest and its records. Layers are fetched
//! when an image has them, or a step stands on them. A cache that turns out not to be what it says is not asked again in this build, which
//! then goes on as if it had never been named.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use longshore_events::Events;
use longshore_image::layer::Layer;
use longshore_image::{Image, read_small};
use longshore_oci::{Descriptor, Digest, Platform, media_type};

use super::document::{
    BUILDKIT_CONFIG, BUILDKIT_INLINE, Document, INLINE, LayerRecord, MEDIA_TYPE, StepRecord,
};
use super::error::CacheError;
use crate::key::Key;
use crate::request::CacheRequest;
use crate::solve::held;

/// A cache to take results from: what `--cache-to` wrote, or an image with a cache in it.
#[derive(Clone)]
pub struct CacheSource {
    /// What a person calls it.
    pub name: String,
    /// Who can open it.
    pub place: Arc<dyn CachePlace>,
}

/// Where a cache is.
pub trait CachePlace: Send + Sync {
    /// Opens the cache: its manifest, or the index of an image for several platforms. Asked at most once in a build.
    ///
    /// Errors: it is not there, or cannot be reached.
    fn open(&self, events: &Events) -> Result<Image, Box<dyn std::error::Error + Send + Sync>>;
}

impl std::fmt::Debug for CacheSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("CacheSource").field(&self.name).finish()
    }
}

/// A step's result that is a layer in some place.
#[derive(Debug)]
pub(crate) struct KnownLayer {
    /// Which of the caches has it; none where the store has.
    pub(crate) cache: Option<usize>,
    /// The layer, as its cache describes it.
    pub(crate) layer: Layer,
    /// When the step was done.
    pub(crate) created: jiff::Timestamp,
    /// Where later times were cut to that.
    pub(crate) clamp: Option<i64>,
    /// What holds its blob.
    pub(crate) image: Image,
}

impl KnownLayer {
    /// Whether an image with this SOURCE_DATE_EPOCH can have the layer as it is.
    pub(crate) fn fits(&self, epoch: Option<i64>) -> bool {
        self.clamp == epoch
    }

    /// Whether a step can stand on it: times that were cut for another image are not those of the files.
    fn is_usable(&self, epoch: Option<i64>) -> bool {
        has_right_times(self.clamp, epoch)
    }
}

/// Whether files have the times of an image with this SOURCE_DATE_EPOCH whose later times were cut to `clamp`.
pub(super) fn has_right_times(clamp: Option<i64>, epoch: Option<i64>) -> bool {
    clamp.is_none() || clamp == epoch
}

/// The caches of a build.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    caches: OnceLock<Vec<Imported>>,
    losses: AtomicUsize,
    /// Results that cannot be had here, whoever offers them.
    left: Mutex<HashSet<Key>>,
}

#[derive(Debug)]
struct Imported {
    name: String,
    is_lost: AtomicBool,
    results: HashMap<Key, Key>,
    layers: HashMap<Key, Arc<KnownLayer>>,
    contents: HashMap<Key, Key>,
}

impl Imports {
    /// Reads the caches, unless that was done. What cannot be read is warned of and left out.
    pub(crate) fn read(&self, request: &CacheRequest, platforms: &[Platform], events: &Events) {
        self.caches.get_or_init(|| read_all(request, platforms, events));
    }

    /// Whether no cache is left to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.asked().next().is_none()
    }

    fn asked(&self) -> impl Iterator<Item = &Imported> {
        let caches = self.caches.get().into_iter().flatten();
        caches.filter(|cache| !cache.is_lost.load(Ordering::Relaxed))
    }

    /// The results that caches know of a step, the first cache's first.
    pub(crate) fn results(&self, step: &Key) -> impl Iterator<Item = Key> {
        self.asked().filter_map(|cache| cache.results.get(step).copied())
    }

    /// The layer that a result is.
    pub(crate) fn layer(&self, result: &Key, epoch: Option<i64>) -> Option<Arc<KnownLayer>> {
        if self.is_left(result) {
            return None;
        }
        let mut layers = self.asked().filter_map(|cache| cache.layers.get(result));
        layers.find(|layer| layer.is_usable(epoch)).cloned()
    }

    /// What somebody saw in a result.
    pub(crate) fn content(&self, key: &Key) -> Option<Key> {
        self.asked().find_map(|cache| cache.contents.get(key).copied())
    }

    /// Asks the cache that gave a layer no more, and says why.
    pub(crate) fn lose(&self, layer: &KnownLayer, why: &(dyn std::error::Error + 'static), events: &Events) {
        let digest = layer.layer.descriptor.digest.short();
        let Some(cache) = layer.cache.and_then(|cache| self.caches.get()?.get(cache)) else { return };
        if !cache.is_lost.swap(true, Ordering::Relaxed) {
            let name = &cache.name;
            let what = format!("the cache {name} is not used any further: its layer {digest} cannot be had");
            events.warn_because(what, why);
        }
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a single result from no cache, and says why.
    pub(crate) fn leave(&self, result: &Key, why: &(dyn std::error::Error + 'static), events: &Events) {
        events.warn_because("a step is done again, since its result in the cache is of no use here", why);
        held(&self.left).insert(*result);
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a result is taken from no cache.
    pub(crate) fn is_left(&self, result: &Key) -> bool {
        held(&self.left).contains(result)
    }

    /// How often something was lost: what was known before may not be known any more.
    pub(crate) fn losses(&self) -> usize {
        self.losses.load(Ordering::Relaxed)
    }
}

impl Imported {
    fn new(
        source: &CacheSource,
        image: &Image,
        layers: &[Descriptor],
        document: Document,
        cache: usize,
    ) -> Imported {
        let known = |record: LayerRecord| {
            // Its place was looked at when the records were read.
            let descriptor = layers.get(record.index)?.clone();
            let layer = Layer { descriptor, diff_id: record.diff_id };
            let (created, clamp, image) = (record.created, record.clamp, image.clone());
            Some(Arc::new(KnownLayer { cache: Some(cache), layer, created, clamp, image }))
        };
        let mut imported = Imported {
            name: source.name.clone(),
            is_lost: AtomicBool::new(false),
            results: document.steps.iter().map(|step| (step.key, step.result)).collect(),
            layers: HashMap::new(),
            contents: document.contents.into_iter().map(|record| (record.key, record.content)).collect(),
        };
        for StepRecord { result, layer, .. } in document.steps {
            imported.layers.extend(layer.and_then(known).map(|layer| (result, layer)));
        }
        imported
    }
}

fn read_all(request: &CacheRequest, platforms: &[Platform], events: &Events) -> Vec<Imported> {
    let mut caches = Vec::new();
    for source in &request.from {
        let opened = source.place.open(events).map_err(CacheError::Open);
        match opened.and_then(|image| records(&image, platforms)) {
            Ok(found) => {
                for (image, layers, document) in found {
                    let cache = caches.len();
                    caches.push(Imported::new(source, &image, &layers, document, cache));
                }
            }
            Err(error) if request.says_why => {
                events.warn_because(format!("the cache {} is not used", source.name), &error);
            }
            Err(_) => {}
        }
    }
    caches
}

type Records = (Image, Vec<Descriptor>, Document);

/// The records of a cache, or those of an image's platforms.
fn records(image: &Image, platforms: &[Platform]) -> Result<Vec<Records>, CacheError> {
    if !image.is_index() {
        return Ok(vec![records_of(image)?]);
    }
    if image.index()?.manifests.iter().any(|entry| entry.media_type == BUILDKIT_CONFIG) {
        return Err(CacheError::BuildKit);
    }
    let mut seen: Vec<Digest> = Vec::new();
    let mut found = Vec::new();
    let mut first_error = None;
    for platform in platforms {
        let read = image.select(platform).map_err(CacheError::from).and_then(|image| {
            if seen.contains(image.digest()) {
                return Ok(None);
            }
            seen.push(image.digest().clone());
            records_of(&image).map(Some)
        });
        match read {
            Ok(records) => found.extend(records),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn records_of(image: &Image) -> Result<Records, CacheError> {
    let manifest = image.manifest()?;
    let of = |bytes: &[u8]| Document::read(bytes, &manifest.layers);
    let document = match manifest.config.media_type.as_str() {
        MEDIA_TYPE => of(&read_small(&**image.content(), &manifest.config)?)?,
        BUILDKIT_CONFIG => return Err(CacheError::BuildKit),
        other if media_type::is_config(other) => {
            let config = image.config()?;
            let Some(inline) = config.unknown.get(INLINE) else {
                let is_buildkit = config.unknown.contains_key(BUILDKIT_INLINE);
                return Err(if is_buildkit { CacheError::BuildKit } else { CacheError::NoCache });
            };
            let document = of(&serde_json::to_vec(inline).map_err(CacheError::Json)?)?;
            for record in document.steps.iter().filter_map(|step| step.layer.as_ref()) {
                if config.rootfs.diff_ids.get(record.index) != Some(&record.diff_id) {
                    return Err(CacheError::DiffId(record.index));
                }
            }
            document
        }
        other => return Err(CacheError::OtherType(other.to_owned())),
    };
    Ok((image.clone(), manifest.layers, document))
}
