//! Pushing: from an image anywhere to a repository.
//!
//! Blobs first, several at once, then manifests, then the root under its tags: whoever pulls meanwhile finds the old image or the new
//! one. What the repository has is not sent; what another repository of the registry has is mounted.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use longshore_events::{Events, TaskKind};
use longshore_http::{HttpErrorKind, StatusCode};
use longshore_image::{ContentError, Image};
use longshore_oci::{Descriptor, Manifest, Reference, annotation};

use crate::error::{Outcome, RegistryErrorKind};
use crate::parallel::{Stop, in_parallel};
use crate::progress::Progress;
use crate::pull::{is_document, refuse_foreign};
use crate::referrers;
use crate::repository::{Document, Repository};
use crate::source::OpenBlob;
use crate::upload::{Upload, Uploaded};

/// Repositories that are tried for a mount. Each costs a request for each blob that it lacks.
const MOST_MOUNTS: usize = 4;

/// How to push.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Further tags for the root.
    pub tags: Vec<String>,
    /// Repositories that may hold some of the blobs; those on the same registry are tried for mounts, and so is the base that the
    /// image's own annotations name.
    pub mount_from: Vec<Reference>,
}

/// What a push did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that the registry took from another repository.
    pub mounted: usize,
    /// Blobs that the repository had.
    pub present: usize,
}

/// One push.
pub(crate) struct Push<'a> {
    pub(crate) image: &'a Image,
    pub(crate) repository: Repository,
    pub(crate) registry: &'a str,
    pub(crate) options: &'a PushOptions,
    pub(crate) parallel: usize,
    pub(crate) events: &'a Events,
}

impl Push<'_> {
    /// Pushes everything and gives the root each of `tags`; without any it has its digest alone.
    pub(crate) fn run(&self, tags: &[String]) -> Outcome<Pushed> {
        let (documents, mut blobs): (Vec<_>, Vec<_>) = self.image.blobs()?.into_iter().partition(is_document);
        blobs.iter().try_for_each(refuse_foreign)?;
        // The largest first: the last to end is then a small one.
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let documents = self.read(&documents)?;
        let mounts = self.mounts(&documents);
        let counts = std::sync::Mutex::new(Pushed::default());
        in_parallel(self.parallel, &blobs, |blob, stop| {
            let outcome = self.blob(blob, &mounts, stop)?;
            let mut counts = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match outcome {
                None => counts.present += 1,
                Some(Uploaded::Sent) => counts.sent += 1,
                Some(Uploaded::Mounted(_)) => counts.mounted += 1,
            }
            Ok::<_, Box<RegistryErrorKind>>(())
        })?;
        for document in &documents {
            let is_root = document.descriptor.digest == *self.image.digest();
            let digest = [document.descriptor.digest.to_string()];
            let versions = if is_root && !tags.is_empty() { tags } else { &digest };
            for version in versions {
                self.events.check()?;
                referrers::put(&self.repository, version, document, self.events)?;
            }
        }
        Ok(counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn read(&self, documents: &[Descriptor]) -> Outcome<Vec<Document>> {
        let read = |descriptor: &Descriptor| -> Result<Document, ContentError> {
            let bytes = longshore_image::read_small(&**self.image.content(), descriptor)?;
            Ok(Document { descriptor: descriptor.clone(), bytes: bytes.into() })
        };
        documents.iter().map(|descriptor| Ok(read(descriptor)?)).collect()
    }

    /// Names, at the endpoint, of the repositories to mount from.
    fn mounts(&self, documents: &[Document]) -> Vec<String> {
        let bases: BTreeSet<Reference> = documents
            .iter()
            .filter_map(|document| serde_json::from_slice::<Manifest>(&document.bytes).ok())
            .filter_map(|manifest| manifest.annotations.get(annotation::BASE_NAME)?.parse().ok())
            .collect();
        let mut names = Vec::new();
        for reference in self.options.mount_from.iter().chain(&bases) {
            let name = self.repository.session.endpoint.repository(reference.repository());
            if reference.registry() == self.registry && name != self.repository.name && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names.truncate(MOST_MOUNTS);
        names
    }

    /// `None`: it is there already.
    fn blob(&self, descriptor: &Descriptor, mounts: &[String], stop: &Stop) -> Outcome<Option<Uploaded>> {
        self.events.check()?;
        let short = descriptor.digest.short();
        let progress = Progress::new(self.events.task(TaskKind::Upload, format!("push {short}")));
        let outcome = self.blob_in(descriptor, mounts, stop, &progress);
        match &outcome {
            Ok(None) => progress.end(|task| task.cached("the registry has it")),
            Ok(Some(Uploaded::Mounted(from))) => {
                progress.end(|task| task.cached(format!("mounted from {from}")));
            }
            Ok(Some(Uploaded::Sent)) => progress.end(|task| task.done(descriptor.digest.to_string())),
            Err(_) => progress.fail(),
        }
        outcome
    }

    fn blob_in(
        &self,
        descriptor: &Descriptor,
        mounts: &[String],
        stop: &Stop,
        progress: &Progress,
    ) -> Outcome<Option<Uploaded>> {
        let path = format!("blobs/{}", descriptor.digest);
        if self.repository.has(&path, &self.repository.writing(), self.events)? {
            return Ok(None);
        }
        let upload = Upload {
            repository: &self.repository,
            descriptor,
            open: opener(self.image, descriptor),
            mount_from: mounts,
            progress: progress.clone(),
            stop: stop.clone(),
            events: self.events,
        };
        upload.run().map(Some).map_err(|error| self.explained(descriptor, error))
    }

    /// Where a registry refuses a blob's bytes, they may be damaged here: then that is the error.
    fn explained(&self, descriptor: &Descriptor, error: Box<RegistryErrorKind>) -> Box<RegistryErrorKind> {
        let suspicious = match &*error {
            RegistryErrorKind::Status { status, .. } => *status == StatusCode::BAD_REQUEST,
            RegistryErrorKind::Http(http) => {
                matches!(http.kind, HttpErrorKind::Broken { .. } | HttpErrorKind::Local(_))
            }
            _ => false,
        };
        if !suspicious || self.events.is_cancelled() {
            return error;
        }
        let proof = self.image.open(descriptor).and_then(|mut reader| {
            io::copy(&mut reader, &mut io::sink()).map_err(|error| ContentError::new(descriptor, error))
        });
        proof.err().map_or(error, Into::into)
    }
}

/// Opens a blob of an image. Its bytes are not hashed here: the registry does, and holds them against the digest that it is given.
fn opener(image: &Image, descriptor: &Descriptor) -> Arc<OpenBlob> {
    let (content, descriptor) = (Arc::clone(image.content()), descriptor.clone());
    Arc::new(move || content.open(&descriptor).map_err(io::Error::other))
}
