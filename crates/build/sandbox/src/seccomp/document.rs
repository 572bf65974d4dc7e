//! A profile as Docker and the OCI write it, in JSON (OCI runtime-spec 1.3, `config-linux.md`, "Seccomp"; moby/profiles, `seccomp.go`).
//!
//! Docker takes no notice of keys that it does not know; here they are errors, since a rule whose condition is spelt wrongly would let more
//! through than its author wanted.

use serde::Deserialize;

/// The whole document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) default_action: Option<String>,
    pub(super) default_errno_ret: Option<u64>,
    /// Podman's name for the same.
    pub(super) default_errno: Option<String>,
    pub(super) architectures: Option<Vec<String>>,
    pub(super) arch_map: Option<Vec<Machines>>,
    pub(super) flags: Option<Vec<String>>,
    pub(super) listener_path: Option<String>,
    pub(super) listener_metadata: Option<String>,
    pub(super) syscalls: Option<Vec<Entry>>,
}

/// A machine, and those whose programs it runs besides.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Machines {
    pub(super) architecture: String,
    pub(super) sub_architectures: Option<Vec<String>>,
}

/// A rule for several calls.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) names: Option<Vec<String>>,
    pub(super) name: Option<String>,
    pub(super) action: String,
    pub(super) errno_ret: Option<u64>,
    /// Podman's name for the same.
    pub(super) errno: Option<String>,
    pub(super) args: Option<Vec<Argument>>,
    pub(super) includes: Option<Circumstances>,
    pub(super) excludes: Option<Circumstances>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

/// What is asked of an argument.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Argument {
    #[serde(default)]
    pub(super) index: u64,
    #[serde(default)]
    pub(super) value: u64,
    #[serde(default)]
    pub(super) value_two: u64,
    pub(super) op: String,
}

/// Where a rule holds, or where it does not.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Circumstances {
    pub(super) caps: Option<Vec<String>>,
    pub(super) arches: Option<Vec<String>>,
    pub(super) min_kernel: Option<String>,
}
