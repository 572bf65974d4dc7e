//! The first difference between two images: layer, path, field, byte.

use std::io;

use longshore_image::diff::{self, FirstDifference, Side};
use longshore_image::{ContentError, Image};
use serde::Serialize;
use serde_json::Value;

/// Where two images differ first, in the order of their making: layers, config, manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The platform whose images differ.
    pub platform: String,
    /// "layer 3", "config", "manifest", "index".
    pub part: String,
    /// Path of the file in the layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What differs: "entry", "mode", "content" in a layer, the path of a value elsewhere: "config.Env[1]".
    pub field: String,
    /// Offset in the file of the first byte that differs, where contents do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What the original has.
    pub original: String,
    /// What the rebuilt image has.
    pub rebuilt: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {}", self.part, self.platform)?;
        if let Some(path) = &self.path {
            write!(formatter, ", /{path}")?;
        }
        write!(formatter, ", {}", self.field)?;
        if let Some(offset) = self.offset {
            write!(formatter, " at byte {offset}")?;
        }
        write!(formatter, ": {} in the original, {} in the rebuilt image", self.original, self.rebuilt)
    }
}

/// Two things that differ: a field, an offset, and both values.
struct Mismatch {
    path: Option<String>,
    field: String,
    offset: Option<u64>,
    values: (String, String),
}

impl Mismatch {
    fn of(field: &str, original: &dyn ToString, rebuilt: &dyn ToString) -> Mismatch {
        let values = (original.to_string(), rebuilt.to_string());
        Mismatch { path: None, field: field.to_owned(), offset: None, values }
    }

    fn at(self, platform: &str, part: impl Into<String>) -> Difference {
        Difference {
            platform: platform.to_owned(),
            part: part.into(),
            path: self.path,
            field: self.field,
            offset: self.offset,
            original: self.values.0,
            rebuilt: self.values.1,
        }
    }
}

/// The first difference between two single images. Errors: one of them cannot be read.
pub(crate) fn first_difference(
    original: &Image,
    rebuilt: &Image,
) -> Result<Option<Difference>, ContentError> {
    if original.digest() == rebuilt.digest() {
        return Ok(None);
    }
    let platform = original.platform()?.to_string();
    let (one, other) = (original.manifest()?, rebuilt.manifest()?);
    for (index, (left, right)) in one.layers.iter().zip(&other.layers).enumerate() {
        if left.digest == right.digest {
            continue;
        }
        let part = format!("layer {}", index + 1);
        let tars = (original.open_layer(left)?, rebuilt.open_layer(right)?);
        let mismatch = diff::first_difference(tars.0, tars.1).map_err(|error| {
            let (layer, source) = match error.side {
                Side::A => (left, error.source),
                Side::B => (right, error.source),
            };
            ContentError::new(layer, io::Error::other(source))
        })?;
        let mismatch =
            mismatch.map_or_else(|| Mismatch::of("compression", &left.digest, &right.digest), Mismatch::from);
        return Ok(Some(mismatch.at(&platform, part)));
    }
    if one.layers.len() != other.layers.len() {
        let mismatch = Mismatch::of("number of layers", &one.layers.len(), &other.layers.len());
        return Ok(Some(mismatch.at(&platform, "manifest")));
    }
    let config =
        |image: &Image| image.config().map(|config| serde_json::to_value(config).unwrap_or_default());
    if let Some(mismatch) = compare_json("", &config(original)?, &config(rebuilt)?) {
        return Ok(Some(mismatch.at(&platform, "config")));
    }
    let json =
        |image: &Image| image.raw().map(|raw| serde_json::from_slice::<Value>(&raw).unwrap_or_default());
    let mismatch = compare_json("", &json(original)?, &json(rebuilt)?);
    let mismatch = mismatch.unwrap_or_else(|| Mismatch::of("form", original.digest(), rebuilt.digest()));
    Ok(Some(mismatch.at(&platform, "manifest")))
}

impl From<FirstDifference> for Mismatch {
    fn from(first: FirstDifference) -> Mismatch {
        let path = first.path.to_string_lossy().trim_matches('/').to_owned();
        Mismatch {
            path: (!path.is_empty()).then_some(path),
            field: first.field.to_owned(),
            offset: first.content_offset,
            values: (first.a, first.b),
        }
    }
}

/// The first difference of two JSON values, in the order of the original's keys.
fn compare_json(path: &str, original: &Value, rebuilt: &Value) -> Option<Mismatch> {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (original, rebuilt) {
        (Value::Object(one), Value::Object(other)) => {
            let absent = Value::Null;
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                compare_json(&below(key), one.get(key).unwrap_or(&absent), other.get(key).unwrap_or(&absent))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs
                .into_iter()
                .find_map(|(index, (one, other))| compare_json(&format!("{path}[{index}]"), one, other))
        }
        _ if original == rebuilt => None,
        _ => Some(Mismatch::of(path, original, rebuilt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_of_two_documents_is_named() {
        let original = serde_json::json!({"a": 1, "b": {"c": [1, 2]}, "d": "x"});
        let rebuilt = serde_json::json!({"a": 1, "b": {"c": [1, 3]}});
        let mismatch = compare_json("", &original, &rebuilt).unwrap();
        assert_eq!((mismatch.field.as_str(), mismatch.values), ("b.c[1]", ("2".into(), "3".into())));
        assert!(compare_json("", &original, &original).is_none());
    }
}
