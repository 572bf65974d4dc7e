//! `longshore image save`.

use std::path::PathBuf;

use clap::Args;
use longshore_image::archive::{SavedImage, save_archive, write_archive};
use longshore_oci::Platform;

use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Ui};

/// Write images into an archive that `docker load`, `podman load` and skopeo read
///
/// The archive is an OCI layout and what `docker save` writes, in one. Engines that know no indexes get the image for the platform that is
/// asked for.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Images: names or digests of the store, or transports and places
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<ImageLocation>,

    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Platform for engines that know no indexes [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

/// An archive on a terminal helps nobody.
#[derive(Debug, thiserror::Error)]
#[error("an archive is not written to a terminal")]
pub(crate) struct TerminalError;

impl TerminalError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some("name a file with --output, or redirect standard output".to_owned())
    }
}

pub(crate) fn save(arguments: &SaveArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    if arguments.output.is_none() && context.environment.stdout_is_terminal() {
        return Err(CommandError::usage(TerminalError));
    }
    let mut saved = Vec::new();
    for location in &arguments.images {
        let image = images::open(location, context, ui.events())?;
        let names = images::name(location).into_iter().collect();
        saved.push(SavedImage { image, names });
    }
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    match &arguments.output {
        Some(path) => save_archive(&saved, &platform, path, ui.events())?,
        None => {
            let stdout = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
            write_archive(&saved, &platform, stdout, ui.events()).map_err(CommandError::of_stream)?;
        }
    }
    Ok(Exit::Done)
}
