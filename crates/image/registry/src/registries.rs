//! The façade: names in, images out, and errors that say what was being done.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_events::Events;
use longshore_http::{Client, Request, Response, StatusCode, block_on};
use longshore_image::Image;
use longshore_oci::media_type::{OCI_MANIFEST, is_index};
use longshore_oci::{Descriptor, Digest, Index, Reference};
use longshore_store::{Store, Writer};
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::error::{Outcome, RegistryError, RegistryErrorKind};
use crate::memory::InMemory;
use crate::pull::{Platforms, Pull, Pulled};
use crate::push::{Push, PushOptions, Pushed};
use crate::referrers::{self, Artifact};
use crate::remote::RemoteContent;
use crate::repository::Repository;
use crate::session::Session;
use crate::settings::RegistrySettings;

/// Largest page of a list of tags, in bytes.
const MOST_PAGE: u64 = 16 * 1024 * 1024;
/// Tags of one repository that are listed.
const MOST_TAGS: usize = 1_000_000;

/// Speaks to registries. Cheap to clone; clones share connections, credentials and tokens. Nothing happens before the first request.
#[derive(Clone)]
pub struct Registries {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RegistrySettings,
    client: Client,
    variables: Arc<BTreeMap<String, String>>,
    sessions: Mutex<HashMap<Endpoint, Arc<Session>>>,
}

