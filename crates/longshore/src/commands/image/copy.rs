//! `longshore image copy`.

use clap::Args;
use longshore_oci::Platform;

use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Ui};

/// Copy an image from anywhere to anywhere
///
/// Places are written as skopeo writes them: NAME (the store), docker://NAME (a registry), oci:DIR[:TAG],
/// oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], docker-daemon:NAME, podman:NAME. What the destination has already is not
/// copied again. Prints the image's digest.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Where the image is
    #[arg(value_name = "SOURCE")]
    source: ImageLocation,

    /// Where it goes
    #[arg(value_name = "DESTINATION")]
    destination: ImageLocation,

    /// Copy the image for one platform alone
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
}

pub(crate) fn copy(arguments: &CopyArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut image = images::open(&arguments.source, context, ui.events())?;
    if let Some(platform) = &arguments.platform {
        image = image.select(platform)?;
    }
    let names: Vec<_> = images::name(&arguments.source).into_iter().collect();
    images::write(&image, &names, &arguments.destination, context, ui.events())?;
    ui.print(&format!("{}\n", image.digest()))?;
    Ok(Exit::Done)
}
