//! Image configs: how a container is started and what its layers are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform, StringMap, Unknown};

/// The config of an image. OCI image-spec 1.1, config.md; Docker image spec v1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339 date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who is responsible for the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// GOARCH.
    pub architecture: String,
    /// GOOS.
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How a container is started.
    #[serde(default, deserialize_with = "nullable")]
    pub config: ContainerConfig,
    /// What the layers are when unpacked.
    pub rootfs: RootFs,
    /// How each layer came to be, base first.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl ImageConfig {
    /// The config of an image without layers.
    pub fn new(platform: &Platform) -> Self {
        ImageConfig {
            created: None,
            author: None,
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            os_features: platform.os_features.clone(),
            variant: platform.variant.clone(),
            config: ContainerConfig::default(),
            rootfs: RootFs::default(),
            history: Vec::new(),
            unknown: Unknown::new(),
        }
    }

    /// The platform that the image runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
            unknown: Unknown::new(),
        }
    }
}

/// How a container is started from an image; the `config` object of an image's config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// USER[:GROUP], names or numbers.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports that the program listens on: keys such as `8080/tcp`, values empty objects.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "indexmap::IndexMap::is_empty")]
    pub exposed_ports: indexmap::IndexMap<String, serde_json::Value>,
    /// Environment, NAME=VALUE each.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and the arguments that always stand before [`ContainerConfig::cmd`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, or the program where there is no entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How a container's health is asked; Docker's extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Whether `cmd` is already escaped; Windows only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// Folders that hold data of their own.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "indexmap::IndexMap::is_empty")]
    pub volumes: indexmap::IndexMap<String, serde_json::Value>,
    /// Folder that the program starts in.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for builds on top of this image; Docker's extension.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "StringMap::is_empty")]
    pub labels: StringMap,
    /// Signal that asks the program to stop: SIGTERM or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Shell of shell-form instructions; Docker's extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A health check. Docker image spec v1.3; durations are nanoseconds, zero meaning "inherit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", COMMAND]`; empty means "inherit".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds between two probes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Nanoseconds after which a probe counts as failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Nanoseconds after the start in which failures do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Nanoseconds between two probes in the start period.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A duration as [`Healthcheck`] writes it; durations past 292 years are cut to that.
pub fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Digests of the layers' uncompressed tars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tars, base first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Default for RootFs {
    fn default() -> Self {
        RootFs { kind: "layers".to_owned(), diff_ids: Vec::new(), unknown: Unknown::new() }
    }
}

/// How one layer, or a change of the config, came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339 date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether no layer came of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Fields this struct does not know.
    #[serde(flatten)]
    pub unknown: Unknown,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Engines written in Go write `null` for empty maps and lists.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_extensions_and_unknown_fields_survive_and_nulls_are_read() {
        let text = concat!(
            r#"{"architecture":"amd64","os":"linux","config":{"ExposedPorts":{"8080/tcp":{}},"Env":["A=1"],"Cmd":["x"],"#,
            r#""Healthcheck":{"Test":["CMD","/x"],"Interval":30000000000},"OnBuild":["RUN y"],"Labels":{"z":"1","a":"2"},"#,
            r#""Shell":["/bin/sh","-c"],"ArgsEscapedX":true},"rootfs":{"type":"layers","diff_ids":[]},"#,
            r#""history":[{"created_by":"ENV A=1","empty_layer":true}],"moby.buildkit.cache.v0":"x"}"#
        );
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
        let nulls = r#"{"architecture":"amd64","os":"linux","config":{"Volumes":null,"Env":null,"Labels":null,"Cmd":null},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(nulls).unwrap();
        assert_eq!(config.config, ContainerConfig::default());
        let nulls = r#"{"architecture":"a","os":"b","os.features":null,"config":null,"rootfs":{"type":"layers","diff_ids":[]},"history":null}"#;
        let config: ImageConfig = serde_json::from_str(nulls).unwrap();
        assert_eq!((config.config, config.history), (ContainerConfig::default(), Vec::new()));
    }
}