impl std::fmt::Debug for Registries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Registries")
    }
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registries {
    /// A client by `settings`.
    pub fn new(settings: RegistrySettings) -> Registries {
        let mut http = settings.http.clone();
        http.unverified_hosts.extend(settings.insecure.iter().cloned());
        let variables = Arc::new(settings.variables.clone());
        let inner = Inner { client: Client::new(http), variables, sessions: Mutex::default(), settings };
        Registries { inner: Arc::new(inner) }
    }

    /// What a tag or digest stands for: the index's or manifest's descriptor.
    pub fn resolve(&self, reference: &Reference, events: &Events) -> Result<Descriptor, RegistryError> {
        let outcome = self.nearest(reference, events, |repository| {
            let (version, digest) = version(reference);
            Ok(repository.manifest(&version, digest, &repository.reading(), events)?.descriptor)
        });
        outcome.map_err(doing(format!("look up {reference}")))
    }

    /// Pulls an image into the store. The writer's lease keeps it there until the caller has named it.
    ///
    /// Mirrors are asked first; what they fail at is asked of the registry itself. Errors: the registry refuses, breaks off more often
    /// than is put up with, or gives what is not the image; the store cannot be written. What came before stays in the store.
    pub fn pull(
        &self,
        reference: &Reference,
        platforms: &Platforms,
        store: &Store,
        writer: &Writer,
        events: &Events,
    ) -> Result<Pulled, RegistryError> {
        let outcome = self.nearest(reference, events, |repository| {
            let (version, digest) = version(reference);
            let parallel = self.inner.settings.parallel;
            Pull { repository, layout: store.layout(), writer, parallel, events }
                .run(&version, digest, platforms)
        });
        outcome.map_err(doing(format!("pull {reference}")))
    }

    /// An image in a registry, whose manifests and blobs are fetched when they are opened: for looking at one, or copying it. Manifests
    /// are fetched once; a blob each time.
    pub fn open(&self, reference: &Reference, events: &Events) -> Result<Image, RegistryError> {
        let outcome = self.nearest(reference, events, |repository| {
            let (version, digest) = version(reference);
            let document = repository.manifest(&version, digest, &repository.reading(), events)?;
            let parallel = self.inner.settings.parallel;
            let content = RemoteContent::new(repository, None, parallel, events.clone());
            content.keep(&document);
            if is_index(&document.descriptor.media_type)
                && let Ok(index) = serde_json::from_slice::<Index>(&document.bytes)
            {
                content.prefetch(&index.manifests)?;
            }
            Ok(Image::new(document.descriptor, Arc::new(content)))
        });
        outcome.map_err(doing(format!("read {reference}")))
    }

    /// Pushes an image, under the reference's tag (`latest` where it has neither tag nor digest) and the options' further ones.
    ///
    /// Errors: the reference names a digest that is not the image's; the registry refuses; the image cannot be read.
    pub fn push(
        &self,
        image: &Image,
        reference: &Reference,
        options: &PushOptions,
        events: &Events,
    ) -> Result<Pushed, RegistryError> {
        self.push_image(image, reference, options, events).map_err(doing(format!("push {reference}")))
    }

    fn push_image(
        &self,
        image: &Image,
        reference: &Reference,
        options: &PushOptions,
        events: &Events,
    ) -> Outcome<Pushed> {
        let reference = reference.clone().with_default_tag();
        if reference.digest().is_some_and(|digest| digest != image.digest()) {
            let problem = "the name has a digest, and it is not this image's";
            return Err(RegistryErrorKind::Reference(problem).into());
        }
        let mut tags: Vec<String> = reference.tag().map(str::to_owned).into_iter().collect();
        for tag in &options.tags {
            if reference.with_tag(tag).is_err() {
                return Err(RegistryErrorKind::Reference("one of the tags is not one").into());
            }
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        let push = Push {
            image,
            repository: self.origin(&reference)?,
            registry: reference.registry(),
            options,
            parallel: self.inner.settings.parallel,
            events,
        };
        push.run(&tags)
    }

    /// Copies an image from one name to another without keeping it here. Blobs are mounted where both are on one registry.
    pub fn copy(
        &self,
        from: &Reference,
        to: &Reference,
        options: &PushOptions,
        events: &Events,
    ) -> Result<Image, RegistryError> {
        let image = self.open(from, events)?;
        let mut options = options.clone();
        options.mount_from.insert(0, from.clone());
        self.push_image(&image, to, &options, events).map_err(doing(format!("copy {from} to {to}")))?;
        Ok(image)
    }

    /// The tags of a repository, in the registry's order.
    pub fn tags(&self, reference: &Reference, events: &Events) -> Result<Vec<String>, RegistryError> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        self.list_tags(reference, events).map_err(doing(format!("list the tags of {name}")))
    }

    fn list_tags(&self, reference: &Reference, events: &Events) -> Outcome<Vec<String>> {
        let repository = self.origin(reference)?;
        let mut url = repository.url("tags/list?n=1000", events)?;
        let mut tags: Vec<String> = Vec::new();
        loop {
            let response: Response =
                repository.session.send(&Request::get(url.clone()), &repository.reading(), events)?;
            if response.status() != StatusCode::OK {
                let asked = format!("list the tags of {}", repository.name);
                return Err(repository.refused(response, &asked, &format!("repository {}", repository.name)));
            }
            let next = repository.next_page(&response, &url)?;
            let page: Tags = block_on(response.json(MOST_PAGE))?;
            let page = page.tags.unwrap_or_default();
            let is_empty = page.is_empty();
            tags.extend(page);
            match next {
                // An empty page that has another one after it would go on for ever.
                Some(next) if !is_empty && next != url && tags.len() < MOST_TAGS => url = next,
                _ => return Ok(tags),
            }
        }
    }

    /// The manifests that say something about an image: all, or those of one artifact type.
    pub fn referrers(
        &self,
        reference: &Reference,
        artifact_type: Option<&str>,
        events: &Events,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let list = || {
            let repository = self.origin(reference)?;
            let subject = self.digest_of(&repository, reference, events)?;
            referrers::list(&repository, &subject, artifact_type, events)
        };
        list().map_err(doing(format!("list the referrers of {reference}")))
    }

    /// Pushes an artifact that says something about an image. Returns the artifact's own manifest.
    pub fn attach(
        &self,
        artifact: &Artifact,
        reference: &Reference,
        events: &Events,
    ) -> Result<Descriptor, RegistryError> {
        let attach = || {
            let repository = self.origin(reference)?;
            let (version, digest) = version(reference);
            let subject = repository.manifest(&version, digest, &repository.writing(), events)?.descriptor;
            let manifest = artifact.manifest(subject);
            let bytes = serde_json::to_vec(&manifest)
                .map_err(|_| RegistryErrorKind::Reference("the artifact cannot be written as JSON"))?;
            let root = Descriptor::of(OCI_MANIFEST, &bytes);
            let documents = [bytes, artifact.content.clone(), b"{}".to_vec()];
            let image = Image::new(root.clone(), Arc::new(InMemory::of(documents)));
            let own = reference.with_digest(root.digest.clone());
            self.push_image(&image, &own, &PushOptions::default(), events).map(|_| root)
        };
        attach().map_err(doing(format!("attach an artifact to {reference}")))
    }

    /// Removes what a tag or digest stands for: with a tag, the manifest and so every tag that it has.
    pub fn delete(&self, reference: &Reference, events: &Events) -> Result<Digest, RegistryError> {
        let delete = || {
            let repository = self.origin(reference)?;
            let digest = self.digest_of(&repository, reference, events)?;
            repository.delete_manifest(&digest, events).map(|()| digest)
        };
        delete().map_err(doing(format!("delete {reference}")))
    }

    /// Asks whether a registry answers, with which scheme. Returns its address.
    pub fn ping(&self, registry: &str, events: &Events) -> Result<String, RegistryError> {
        let ping = || {
            let endpoint = Endpoint::origin(registry, &self.inner.settings)?;
            self.session(&endpoint).base(events)
        };
        let base = ping().map_err(doing(format!("reach {registry}")))?;
        Ok(longshore_http::redacted(&base))
    }

    fn digest_of(&self, repository: &Repository, reference: &Reference, events: &Events) -> Outcome<Digest> {
        match reference.digest() {
            Some(digest) => Ok(digest.clone()),
            None => {
                let (version, _) = version(reference);
                let document = repository.manifest(&version, None, &repository.reading(), events)?;
                Ok(document.descriptor.digest)
            }
        }
    }

    /// Does what reads at the first of the mirrors and the registry itself that can.
    fn nearest<T>(
        &self,
        reference: &Reference,
        events: &Events,
        read: impl Fn(Repository) -> Outcome<T>,
    ) -> Outcome<T> {
        let mirrors = self.inner.settings.mirrors.get(reference.registry());
        for mirror in mirrors.into_iter().flatten() {
            let endpoint = Endpoint::mirror(mirror, &self.inner.settings)?;
            match read(Repository::new(self.session(&endpoint), reference.repository())) {
                Err(kind) if !kind.is_cancelled() => {
                    events.note(format!(
                        "the mirror {} did not help: {kind}; asking {}",
                        endpoint.registry,
                        reference.registry()
                    ));
                }
                other => return other,
            }
        }
        read(self.origin(reference)?)
    }

    fn origin(&self, reference: &Reference) -> Outcome<Repository> {
        let endpoint = Endpoint::origin(reference.registry(), &self.inner.settings)?;
        Ok(Repository::new(self.session(&endpoint), reference.repository()))
    }

    fn session(&self, endpoint: &Endpoint) -> Arc<Session> {
        let mut sessions = self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            let (client, variables) = (self.inner.client.clone(), Arc::clone(&self.inner.variables));
            Arc::new(Session::new(client, endpoint.clone(), variables))
        };
        Arc::clone(sessions.entry(endpoint.clone()).or_insert_with(open))
    }
}

/// What to ask for: the digest, where a reference has one, whatever its tag.
fn version(reference: &Reference) -> (String, Option<&Digest>) {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => (digest.to_string(), Some(digest)),
        (None, Some(tag)) => (tag.to_owned(), None),
        (None, None) => ("latest".to_owned(), None),
    }
}

fn doing(action: String) -> impl FnOnce(Box<RegistryErrorKind>) -> RegistryError {
    move |kind| RegistryError { action, kind }
}
