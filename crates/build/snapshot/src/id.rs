//! Names of snapshots.

use std::fmt;
use std::str::FromStr;

/// The name of a snapshot: the key of the step whose result it is, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(String);

/// A text that cannot name a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name a snapshot: expected 8 to 128 lower-case hexadecimal digits")]
pub struct SnapshotIdError(String);

impl SnapshotId {
    /// The name that a hash gives.
    pub fn from_hash(hash: &[u8; 32]) -> SnapshotId {
        SnapshotId(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for SnapshotId {
    type Err = SnapshotIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if (8..=128).contains(&text.len()) && text.bytes().all(hexadecimal) {
            Ok(SnapshotId(text.to_owned()))
        } else {
            Err(SnapshotIdError(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hexadecimal_names_a_snapshot() {
        let hash: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 8).unwrap());
        let id = SnapshotId::from_hash(&hash);
        assert_eq!(id.as_str(), "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "abc", "../../etc/passwd", "ABCDEF01", "0123456g", &"0".repeat(129)] {
            assert_eq!(bad.parse::<SnapshotId>(), Err(SnapshotIdError(bad.to_owned())));
        }
    }
}
