//! `--cache-from` and `--cache-to`, as `docker buildx build` has them.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use longshore_builder::{BuiltCache, CacheMode, CachePlace, CacheRequest, CacheSource};
use longshore_events::Events;
use longshore_image::{Image, Layout, LayoutEntry};
use longshore_oci::{Digest, Reference};
use longshore_registry::{PushOptions, Registries};
use longshore_store::Store;

use crate::context::{Context, ContextError, OfflineError};
use crate::images::{ImagesError, NotInPlace};
use crate::location::Place;

/// The tag of a cache in a folder where none is named; BuildKit's.
const TAG: &str = "latest";

/// Caches that a Dockerfile's build takes from and leaves.
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    /// Take results from a cache: an image's name, type=registry,ref=IMAGE, or type=local,src=DIR
    #[arg(long, value_name = "CACHE", requires = "file")]
    cache_from: Vec<CacheFrom>,

    /// Leave a cache: type=registry,ref=IMAGE, type=local,dest=DIR, each with mode=min or mode=max; or type=inline
    #[arg(long, value_name = "CACHE", requires = "file")]
    cache_to: Vec<CacheTo>,
}

/// One `--cache-from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CacheFrom {
    Registry(Reference),
    Local { folder: PathBuf, entry: Entry },
}

/// Which cache of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Tag(String),
    Digest(Digest),
}

/// One `--cache-to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheTo {
    place: Destination,
    mode: CacheMode,
    /// Whether the build succeeds though the cache cannot be written.
    ignores_error: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    Registry(Reference),
    Local { folder: PathBuf, tag: String },
    Inline,
}

/// A cache that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the cache {name}; the image was built")]
pub(crate) struct CacheWriteError {
    name: String,
    #[source]
    source: ImagesError,
}

impl CacheWriteError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some("ignore-error=true lets the build succeed without it".to_owned())
    }
}

/// The fields of one flag: `type=…,key=value,…`, or an image's name alone.
struct Fields {
    kind: String,
    rest: Vec<(String, String)>,
}

impl Fields {
    fn read(text: &str) -> Result<Fields, String> {
        if !text.contains('=') {
            return Ok(Fields {
                kind: "registry".to_owned(),
                rest: vec![("ref".to_owned(), text.to_owned())],
            });
        }
        let mut fields = Fields { kind: String::new(), rest: Vec::new() };
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => value.clone_into(&mut fields.kind),
                Some((key, value)) if !value.is_empty() => {
                    fields.rest.push((key.to_ascii_lowercase(), value.to_owned()));
                }
                _ => return Err(format!("`{field}` is no KEY=VALUE")),
            }
        }
        match fields.kind.as_str() {
            "" => Err("it has no type: expected type=registry,ref=IMAGE or type=local,…".to_owned()),
            "registry" | "local" | "inline" => Ok(fields),
            kind @ ("gha" | "s3" | "azblob") => Err(format!(
                "caches of the type {kind} are not supported: a registry serves as well, with type=registry,ref=IMAGE,mode=max"
            )),
            kind => Err(format!("`{kind}` is no type of cache: there are registry, local and inline")),
        }
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let place = self.rest.iter().position(|(known, _)| known == key)?;
        Some(self.rest.remove(place).1)
    }

    fn required(&mut self, key: &str, example: &str) -> Result<String, String> {
        self.take(key).ok_or_else(|| format!("type={} needs {key}={example}", self.kind))
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(format!("{key} is `{other}`, and must be true or false")),
        }
    }

    /// Refuses a value of a key that has one meaning here.
    fn only(&mut self, key: &str, value: &str) -> Result<(), String> {
        match self.take(key) {
            Some(other) if other != value => {
                Err(format!("{key} is `{other}`, and only {value} is supported"))
            }
            _ => Ok(()),
        }
    }

    fn end(self) -> Result<(), String> {
        match self.rest.first() {
            Some((key, _)) => Err(format!("type={} has no key `{key}`, or it is given twice", self.kind)),
            None => Ok(()),
        }
    }
}

fn reference(text: &str) -> Result<Reference, String> {
    Ok(text.parse::<Reference>().map_err(|error| error.to_string())?.with_default_tag())
}

impl FromStr for CacheFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = Fields::read(text)?;
        let from = match fields.kind.as_str() {
            "registry" => CacheFrom::Registry(reference(&fields.required("ref", "IMAGE")?)?),
            "local" => {
                let folder = PathBuf::from(fields.required("src", "DIR")?);
                let digest = fields.take("digest").map(|text| text.parse::<Digest>());
                let entry = match digest.transpose().map_err(|error| error.to_string())? {
                    Some(digest) => Entry::Digest(digest),
                    None => Entry::Tag(fields.take("tag").unwrap_or_else(|| TAG.to_owned())),
                };
                CacheFrom::Local { folder, entry }
            }
            _ => return Err("an inline cache is read by its image's name: --cache-from IMAGE".to_owned()),
        };
        fields.end()?;
        Ok(from)
    }
}

