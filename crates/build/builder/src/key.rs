//! Cache keys: what a step's result depends on, as one hash.
//!
//! A key is a BLAKE3 hash over fields that each say their length, so that no two different lists of fields are the same bytes. What
//! stands in a key follows BuildKit: words, environment and parent of a RUN, contents and owners but no modification times of what COPY
//! copies. Secrets never do.

use std::fmt;

use longshore_snapshot::SnapshotId;

/// Raised when keys would mean something else than before.
const FORMAT: u64 = 1;

/// The identity of a step's result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Lower-case hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        hex::encode(self.0)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }

    /// The name of the snapshot that a step with this key leaves.
    pub(crate) fn snapshot(&self) -> SnapshotId {
        SnapshotId::from_hash(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.hex()[..12])
    }
}

/// Writes the fields of a key.
pub(crate) struct KeyWriter(blake3::Hasher);

impl KeyWriter {
    /// A key of `kind`: two kinds never have a key in common.
    pub(crate) fn new(kind: &str) -> Self {
        let mut writer = KeyWriter(blake3::Hasher::new());
        writer.number(FORMAT).text(kind);
        writer
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn flag(&mut self, flag: bool) -> &mut Self {
        self.number(u64::from(flag))
    }

    pub(crate) fn key(&mut self, key: &Key) -> &mut Self {
        self.bytes(&key.0)
    }

    pub(crate) fn list<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t str>) -> &mut Self {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
        self
    }

    pub(crate) fn optional(&mut self, text: Option<&str>) -> &mut Self {
        self.flag(text.is_some()).text(text.unwrap_or_default())
    }

    pub(crate) fn finish(&self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_however_they_are_cut() {
        let key = |fields: &[&str]| KeyWriter::new("test").list(fields.iter().copied()).finish();
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab"]), key(&["ab", ""]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(KeyWriter::new("a").finish(), KeyWriter::new("b").finish());
        assert_ne!(
            KeyWriter::new("a").optional(None).finish(),
            KeyWriter::new("a").optional(Some("")).finish()
        );
    }
}
