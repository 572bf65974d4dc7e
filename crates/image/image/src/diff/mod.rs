//! What differs between two images, and where two layers begin to differ.
//!
//! [`diff`] compares what a container would see: files by content, mode, owner, time, link and attributes; the config and the
//! manifest by JSON path; layers by digest. [`first_difference`] compares two tars byte for byte, to say why a layer was not
//! reproduced.

mod first;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use longshore_events::Events;
use longshore_oci::{Descriptor, Digest};
use serde::Serialize;
use serde_json::Value;

pub use first::{ComparisonError, FirstDifference, Side, first_difference};

use crate::content::ContentError;
use crate::flatten::{Contents, FlattenError, Tree, TreeFile, flatten};
use crate::handle::Image;

/// What differs between image `a` and image `b`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Layers that are not the same at the same place.
    pub layers: Vec<LayerDifference>,
    /// Files, by path.
    pub files: Vec<FileDifference>,
    /// Fields of the config, by JSON path.
    pub config: Vec<ValueDifference>,
    /// Fields of the manifest but its config and layers, by JSON path.
    pub manifest: Vec<ValueDifference>,
}

impl Differences {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Differences::default()
    }
}

/// A place in the list of layers where the images have different ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerDifference {
    /// The place, from zero.
    pub number: usize,
    /// The layer of `a`; `None` where `a` has fewer layers.
    pub a: Option<LayerFacts>,
    /// The layer of `b`.
    pub b: Option<LayerFacts>,
    /// Whether their tars are the same, and only their compression differs.
    pub same_tar: bool,
}

/// What tells one layer from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayerFacts {
    /// Digest of the layer as it stands.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// Digest of its tar, where the config has it.
    pub diff_id: Option<Digest>,
}

/// A file that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDifference {
    /// Its path, relative to the image's root.
    pub path: PathBuf,
    /// The file in `a`; `None` where it was added.
    pub a: Option<TreeFile>,
    /// The file in `b`; `None` where it was removed.
    pub b: Option<TreeFile>,
    /// What differs; empty for a file that was added or removed.
    pub fields: Vec<FileField>,
}

/// What can differ between two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FileField {
    /// File, folder, link or device.
    Kind,
    /// The content, or a device's number.
    Content,
    /// The size in bytes.
    Size,
    /// The permission bits.
    Mode,
    /// Owner or group.
    Owner,
    /// The modification time.
    Mtime,
    /// What a link points at.
    Link,
    /// Extended attributes.
    Xattrs,
}

/// A field of a document that is not the same in both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueDifference {
    /// Where it is: `config.Env[0]`.
    pub path: String,
    /// The value in `a`; `None` where it was added.
    pub a: Option<Value>,
    /// The value in `b`; `None` where it was removed.
    pub b: Option<Value>,
}

/// Two images that could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// A document of one of them cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A layer of one of them cannot be read.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
}

impl DiffError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            DiffError::Content(error) => error.hint(),
            DiffError::Flatten(error) => error.hint(),
        }
    }
}

/// Compares two single images. Layers that both have are read once, and not at all where there are no others.
///
/// Errors: one is an index, or cannot be read.
pub fn diff(a: &Image, b: &Image, events: &Events) -> Result<Differences, DiffError> {
    let (left, right) = (facts(a)?, facts(b)?);
    let mut differences = Differences {
        config: compare_values(&left.config, &right.config),
        manifest: compare_values(&left.manifest, &right.manifest),
        layers: compare_layers(&left.layers, &right.layers),
        files: Vec::new(),
    };
    let same_files = |layer: &LayerDifference| layer.same_tar;
    if differences.layers.iter().all(same_files) {
        return Ok(differences);
    }
    let same = |(a, b): &(&LayerFacts, &LayerFacts)| same_tar(a, b);
    let shared = left.layers.iter().zip(&right.layers).take_while(same).count();
    let mut below = Tree::default();
    for layer in left.descriptors.iter().take(shared) {
        below.add_layer(a, layer, Contents::Skipped, events)?;
    }
    let mut trees = [(a, &left), (b, &right)].map(|(image, facts)| (image, facts, below.clone()));
    drop(below);
    for (image, facts, tree) in &mut trees {
        for layer in facts.descriptors.iter().skip(shared) {
            tree.add_layer(image, layer, Contents::Hashed, events)?;
        }
    }
    let [(_, _, tree_a), (_, _, tree_b)] = trees;
    let (files, unsure) = compare_trees(&tree_a, &tree_b);
    differences.files = files;
    // A file that one image has from a shared layer, whose contents were not hashed, and the other from one of its own.
    if unsure {
        let tree_a = flatten(a, Contents::Hashed, events)?;
        let tree_b = flatten(b, Contents::Hashed, events)?;
        differences.files = compare_trees(&tree_a, &tree_b).0;
    }
    Ok(differences)
}

