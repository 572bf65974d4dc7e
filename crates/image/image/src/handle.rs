//! The image handle and what is derived from its content.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use longshore_oci::media_type::{self, Compression};
use longshore_oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform};
use serde::de::DeserializeOwned;

use crate::content::{BlobReader, Content, ContentError, ContentErrorKind, read_small};
use crate::{VerifyingReader, layer};

/// Indexes of indexes are allowed by the specification and rare; deeper ones than this are an attack.
pub(crate) const MAX_NESTING: usize = 4;

/// An image, or an index of images for several platforms: a root and the content it reaches. Cheap to clone.
#[derive(Clone)]
pub struct Image {
    root: Descriptor,
    content: Arc<dyn Content>,
}

impl fmt::Debug for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Image").field(&self.root.digest).finish()
    }
}

impl Image {
    /// The image whose manifest or index is `root`. Nothing is read yet.
    pub fn new(root: Descriptor, content: Arc<dyn Content>) -> Self {
        Image { root, content }
    }

    /// Descriptor of the manifest or index.
    pub fn descriptor(&self) -> &Descriptor {
        &self.root
    }

    /// Digest of the manifest or index: the image's identity.
    pub fn digest(&self) -> &Digest {
        &self.root.digest
    }

    /// What opens the image's blobs.
    pub fn content(&self) -> &Arc<dyn Content> {
        &self.content
    }

    /// Whether this is a list of images rather than one.
    pub fn is_index(&self) -> bool {
        media_type::is_index(&self.root.media_type)
    }

    /// The manifest's or index's own bytes, verified.
    pub fn raw(&self) -> Result<Vec<u8>, ContentError> {
        read_small(&*self.content, &self.root)
    }

    /// The manifest. Errors: this is an index, or the content is absent, altered or no manifest.
    pub fn manifest(&self) -> Result<Manifest, ContentError> {
        self.expect(media_type::is_manifest(&self.root.media_type), "an image manifest")?;
        self.document(&self.root, "manifest")
    }

    /// The index. Errors: this is a single image, or the content is absent, altered or no index.
    pub fn index(&self) -> Result<Index, ContentError> {
        self.expect(self.is_index(), "an image index")?;
        self.document(&self.root, "index")
    }

    /// The config of a single image.
    pub fn config(&self) -> Result<ImageConfig, ContentError> {
        self.document(&self.manifest()?.config, "config")
    }

    /// The images for each platform: those of an index, or this one alone. Attestations and other artifacts that an index
    /// lists beside its images (platform `unknown/unknown`) are left out.
    pub fn images(&self) -> Result<Vec<Image>, ContentError> {
        let mut images = Vec::new();
        self.collect_images(0, &mut HashSet::new(), &mut images)?;
        Ok(images)
    }

    fn collect_images(
        &self,
        depth: usize,
        seen: &mut HashSet<Digest>,
        images: &mut Vec<Image>,
    ) -> Result<(), ContentError> {
        if !self.is_index() {
            images.push(self.clone());
            return Ok(());
        }
        if depth == MAX_NESTING {
            return Err(ContentError::new(&self.root, ContentErrorKind::Nesting(MAX_NESTING)));
        }
        // An index that is listed a thousand times, and lists another one a thousand times, is read once.
        if !seen.insert(self.root.digest.clone()) {
            return Ok(());
        }
        for child in self.index()?.manifests {
            let unknown = child.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
            if !unknown {
                self.child(child).collect_images(depth + 1, seen, images)?;
            }
        }
        Ok(())
    }

    /// Another root in the same content.
    pub fn child(&self, root: Descriptor) -> Image {
        Image { root, content: Arc::clone(&self.content) }
    }

