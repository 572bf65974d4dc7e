//! The images of a build, each looked for once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use longshore_events::Events;
use longshore_image::Image;
use longshore_oci::{Platform, Reference};

use crate::solve::held;
use crate::source::ImageSource;

type Found = Result<Image, String>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What was found, by name. Stages that name the same image wait for one look-up.
#[derive(Debug, Default)]
pub(crate) struct Images {
    found: Mutex<HashMap<String, Arc<Mutex<Option<Found>>>>>,
}

impl Images {
    /// The image called `name` for a platform.
    pub(crate) fn find(
        &self,
        name: &str,
        platform: &Platform,
        source: &dyn ImageSource,
        pull: bool,
        events: &Events,
    ) -> Result<Image, Failure> {
        let reference: Reference = name.parse()?;
        let place = Arc::clone(held(&self.found).entry(reference.familiar()).or_default());
        let mut found = held(&place);
        let image = match &*found {
            Some(Ok(image)) => image.clone(),
            Some(Err(message)) => return Err(message.clone().into()),
            None => match source.find(&reference.with_default_tag(), pull, events) {
                Ok(image) => {
                    *found = Some(Ok(image.clone()));
                    image
                }
                Err(error) => {
                    *found = Some(Err(error.to_string()));
                    return Err(error);
                }
            },
        };
        drop(found);
        Ok(image.select(platform)?)
    }
}

/// A name under which a context is found: an image's name with and without `latest` is the same.
pub(crate) fn context_name(name: &str) -> String {
    let familiar = match name.to_ascii_lowercase().parse::<Reference>() {
        Ok(reference) => reference.familiar(),
        Err(_) => name.to_ascii_lowercase(),
    };
    familiar.strip_suffix(":latest").map_or(familiar.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_contexts_are_those_of_images() {
        for (name, expected) in [
            ("alpine", "alpine"),
            ("alpine:latest", "alpine"),
            ("docker.io/library/alpine:latest", "alpine"),
            ("golang:1.21-alpine", "golang:1.21-alpine"),
            ("Builder", "builder"),
            ("gcr.io/x/y:latest", "gcr.io/x/y"),
        ] {
            assert_eq!(context_name(name), expected);
        }
    }
}
