//! Versions of the engines' API: `1.41`.

use std::fmt;
use std::str::FromStr;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(u16, u16);

/// Docker 1.12; older engines are gone.
pub(crate) const OLDEST: ApiVersion = ApiVersion(1, 24);

/// What this was written for. An engine that speaks more is asked to speak this.
pub(crate) const NEWEST: ApiVersion = ApiVersion(1, 51);

/// [`OLDEST`] and [`NEWEST`], for a person.
pub(crate) const RANGE: &str = "1.24 to 1.51";

impl ApiVersion {
    /// What is spoken with an engine that speaks up to `self`; `None` where it is too old.
    pub(crate) fn agreed(self) -> Option<ApiVersion> {
        (self >= OLDEST).then(|| self.min(NEWEST))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(ApiVersion(major.parse().map_err(drop)?, minor.parse().map_err(drop)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_version_is_spoken() {
        let agreed =
            |text: &str| text.parse::<ApiVersion>().unwrap().agreed().map(|version| version.to_string());
        assert_eq!(agreed("1.41").as_deref(), Some("1.41"));
        assert_eq!(agreed("1.99").as_deref(), Some("1.51"));
        assert_eq!(agreed("2.0").as_deref(), Some("1.51"));
        assert_eq!(agreed("1.9"), None);
        assert_eq!(RANGE, format!("{OLDEST} to {NEWEST}"));
        for bad in ["", "1", "1.", "v1.41", "1.41.0"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }
}
