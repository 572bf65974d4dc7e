//! One file of an outcome.

use std::collections::BTreeMap;

use longshore_image::flatten::{FileKind, TreeFile};
use serde::{Deserialize, Serialize};

/// What is recorded of a file. Fields that say nothing are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// `file`, `directory`, `symlink`, `character-device`, `block-device` or `fifo`; `gone` where the base has a file and the
    /// image has none.
    pub is: String,
    /// Permission bits, octal; links have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// User and group, as numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The content of a short text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The size of any other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of any other content; `busybox` for that of the bases' program, which machines have in several versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What a symbolic link points at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The first, by alphabet, of the other names that the file has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// Major and minor number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Extended attributes, hexadecimal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Modification time, where the case compares times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

/// The name of [`FileRecord::is`] for what the base has and the image has not.
pub(super) const GONE: &str = "gone";

impl FileRecord {
    /// The record of what is no longer there.
    pub(super) fn gone() -> FileRecord {
        FileRecord { is: GONE.to_owned(), ..FileRecord::default() }
    }

    /// Makes this the record of a file with the content of the bases' busybox.
    pub(super) fn is_busybox(&mut self) {
        self.size = None;
        self.sha256 = Some("busybox".to_owned());
    }

    /// The record of a file; `text` is its content where that is short.
    pub(super) fn of(file: &TreeFile, text: Option<String>, times: bool) -> FileRecord {
        let is = match file.kind {
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
            FileKind::CharacterDevice => "character-device",
            FileKind::BlockDevice => "block-device",
            FileKind::Fifo => "fifo",
            _ => "file",
        };
        let content = file.content.as_ref().filter(|_| text.is_none());
        FileRecord {
            is: is.to_owned(),
            mode: (file.kind != FileKind::Symlink).then(|| format!("{:o}", file.mode)),
            owner: Some(format!("{}:{}", file.uid, file.gid)),
            size: content.map(|_| file.size),
            sha256: content.map(|digest| digest.encoded().to_owned()),
            text,
            target: target(file),
            same_as: None,
            device: file.device.map(|(major, minor)| format!("{major}:{minor}")),
            attributes: file.xattrs.iter().map(|(name, value)| (name.clone(), hexadecimal(value))).collect(),
            time: times.then_some(file.mtime),
        }
    }
}

fn target(file: &TreeFile) -> Option<String> {
    let target = file.target.as_ref().filter(|_| file.kind == FileKind::Symlink)?;
    Some(target.to_string_lossy().into_owned())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
