//! Platforms: `OS/ARCHITECTURE[/VARIANT]`.
//!
//! Names are Go's (GOOS, GOARCH). Aliases that people type are normalised as containerd's platforms package does:
//! x86_64 is amd64, aarch64 is arm64, arm without a variant is arm/v7, arm64/v8 is arm64.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Unknown;

/// What an image runs on. OCI image-spec 1.1, image-index.md, `platform`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// GOARCH.
    pub architecture: String,
    /// GOOS.
    pub os: String,
    /// Version of the operating system, as Windows images have.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the processor, such as v7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Platform {
    /// A platform of `os` and `architecture`, both in Go's names.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            variant: variant.map(str::to_owned),
            unknown: Unknown::new(),
        }
    }

    /// Linux on the architecture that this program was compiled for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        let variant = (architecture == "arm").then_some("v7");
        Platform::new("linux", architecture, variant)
    }

    /// Whether an image for `self` runs on a machine of `machine`: the same, or an older variant of the same processor.
    pub fn satisfies(&self, machine: &Platform) -> bool {
        if self.os != machine.os || self.architecture != machine.architecture {
            return false;
        }
        let known = matches!(self.architecture.as_str(), "amd64" | "arm" | "arm64");
        if known && is_numbered(&self.variant) && is_numbered(&machine.variant) {
            return self.level() <= machine.level();
        }
        self.variant == machine.variant || self.variant.is_none()
    }

    /// Ordered number of the processor's variant: v8 is above v7; none means the architecture's usual one.
    pub(crate) fn level(&self) -> u32 {
        let usual = match self.architecture.as_str() {
            "arm" => 7,
            "arm64" => 8,
            _ => 1,
        };
        let number = |variant: &String| variant.strip_prefix('v')?.parse().ok();
        self.variant.as_ref().and_then(number).unwrap_or(usual)
    }
}

/// Whether a variant is absent or of the form v7, and so has a place in the order of variants.
fn is_numbered(variant: &Option<String>) -> bool {
    variant.as_ref().is_none_or(|v| v.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok()))
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A string that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected OS/ARCHITECTURE[/VARIANT], such as linux/amd64 or linux/arm/v7")]
pub struct PlatformError(pub String);

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let wrong = || PlatformError(value.to_owned());
        let part = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
            (starts && text.chars().all(plain)).then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
        };
        let mut parts = value.split('/');
        let first = part(parts.next().unwrap_or_default())?;
        let (os, architecture) = match parts.next() {
            Some(second) => (first, part(second)?),
            // A lone word is an architecture where it is one that Go knows.
            None if is_architecture(&first) => ("linux".to_owned(), first),
            None => return Err(wrong()),
        };
        let variant = parts.next().map(part).transpose()?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        let (architecture, variant) = normalise(&architecture, variant);
        let os = if os == "macos" { "darwin".to_owned() } else { os };
        Ok(Platform::new(&os, &architecture, variant.as_deref()))
    }
}

fn is_architecture(word: &str) -> bool {
    matches!(
        word,
        "amd64"
            | "x86_64"
            | "x86-64"
            | "arm64"
            | "aarch64"
            | "arm"
            | "armhf"
            | "armel"
            | "386"
            | "i386"
            | "s390x"
    ) || matches!(word, "ppc64le" | "riscv64" | "loong64" | "mips64le")
}

fn normalise(architecture: &str, variant: Option<String>) -> (String, Option<String>) {
    let (name, default) = match architecture {
        "x86_64" | "x86-64" => ("amd64", None),
        "i386" => ("386", None),
        "aarch64" => ("arm64", None),
        "armhf" => ("arm", Some("v7")),
        "armel" => ("arm", Some("v6")),
        "arm" => ("arm", Some("v7")),
        other => (other, None),
    };
    let variant =
        variant.map(|v| if v.starts_with(|c: char| c.is_ascii_digit()) { format!("v{v}") } else { v });
    let variant = match (name, variant.as_deref()) {
        ("amd64", Some("v1")) | ("arm64", Some("v8")) => None,
        _ => variant.or_else(|| default.map(str::to_owned)),
    };
    (name.to_owned(), variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_containerd_does() {
        for (typed, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armel", "linux/arm/v6"),
            ("arm64", "linux/arm64"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(typed.parse::<Platform>().unwrap().to_string(), normal, "{typed}");
        }
    }

    #[test]
    fn what_is_not_a_platform_is_refused() {
        for bad in ["", "/", "linux/", "linux", "linux/amd64/v1/x", "linux/../x", "a b/c"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn an_older_variant_runs_on_a_newer_processor_and_not_the_reverse() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/arm/v6").satisfies(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v7").satisfies(&platform("linux/arm/v6")));
        assert!(platform("linux/amd64").satisfies(&platform("linux/amd64/v3")));
        assert!(!platform("linux/amd64/v3").satisfies(&platform("linux/amd64")));
        assert!(!platform("linux/arm64").satisfies(&platform("linux/amd64")));
    }
}
