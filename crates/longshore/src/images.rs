//! The one place that opens images where [`ImageLocation`]s say they are.

use longshore_image::{Image, Layout, LayoutEntry, LayoutError};

use crate::context::Context;
use crate::location::{ImageLocation, Place};
use crate::ui::CommandError;

/// A place holds no image of a name.
#[derive(Debug, thiserror::Error)]
#[error("cannot find {wanted} in {}", place.path.display())]
pub(crate) struct NotInPlace {
    place: Place,
    wanted: String,
    offered: Vec<String>,
}

impl NotInPlace {
    /// What is there instead.
    pub(crate) fn hint(&self) -> Option<String> {
        (!self.offered.is_empty()).then(|| format!("it has {}", self.offered.join(", ")))
    }
}

/// Opens the image at a location, to read it.
pub(crate) fn open(location: &ImageLocation, context: &Context) -> Result<Image, CommandError> {
    match location {
        ImageLocation::Plain(name) => Ok(context.store()?.resolve(name.typed())?),
        ImageLocation::Layout(place) => Ok(open_layout(place)?),
        other => Err(CommandError::usage(NotReadable(other.clone()))),
    }
}

/// An image cannot be looked at where it is.
#[derive(Debug, thiserror::Error)]
#[error("cannot look into {0} directly")]
pub(crate) struct NotReadable(ImageLocation);

/// A layout, or an image in it, cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    NotInPlace(#[from] NotInPlace),
}

impl OpenError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            OpenError::Layout(error) => error.hint(),
            OpenError::NotInPlace(error) => error.hint(),
        }
    }
}

fn open_layout(place: &Place) -> Result<Image, OpenError> {
    let layout = Layout::open(&place.path)?;
    let entries = layout.entries()?;
    let entry = choose(place, &entries)?;
    Ok(layout.image(&entry.descriptor))
}

/// The root that a place's name means: by its whole name, by its tag, by its digest; without a name the only one.
fn choose<'a>(place: &Place, entries: &'a [LayoutEntry]) -> Result<&'a LayoutEntry, NotInPlace> {
    let found = match &place.name {
        Some(name) => {
            let is = |entry: &&LayoutEntry| entry.name.as_deref() == Some(name);
            let is_digest = |entry: &&LayoutEntry| entry.descriptor.digest.to_string() == *name;
            entries.iter().find(is).or_else(|| entries.iter().find(is_digest))
        }
        None => entries
            .first()
            .filter(|first| entries.iter().all(|entry| entry.descriptor.digest == first.descriptor.digest)),
    };
    found.ok_or_else(|| NotInPlace {
        place: place.clone(),
        wanted: match &place.name {
            Some(name) => format!("an image called {name}"),
            None if entries.is_empty() => "any image".to_owned(),
            None => format!("the image meant among {}", entries.len()),
        },
        offered: entries
            .iter()
            .take(20)
            .map(|entry| entry.name.clone().unwrap_or_else(|| entry.descriptor.digest.to_string()))
            .collect(),
    })
}
