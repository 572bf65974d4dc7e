//! `longshore image push`.

use clap::Args;
use longshore_oci::{Platform, Reference};
use longshore_registry::PushOptions;
use serde::Serialize;

use super::pull::reference;
use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Report, Ui, count};

/// Send an image to a registry
///
/// What the registry has already is not sent, and what it has in another repository is mounted where it allows that. Prints
/// NAME@DIGEST.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Image: a name or digest of the store, or a transport and a place
    #[arg(value_name = "IMAGE")]
    image: ImageLocation,

    /// Name in the registry [default: the image's own]
    #[arg(value_name = "NAME", value_parser = reference)]
    name: Option<Reference>,

    /// Send the image for one platform alone
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Nothing says where the image goes.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` does not say which repository it goes to")]
pub(crate) struct NoName(ImageLocation);

pub(crate) fn push(arguments: &PushArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let own = images::name(&arguments.image);
    let Some(name) = arguments.name.clone().or_else(|| own.clone()) else {
        let error = CommandError::usage(NoName(arguments.image.clone()));
        return Err(error.hinted("write the name behind it: longshore image push IMAGE NAME"));
    };
    let mut image = images::open(&arguments.image, context, ui.events())?;
    if let Some(platform) = &arguments.platform {
        image = image.select(platform)?;
    }
    let options = PushOptions { mount_from: own.into_iter().collect(), ..PushOptions::default() };
    let pushed = context.registries()?.push(&image, &name, &options, ui.events())?;
    let report = PushReport {
        reference: name.with_digest(image.digest().clone()),
        tag: name.tag().map(str::to_owned),
        sent: pushed.sent,
        mounted: pushed.mounted,
        present: pushed.present,
    };
    ui.events().note(format!(
        "{} sent, {} mounted, {} there already",
        count(report.sent, "blob"),
        report.mounted,
        report.present
    ));
    ui.report(&report, arguments.output.format)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct PushReport {
    /// NAME@DIGEST.
    reference: Reference,
    tag: Option<String>,
    /// Blobs that were sent.
    sent: usize,
    /// Blobs that the registry took from another repository.
    mounted: usize,
    /// Blobs that the repository had.
    present: usize,
}

impl Report for PushReport {
    fn human(&self) -> String {
        format!("{}\n", self.reference.familiar())
    }
}