    /// The image that runs on `platform`; a single image is returned as it is, whatever it runs on.
    ///
    /// Errors: an index has none for it; then the error lists what it has.
    pub fn select(&self, platform: &Platform) -> Result<Image, ContentError> {
        if !self.is_index() {
            return Ok(self.clone());
        }
        let index = self.index()?;
        match index.select(platform) {
            Some(child) => self.child(child.clone()).select(platform),
            None => {
                let offered: Vec<_> = index
                    .manifests
                    .iter()
                    .filter_map(|d| d.platform.as_ref())
                    .map(Platform::to_string)
                    .collect();
                let kind = ContentErrorKind::NoPlatform {
                    wanted: platform.to_string(),
                    offered: offered.join(", "),
                };
                Err(ContentError::new(&self.root, kind))
            }
        }
    }

    /// The platform of a single image: from its descriptor where that says it, otherwise from its config.
    pub fn platform(&self) -> Result<Platform, ContentError> {
        match &self.root.platform {
            Some(platform) => Ok(platform.clone()),
            None => Ok(self.config()?.platform()),
        }
    }

    /// A blob's bytes, verified as they are read.
    pub fn open(&self, descriptor: &Descriptor) -> Result<VerifyingReader<BlobReader>, ContentError> {
        Ok(VerifyingReader::new(self.content.open(descriptor)?, descriptor))
    }

    /// A layer's tar, decompressed, its compressed bytes verified as they are read.
    ///
    /// Errors: the layer is absent, or its media type is not a layer's.
    pub fn open_layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, ContentError> {
        let compression = layer_compression(descriptor)?;
        layer::decompress(self.open(descriptor)?, compression)
            .map_err(|error| ContentError::new(descriptor, error))
    }

    /// Every blob that the image reaches, leaves before what points at them, each once. The root comes last.
    ///
    /// Errors: a manifest or index cannot be read. Layers are not opened.
    pub fn blobs(&self) -> Result<Vec<Descriptor>, ContentError> {
        let mut blobs = Vec::new();
        self.collect_blobs(0, &mut HashSet::new(), &mut blobs)?;
        Ok(blobs)
    }

    fn collect_blobs(
        &self,
        depth: usize,
        seen: &mut HashSet<Digest>,
        blobs: &mut Vec<Descriptor>,
    ) -> Result<(), ContentError> {
        if depth > MAX_NESTING {
            return Err(ContentError::new(&self.root, ContentErrorKind::Nesting(MAX_NESTING)));
        }
        if seen.contains(&self.root.digest) {
            return Ok(());
        }
        let mut leaf = |descriptor: Descriptor, blobs: &mut Vec<Descriptor>| {
            if seen.insert(descriptor.digest.clone()) {
                blobs.push(descriptor);
            }
        };
        if self.is_index() {
            for child in self.index()?.manifests {
                if media_type::is_index(&child.media_type) || media_type::is_manifest(&child.media_type) {
                    self.child(child).collect_blobs(depth + 1, seen, blobs)?;
                } else if seen.insert(child.digest.clone()) {
                    blobs.push(child);
                }
            }
        } else {
            let manifest = self.manifest()?;
            for layer in manifest.layers {
                leaf(layer, blobs);
            }
            leaf(manifest.config, blobs);
        }
        seen.insert(self.root.digest.clone());
        blobs.push(self.root.clone());
        Ok(())
    }

    fn expect(&self, fits: bool, expected: &'static str) -> Result<(), ContentError> {
        if fits {
            return Ok(());
        }
        let found = self.root.media_type.clone();
        Err(ContentError::new(&self.root, ContentErrorKind::MediaType { found, expected }))
    }

    fn document<T: DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
        name: &'static str,
    ) -> Result<T, ContentError> {
        let bytes = read_small(&*self.content, descriptor)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ContentError::new(descriptor, ContentErrorKind::Json(name, error)))
    }
}

fn layer_compression(descriptor: &Descriptor) -> Result<Compression, ContentError> {
    media_type::layer_compression(&descriptor.media_type).ok_or_else(|| {
        let found = descriptor.media_type.clone();
        ContentError::new(descriptor, ContentErrorKind::MediaType { found, expected: "a file-system layer" })
    })
}
