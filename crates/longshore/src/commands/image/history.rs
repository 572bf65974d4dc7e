//! `longshore image history`.

use clap::Args;
use longshore_image::Image;
use longshore_oci::{Digest, Platform};
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{Align, CommandError, Report, Table, Ui, size};

/// Show how an image came to be: one line for each step, the last one first
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Image: a name or digest of the store, or a transport and a place, such as oci:DIR
    #[arg(value_name = "IMAGE")]
    image: ImageLocation,

    /// Of an image for several platforms, which one [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn history(arguments: &HistoryArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let image = images::open(&arguments.image, context, ui.events())?;
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    ui.report(&HistoryReport::of(&image.select(&platform)?)?, arguments.output.format)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct HistoryReport {
    digest: Digest,
    platform: Platform,
    /// In the order in which they were made.
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    created: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
    /// The layer that the step made, if it made one.
    layer: Option<Digest>,
    /// Bytes of that layer as it is stored.
    size: Option<u64>,
}

impl HistoryReport {
    fn of(image: &Image) -> Result<Self, longshore_image::ContentError> {
        let (manifest, config) = (image.manifest()?, image.config()?);
        let mut layers = manifest.layers.into_iter();
        let mut steps = Vec::new();
        for entry in config.history {
            let layer = if entry.empty_layer { None } else { layers.next() };
            steps.push(Step {
                created: entry.created,
                created_by: entry.created_by,
                comment: entry.comment,
                size: layer.as_ref().map(|layer| layer.size),
                layer: layer.map(|layer| layer.digest),
            });
        }
        // Histories are optional and often shorter than the list of layers.
        steps.extend(layers.map(|layer| Step {
            created: None,
            created_by: None,
            comment: None,
            layer: Some(layer.digest),
            size: Some(layer.size),
        }));
        Ok(HistoryReport { digest: image.digest().clone(), platform: image.platform()?, steps })
    }
}

impl Report for HistoryReport {
    fn human(&self) -> String {
        let columns =
            [("CREATED", Align::Left), ("LAYER", Align::Left), ("SIZE", Align::Right), ("BY", Align::Left)];
        let mut table = Table::new(&columns);
        for step in self.steps.iter().rev() {
            let by = step.created_by.clone().or_else(|| step.comment.clone());
            table.row(&[
                step.created.clone().unwrap_or_else(|| "-".to_owned()),
                step.layer.as_ref().map_or_else(|| "-".to_owned(), |layer| layer.short().to_string()),
                step.size.map_or_else(|| "-".to_owned(), size),
                by.unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        table.render()
    }
}
