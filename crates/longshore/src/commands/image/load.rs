//! `longshore image load`.

use std::path::PathBuf;

use clap::Args;
use longshore_oci::{Digest, Reference};
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::ui::{CommandError, Report, Ui};

/// Read the images of an archive into the store
///
/// What `docker save`, `podman save`, BuildKit, skopeo and `longshore image save` write is read, compressed with gzip or zstd
/// or not.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// File to read [default: standard input]
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn load(arguments: &LoadArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let store = context.store()?;
    let path = arguments.input.clone().unwrap_or_else(|| PathBuf::from("-"));
    let archive = images::open_archive(&path, context, ui.events())?;
    let mut loaded = Vec::new();
    for entry in archive.entries() {
        let image = archive.image(entry, ui.events())?;
        // Until the image has its name, the writer alone keeps it from being pruned.
        let mut writer = store.writer()?;
        longshore_image::copy(&image, &mut writer, ui.events())?;
        // An OCI layout may call an image by its tag alone, which is no name in a store.
        let references = entry.names.iter().filter_map(|name| name.parse::<Reference>().ok());
        let names: Vec<_> = references.filter(|name| name.tag().is_some()).collect();
        for name in &names {
            store.tag(name, image.descriptor())?;
        }
        if names.is_empty() {
            store.add(image.descriptor())?;
        }
        let names = names.iter().map(Reference::familiar).collect();
        loaded.push(LoadedImage { names, digest: image.digest().clone() });
    }
    ui.report(&LoadReport { images: loaded }, arguments.output.format)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct LoadReport {
    images: Vec<LoadedImage>,
}

#[derive(Debug, Serialize)]
struct LoadedImage {
    names: Vec<String>,
    digest: Digest,
}

impl Report for LoadReport {
    fn human(&self) -> String {
        let line = |image: &LoadedImage| match image.names.is_empty() {
            true => format!("{}\n", image.digest),
            false => format!("{} {}\n", image.names.join(", "), image.digest),
        };
        self.images.iter().map(line).collect()
    }
}
