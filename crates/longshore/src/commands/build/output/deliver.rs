//! An image, or its files, to where it was asked for.

use std::io::{self, BufWriter};

use longshore_builder::BuiltFiles;
use longshore_docker::EngineKind;
use longshore_image::Image;
use longshore_image::archive::{SavedImage, write_archive};
use longshore_oci::{Platform, Reference};
use longshore_registry::PushOptions;
use longshore_snapshot::{Ownership, Snapshots};
use longshore_store::Store;

use super::{Destination, DestinationError};
use crate::commands::build::tags::{self, TagTemplate};
use crate::context::Context;
use crate::images;
use crate::ui::{CommandError, Ui, count};

/// Devices that are named in a warning.
const NAMED: usize = 3;

/// What is delivered.
pub(in crate::commands::build) struct Delivery<'d> {
    pub(in crate::commands::build) image: &'d Image,
    pub(in crate::commands::build) names: &'d [Reference],
    /// The service's name, for names that hold it.
    pub(in crate::commands::build) service: &'d str,
    /// The image's files, where they were at hand when it was built.
    pub(in crate::commands::build) files: Option<&'d BuiltFiles>,
    pub(in crate::commands::build) store: &'d Store,
}

/// Delivers to one destination.
pub(in crate::commands::build) fn deliver(
    what: &Delivery<'_>,
    to: &Destination,
    context: &Context,
    ui: &Ui,
) -> Result<(), CommandError> {
    match to {
        Destination::Image(location) => {
            Ok(images::write(what.image, what.names, location, context, ui.events())?)
        }
        Destination::Stream(_) => {
            let saved = SavedImage { image: what.image.clone(), names: what.names.to_vec() };
            let stdout = BufWriter::with_capacity(1 << 20, io::stdout().lock());
            write_archive(&[saved], &Platform::host(), stdout, ui.events()).map_err(CommandError::of_stream)
        }
        Destination::Engine(_) => {
            Ok(images::load(what.image, what.names.to_vec(), EngineKind::Docker, context, ui.events())?)
        }
        Destination::Names { push: false, .. } => Ok(()),
        Destination::Names { names, push: true } => push(what, names, context, ui),
        Destination::Folder(..) | Destination::Tar(..) => write_files(what, to, ui),
    }
}

fn push(what: &Delivery<'_>, names: &[TagTemplate], context: &Context, ui: &Ui) -> Result<(), CommandError> {
    let own = if names.is_empty() { Vec::new() } else { tags::names(names, what.service)? };
    let names = if own.is_empty() { what.names } else { &own };
    let registries = context.registries()?;
    for name in names {
        registries.push(what.image, name, &PushOptions::default(), ui.events())?;
    }
    Ok(())
}

fn write_files(what: &Delivery<'_>, to: &Destination, ui: &Ui) -> Result<(), CommandError> {
    let unpacked;
    let files = match what.files {
        Some(files) => files,
        None => {
            unpacked = unpack(what, ui)?;
            &unpacked
        }
    };
    let (Destination::Folder(_, choice) | Destination::Tar(_, choice)) = to else { return Ok(()) };
    if choice.split == Some(false) && files.platforms() > 1 {
        return Err(CommandError::usage(DestinationError::Platforms(files.platforms())));
    }
    match to {
        Destination::Folder(folder, _) => {
            let left_out = files.write_folder(folder, choice, ui.events())?;
            if !left_out.is_empty() {
                let some: Vec<_> =
                    left_out.iter().take(NAMED).map(|path| format!("/{}", path.display())).collect();
                let more = if left_out.len() > NAMED { ", …" } else { "" };
                let (number, some) = (count(left_out.len(), "device"), some.join(", "));
                ui.events().warn(format!("{number} left out, since only root can make one: {some}{more}"));
            }
        }
        Destination::Tar(Some(path), _) => files.write_tar(path, choice, ui.events())?,
        _ => {
            let written = files.stream_tar(io::stdout().lock(), choice, ui.events());
            drop(written.map_err(CommandError::of_tar)?);
        }
    }
    Ok(())
}

/// The files of an image that comes out of no Dockerfile.
fn unpack(what: &Delivery<'_>, ui: &Ui) -> Result<BuiltFiles, CommandError> {
    let is_root = rustix::process::geteuid().is_root();
    let ownership = if is_root { Ownership::Root } else { Ownership::Recorded };
    let snapshots = Snapshots::open(what.store, ownership, false)?;
    Ok(BuiltFiles::of(what.image, &snapshots, ui.events())?)
}
