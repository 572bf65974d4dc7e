//! Opening images.

use std::path::Path;

use longshore_events::Events;
use longshore_image::archive::{Archive, ArchiveEntry};
use longshore_image::{Image, Layout};
use longshore_oci::Reference;

use super::{ImagesError, NotInPlace};
use crate::context::Context;
use crate::location::{ImageLocation, Place};

/// Opens the image at a location, to read it. A plain name means the store.
pub(crate) fn open(
    location: &ImageLocation,
    context: &Context,
    events: &Events,
) -> Result<Image, ImagesError> {
    match location {
        ImageLocation::Plain(name) => Ok(context.store()?.resolve(name.typed())?),
        ImageLocation::Layout(place) => open_layout(place),
        ImageLocation::OciArchive(place) | ImageLocation::DockerArchive(place) => {
            let archive = open_archive(&place.path, context, events)?;
            let entry = choose(place, archive.entries(), |entry: &ArchiveEntry| entry.names.clone())?;
            Ok(archive.image(entry, events)?)
        }
        ImageLocation::Registry(reference) => Ok(context.registries()?.open(reference, events)?),
        ImageLocation::Engine(kind, reference) => {
            let name = reference.clone().with_default_tag().familiar();
            let engine = context.engine((*kind).into(), events)?;
            let archive = engine.export(&[&name], &context.temporary_folder(), events)?;
            match archive.entries().first() {
                Some(entry) => Ok(archive.image(entry, events)?),
                None => Err(ImagesError::Nothing(reference.clone())),
            }
        }
    }
}

/// Opens an archive; `-` is standard input.
pub(crate) fn open_archive(path: &Path, context: &Context, events: &Events) -> Result<Archive, ImagesError> {
    let temporary = context.temporary_folder();
    if path == Path::new("-") {
        return Ok(Archive::read(std::io::stdin(), &temporary, events)?);
    }
    Ok(Archive::open(path, &temporary, events)?)
}

fn open_layout(place: &Place) -> Result<Image, ImagesError> {
    let layout = Layout::open(&place.path)?;
    let entries = layout.entries()?;
    let names = |entry: &longshore_image::LayoutEntry| {
        let digest = entry.descriptor.digest.to_string();
        entry.name.iter().cloned().chain([digest]).collect()
    };
    Ok(layout.image(&choose(place, &entries, names)?.descriptor))
}

/// The entry that a place's name means; without a name the only one. Names are compared as they stand, and as references.
fn choose<'a, E>(
    place: &Place,
    entries: &'a [E],
    names: impl Fn(&E) -> Vec<String>,
) -> Result<&'a E, NotInPlace> {
    let found = match &place.name {
        Some(wanted) => {
            let full = |name: &str| name.parse::<Reference>().ok().map(Reference::with_default_tag);
            let reference = full(wanted);
            let literal = entries.iter().find(|entry| names(entry).contains(wanted));
            literal.or_else(|| {
                let fits = |entry: &&E| names(entry).iter().any(|name| full(name) == reference);
                entries.iter().find(|entry| reference.is_some() && fits(entry))
            })
        }
        None if entries.len() == 1 => entries.first(),
        None => None,
    };
    found.ok_or_else(|| {
        let first =
            |entry| names(entry).into_iter().next().unwrap_or_else(|| "one without a name".to_owned());
        NotInPlace::new(place, entries.iter().map(first).collect())
    })
}
