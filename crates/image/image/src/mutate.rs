//! New images out of old ones: layers appended, configs edited, formats converted, images gathered in an index.
//!
//! Everything here is pure: documents are computed in memory, and layers are pointed at, not touched. A [`Draft`] is an image
//! being put together; [`Draft::finish`] gives its [`Assembled`] documents, which become an [`Image`] over whatever holds the
//! layers, to be copied to any sink.
//!
//! ```text
//! base Image ──Draft::on──▶ Draft ──append(layer), edit config──▶ finish(format) ──▶ Assembled ──image(sources)──▶ Image
//! ```

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_oci::{Descriptor, Digest, History, ImageConfig, Index, Manifest, Platform, StringMap};
use serde::Serialize;

use crate::content::{BlobReader, Content, ContentError, ContentErrorKind};
use crate::handle::{Image, MAX_NESTING};
use crate::layer::Layer;

/// An image being put together.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The config, to be edited. Its `rootfs` and `history` follow from the layers: [`Draft::append`] keeps them.
    pub config: ImageConfig,
    /// Annotations of the manifest.
    pub annotations: StringMap,
    /// Whether a health check stays in OCI's format too, which does not know it: as BuildKit writes it and Docker reads it.
    pub keeps_health_check: bool,
    layers: Vec<Descriptor>,
}

/// A document of a new image: a manifest, an index or a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Media type, digest and size; the platform too, where it is an image's manifest.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    /// A value as compact JSON. Errors: it cannot be JSON, as a map with keys that are no strings.
    fn of(media_type: &str, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let bytes = serde_json::to_vec(value)?;
        Ok(Document { descriptor: Descriptor::of(media_type, &bytes), bytes })
    }
}

/// A new image's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The manifest or index.
    pub root: Descriptor,
    /// Every new document, what is pointed at before what points at it; the root's comes last.
    pub documents: Vec<Document>,
    /// What the format has no room for and was left out: "healthcheck", "annotations", "attestations".
    pub dropped: Vec<&'static str>,
}

impl Draft {
    /// An image for `platform` without layers.
    pub fn empty(platform: &Platform) -> Draft {
        Draft {
            config: ImageConfig::new(platform),
            annotations: StringMap::new(),
            keeps_health_check: false,
            layers: Vec::new(),
        }
    }

    /// An image on top of `base`: its layers and config. Its annotations speak of the base alone and are not taken over.
    ///
    /// Errors: `base` is an index or cannot be read.
    pub fn on(base: &Image) -> Result<Draft, ContentError> {
        let mut config = base.config()?;
        // Some tools write no history. Then what is appended to it would seem to belong to the first layers.
        let told = config.history.iter().filter(|history| !history.empty_layer).count();
        let missing = config.rootfs.diff_ids.len().saturating_sub(told);
        config.history.extend(std::iter::repeat_n(History::default(), missing));
        let layers = base.manifest()?.layers;
        Ok(Draft { config, annotations: StringMap::new(), keeps_health_check: false, layers })
    }

    /// The layers so far, base first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// Puts a layer on top.
    pub fn append(&mut self, layer: &Layer, history: History) {
        self.layers.push(layer.descriptor.clone());
        self.config.rootfs.diff_ids.push(layer.diff_id.clone());
        self.config.history.push(History { empty_layer: false, ..history });
    }

    /// Notes a change that made no layer.
    pub fn note(&mut self, history: History) {
        self.config.history.push(History { empty_layer: true, ..history });
    }

    /// The documents in `format`'s media types. A health check stays in Docker's format alone unless
    /// [`Draft::keeps_health_check`] says otherwise, annotations in OCI's.
    ///
    /// Errors: a document cannot be written as JSON.
    pub fn finish(mut self, format: ImageFormat) -> Result<Assembled, serde_json::Error> {
        let mut dropped = Vec::new();
        let drops = format == ImageFormat::Oci && !self.keeps_health_check;
        if drops && self.config.config.healthcheck.take().is_some() {
            dropped.push("healthcheck");
        }
        if format == ImageFormat::Docker && !self.annotations.is_empty() {
            self.annotations.clear();
            dropped.push("annotations");
        }
        let config = Document::of(format.config(), &self.config)?;
        let layers = self.layers.into_iter().map(|layer| convert_layer(layer, format)).collect();
        let mut manifest = Manifest::new(format, config.descriptor.clone(), layers);
        manifest.annotations = self.annotations;
        let mut manifest = Document::of(format.manifest(), &manifest)?;
        manifest.descriptor.platform = Some(self.config.platform());
        let root = manifest.descriptor.clone();
        Ok(Assembled { root, documents: vec![config, manifest], dropped })
    }
}

