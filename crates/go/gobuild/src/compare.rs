//! The first difference between two images: layer, path, field, byte.

use std::io::{self, Read};

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
    /// What differs: "mode", "content", "config.Env[1]".
    pub field: String,
    /// Offset of the first byte that differs, where bytes were compared.
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
        let mismatch = compare_tars(tars.0, tars.1).map_err(|error| ContentError::new(left, error))?;
        let mismatch = mismatch.unwrap_or_else(|| Mismatch::of("compression", &left.digest, &right.digest));
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

fn compare_tars(original: impl Read, rebuilt: impl Read) -> io::Result<Option<Mismatch>> {
    let (mut original, mut rebuilt) = (tar::Archive::new(original), tar::Archive::new(rebuilt));
    let (mut left, mut right) = (original.entries()?, rebuilt.entries()?);
    loop {
        let (mut one, mut other) = match (left.next().transpose()?, right.next().transpose()?) {
            (None, None) => return Ok(None),
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => return Ok(Some(Mismatch::of("file", &name(&one), &"nothing"))),
            (None, Some(other)) => return Ok(Some(Mismatch::of("file", &"nothing", &name(&other)))),
        };
        let (path, other_path) = (name(&one), name(&other));
        if path != other_path {
            return Ok(Some(Mismatch::of("file", &path, &other_path)));
        }
        let headers = header_fields(&one)?.into_iter().zip(header_fields(&other)?);
        let field = headers.into_iter().find(|(one, other)| one != other);
        let mismatch = match field {
            Some(((field, one), (_, other))) => Some(Mismatch::of(field, &one, &other)),
            None => compare_bytes(&mut one, &mut other)?,
        };
        if let Some(mismatch) = mismatch {
            return Ok(Some(Mismatch { path: Some(path), ..mismatch }));
        }
    }
}

fn name<R: Read>(entry: &tar::Entry<'_, R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned()
}

fn header_fields<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<Vec<(&'static str, String)>> {
    let header = entry.header();
    let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
    Ok(vec![
        ("type", format!("{:?}", header.entry_type())),
        ("mode", format!("{:04o}", header.mode()?)),
        ("owner", header.uid()?.to_string()),
        ("group", header.gid()?.to_string()),
        ("modification time", header.mtime()?.to_string()),
        ("link", link.unwrap_or_default()),
    ])
}

/// Compares contents; where sizes differ, the first byte that differs still tells more than the sizes.
fn compare_bytes(one: &mut impl Read, other: &mut impl Read) -> io::Result<Option<Mismatch>> {
    let mut offset = 0;
    let mut buffers = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let counts = (fill(one, &mut buffers.0)?, fill(other, &mut buffers.1)?);
        let (left, right) = (&buffers.0[..counts.0], &buffers.1[..counts.1]);
        let differing = left.iter().zip(right).position(|(one, other)| one != other);
        let shorter = (counts.0 != counts.1).then_some(counts.0.min(counts.1));
        if let Some(position) = differing.or(shorter) {
            let byte = |bytes: &[u8]| {
                bytes.get(position).map_or("the end".to_owned(), |byte| format!("0x{byte:02x}"))
            };
            let values = (byte(left), byte(right));
            let offset = Some(offset + position as u64);
            return Ok(Some(Mismatch { path: None, field: "content".to_owned(), offset, values }));
        }
        if counts.0 == 0 {
            return Ok(None);
        }
        offset += counts.0 as u64;
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
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

    fn tar_of(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, mode, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn the_first_difference_of_two_tars_is_named() {
        let original = tar_of(&[("a", 0o644, b"same"), ("b", 0o555, b"0123456789")]);
        type Case<'a> = (&'a [(&'a str, u32, &'a [u8])], Option<&'a str>);
        let cases: [Case<'_>; 6] = [
            (&[("a", 0o644, b"same"), ("b", 0o555, b"0123456789")], None),
            (
                &[("a", 0o644, b"same"), ("b", 0o555, b"01234x6789")],
                Some("layer 1 of p, /b, content at byte 5: 0x35 in the original, 0x78 in the rebuilt image"),
            ),
            (
                &[("a", 0o644, b"same"), ("b", 0o555, b"01234")],
                Some(
                    "layer 1 of p, /b, content at byte 5: 0x35 in the original, the end in the rebuilt image",
                ),
            ),
            (
                &[("a", 0o600, b"same"), ("b", 0o555, b"0123456789")],
                Some("layer 1 of p, /a, mode: 0644 in the original, 0600 in the rebuilt image"),
            ),
            (
                &[("a", 0o644, b"same")],
                Some("layer 1 of p, file: b in the original, nothing in the rebuilt image"),
            ),
            (
                &[("c", 0o644, b"same"), ("b", 0o555, b"0123456789")],
                Some("layer 1 of p, file: a in the original, c in the rebuilt image"),
            ),
        ];
        for (entries, expected) in cases {
            let mismatch = compare_tars(&original[..], &tar_of(entries)[..]).unwrap();
            let text = mismatch.map(|mismatch| mismatch.at("p", "layer 1").to_string());
            assert_eq!(text.as_deref(), expected);
        }
    }

    #[test]
    fn the_first_difference_of_two_documents_is_named() {
        let original = serde_json::json!({"a": 1, "b": {"c": [1, 2]}, "d": "x"});
        let rebuilt = serde_json::json!({"a": 1, "b": {"c": [1, 3]}});
        let mismatch = compare_json("", &original, &rebuilt).unwrap();
        assert_eq!((mismatch.field.as_str(), mismatch.values), ("b.c[1]", ("2".into(), "3".into())));
        assert!(compare_json("", &original, &original).is_none());
    }
}
