//! What an image says of its own making, so that a stranger with the source can make it again.

use longshore_config::{Lock, Settings};
use serde::{Deserialize, Serialize};

use crate::request::ServiceFacts;

/// The label of an image's config that holds the recipe, as JSON on one line.
pub const RECIPE_LABEL: &str = "build.longshore.recipe";

/// The form of the recipe.
pub(crate) const RECIPE_VERSION: u32 = 1;

/// Everything that decided the image besides the files of the commit: with these and the source, `reproduce` builds it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recipe {
    /// Form of the recipe.
    pub version: u32,
    /// Number of the layer format.
    pub layers: u32,
    /// Name of the service.
    pub name: String,
    /// Folder of the module relative to the project's, with slashes; `.` for the same.
    pub module: String,
    /// Folder of the main package relative to the module.
    pub package: String,
    /// The settings.
    pub settings: Settings,
    /// What was read from the source.
    pub facts: ServiceFacts,
    /// Version of Go.
    pub go: String,
    /// Version of the CA certificates, where the built-in base was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
    /// The base's reference and digest, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<(String, String)>,
    /// SOURCE_DATE_EPOCH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<i64>,
}

impl Recipe {
    /// The pins that the recipe holds, as a lock.
    pub fn pins(&self) -> Lock {
        let go = longshore_config::ToolchainPin { version: self.go.clone(), hashes: Default::default() };
        let base = self.base.as_ref().and_then(|(name, digest)| {
            Some((name.clone(), longshore_config::BasePin { digest: digest.parse().ok()? }))
        });
        Lock { go: Some(go), certificates: self.certificates.clone(), bases: base.into_iter().collect() }
    }
}
