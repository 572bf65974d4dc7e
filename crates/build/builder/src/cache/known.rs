//! Results that are known: unpacked here, or a layer in a cache or in the store.

use std::io::{self, Read};
use std::sync::Arc;

use longshore_events::{Events, Task, TaskKind};
use longshore_image::layer::{Layer, Timestamps};
use longshore_image::{ContentError, Sink, SinkError};
use longshore_oci::Digester;
use longshore_oci::media_type::{self, Compression};
use longshore_snapshot::{Chain, LayerOptions, Snapshot, StepLayer};

use super::import::{KnownLayer, has_right_times};
use crate::error::BuildError;
use crate::key::{Key, KeyWriter};
use crate::parallel;
use crate::records::StoredLayer;
use crate::solve::{Solve, held};
use crate::state::Step;

/// Layers that are fetched at once.
const MOST_AT_ONCE: usize = 4;

/// A result that need not be made.
pub(crate) enum Known {
    /// It is unpacked here.
    Here(Snapshot),
    /// It is a layer.
    Elsewhere(Arc<KnownLayer>),
}

/// A layer of a cache is not the one that its records name.
#[derive(Debug, thiserror::Error)]
#[error("its tar has the digest {actual}, and the records say {expected}")]
struct OtherTar {
    expected: longshore_oci::Digest,
    actual: longshore_oci::Digest,
}

impl<'a> Solve<'a> {
    /// How the layers of this build's image are written.
    pub(crate) fn layer_options(&self) -> LayerOptions {
        LayerOptions {
            timestamps: self.request.source_date_epoch.map_or(Timestamps::Keep, Timestamps::Clamp),
            format: self.request.format,
            compression: Compression::Gzip,
        }
    }

    /// A result, if it need not be made.
    pub(crate) fn known(&self, result: &Key) -> Result<Option<Known>, BuildError> {
        // Nothing that is here goes while the build runs, and each layer is asked for several times.
        if let Some(snapshot) = held(&self.here).get(result) {
            return Ok(Some(Known::Here(snapshot.clone())));
        }
        let epoch = self.request.source_date_epoch;
        if let Some(snapshot) = self.snapshots().get(&result.snapshot())? {
            // It may have come as a layer whose times were cut for another image.
            let clamp = self.records().layer(result).and_then(|stored| stored.clamp);
            if has_right_times(clamp, epoch) {
                held(&self.here).insert(*result, snapshot.clone());
                return Ok(Some(Known::Here(snapshot)));
            }
        }
        if let Some(layer) = self.imports.layer(result, epoch) {
            return Ok(Some(Known::Elsewhere(layer)));
        }
        self.stored(result)
    }

    /// A result that came with a cache in an earlier build and went into an image.
    fn stored(&self, result: &Key) -> Result<Option<Known>, BuildError> {
        let epoch = self.request.source_date_epoch;
        let is_usable = |stored: &StoredLayer| has_right_times(stored.clamp, epoch);
        let Some(stored) = self.records().layer(result).filter(is_usable) else { return Ok(None) };
        if self.imports.is_left(result) || !self.writer.has(&stored.descriptor)? {
            return Ok(None);
        }
        let image = self.builder.store.layout().image(&stored.descriptor);
        let layer = Layer { descriptor: stored.descriptor, diff_id: stored.diff_id };
        let (created, clamp) = (stored.created, stored.clamp);
        Ok(Some(Known::Elsewhere(Arc::new(KnownLayer { cache: None, layer, created, clamp, image }))))
    }

    /// Brings a layer into the store and looks whether it is what its records say. Returns it with the media type of this build's format.
    pub(crate) fn bring(&self, result: &Key, known: &KnownLayer) -> Result<Layer, BuildError> {
        let mut layer = known.layer.clone();
        let compression =
            media_type::layer_compression(&layer.descriptor.media_type).unwrap_or(Compression::Gzip);
        self.request.format.layer(compression).clone_into(&mut layer.descriptor.media_type);
        if known.cache.is_none() {
            return Ok(layer);
        }
        let name = known.layer.descriptor.digest.encoded();
        let _lock = self.records().lock(&format!("layer-{name}"), &self.events)?;
        if !self.writer.has(&known.layer.descriptor)? {
            self.download(known)?;
        }
        // What was found to be right of one cache's layer says nothing about another's.
        let Layer { descriptor, diff_id } = known.layer.clone();
        let stored = StoredLayer { descriptor, diff_id, created: known.created, clamp: known.clamp };
        if self.records().layer(result).as_ref() != Some(&stored) {
            self.check_tar(known)?;
            self.records().put_layer(result, &stored)?;
        }
        Ok(layer)
    }

