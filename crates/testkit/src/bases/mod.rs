//! Base images that need no registry: Debian's static busybox and a few files, in an OCI image layout.
//!
//! Tests of Dockerfile builds, and the conformance suite's recorded answers, start from these. Everything in them but the
//! busybox itself is the same on every machine: names, owners, modes, times, links, one capability, and a config of each kind
//! that a build inherits. Names of programs are links to the one busybox, a fixed list, so that a busybox with more
//! programs makes no difference.
//!
//! | name | what it is for |
//! |---|---|
//! | `busybox` | the usual base: a shell, users, `/tmp`, and `/data` with one file of each kind |
//! | `configured` | every field of the config that a Dockerfile can set is set |
//! | `onbuild` | ONBUILD triggers |
//! | `merged` | `bin` is a link to `usr/bin`, as in distributions of today |
//! | `platforms` | an index: the same files for linux/amd64 and linux/arm64 |

mod busybox;
mod configs;

use std::path::{Path, PathBuf};

use longshore_files::FileError;
use longshore_image::layer::{Layer, LayerError};
use longshore_image::mutate::{Assembled, Draft, index};
use longshore_image::{Image, Layout, LayoutError, Sink as _, SinkError, VerifyingReader};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{History, Platform, StringMap};

use crate::Skip;

/// The names of all base images.
pub const NAMES: [&str; 5] = ["busybox", "configured", "onbuild", "merged", "platforms"];

/// When the base images were made, as their files and configs have it: the first second of 2024.
pub const CREATED: i64 = 1_704_067_200;

const CREATED_TEXT: &str = "2024-01-01T00:00:00Z";

/// The base images, in a layout.
#[derive(Debug, Clone)]
pub struct Bases {
    layout: Layout,
}

/// Base images that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BasesError {
    /// The machine has no static busybox.
    #[error(transparent)]
    Missing(#[from] Skip),
    /// The busybox cannot be read.
    #[error("cannot read {}", path.display())]
    Busybox {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A layer cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The end of a layer cannot be written.
    #[error("cannot end a layer of {image}")]
    End {
        /// Which image.
        image: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The layout cannot be made or changed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A blob cannot be named.
    #[error(transparent)]
    File(#[from] FileError),
    /// A document cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A document is no JSON.
    #[error("cannot write a document of {image}")]
    Json {
        /// Which image.
        image: &'static str,
        /// What the serializer said.
        #[source]
        source: serde_json::Error,
    },
}

impl BasesError {
    /// What ends a test that has no busybox: a skip, so that it does not count as passed.
    pub fn is_missing(&self) -> bool {
        matches!(self, BasesError::Missing(_))
    }
}

impl Bases {
    /// Makes the base images in a layout at `folder`.
    ///
    /// Errors: [`BasesError::Missing`] where no static busybox is installed (Debian's package busybox-static).
    pub fn make(folder: &Path) -> Result<Bases, BasesError> {
        let program = busybox::find()?;
        let layout = Layout::create(folder)?;
        let bases = Bases { layout };
        let plain = busybox::layer(&bases.layout, &program, busybox::Programs::InBin)?;
        let merged = busybox::layer(&bases.layout, &program, busybox::Programs::InUsrBin)?;
        let host = Platform::host();
        bases.write("busybox", draft(&plain, &host), ImageFormat::Oci)?;
        bases.write("merged", draft(&merged, &host), ImageFormat::Oci)?;
        // Docker's format, since OCI's has no room for a health check.
        bases.write("configured", configs::configured(draft(&plain, &host)), ImageFormat::Docker)?;
        bases.write("onbuild", configs::with_triggers(draft(&plain, &host)), ImageFormat::Docker)?;
        bases.write_index("platforms", &plain)?;
        Ok(bases)
    }

    /// The layout that holds them, each under its name.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The folder of the layout.
    pub fn folder(&self) -> &Path {
        self.layout.folder()
    }

    /// The image of that name. `None` where there is no such base.
    pub fn image(&self, name: &str) -> Result<Option<Image>, BasesError> {
        let entries = self.layout.entries()?;
        let found = entries.iter().find(|entry| entry.name.as_deref() == Some(name));
        Ok(found.map(|entry| self.layout.image(&entry.descriptor)))
    }

    fn write(&self, name: &'static str, draft: Draft, format: ImageFormat) -> Result<(), BasesError> {
        let assembled = draft.finish(format).map_err(|source| BasesError::Json { image: name, source })?;
        self.keep(name, &assembled)
    }

    fn write_index(&self, name: &'static str, layer: &Layer) -> Result<(), BasesError> {
        let json = |source| BasesError::Json { image: name, source };
        let platforms = ["amd64", "arm64"].map(|architecture| Platform::new("linux", architecture, None));
        let images: Result<Vec<_>, _> =
            platforms.iter().map(|platform| draft(layer, platform).finish(ImageFormat::Oci)).collect();
        let index = index(&images.map_err(json)?, StringMap::new(), ImageFormat::Oci).map_err(json)?;
        self.keep(name, &index)
    }

    fn keep(&self, name: &str, assembled: &Assembled) -> Result<(), BasesError> {
        let mut sink = self.layout.clone();
        for document in &assembled.documents {
            let mut bytes = VerifyingReader::new(&document.bytes[..], &document.descriptor);
            sink.write(&document.descriptor, &mut bytes)?;
        }
        Ok(self.layout.tag(Some(name), &assembled.root)?)
    }
}

/// An image of that one layer.
fn draft(layer: &Layer, platform: &Platform) -> Draft {
    let mut draft = configs::plain(platform);
    draft.append(layer, history("busybox and /data"));
    draft
}

fn history(what: &str) -> History {
    History {
        created: Some(CREATED_TEXT.to_owned()),
        created_by: Some(what.to_owned()),
        ..History::default()
    }
}
