//! The values that keys take.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the image stands on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseChoice {
    /// The base that longshore carries: certificates, time zones, users, /tmp.
    #[default]
    BuiltIn,
    /// An image by its reference, as it was written.
    Image(String),
}

/// What `go build -buildmode` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildMode {
    /// A program at a fixed address.
    #[default]
    Exe,
    /// A program that the loader may place anywhere.
    Pie,
}

/// What of the version control system's facts an image tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vcs {
    /// Nothing.
    Off,
    /// What depends on the commit alone: its revision and its time.
    #[default]
    Commit,
    /// The commit, and the version that a tag on it names, which a clone may lack.
    Full,
}

/// Whether something goes into the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// If the program needs it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol's name as image configurations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// A port that the service listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl std::fmt::Display for Port {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.number, self.protocol.as_str())
    }
}

impl From<Port> for String {
    fn from(port: Port) -> String {
        port.to_string()
    }
}

impl TryFrom<String> for Port {
    type Error = PortError;

    fn try_from(text: String) -> Result<Self, PortError> {
        text.parse()
    }
}

impl std::str::FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(PortError { text: text.to_owned() }),
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        match number.parse::<u16>() {
            Ok(number) if digits && number > 0 => Ok(Port { number, protocol }),
            _ => Err(PortError { text: text.to_owned() }),
        }
    }
}

/// A port that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a port such as 8080 or 53/udp")]
pub struct PortError {
    /// What was written.
    pub text: String,
}

/// How an engine asks whether the service is well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Healthcheck {
    /// The command, or the program's own `health` sub-command.
    pub command: Option<Vec<String>>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Time after which a probe has failed.
    pub timeout: Option<Duration>,
    /// Time in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between probes in that time.
    pub start_interval: Option<Duration>,
    /// Failures in a row after which the service is unwell.
    pub retries: Option<u32>,
}

/// Whether and how an engine asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthcheckChoice {
    /// It does not.
    Off,
    /// It does.
    On(Healthcheck),
}

/// Files that go into the image beside the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Include {
    /// Which files, relative to the configuration's folder: a file, a folder (all below it) or a glob.
    pub source: String,
    /// Where in the image; absolute. A folder, unless `source` is one file and this does not end in a slash.
    pub destination: String,
    /// Permission bits of the files; without them 0444, or 0555 where the source is executable.
    pub mode: Option<u32>,
}

/// A table of strings, sorted by key.
pub type Strings = BTreeMap<String, String>;

/// Reads a duration as Go and Docker write it: `1m30s`, `500ms`, `2h`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let amount: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
        let part = match &rest[..unit_end] {
            "ms" => Duration::from_millis(amount),
            "s" => Duration::from_secs(amount),
            "m" => Duration::from_secs(amount.checked_mul(60)?),
            "h" => Duration::from_secs(amount.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = &rest[unit_end..];
    }
    // Engines keep nanoseconds in an i64.
    (!text.is_empty() && i64::try_from(total.as_nanos()).is_ok()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let cases = [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1s500ms", Some(1_500)),
            ("2h", Some(7_200_000)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("10d", None),
            ("99999999999999999999s", None),
            ("99999999999h", None),
            ("1ä", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn ports_have_a_number_and_a_protocol() {
        let port = |number, protocol| Some(Port { number, protocol });
        let cases = [
            ("8080", port(8080, Protocol::Tcp)),
            ("53/udp", port(53, Protocol::Udp)),
            ("0", None),
            ("65536", None),
            ("+80", None),
            ("80/http", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Port>().ok(), expected, "{text}");
        }
    }
}
