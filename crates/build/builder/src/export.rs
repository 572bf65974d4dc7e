//! From a stage's state to an image in the store: layers out of snapshots, configuration, manifest.

use std::io::ErrorKind;

use longshore_events::{Events, TaskKind};
use longshore_image::layer::Layer;
use longshore_image::mutate::{Assembled, Draft};
use longshore_oci::{Descriptor, History, ImageConfig};
use longshore_snapshot::SnapshotError;
use longshore_store::Writer;

use crate::cache::{CacheMode, INLINE, Known};
use crate::error::BuildError;
use crate::solve::Solve;
use crate::state::{StageState, Step};

/// An image of one platform, written.
pub(crate) struct Exported {
    pub(crate) assembled: Assembled,
    /// Bytes of all layers, compressed.
    pub(crate) size: u64,
}

impl<'a> Solve<'a> {
    /// Writes the layers that the store lacks, and puts the documents together.
    pub(crate) fn export(&self, state: &StageState, writer: &Writer) -> Result<Exported, BuildError> {
        let mut draft = match &state.base_image {
            Some(base) => Draft::on(base)?,
            None => Draft::empty(&state.platform),
        };
        let mut times = Vec::new();
        let task = self.events.task(TaskKind::Work, format!("{}write the layers", self.prefix));
        if !self.is_ready(state)? {
            // Times in them are cut otherwise than asked for: they are written anew.
            self.chain(state)?;
        }
        self.bring_all(&state.steps)?;
        for step in &state.steps {
            self.events.check()?;
            let (layer, created) = self.layer(step, writer)?;
            times.push(created);
            draft.append(&layer, History::default());
        }
        task.done("");
        let mut config = self.config(state);
        config.rootfs = draft.config.rootfs.clone();
        self.date(&mut config, state.base_history, &times);
        if self.request.cache.inline {
            let records = self.part(state, CacheMode::Min)?.inline(&config.rootfs.diff_ids)?;
            config.unknown.insert(INLINE.to_owned(), records);
        }
        draft.config = config;
        draft.keeps_health_check = true;
        draft.annotations = self.request.annotations.iter().cloned().collect();
        let size = draft.layers().iter().map(|layer| layer.size).sum();
        Ok(Exported { assembled: draft.finish(self.request.format)?, size })
    }

    /// Whether all layers of a state are known, in the form that the image has them.
    pub(crate) fn is_ready(&self, state: &StageState) -> Result<bool, BuildError> {
        for step in &state.steps {
            match self.known(&step.snapshot)? {
                Some(Known::Here(_)) => {}
                Some(Known::Elsewhere(known)) if known.fits(self.request.source_date_epoch) => {}
                Some(Known::Elsewhere(_)) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// A step's layer, in the store, and when the step was done.
    fn layer(&self, step: &Step, writer: &Writer) -> Result<(Layer, jiff::Timestamp), BuildError> {
        match self.known(&step.snapshot)? {
            Some(Known::Here(snapshot)) => {
                let layer = snapshot.layer(writer, &self.layer_options(), &self.events);
                let layer = layer.map_err(|error| self.where_it_may_be_read(error))?;
                Ok((layer, jiff::Timestamp::try_from(snapshot.created()?).unwrap_or_default()))
            }
            Some(Known::Elsewhere(known)) => Ok((self.bring(&step.snapshot, &known)?, known.created)),
            None => Err(self.gone(step)),
        }
    }

    /// All may be known and no layer written of it yet, as of a stage that is the target for the first time. Its files may then be another
    /// user's outside of the isolation.
    fn where_it_may_be_read(&self, error: SnapshotError) -> BuildError {
        let is_denied = matches!(&error, SnapshotError::File { source, .. } if source.kind() == ErrorKind::PermissionDenied);
        let elsewhere = if is_denied { self.choose_snapshots().err() } else { None };
        match elsewhere {
            Some(inside @ BuildError::GoInside(_)) => inside,
            _ => error.into(),
        }
    }

    /// The configuration with what was asked for beside the Dockerfile.
    fn config(&self, state: &StageState) -> ImageConfig {
        let mut config = state.config.clone();
        for (name, value) in &self.request.labels {
            config.config.labels.insert(name.clone(), value.clone());
        }
        // Maps are written in order by builders that are written in Go, and compared as text by some tools.
        config.config.labels.sort_keys();
        config.config.volumes.sort_keys();
        config.config.exposed_ports.sort_keys();
        if self.request.platforms_named {
            config.os.clone_from(&self.platform.os);
            config.architecture.clone_from(&self.platform.architecture);
            config.variant.clone_from(&self.platform.variant);
        }
        config
    }

    /// Times of the history: a layer's is that of its making, any other that of the layer before it, or of the first one. With
    /// SOURCE_DATE_EPOCH all are that.
    fn date(&self, config: &mut ImageConfig, base_history: usize, times: &[jiff::Timestamp]) {
        let epoch = self.request.source_date_epoch.and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
        let mut times = times.iter().copied();
        let base = config.history[..base_history].iter().rev().find_map(|history| history.created.clone());
        let mut last: Option<String> = times.clone().next().map(|time| epoch.unwrap_or(time).to_string());
        for history in config.history.iter_mut().skip(base_history) {
            if let Some(epoch) = epoch {
                history.created = Some(epoch.to_string());
                continue;
            }
            if !history.empty_layer
                && let Some(time) = times.next()
            {
                last = Some(time.to_string());
            }
            history.created = last.clone().or_else(|| base.clone());
        }
        config.created = match epoch {
            Some(epoch) => Some(epoch.to_string()),
            None => config.history.last().and_then(|history| history.created.clone()),
        };
    }
}

/// Copies a finished image's documents, and the base's layers that the store lacks, into the store.
pub(crate) fn keep(
    assembled: &Assembled,
    bases: Vec<std::sync::Arc<dyn longshore_image::Content>>,
    writer: &mut Writer,
    events: &Events,
) -> Result<Descriptor, BuildError> {
    let image = assembled.image(bases);
    longshore_image::copy(&image, writer, events)?;
    Ok(assembled.root.clone())
}
