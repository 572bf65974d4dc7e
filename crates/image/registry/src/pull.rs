//! Pulling: from a reference to an image in the store.

use std::io::Write as _;
use std::sync::Arc;

use longshore_events::{Events, TaskKind};
use longshore_image::{Image, Layout, Sink as _};
use longshore_oci::{Descriptor, Digest, Digester, Platform, media_type};
use longshore_store::Writer;

use crate::early_sync::EarlySync;
use crate::error::{Outcome, RegistryErrorKind};
use crate::parallel::{Stop, in_parallel};
use crate::remote::RemoteContent;
use crate::repository::Repository;

/// Which images of an index are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// All, with the index.
    All,
    /// The one that runs on this platform, without the index. An image that is in no index is taken whatever it runs on.
    One(Platform),
}

/// An image that was pulled.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What the reference stood for: the index, or the manifest where there is none.
    pub resolved: Descriptor,
    /// The image in the store. It has no name there yet.
    pub image: Image,
}

/// One pull.
pub(crate) struct Pull<'a> {
    pub(crate) repository: Repository,
    pub(crate) layout: &'a Layout,
    pub(crate) writer: &'a Writer,
    pub(crate) parallel: usize,
    pub(crate) events: &'a Events,
}

impl Pull<'_> {
    /// Pulls what a tag or digest stands for.
    pub(crate) fn run(
        &self,
        version: &str,
        digest: Option<&Digest>,
        platforms: &Platforms,
    ) -> Outcome<Pulled> {
        let document = self.repository.manifest(version, digest, &self.repository.reading(), self.events)?;
        let content = RemoteContent::new(
            self.repository.clone(),
            Some(self.layout.clone()),
            self.parallel,
            self.events.clone(),
        );
        content.keep(&document);
        let content = Arc::new(content);
        let root = Image::new(document.descriptor.clone(), content.clone());
        let image = match platforms {
            Platforms::All => root,
            Platforms::One(platform) => root.select(platform)?,
        };
        if image.is_index() {
            content.prefetch(&image.index()?.manifests)?;
        }
        let (documents, blobs): (Vec<_>, Vec<_>) = image.blobs()?.into_iter().partition(is_document);
        in_parallel(self.parallel, &blobs, |blob, stop| self.blob(blob, stop))?;
        // Leaves first: whoever looks meanwhile finds no manifest whose blobs are not there.
        let mut sink = self.writer.clone();
        for descriptor in &documents {
            if !sink.has(descriptor)? {
                sink.write(descriptor, &mut image.open(descriptor)?)?;
            }
        }
        Ok(Pulled { resolved: document.descriptor, image: self.layout.image(image.descriptor()) })
    }

    fn blob(&self, descriptor: &Descriptor, stop: &Stop) -> Outcome<()> {
        let short = descriptor.digest.short();
        let task = self.events.task(TaskKind::Download, format!("pull {short}"));
        if self.writer.has(descriptor)? {
            task.cached("it is in the store");
            return Ok(());
        }
        refuse_foreign(descriptor)?;
        let mut file = self.writer.blob()?;
        let write = |source| RegistryErrorKind::Write { digest: descriptor.digest.clone(), source };
        let mut sync = EarlySync::of(file.file(), descriptor.size).map_err(write)?;
        let mut digester = Digester::new(descriptor.digest.algorithm());
        let mut done: u64 = 0;
        let mut receive = |bytes: longshore_http::Bytes| {
            stop.check()?;
            digester.update(&bytes);
            file.write_all(&bytes)?;
            done += bytes.len() as u64;
            task.progress(done, Some(descriptor.size));
            sync.iter_mut().for_each(|sync| sync.wrote(done));
            Ok(())
        };
        let size = self.repository.download(descriptor, &mut receive, self.events)?;
        self.prove(descriptor, size, digester.finish())?;
        sync.map_or(Ok(()), EarlySync::finish).map_err(write)?;
        self.writer.adopt(file, &descriptor.digest)?;
        task.done(descriptor.digest.to_string());
        Ok(())
    }

    /// Errors: the blob that came is not the one that the manifest names.
    fn prove(&self, descriptor: &Descriptor, size: u64, found: Digest) -> Outcome<()> {
        let registry = self.repository.session.registry();
        if size != descriptor.size {
            return Err(RegistryErrorKind::WrongSize {
                registry: registry.to_owned(),
                digest: descriptor.digest.clone(),
                expected: descriptor.size,
                found: size,
            }
            .into());
        }
        if found != descriptor.digest {
            return Err(RegistryErrorKind::WrongDigest {
                registry: registry.to_owned(),
                what: format!("a blob of {}", self.repository.name),
                expected: descriptor.digest.clone(),
                found,
            }
            .into());
        }
        Ok(())
    }
}

pub(crate) fn is_document(descriptor: &Descriptor) -> bool {
    media_type::is_index(&descriptor.media_type) || media_type::is_manifest(&descriptor.media_type)
}

/// Layers that registries may not hold are fetched from places that a stranger's manifest names: longshore does not go there.
pub(crate) fn refuse_foreign(descriptor: &Descriptor) -> Outcome<()> {
    let media_type = &descriptor.media_type;
    let foreign = media_type == media_type::DOCKER_FOREIGN_LAYER || media_type.contains(".nondistributable.");
    if !foreign {
        return Ok(());
    }
    let (digest, urls) = (descriptor.digest.clone(), descriptor.urls.clone());
    Err(RegistryErrorKind::Foreign { digest, media_type: media_type.clone(), urls }.into())
}
