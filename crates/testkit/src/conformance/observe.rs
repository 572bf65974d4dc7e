//! Reading an outcome from a built image.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_image::flatten::{Contents, FileKind, FlattenError, Tree, flatten};
use longshore_image::layer::{TarError, TarKind, entries, inside};
use longshore_image::{ContentError, Image, Layout, LayoutError};
use longshore_oci::{Digest, History};

use super::file::FileRecord;
use super::outcome::{HistoryRecord, ImageOutcome, Outcome};
use super::prepare::Prepared;
use crate::bases::{Bases, BasesError, NAMES};

/// Longest content that stands in a record as text.
const MAX_TEXT: u64 = 1024;

/// An image that cannot be read as an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The layout cannot be read.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The layout holds no image, or several that are not one index.
    #[error("{} holds {count} images, and one was expected", path.display())]
    Count {
        /// The layout's folder.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// A document or layer cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The layers cannot be put on top of one another.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
    /// A layer is no tar.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Its path in the image.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The bases cannot be read.
    #[error(transparent)]
    Bases(#[from] BasesError),
    /// The config is no JSON.
    #[error("cannot write a config as JSON")]
    Json(#[source] serde_json::Error),
}

/// The outcome of `prepared` whose images are in the layout at `folder`.
pub fn observe(folder: &Path, prepared: &Prepared, bases: &Bases) -> Result<Outcome, ObserveError> {
    let layout = Layout::open(folder)?;
    let roots = layout.entries()?;
    let mut digests: Vec<_> = roots.iter().map(|root| &root.descriptor.digest).collect();
    digests.dedup();
    let (Some(root), 1) = (roots.first(), digests.len()) else {
        return Err(ObserveError::Count { path: folder.to_owned(), count: digests.len() });
    };
    let known = Known { bases: known_bases(bases)?, program: program(bases)?, prepared };
    let mut images = BTreeMap::new();
    for image in layout.image(&root.descriptor).images()? {
        images.insert(image.config()?.platform().to_string(), known.read(&image)?);
    }
    Ok(Outcome::Images(images))
}

/// What an image is read against.
struct Known<'case> {
    bases: Vec<(&'static str, Image)>,
    /// The busybox of the bases: what differs from machine to machine.
    program: Option<Digest>,
    prepared: &'case Prepared,
}

fn program(bases: &Bases) -> Result<Option<Digest>, ObserveError> {
    let Some(base) = bases.image("busybox")? else { return Ok(None) };
    let tree = flatten(&base, Contents::Hashed, &Events::silent())?;
    Ok(tree.get("bin/busybox").and_then(|file| file.content.clone()))
}

/// Every base that is a single image, or one of an index's, with its name.
fn known_bases(bases: &Bases) -> Result<Vec<(&'static str, Image)>, ObserveError> {
    let mut known = Vec::new();
    for name in NAMES {
        if let Some(base) = bases.image(name)? {
            known.extend(base.images()?.into_iter().map(|image| (name, image)));
        }
    }
    Ok(known)
}

impl Known<'_> {
    fn times(&self) -> bool {
        self.prepared.case().compares_times()
    }

    fn read(&self, image: &Image) -> Result<ImageOutcome, ObserveError> {
        let config = image.config()?;
        let manifest = image.manifest()?;
        let base = find_base(&config, &self.bases)?;
        let records = self.records(image)?;
        let (below, layers, past) = match &base {
            None => (BTreeMap::new(), 0, 0),
            Some((_, base)) => {
                let config = base.config()?;
                (self.records(base)?, config.rootfs.diff_ids.len(), config.history.len())
            }
        };
        let history = config.history.iter().skip(past).map(|history| HistoryRecord {
            created_by: history.created_by.as_deref().map(|text| self.prepared.steady(text)),
            comment: history.comment.clone(),
            empty_layer: history.empty_layer,
        });
        Ok(ImageOutcome {
            base: base.map(|(name, _)| (*name).to_owned()),
            layers: manifest.layers.len().saturating_sub(layers),
            files: changes(&below, &records),
            config: serde_json::to_value(&config.config).map_err(ObserveError::Json)?,
            author: config.author.clone(),
            created: config.created.clone().filter(|_| self.times()),
            history: history.collect(),
            annotations: manifest.annotations.into_iter().collect(),
        })
    }

    /// Every file of an image, by path.
    fn records(&self, image: &Image) -> Result<BTreeMap<String, FileRecord>, ObserveError> {
        let tree = flatten(image, Contents::Hashed, &Events::silent())?;
        let texts = texts(image, &tree)?;
        let names = names_of_links(&tree);
        let mut records = BTreeMap::new();
        for (path, file) in tree.files() {
            let own = (file.layer, file.target.clone().filter(|_| file.kind == FileKind::Hardlink));
            let stored = own.1.as_deref().unwrap_or(path);
            let text = texts.get(&(own.0, stored.to_owned())).cloned();
            let mut record = FileRecord::of(file, text, self.times());
            if self.program.is_some() && file.content == self.program {
                record.is_busybox();
            }
            let first = names.get(&(file.layer, stored.to_owned()));
            record.same_as = first.filter(|first| first.as_path() != path).map(|first| shown(first));
            records.insert(shown(path), record);
        }
        Ok(records)
    }
}

/// The base whose layers and history this image begins with. Several bases share a layer, and differ in their history.
fn find_base<'known>(
    config: &longshore_oci::ImageConfig,
    known: &'known [(&'static str, Image)],
) -> Result<Option<&'known (&'static str, Image)>, ObserveError> {
    let mut best: Option<(usize, &(&'static str, Image))> = None;
    let told = |history: &[History]| -> Vec<Option<String>> {
        history.iter().map(|history| history.created_by.clone()).collect()
    };
    for candidate in known {
        let base = candidate.1.config()?;
        let fits = config.rootfs.diff_ids.starts_with(&base.rootfs.diff_ids)
            && told(&config.history).starts_with(&told(&base.history));
        if fits && best.is_none_or(|(length, _)| base.history.len() > length) {
            best = Some((base.history.len(), candidate));
        }
    }
    Ok(best.map(|(_, base)| base))
}

fn changes(
    below: &BTreeMap<String, FileRecord>,
    above: &BTreeMap<String, FileRecord>,
) -> BTreeMap<String, FileRecord> {
    let changed = above.iter().filter(|(path, file)| below.get(*path) != Some(file));
    let gone = below.keys().filter(|path| !above.contains_key(*path));
    let gone = gone.map(|path| (path.clone(), FileRecord::gone()));
    changed.map(|(path, file)| (path.clone(), file.clone())).chain(gone).collect()
}

/// For each file that has several names, by its layer and the name that it is stored under: the first name by alphabet.
fn names_of_links(tree: &Tree) -> BTreeMap<(usize, PathBuf), PathBuf> {
    let mut names: BTreeMap<(usize, PathBuf), PathBuf> = BTreeMap::new();
    let links = tree.files().filter(|(_, file)| file.kind == FileKind::Hardlink);
    for (path, file) in links {
        let Some(target) = &file.target else { continue };
        let stored = tree.get(target).is_some_and(|of| of.layer == file.layer);
        let first = if stored && target.as_path() < path { target.as_path() } else { path };
        let known = names.entry((file.layer, target.clone())).or_insert_with(|| first.to_owned());
        if first < known.as_path() {
            *known = first.to_owned();
        }
    }
    names
}

/// Contents that are short texts, by layer and path.
fn texts(image: &Image, tree: &Tree) -> Result<BTreeMap<(usize, PathBuf), String>, ObserveError> {
    let mut texts = BTreeMap::new();
    for (number, layer) in image.manifest()?.layers.iter().enumerate() {
        if !tree.files().any(|(_, file)| file.layer == number) {
            continue;
        }
        let mut tar = entries(image.open_layer(layer)?);
        while let Some(entry) = tar.next_entry()? {
            let Some(path) = inside(&entry.path) else { continue };
            if entry.kind != TarKind::File || entry.size > MAX_TEXT || entry.sparse {
                continue;
            }
            let mut bytes = Vec::new();
            tar.content()
                .read_to_end(&mut bytes)
                .map_err(|source| ObserveError::File { path: path.clone(), source })?;
            if let Some(text) = as_text(bytes) {
                texts.insert((number, path), text);
            }
        }
    }
    Ok(texts)
}

fn as_text(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let plain = text.chars().all(|character| !character.is_control() || "\n\t\r".contains(character));
    plain.then_some(text)
}

/// A path as it stands in a record: with a leading slash, bytes that are no UTF-8 escaped.
fn shown(path: &Path) -> String {
    let name = if path == Path::new(".") { OsStr::new("") } else { path.as_os_str() };
    match name.to_str() {
        Some(name) => format!("/{name}"),
        None => format!("/{}", name.as_bytes().escape_ascii()),
    }
}
