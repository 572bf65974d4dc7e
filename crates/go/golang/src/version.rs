//! Go's versions: how they are written, ordered, and turned into the names of toolchains.
//!
//! Go does not use semantic versions for itself. `1.21` is a language version and older than `1.21rc1`, which is older than
//! the first release `1.21.0`; before Go 1.21 the first release had no patch number, so `1.20` and `1.20.0` are one
//! version. The rules are those of Go's `internal/gover` and of <https://go.dev/doc/toolchain>.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of Go without the prefix `go`: `1.21`, `1.21rc2`, `1.21.3`.
///
/// Two versions are equal if Go orders them so: `1.20` equals `1.20.0`. What was written is kept for display.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GoVersion {
    text: String,
    order: VersionOrder,
}

/// The parts that decide the order, most significant first. A release's empty kind sorts before `alpha`, `beta` and `rc`, which
/// is right because pre-releases have no patch number, and an absent patch sorts before `0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct VersionOrder {
    major: Decimal,
    minor: Decimal,
    patch: Decimal,
    kind: String,
    pre: Decimal,
}

/// Decimal digits of any length, without needless zeros; empty where the number is absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Decimal(String);

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A text is not a version or name that Go knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a version such as `1.21`, `1.21rc2` or `1.21.3`.
    #[error("{text:?} is not a Go version")]
    Version {
        /// What was given.
        text: String,
    },
    /// Not a toolchain name such as `go1.21.3` or `go1.21.3-corp`.
    #[error("{text:?} is not the name of a Go toolchain")]
    Toolchain {
        /// What was given.
        text: String,
    },
    /// Not a setting that Go's GOTOOLCHAIN takes.
    #[error("{text:?} is not a GOTOOLCHAIN setting")]
    Setting {
        /// What was given.
        text: String,
    },
}

impl VersionError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            VersionError::Version { .. } => "write a version as 1.21, 1.21rc2 or 1.21.3",
            VersionError::Toolchain { .. } => "write a toolchain as go1.21.3, or go1.21.3-suffix",
            VersionError::Setting { .. } => {
                "GOTOOLCHAIN is local, auto, path, or a toolchain such as go1.21.3, go1.21.3+auto or go1.21.3+path"
            }
        };
        Some(hint.to_owned())
    }
}

impl GoVersion {
    /// The language version that this version implements: `1.21.3` implements `1.21`.
    pub fn language(&self) -> GoVersion {
        let (major, minor) = (&self.order.major.0, &self.order.minor.0);
        let text = if major == "1" && minor == "0" { major.clone() } else { format!("{major}.{minor}") };
        parse_order(&text).map_or_else(|| self.clone(), |order| GoVersion { text, order })
    }

    /// Whether this names a language version and no release: true for `1.21`, false for `1.21.0` and for `1.20`, which is a
    /// release.
    pub fn is_language(&self) -> bool {
        self.order.patch.0.is_empty() && self.order.kind.is_empty()
    }

    /// Whether this is a pre-release: an alpha, a beta or a release candidate.
    pub fn is_prerelease(&self) -> bool {
        !self.order.kind.is_empty()
    }

    /// The minor number, where it fits: 21 for `1.21.3`.
    pub fn minor(&self) -> u32 {
        self.order.minor.0.parse().unwrap_or(u32::MAX)
    }

    /// What was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The oldest toolchain that satisfies a `go` line with this version: `1.21` is satisfied by `go1.21.0`, `1.20` by
    /// `go1.20`.
    pub fn first_toolchain(&self) -> ToolchainName {
        let number = if self.is_language() {
            format!("{}.0", self.text)
        } else if self.order.patch.0 == "0" && self.order.major.0 == "1" && self.minor() < 21 {
            // Go 1.20's first release is named go1.20, however the line writes it.
            self.language().text
        } else {
            self.text.clone()
        };
        let version = GoVersion::from_str(&number).unwrap_or_else(|_| self.clone());
        ToolchainName { text: format!("go{number}"), version }
    }
}