struct Facts {
    config: Value,
    manifest: Value,
    layers: Vec<LayerFacts>,
    descriptors: Vec<Descriptor>,
}

fn facts(image: &Image) -> Result<Facts, ContentError> {
    let manifest = image.manifest()?;
    let config = image.config()?;
    let diff_ids = config.rootfs.diff_ids.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let layer = |(layer, diff_id): (&Descriptor, Option<Digest>)| LayerFacts {
        digest: layer.digest.clone(),
        size: layer.size,
        media_type: layer.media_type.clone(),
        diff_id,
    };
    let layers = manifest.layers.iter().zip(diff_ids).map(layer).collect();
    let mut value = as_value(image.descriptor(), "manifest", &manifest)?;
    if let Some(fields) = value.as_object_mut() {
        // These are compared by what they point at.
        fields.shift_remove("config");
        fields.shift_remove("layers");
    }
    let config = as_value(&manifest.config, "config", &config)?;
    Ok(Facts { config, manifest: value, layers, descriptors: manifest.layers })
}

fn as_value(
    descriptor: &Descriptor,
    name: &'static str,
    document: &impl Serialize,
) -> Result<Value, ContentError> {
    let wrong = |error| ContentError::new(descriptor, crate::ContentErrorKind::Json(name, error));
    serde_json::to_value(document).map_err(wrong)
}

fn same_tar(a: &LayerFacts, b: &LayerFacts) -> bool {
    a.digest == b.digest || (a.diff_id.is_some() && a.diff_id == b.diff_id)
}

fn compare_layers(a: &[LayerFacts], b: &[LayerFacts]) -> Vec<LayerDifference> {
    (0..a.len().max(b.len()))
        .map(|number| (number, a.get(number), b.get(number)))
        .filter(|(_, a, b)| a != b)
        .map(|(number, a, b)| LayerDifference {
            number,
            a: a.cloned(),
            b: b.cloned(),
            same_tar: a.zip(b).is_some_and(|(a, b)| same_tar(a, b)),
        })
        .collect()
}

/// The files that differ, and whether one could not be compared because its content was hashed on one side only.
fn compare_trees(a: &Tree, b: &Tree) -> (Vec<FileDifference>, bool) {
    let paths: BTreeSet<&Path> = a.files().chain(b.files()).map(|(path, _)| path).collect();
    let mut differences = Vec::new();
    let mut unsure = false;
    for path in paths {
        let (left, right) = (a.get(path), b.get(path));
        let fields = match (left, right) {
            (Some(left), Some(right)) => {
                let regular = |file: &TreeFile| file.content.is_some();
                unsure |=
                    left.kind == right.kind && left.size == right.size && regular(left) != regular(right);
                compare_files(left, right)
            }
            _ => Vec::new(),
        };
        if left.is_none() || right.is_none() || !fields.is_empty() {
            let (a, b) = (left.cloned(), right.cloned());
            differences.push(FileDifference { path: path.to_owned(), a, b, fields });
        }
    }
    (differences, unsure)
}

fn compare_files(a: &TreeFile, b: &TreeFile) -> Vec<FileField> {
    [
        (FileField::Kind, a.kind != b.kind),
        (FileField::Content, a.content != b.content || a.device != b.device),
        (FileField::Size, a.size != b.size),
        (FileField::Mode, a.mode != b.mode),
        (FileField::Owner, (a.uid, a.gid) != (b.uid, b.gid)),
        (FileField::Mtime, a.mtime != b.mtime),
        (FileField::Link, a.target != b.target),
        (FileField::Xattrs, a.xattrs != b.xattrs),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
    .collect()
}

/// The fields at which two documents differ, in the order of `a`, then those that only `b` has.
pub fn compare_values(a: &Value, b: &Value) -> Vec<ValueDifference> {
    let mut differences = Vec::new();
    compare_at(String::new(), Some(a), Some(b), &mut differences);
    differences
}

fn compare_at(path: String, a: Option<&Value>, b: Option<&Value>, differences: &mut Vec<ValueDifference>) {
    match (a, b) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let added = right.keys().filter(|key| !left.contains_key(*key));
            for key in left.keys().chain(added) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare_at(below, left.get(key), right.get(key), differences);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for number in 0..left.len().max(right.len()) {
                compare_at(format!("{path}[{number}]"), left.get(number), right.get(number), differences);
            }
        }
        _ if a == b => {}
        _ => differences.push(ValueDifference { path, a: a.cloned(), b: b.cloned() }),
    }
}

#[cfg(test)]
mod tests;
