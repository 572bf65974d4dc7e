//! What a build leaves for others: its records, with the layers that they name.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use longshore_image::layer::Layer;
use longshore_image::mutate::{Assembled, Document as ImageDocument};
use longshore_image::{Content, Image};
use longshore_oci::media_type::{self, ImageFormat};
use longshore_oci::{Descriptor, Digest, Manifest};
use longshore_store::Writer;

use super::document::{ContentRecord, Document, LayerRecord, MEDIA_TYPE, StepRecord};
use crate::error::BuildError;
use crate::key::Key;
use crate::solve::{Solve, held};
use crate::state::StageState;

/// How much a cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheMode {
    /// The layers of the image.
    Min,
    /// The layers of every stage that was gone through.
    Max,
}

/// A cache that a build left.
#[derive(Debug, Clone)]
pub struct BuiltCache {
    /// How much it holds.
    pub mode: CacheMode,
    /// Its manifest and blobs, to be copied to wherever it was asked for.
    pub image: Image,
    /// Keeps the blobs in the store that nothing else names.
    pub(crate) _kept: Writer,
}

/// What was found out of one platform's build while its stages were gone through.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Results by the steps' keys.
    pub(crate) results: BTreeMap<Key, Key>,
    /// What was seen in results.
    pub(crate) contents: BTreeMap<Key, Key>,
}

/// The records of one platform's build.
#[derive(Debug, Default)]
pub(crate) struct Part {
    steps: Vec<(Key, Key, Option<PartLayer>)>,
    contents: BTreeMap<Key, Key>,
}

#[derive(Debug)]
struct PartLayer {
    layer: Layer,
    created: jiff::Timestamp,
    clamp: Option<i64>,
    /// Where its blob is, if it is not in the store.
    image: Option<Image>,
}

impl<'a> Solve<'a> {
    /// What was found out, with the layers that are known of it.
    pub(crate) fn part(&self, state: &StageState, mode: CacheMode) -> Result<Part, BuildError> {
        if mode == CacheMode::Max {
            // They may have what is left here no more.
            self.read_caches();
        }
        let (mut results, contents) = {
            let told = held(&self.told);
            (told.results.clone(), told.contents.clone())
        };
        let of_image: HashSet<Key> = state.steps.iter().map(|step| step.snapshot).collect();
        let named: HashSet<Key> = results.values().copied().collect();
        // What a folder that stands for a stage holds is a result of no step.
        results.extend(of_image.iter().filter(|key| !named.contains(*key)).map(|key| (*key, *key)));
        let mut part = Part { steps: Vec::new(), contents };
        for (step, result) in results {
            self.events.check()?;
            let is_wanted = mode == CacheMode::Max || of_image.contains(&result);
            let layer = if is_wanted { self.part_layer(&result)? } else { None };
            part.steps.push((step, result, layer));
        }
        Ok(part)
    }

    fn part_layer(&self, result: &Key) -> Result<Option<PartLayer>, BuildError> {
        use super::known::Known;
        Ok(match self.known(result)? {
            None => None,
            Some(Known::Here(snapshot)) => Some(PartLayer {
                layer: snapshot.layer(self.writer, &self.layer_options(), &self.events)?,
                created: jiff::Timestamp::try_from(snapshot.created()?).unwrap_or_default(),
                clamp: self.request.source_date_epoch,
                image: None,
            }),
            Some(Known::Elsewhere(known)) => Some(PartLayer {
                layer: known.layer.clone(),
                created: known.created,
                clamp: known.clamp,
                image: Some(known.image.clone()),
            }),
        })
    }
}

impl Part {
    /// The records, with layers as `place` finds them among those of a manifest.
    fn records(
        &self,
        place: &mut dyn FnMut(&PartLayer) -> Option<usize>,
    ) -> (Vec<StepRecord>, Vec<ContentRecord>) {
        let mut steps = Vec::new();
        for (key, result, layer) in &self.steps {
            let layer = layer.as_ref().and_then(|layer| {
                let index = place(layer)?;
                let (diff_id, created, clamp) = (layer.layer.diff_id.clone(), layer.created, layer.clamp);
                Some(LayerRecord { index, diff_id, created, clamp })
            });
            // That a step has the result of its own name is known without being told.
            if layer.is_some() || key != result {
                steps.push(StepRecord { key: *key, result: *result, layer });
            }
        }
        let contents =
            self.contents.iter().map(|(key, content)| ContentRecord { key: *key, content: *content });
        (steps, contents.collect())
    }

    /// The records for an image's own config, whose layers have these diff ids.
    pub(crate) fn inline(&self, diff_ids: &[Digest]) -> Result<serde_json::Value, BuildError> {
        let (steps, contents) =
            self.records(&mut |layer| diff_ids.iter().rposition(|diff_id| *diff_id == layer.layer.diff_id));
        Ok(serde_json::to_value(Document::new(steps, contents))?)
    }
}

/// A cache out of the records of all platforms.
pub(crate) fn assemble<'p>(
    parts: impl Iterator<Item = &'p Part>,
    mode: CacheMode,
    store: Arc<dyn Content>,
    writer: &Writer,
) -> Result<BuiltCache, BuildError> {
    let mut layers: Vec<Descriptor> = Vec::new();
    let mut sources = vec![store];
    let (mut steps, mut contents): (BTreeMap<Key, StepRecord>, BTreeMap<Key, Key>) = Default::default();
    for part in parts {
        let (part_steps, part_contents) = part.records(&mut |layer| {
            let mut descriptor = layer.layer.descriptor.clone();
            if let Some(compression) = media_type::layer_compression(&descriptor.media_type) {
                ImageFormat::Oci.layer(compression).clone_into(&mut descriptor.media_type);
            }
            sources.extend(layer.image.iter().map(|image| Arc::clone(image.content())));
            match layers.iter().position(|other| other.digest == descriptor.digest) {
                Some(index) => Some(index),
                None => {
                    layers.push(descriptor);
                    Some(layers.len() - 1)
                }
            }
        });
        steps.extend(part_steps.into_iter().map(|step| (step.result, step)));
        contents.extend(part_contents.into_iter().map(|record| (record.key, record.content)));
    }
    let contents = contents.into_iter().map(|(key, content)| ContentRecord { key, content }).collect();
    let records =
        document(MEDIA_TYPE, serde_json::to_vec(&Document::new(steps.into_values().collect(), contents))?);
    let mut documents = vec![];
    if layers.is_empty() {
        // Registries are free to refuse a manifest without layers.
        let empty = document(media_type::OCI_EMPTY, b"{}".to_vec());
        layers.push(empty.descriptor.clone());
        documents.push(empty);
    }
    let mut manifest = Manifest::new(ImageFormat::Oci, records.descriptor.clone(), layers);
    manifest.artifact_type = Some(MEDIA_TYPE.to_owned());
    let manifest = document(media_type::OCI_MANIFEST, serde_json::to_vec(&manifest)?);
    let root = manifest.descriptor.clone();
    documents.extend([records, manifest]);
    let assembled = Assembled { root, documents, dropped: Vec::new() };
    Ok(BuiltCache { mode, image: assembled.image(sources), _kept: writer.clone() })
}

fn document(media_type: &str, bytes: Vec<u8>) -> ImageDocument {
    ImageDocument { descriptor: Descriptor::of(media_type, &bytes), bytes }
}