impl FromStr for GoVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_order(text) {
            Some(order) => Ok(GoVersion { text: text.to_owned(), order }),
            None => Err(VersionError::Version { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for GoVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GoVersion> for String {
    fn from(version: GoVersion) -> Self {
        version.text
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for GoVersion {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for GoVersion {}

impl std::hash::Hash for GoVersion {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.order.hash(state);
    }
}

impl Ord for GoVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl PartialOrd for GoVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Splits the decimal number off the front of `text`. Needless leading zeros make it none.
fn cut_decimal(text: &str) -> Option<(Decimal, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 || (text.starts_with('0') && end != 1) {
        return None;
    }
    Some((Decimal(text[..end].to_owned()), &text[end..]))
}

fn parse_order(text: &str) -> Option<VersionOrder> {
    let none = || Decimal(String::new());
    let zero = || Decimal("0".to_owned());
    let (major, rest) = cut_decimal(text)?;
    if rest.is_empty() {
        return Some(VersionOrder { major, minor: zero(), patch: zero(), kind: String::new(), pre: none() });
    }
    let (minor, rest) = cut_decimal(rest.strip_prefix('.')?)?;
    if rest.is_empty() {
        // Since Go 1.21 an absent patch means the language, before it the first release.
        let patch = if minor < Decimal("21".to_owned()) { zero() } else { none() };
        return Some(VersionOrder { major, minor, patch, kind: String::new(), pre: none() });
    }
    if let Some(patch) = rest.strip_prefix('.') {
        let (patch, rest) = cut_decimal(patch)?;
        return rest.is_empty().then(|| VersionOrder {
            major,
            minor,
            patch,
            kind: String::new(),
            pre: none(),
        });
    }
    let letters = rest.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(rest.len());
    let (kind, number) = rest.split_at(letters);
    if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let pre = if number.is_empty() {
        none()
    } else {
        let (pre, rest) = cut_decimal(number)?;
        if !rest.is_empty() {
            return None;
        }
        pre
    };
    Some(VersionOrder { major, minor, patch: none(), kind: kind.to_owned(), pre })
}

/// The name of a toolchain: `go1.21.3`, or `go1.21.3-corp` for one that somebody else built.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolchainName {
    text: String,
    version: GoVersion,
}

impl ToolchainName {
    /// The version that the name promises.
    pub fn version(&self) -> &GoVersion {
        &self.version
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads what an installed Go calls itself: the output of `go env GOVERSION`, or the third word of `go version`.
    ///
    /// Development versions say `devel go1.27-0a1b2c…`: they implement the language of 1.27 and count as older than any of
    /// its releases. Experiments (`go1.26.1 X:nocoverageredesign`) do not change the version.
    pub fn of_installed(reported: &str) -> Result<Self, VersionError> {
        let reported = reported.trim();
        reported.strip_prefix("devel ").unwrap_or(reported).parse()
    }
}

impl FromStr for ToolchainName {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError::Toolchain { text: text.to_owned() };
        // A path separator would let a PATH lookup leave the PATH.
        if text.contains(['/', '\\', '\0']) {
            return Err(error());
        }
        let rest = text.strip_prefix("go").ok_or_else(error)?;
        let number = rest.split([' ', '\t', '-']).next().unwrap_or(rest);
        let version = number.parse().map_err(|_| error())?;
        Ok(ToolchainName { text: text.to_owned(), version })
    }
}

impl TryFrom<String> for ToolchainName {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ToolchainName> for String {
    fn from(name: ToolchainName) -> Self {
        name.text
    }
}

impl fmt::Display for ToolchainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `internal/gover.Compare` of Go 1.26 gave these orders.
    #[test]
    fn versions_are_ordered_as_go_orders_them() {
        let table = [
            ("1", "1.1", Ordering::Less),
            ("1.5", "1.6", Ordering::Less),
            ("1.5", "1.10", Ordering::Less),
            ("1.6", "1.6.1", Ordering::Less),
            ("1.19", "1.19.0", Ordering::Equal),
            ("1.19rc1", "1.19", Ordering::Less),
            ("1.20", "1.20.0", Ordering::Equal),
            ("1.20rc1", "1.20", Ordering::Less),
            ("1.21", "1.21.0", Ordering::Less),
            ("1.21", "1.21rc1", Ordering::Less),
            ("1.21rc1", "1.21.0", Ordering::Less),
            ("1.21.0", "1.21.1", Ordering::Less),
            ("1.6", "1.19", Ordering::Less),
            ("1.19rc1", "1.19rc2", Ordering::Less),
            ("1.19alpha3", "1.19beta2", Ordering::Less),
            ("1.19beta2", "1.19rc1", Ordering::Less),
            ("1.1", "1.99999999999999998", Ordering::Less),
            ("1.99999999999999998", "1.99999999999999999", Ordering::Less),
        ];
        for (left, right, expected) in table {
            let (x, y): (GoVersion, GoVersion) = (left.parse().unwrap(), right.parse().unwrap());
            assert_eq!(x.cmp(&y), expected, "{left} against {right}");
            assert_eq!(y.cmp(&x), expected.reverse(), "{right} against {left}");
        }
    }

    #[test]
    fn texts_that_are_no_versions_are_refused() {
        for text in [
            "",
            "x",
            "v1.2",
            "go1.2",
            "1.",
            "1.02",
            "01.2",
            "1.600+auto",
            "1.21.3rc1",
            "1.2.3.4",
            "1.2RC1",
            "1.2rc1x",
            "1.2rc01",
            "1.é",
        ] {
            assert!(text.parse::<GoVersion>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn language_versions_are_told_from_releases() {
        let table = [
            ("1.2rc3", "1.2", false),
            ("1.2.3", "1.2", false),
            ("1.999testmod", "1.999", false),
            ("1.22", "1.22", true),
            ("1.21", "1.21", true),
            ("1.20", "1.20", false),
            ("1", "1", false),
        ];
        for (text, language, is_language) in table {
            let version: GoVersion = text.parse().unwrap();
            assert_eq!(version.language().as_str(), language, "{text}");
            assert_eq!(version.is_language(), is_language, "{text}");
        }
    }

    #[test]
    fn a_go_line_names_the_first_toolchain_that_satisfies_it() {
        let table = [
            ("1.21", "go1.21.0"),
            ("1.21.0", "go1.21.0"),
            ("1.21rc2", "go1.21rc2"),
            ("1.26.3", "go1.26.3"),
            ("1.20", "go1.20"),
            ("1.20.0", "go1.20"),
            ("1.20.5", "go1.20.5"),
            ("1.9rc1", "go1.9rc1"),
        ];
        for (line, name) in table {
            assert_eq!(line.parse::<GoVersion>().unwrap().first_toolchain().as_str(), name, "{line}");
        }
    }

    #[test]
    fn toolchain_names_give_their_version() {
        let table = [
            ("go1.2.3", Some("1.2.3")),
            ("1.2.3", None),
            ("go1.2.3+bigcorp", None),
            ("go1.2.3-bigcorp", Some("1.2.3")),
            ("go1.2.3-bigcorp more text", Some("1.2.3")),
            ("gccgo-go1.23rc4", None),
            ("go1.2.3-../../bin/sh", None),
            ("go1.21.0", Some("1.21.0")),
        ];
        for (name, version) in table {
            let parsed = name.parse::<ToolchainName>().ok();
            assert_eq!(parsed.as_ref().map(|name| name.version().as_str()), version, "{name}");
        }
    }

    #[test]
    fn installed_toolchains_report_themselves_in_three_ways() {
        let table = [
            ("go1.26.8\n", "1.26.8"),
            ("go1.26.1 X:jsonv2", "1.26.1"),
            ("devel go1.27-7a1d0e2ab1 Mon", "1.27"),
        ];
        for (reported, version) in table {
            assert_eq!(ToolchainName::of_installed(reported).unwrap().version().as_str(), version);
        }
    }
}
