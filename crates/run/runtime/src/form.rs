//! How times are written: RFC 3339 in UTC, to the nanosecond.

/// A time.
pub mod time {
    use std::time::{Duration, SystemTime};

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes it. Errors: a time that no calendar has.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        let timestamp = Timestamp::try_from(*time).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&timestamp.to_string())
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        let timestamp: Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        let nanoseconds = u64::try_from(timestamp.as_nanosecond()).map_err(serde::de::Error::custom)?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds))
    }
}

/// A time that may be absent.
pub mod time_option {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super::time")] SystemTime);

    /// Writes it.
    pub fn serialize<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Wrapped).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Both {
        #[serde(with = "super::time")]
        one: SystemTime,
        #[serde(with = "super::time_option")]
        other: Option<SystemTime>,
    }

    #[test]
    fn times_are_read_back() {
        let one = SystemTime::UNIX_EPOCH + Duration::new(1_764_547_200, 120_000_000);
        for other in [None, Some(one)] {
            let both = Both { one, other };
            let text = serde_json::to_string(&both).unwrap();
            assert!(text.starts_with(r#"{"one":"2025-12-01T00:00:00.12Z""#), "{text}");
            assert_eq!(serde_json::from_str::<Both>(&text).unwrap(), both);
        }
    }
}