impl FromStr for CacheTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = Fields::read(text)?;
        let place = match fields.kind.as_str() {
            "registry" => Destination::Registry(reference(&fields.required("ref", "IMAGE")?)?),
            "local" => Destination::Local {
                folder: PathBuf::from(fields.required("dest", "DIR")?),
                tag: fields.take("tag").unwrap_or_else(|| TAG.to_owned()),
            },
            _ => Destination::Inline,
        };
        let mode = match fields.take("mode").as_deref() {
            None | Some("min") => CacheMode::Min,
            Some("max") if place == Destination::Inline => {
                return Err(
                    "an image holds its own layers alone: for mode=max use type=registry or type=local"
                        .to_owned(),
                );
            }
            Some("max") => CacheMode::Max,
            Some(other) => return Err(format!("mode is `{other}`, and must be min or max")),
        };
        let ignores_error = fields.flag("ignore-error")?.unwrap_or(false);
        // What buildx's users have to ask for is the only form there is.
        for key in ["oci-mediatypes", "image-manifest"] {
            if fields.flag(key)? == Some(false) {
                return Err(format!("{key}=false is not supported: a cache is an OCI manifest"));
            }
        }
        fields.only("compression", "gzip")?;
        fields.end()?;
        Ok(CacheTo { place, mode, ignores_error })
    }
}

impl std::fmt::Display for CacheFrom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CacheFrom::Registry(reference) => formatter.write_str(&reference.familiar()),
            CacheFrom::Local { folder, .. } => write!(formatter, "{}", folder.display()),
        }
    }
}

impl std::fmt::Display for CacheTo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Destination::Registry(reference) => formatter.write_str(&reference.familiar()),
            Destination::Local { folder, .. } => write!(formatter, "{}", folder.display()),
            Destination::Inline => formatter.write_str("in the image"),
        }
    }
}

impl CacheArgs {
    /// What the builder is asked for. `says_why` is for caches that cannot be read.
    pub(super) fn request(&self, says_why: bool, context: &Context) -> Result<CacheRequest, ContextError> {
        let mut request = CacheRequest { says_why, ..CacheRequest::default() };
        for cache in &self.cache_from {
            let (registries, store) = (context.registries().ok(), context.store()?);
            let place = Arc::new(Opener { cache: cache.clone(), registries, store });
            request.from.push(CacheSource { name: cache.to_string(), place });
        }
        for cache in &self.cache_to {
            match cache.place {
                Destination::Inline => request.inline = true,
                _ if request.to.contains(&cache.mode) => {}
                _ => request.to.push(cache.mode),
            }
        }
        Ok(request)
    }

    /// Writes the caches that a build left. Errors: one cannot be written, and that is not to be ignored.
    pub(super) fn write(
        &self,
        caches: &[BuiltCache],
        names: &[Reference],
        (context, events): (&Context, &Events),
    ) -> Result<(), CacheWriteError> {
        for cache in &self.cache_to {
            let Some(built) = caches.iter().find(|built| built.mode == cache.mode) else { continue };
            match write_to(&cache.place, &built.image, names, (context, events)) {
                Ok(()) => {}
                Err(source) if cache.ignores_error && !events.is_cancelled() => {
                    events.warn_because(format!("the cache {cache} was not written"), &source);
                }
                Err(source) => return Err(CacheWriteError { name: cache.to_string(), source }),
            }
        }
        Ok(())
    }
}

/// Opens a cache when it is needed.
struct Opener {
    cache: CacheFrom,
    /// Nothing where the network is to be left alone.
    registries: Option<Registries>,
    store: Store,
}

impl CachePlace for Opener {
    fn open(&self, events: &Events) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
        Ok(open(self, events)?)
    }
}

fn open(opener: &Opener, events: &Events) -> Result<Image, ImagesError> {
    match &opener.cache {
        CacheFrom::Registry(reference) => {
            let opened = match &opener.registries {
                Some(registries) => registries.open(reference, events).map_err(ImagesError::from),
                None => Err(OfflineError.into()),
            };
            // An image with a cache in it may be here alone.
            opened.or_else(|error| opener.store.resolve(&reference.familiar()).map_err(|_| error))
        }
        CacheFrom::Local { folder, entry } => {
            let layout = Layout::open(folder)?;
            let entries = layout.entries()?;
            let is_meant = |known: &&LayoutEntry| match entry {
                Entry::Digest(digest) => known.descriptor.digest == *digest,
                Entry::Tag(tag) => known.name.as_deref() == Some(tag),
            };
            // A tool that copied it may have left its name behind.
            let only =
                || entries.first().filter(|_| entries.len() == 1 && *entry == Entry::Tag(TAG.to_owned()));
            match entries.iter().find(is_meant).or_else(only) {
                Some(found) => Ok(layout.image(&found.descriptor)),
                None => {
                    let name = Some(match entry {
                        Entry::Tag(tag) => tag.clone(),
                        Entry::Digest(digest) => digest.to_string(),
                    });
                    let offered = entries.iter().filter_map(|entry| entry.name.clone()).collect();
                    Err(NotInPlace::new(&Place { path: folder.clone(), name }, offered).into())
                }
            }
        }
    }
}

