//! A step's result that came as a layer, from wherever the step was done.
//!
//! Unpacked, it is a difference like one that was made here: under the step's name, with the time of its making, and with the layer's
//! descriptor beside it, so that an image that has it gets the very bytes that came. The layer is a stranger's: it is unpacked as those of
//! base images are, checked against its diff id before it gets its name.

use std::time::SystemTime;

use longshore_events::{Events, TaskKind};
use longshore_image::Image;
use longshore_image::layer::Layer;

use crate::chain::Chain;
use crate::error::{LayerReadError, SnapshotError};
use crate::export::{self, LayerOptions};
use crate::id::SnapshotId;
use crate::image::ImageLayer;
use crate::snapshots::{Snapshot, Snapshots};
use crate::unpack;

/// A layer that is what a step left.
#[derive(Debug, Clone, Copy)]
pub struct StepLayer<'l> {
    /// What holds the layer's blob.
    pub source: &'l Image,
    /// The layer, with the media type of the options' format.
    pub layer: &'l Layer,
    /// How it was written.
    pub options: LayerOptions,
    /// When the step was done.
    pub created: SystemTime,
}

impl Snapshots {
    /// Makes a difference of a layer. `below` is what the step stood on: folders that the layer only passes through have its metadata.
    ///
    /// Errors: the layer is absent, altered or malformed, or holds what cannot be made here; then nothing is left. The disk is full.
    pub fn import(
        &self,
        id: &SnapshotId,
        from: &StepLayer<'_>,
        below: &Chain,
        events: &Events,
    ) -> Result<Snapshot, SnapshotError> {
        let shelf = &self.0;
        let _lock = shelf.lock(id.as_str())?;
        if let Some(theirs) = self.get(id)? {
            return Ok(theirs);
        }
        let digest = &from.layer.descriptor.digest;
        let task = events.task(TaskKind::Work, format!("unpack {}", digest.short()));
        let (descriptor, diff_id) = (from.layer.descriptor.clone(), from.layer.diff_id.clone());
        let layer = ImageLayer::new(shelf, from.source, descriptor, diff_id, None);
        let (pending, left_out) = unpack::fill(&layer, events)?;
        if let Some(device) = left_out.first() {
            return Err(layer.error()(LayerReadError::Device(device.to_owned())));
        }
        let draft = pending.borrow(&layer, &below.view(events)?)?;
        export::remember(draft.path(), from.layer, &from.options)?;
        let folder = shelf.adopt_made(draft, id.as_str(), Some(from.created))?;
        task.done("");
        Snapshot::new(shelf, id, &folder)
    }
}