impl Assembled {
    /// The image: these documents, and layers out of the first of `sources` that has them.
    pub fn image(&self, sources: Vec<Arc<dyn Content>>) -> Image {
        let documents =
            self.documents.iter().map(|d| (d.descriptor.digest.clone(), d.bytes.clone())).collect();
        Image::new(self.root.clone(), Arc::new(Joined { documents, sources }))
    }
}

struct Joined {
    documents: HashMap<Digest, Vec<u8>>,
    sources: Vec<Arc<dyn Content>>,
}

impl Content for Joined {
    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, ContentError> {
        if let Some(bytes) = self.documents.get(&descriptor.digest) {
            return Ok(Box::new(io::Cursor::new(bytes.clone())));
        }
        for source in &self.sources {
            match source.open(descriptor) {
                Err(error) if matches!(error.kind, ContentErrorKind::NotFound) => {}
                other => return other,
            }
        }
        Err(ContentError::new(descriptor, ContentErrorKind::NotFound))
    }
}

/// An index of finished images, in their order. Each root should have a platform: engines choose by it.
///
/// Errors: the index cannot be written as JSON.
pub fn index(
    images: &[Assembled],
    annotations: StringMap,
    format: ImageFormat,
) -> Result<Assembled, serde_json::Error> {
    let mut index = Index::new(format, images.iter().map(|image| image.root.clone()).collect());
    let mut dropped: Vec<_> = images.iter().flat_map(|image| image.dropped.iter().copied()).collect();
    match format {
        ImageFormat::Docker if !annotations.is_empty() => dropped.push("annotations"),
        _ => index.annotations = annotations,
    }
    dropped.sort_unstable();
    dropped.dedup();
    let document = Document::of(format.index(), &index)?;
    let root = document.descriptor.clone();
    let mut documents: Vec<_> = images.iter().flat_map(|image| image.documents.iter().cloned()).collect();
    documents.push(document);
    Ok(Assembled { root, documents, dropped })
}

/// The same image in another format's media types. Layers stay as they are. Attestations are left out: they speak of the
/// manifests that were.
///
/// Errors: the image cannot be read.
pub fn convert(image: &Image, format: ImageFormat) -> Result<Assembled, ContentError> {
    convert_at(0, image, format)
}

fn convert_at(depth: usize, image: &Image, format: ImageFormat) -> Result<Assembled, ContentError> {
    let unwritable = |name| {
        let root = image.descriptor();
        move |error| ContentError::new(root, ContentErrorKind::Json(name, error))
    };
    if !image.is_index() {
        let manifest = image.manifest()?;
        let (config, annotations, layers) = (image.config()?, manifest.annotations, manifest.layers);
        let draft = Draft { config, annotations, keeps_health_check: false, layers };
        let mut assembled = draft.finish(format).map_err(unwritable("manifest"))?;
        keep_outside(&mut assembled.root, image.descriptor());
        return Ok(assembled);
    }
    if depth == MAX_NESTING {
        return Err(ContentError::new(image.descriptor(), ContentErrorKind::Nesting(MAX_NESTING)));
    }
    let old = image.index()?;
    let mut images = Vec::new();
    let mut attestations = false;
    // What is listed twice says nothing the second time; an index of a thousand equal ones would be converted as often.
    let mut seen = HashSet::new();
    for child in old.manifests {
        if child.platform.as_ref().is_some_and(|platform| platform.os == "unknown") {
            attestations = true;
        } else if seen.insert(child.digest.clone()) {
            images.push(convert_at(depth + 1, &image.child(child), format)?);
        }
    }
    let mut assembled = index(&images, old.annotations, format).map_err(unwritable("index"))?;
    if attestations {
        assembled.dropped.push("attestations");
    }
    keep_outside(&mut assembled.root, image.descriptor());
    Ok(assembled)
}

/// What is said of an image in the descriptor that points at it, rather than in itself, stays.
fn keep_outside(new: &mut Descriptor, old: &Descriptor) {
    new.annotations = old.annotations.clone();
    if old.platform.is_some() {
        new.platform = old.platform.clone();
    }
}

fn convert_layer(mut layer: Descriptor, format: ImageFormat) -> Descriptor {
    // Layers that must be fetched from elsewhere have a type of their own in both formats; it says so, and stays.
    let own = |compression| [ImageFormat::Oci, ImageFormat::Docker].map(|of| of.layer(compression));
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        if own(compression).contains(&layer.media_type.as_str()) {
            layer.media_type = format.layer(compression).to_owned();
        }
    }
    layer
}

#[cfg(test)]
#[path = "mutate_tests.rs"]
mod tests;
