//! The names that images get.

use std::str::FromStr;

use longshore_oci::{Reference, ReferenceError};

/// What stands for the service's name.
const PLACEHOLDER: &str = "{name}";

/// A name for images, in which `{name}` stands for the service's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TagTemplate(String);

/// Names that cannot be given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TagError {
    /// Several images would get one name.
    #[error("{count} images would be called `{tag}`")]
    Same {
        /// The name.
        tag: String,
        /// How many.
        count: usize,
    },
}

impl TagError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some(
            "write {name} where the service's name belongs, such as registry.example.com/{name}:1.0"
                .to_owned(),
        )
    }
}

impl FromStr for TagTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reference =
            text.replace(PLACEHOLDER, "name").parse::<Reference>().map_err(|error| error.to_string())?;
        match reference.digest() {
            Some(_) => Err("an image's name cannot hold its digest".to_owned()),
            None => Ok(TagTemplate(text.to_owned())),
        }
    }
}

impl std::fmt::Display for TagTemplate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TagTemplate {
    fn name(&self, service: &str) -> Result<Reference, ReferenceError> {
        Ok(self.0.replace(PLACEHOLDER, &repository(service)).parse::<Reference>()?.with_default_tag())
    }
}

/// Fails where several images would get one name.
pub(super) fn check(tags: &[TagTemplate], services: usize) -> Result<(), TagError> {
    match tags.iter().find(|tag| services > 1 && !tag.0.contains(PLACEHOLDER)) {
        Some(tag) => Err(TagError::Same { tag: tag.0.clone(), count: services }),
        None => Ok(()),
    }
}

/// The names of a service's image. Errors: a service's name makes no reference.
pub(super) fn names(tags: &[TagTemplate], service: &str) -> Result<Vec<Reference>, ReferenceError> {
    match tags {
        [] => Ok(vec![TagTemplate(PLACEHOLDER.to_owned()).name(service)?]),
        tags => tags.iter().map(|tag| tag.name(service)).collect(),
    }
}

/// A service's name as a part of a repository's: lower-case, and with a dash in place of what may not stand there.
fn repository(service: &str) -> String {
    let allowed = |character: char| match character.to_ascii_lowercase() {
        lower @ ('a'..='z' | '0'..='9') => lower,
        _ => '-',
    };
    let name: String = service.chars().map(allowed).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "service".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_the_services_name_where_it_is_asked_for() {
        let tags =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<TagTemplate>>();
        for (typed, service, expected) in [
            (&[][..], "api", &["api:latest"][..]),
            (&["hello:dev", "r.io/hello"], "api", &["hello:dev", "r.io/hello:latest"]),
            (&["r.io/team/{name}:1"], "Price_Feed", &["r.io/team/price-feed:1"]),
            (&["{name}"], "日本", &["service:latest"]),
        ] {
            let names = names(&tags(typed), service).unwrap();
            let names: Vec<_> = names.iter().map(Reference::familiar).collect();
            assert_eq!(names, expected, "{typed:?}");
        }
        assert!(check(&tags(&["a:1", "{name}"]), 1).is_ok());
        assert!(check(&tags(&["{name}:1"]), 2).is_ok());
        assert_eq!(
            check(&tags(&["{name}", "a:1"]), 2).unwrap_err().to_string(),
            "2 images would be called `a:1`"
        );
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert!(digest.parse::<TagTemplate>().is_err() && "A".parse::<TagTemplate>().is_err());
    }
}
