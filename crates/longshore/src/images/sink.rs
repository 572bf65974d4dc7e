//! Writing images.

use longshore_docker::EngineKind;
use longshore_events::Events;
use longshore_image::archive::{SavedImage, save_archive};
use longshore_image::{Image, Layout};
use longshore_oci::{Platform, Reference};
use longshore_registry::PushOptions;

use super::ImagesError;
use crate::context::Context;
use crate::location::{ImageLocation, Place};

/// Writes an image to a location. `names` are those that it gets where the location names none and the form has room for some.
pub(crate) fn write(
    image: &Image,
    names: &[Reference],
    to: &ImageLocation,
    context: &Context,
    events: &Events,
) -> Result<(), ImagesError> {
    match to {
        ImageLocation::Plain(name) => {
            let store = context.store()?;
            // A digest alone is no name: the image is listed without one.
            let name = name.reference.as_ref();
            // Until the image has its name, the writer alone keeps it from being pruned.
            let mut writer = store.writer()?;
            longshore_image::copy(image, &mut writer, events)?;
            match name {
                Some(name) => Ok(store.tag(name, image.descriptor())?),
                None => Ok(store.add(image.descriptor())?),
            }
        }
        ImageLocation::Layout(place) => {
            let mut layout = Layout::create(&place.path)?;
            longshore_image::copy(image, &mut layout, events)?;
            Ok(layout.tag(place.name.as_deref(), image.descriptor())?)
        }
        ImageLocation::OciArchive(place) | ImageLocation::DockerArchive(place) => {
            let saved = SavedImage { image: image.clone(), names: archive_names(place, names)? };
            Ok(save_archive(&[saved], &Platform::host(), &place.path, events)?)
        }
        ImageLocation::Registry(reference) => {
            let options = PushOptions { mount_from: names.to_vec(), ..PushOptions::default() };
            context.registries()?.push(image, reference, &options, events)?;
            Ok(())
        }
        ImageLocation::Engine(kind, reference) => {
            let names = vec![reference.clone().with_default_tag()];
            load(image, names, (*kind).into(), context, events)
        }
    }
}

/// Loads an image into an engine under its names.
pub(crate) fn load(
    image: &Image,
    names: Vec<Reference>,
    kind: EngineKind,
    context: &Context,
    events: &Events,
) -> Result<(), ImagesError> {
    let saved = SavedImage { image: image.clone(), names };
    context.engine(kind, events)?.load(&[saved], &Platform::host(), events)?;
    Ok(())
}

fn archive_names(place: &Place, names: &[Reference]) -> Result<Vec<Reference>, ImagesError> {
    match &place.name {
        Some(name) => Ok(vec![name.parse::<Reference>()?.with_default_tag()]),
        None => Ok(names.to_vec()),
    }
}
