//! `longshore image pull`.

use clap::Args;
use longshore_oci::{Platform, Reference};
use longshore_registry::Platforms;

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// Fetch an image from a registry into the store
///
/// Prints the image's digest.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Name of the image in its registry
    #[arg(value_name = "NAME", value_parser = reference)]
    name: Reference,

    /// Platform to fetch [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Fetch the images for all platforms, with their index
    #[arg(long, conflicts_with = "platform")]
    all_platforms: bool,
}

/// A name in a registry, with or without the transport that says so.
pub(super) fn reference(text: &str) -> Result<Reference, String> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    name.parse::<Reference>().map(Reference::with_default_tag).map_err(|error| error.to_string())
}

pub(crate) fn pull(arguments: &PullArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let store = context.store()?;
    let writer = store.writer()?;
    let platforms = match (&arguments.platform, arguments.all_platforms) {
        (_, true) => Platforms::All,
        (platform, false) => Platforms::One(platform.clone().unwrap_or_else(Platform::host)),
    };
    let registries = context.registries()?;
    let pulled = registries.pull(&arguments.name, &platforms, &store, &writer, ui.events())?;
    match arguments.name.tag() {
        Some(_) => store.tag(&tagged(&arguments.name)?, pulled.image.descriptor())?,
        None => store.add(pulled.image.descriptor())?,
    }
    ui.print(&format!("{}\n", pulled.image.digest()))?;
    Ok(Exit::Done)
}

/// NAME:TAG of NAME:TAG@DIGEST.
fn tagged(name: &Reference) -> Result<Reference, longshore_oci::ReferenceError> {
    match (name.tag(), name.digest()) {
        (Some(tag), Some(_)) => name.with_tag(tag),
        _ => Ok(name.clone()),
    }
}