fn write_to(
    place: &Destination,
    image: &Image,
    names: &[Reference],
    (context, events): (&Context, &Events),
) -> Result<(), ImagesError> {
    match place {
        Destination::Inline => Ok(()),
        Destination::Registry(reference) => {
            let options = PushOptions { mount_from: names.to_vec(), ..PushOptions::default() };
            context.registries()?.push(image, reference, &options, events)?;
            Ok(())
        }
        Destination::Local { folder, tag } => {
            let mut layout = Layout::create(folder)?;
            longshore_image::copy(image, &mut layout, events)?;
            Ok(layout.tag(Some(tag), image.descriptor())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_as_buildx_names_them() {
        let to = |text: &str| text.parse::<CacheTo>().unwrap();
        let local =
            |folder: &str, tag: &str| Destination::Local { folder: folder.into(), tag: tag.to_owned() };
        for (text, place, mode, ignores_error) in [
            ("type=local,dest=/a", local("/a", "latest"), CacheMode::Min, false),
            ("dest=a,tag=x,type=local,mode=max", local("a", "x"), CacheMode::Max, false),
            ("r.io/x:1", Destination::Registry(reference("r.io/x:1").unwrap()), CacheMode::Min, false),
            (
                "type=registry,ref=r.io/x,mode=max,oci-mediatypes=true,image-manifest=true,compression=gzip,ignore-error=true",
                Destination::Registry(reference("r.io/x:latest").unwrap()),
                CacheMode::Max,
                true,
            ),
            ("type=inline", Destination::Inline, CacheMode::Min, false),
        ] {
            assert_eq!(to(text), CacheTo { place, mode, ignores_error }, "{text}");
        }
        let digest = Digest::of(b"x");
        for (text, expected) in [
            ("r.io/x", CacheFrom::Registry(reference("r.io/x:latest").unwrap())),
            ("type=registry,ref=r.io/x:1", CacheFrom::Registry(reference("r.io/x:1").unwrap())),
            (
                "type=local,src=a",
                CacheFrom::Local { folder: "a".into(), entry: Entry::Tag("latest".to_owned()) },
            ),
            (
                &format!("type=local,src=a,digest={digest}"),
                CacheFrom::Local { folder: "a".into(), entry: Entry::Digest(digest) },
            ),
        ] {
            assert_eq!(text.parse::<CacheFrom>().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_cache_is_refused_with_what_is() {
        for (text, message) in [
            (
                "type=gha,scope=x",
                "caches of the type gha are not supported: a registry serves as well, with type=registry,ref=IMAGE,mode=max",
            ),
            ("type=locall,dest=a", "`locall` is no type of cache: there are registry, local and inline"),
            ("dest=a", "it has no type: expected type=registry,ref=IMAGE or type=local,…"),
            ("type=local", "type=local needs dest=DIR"),
            ("type=local,dest=", "`dest=` is no KEY=VALUE"),
            ("type=local,dest=a,src=b", "type=local has no key `src`, or it is given twice"),
            ("type=local,dest=a,mode=all", "mode is `all`, and must be min or max"),
            (
                "type=inline,mode=max",
                "an image holds its own layers alone: for mode=max use type=registry or type=local",
            ),
            ("type=registry,ref=x,compression=zstd", "compression is `zstd`, and only gzip is supported"),
            (
                "type=registry,ref=x,image-manifest=false",
                "image-manifest=false is not supported: a cache is an OCI manifest",
            ),
            (
                "type=registry,ref=x,ignore-error=perhaps",
                "ignore-error is `perhaps`, and must be true or false",
            ),
        ] {
            assert_eq!(text.parse::<CacheTo>().unwrap_err(), message, "{text}");
        }
        for (text, message) in [
            ("type=inline", "an inline cache is read by its image's name: --cache-from IMAGE"),
            ("type=local,dest=a", "type=local needs src=DIR"),
            ("type=registry,ref=x,mode=max", "type=registry has no key `mode`, or it is given twice"),
            (
                "type=s3,bucket=x",
                "caches of the type s3 are not supported: a registry serves as well, with type=registry,ref=IMAGE,mode=max",
            ),
        ] {
            assert_eq!(text.parse::<CacheFrom>().unwrap_err(), message, "{text}");
        }
    }
}
