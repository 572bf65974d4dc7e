//! The images that an engine has.

use longshore_events::Events;
use longshore_http::{Method, Request};
use longshore_oci::Reference;
use serde::Deserialize;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::{EngineError, EngineErrorKind};

/// A line of an engine's list of images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EngineImage {
    /// The image's ID: the digest of its config, or of its manifest or index where images are kept in containerd.
    pub id: String,
    /// Its names: REPOSITORY:TAG.
    #[serde(default, rename = "RepoTags", deserialize_with = "nullable")]
    pub names: Vec<String>,
    /// Its names with digests: REPOSITORY@DIGEST.
    #[serde(default, rename = "RepoDigests", deserialize_with = "nullable")]
    pub digests: Vec<String>,
    /// Its size in bytes, unpacked.
    #[serde(default)]
    pub size: i64,
}

/// What an engine tells of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDetails {
    /// The image's ID, as in [`EngineImage::id`].
    pub id: String,
    /// Its names.
    pub names: Vec<String>,
    /// GOOS.
    pub os: String,
    /// GOARCH.
    pub architecture: String,
    /// Everything the engine said.
    pub all: Value,
}

fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

impl Engine {
    /// The images that the engine has. Errors: it does not answer.
    pub fn images(&self, events: &Events) -> Result<Vec<EngineImage>, EngineError> {
        let call = self.request(Method::GET, "images/json", events);
        call.and_then(|call| self.json(call, events)).map_err(|kind| self.error("list the images of", kind))
    }

    /// What the engine tells of an image, by name or ID; `None` where it has none.
    ///
    /// Errors: it does not answer, or refuses the name.
    pub fn inspect(&self, name: &str, events: &Events) -> Result<Option<ImageDetails>, EngineError> {
        let call = self.request(Method::GET, &format!("images/{name}/json"), events);
        match call.and_then(|call| self.json::<Value>(call, events)) {
            Ok(all) => {
                let text = |key: &str| all[key].as_str().unwrap_or_default().to_owned();
                let names = all["RepoTags"].as_array().map(Vec::as_slice).unwrap_or_default();
                let names = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                let (os, architecture) = (text("Os"), text("Architecture"));
                Ok(Some(ImageDetails { id: text("Id"), names, os, architecture, all }))
            }
            Err(EngineErrorKind::Status { status: 404, .. }) => Ok(None),
            Err(kind) => Err(self.error("inspect an image of", kind)),
        }
    }

    /// Gives an image another name. A name without a tag gets `latest`.
    ///
    /// Errors: there is no such image, or the engine refuses the name.
    pub fn tag(&self, image: &str, name: &Reference, events: &Events) -> Result<(), EngineError> {
        let call = self.request(Method::POST, &format!("images/{image}/tag"), events);
        let tag = |mut call: crate::engine::Call| {
            let repository = format!("{}/{}", name.registry(), name.repository());
            call.url
                .query_pairs_mut()
                .append_pair("repo", &repository)
                .append_pair("tag", name.tag().unwrap_or("latest"));
            self.send(&Request::new(call.method, call.url), events).map(drop)
        };
        call.and_then(tag).map_err(|kind| self.error("name an image of", kind))
    }

    /// Takes a name from an image, and removes the image with its last one. Returns whether there was one of that name.
    ///
    /// Errors: containers use the image and `force` is not set, or the engine does not answer.
    pub fn remove(&self, name: &str, force: bool, events: &Events) -> Result<bool, EngineError> {
        let call = self.request(Method::DELETE, &format!("images/{name}"), events);
        let remove = |mut call: crate::engine::Call| {
            if force {
                call.url.query_pairs_mut().append_pair("force", "1");
            }
            self.send(&Request::new(call.method, call.url), events).map(drop)
        };
        match call.and_then(remove) {
            Ok(()) => Ok(true),
            Err(EngineErrorKind::Status { status: 404, .. }) => Ok(false),
            Err(kind) => Err(self.error("remove an image of", kind)),
        }
    }
}