    /// Brings the layers of several steps into the store that are in caches, some at once.
    pub(crate) fn bring_all(&self, steps: &[Step]) -> Result<(), BuildError> {
        let mut wanted = Vec::new();
        for step in steps {
            if let Some(Known::Elsewhere(known)) = self.known(&step.snapshot)? {
                wanted.push((step.snapshot, known));
            }
        }
        parallel::for_each(MOST_AT_ONCE, &wanted, |(result, known)| {
            self.events.check()?;
            self.bring(result, known).map(drop)
        })
    }

    fn download(&self, known: &KnownLayer) -> Result<(), BuildError> {
        let descriptor = &known.layer.descriptor;
        let lost = |error: &(dyn std::error::Error + 'static)| self.lost(known, error);
        let task = self.events.task(TaskKind::Download, format!("fetch {}", descriptor.digest.short()));
        let inner = known.image.open(descriptor).map_err(|error| lost(&error))?;
        let mut reader =
            Watched { inner, events: &self.events, task: &task, done: 0, total: descriptor.size };
        match self.writer.clone().write(descriptor, &mut reader) {
            Ok(()) => {
                task.done(descriptor.digest.to_string());
                Ok(())
            }
            Err(SinkError::Source(_)) if self.events.is_cancelled() => {
                Err(longshore_events::Cancelled.into())
            }
            Err(SinkError::Source(error)) => Err(lost(&ContentError::new(descriptor, error))),
            Err(other) => Err(other.into()),
        }
    }

    /// Looks whether the tar of a layer in the store is the one that the cache's records name: an image with another one is broken.
    fn check_tar(&self, known: &KnownLayer) -> Result<(), BuildError> {
        let expected = &known.layer.diff_id;
        let image = self.builder.store.layout().image(&known.layer.descriptor);
        let mut tar = image.open_layer(&known.layer.descriptor)?;
        let mut digester = Digester::new(expected.algorithm());
        let mut buffer = vec![0; 256 * 1024];
        loop {
            self.events.check()?;
            match tar.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => digester.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.lost(known, &ContentError::new(&known.layer.descriptor, error)));
                }
            }
        }
        let actual = digester.finish();
        if actual == *expected {
            return Ok(());
        }
        Err(self.lost(known, &OtherTar { expected: expected.clone(), actual }))
    }

    /// Gives up the cache that a layer was to come from.
    fn lost(&self, known: &KnownLayer, why: &(dyn std::error::Error + 'static)) -> BuildError {
        if self.events.is_cancelled() {
            return longshore_events::Cancelled.into();
        }
        self.imports.lose(known, why, &self.events);
        BuildError::Again
    }

    /// What became of a result that was known when the build began.
    pub(crate) fn gone(&self, step: &Step) -> BuildError {
        if self.imports.losses() > self.losses {
            return BuildError::Again;
        }
        BuildError::Pruned(step.snapshot.hex())
    }

    /// What a step left, unpacked. `below` is what it stood on.
    pub(crate) fn snapshot(&self, step: &Step, below: &Chain) -> Result<Snapshot, BuildError> {
        let id = step.snapshot.snapshot();
        let known = match self.known(&step.snapshot)? {
            Some(Known::Here(snapshot)) => return Ok(snapshot),
            Some(Known::Elsewhere(known)) => known,
            None => return Err(self.gone(step)),
        };
        let layer = self.bring(&step.snapshot, &known)?;
        let image = self.builder.store.layout().image(&layer.descriptor);
        let timestamps = known.clamp.map_or(Timestamps::Keep, Timestamps::Clamp);
        let options = LayerOptions { timestamps, ..self.layer_options() };
        let from = StepLayer {
            source: &image,
            layer: &layer,
            options,
            created: known.created.try_into().unwrap_or(std::time::SystemTime::UNIX_EPOCH),
        };
        let nothing = self.snapshots().scratch();
        let below = if step.is_linked { &nothing } else { below };
        match self.snapshots().import(&id, &from, below, &self.events) {
            Err(error) if error.is_of_layer() => {
                self.records().remove_layer(&step.snapshot)?;
                self.imports.leave(&step.snapshot, &error, &self.events);
                Err(BuildError::Again)
            }
            other => Ok(other?),
        }
    }
}

/// The key of the record that a step has a result of another name.
pub(crate) fn generation_key(key: &Key) -> Key {
    KeyWriter::new("generation").key(key).finish()
}

/// Tells how far a download is, and ends it when the work is asked to stop.
struct Watched<'w, R> {
    inner: R,
    events: &'w Events,
    task: &'w Task,
    done: u64,
    total: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.events.check().map_err(io::Error::other)?;
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.task.progress(self.done, Some(self.total));
        Ok(count)
    }
}
