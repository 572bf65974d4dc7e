//! `longshore image ls`.

use clap::Args;
use longshore_image::ContentError;
use longshore_oci::Digest;
use longshore_store::StoredImage;
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{Align, CommandError, Report, Table, Ui, size};

/// List the images of the store
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Print digests alone, one a line
    #[arg(long, short, conflicts_with = "format")]
    quiet: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn ls(arguments: &LsArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let images = context.store()?.images()?;
    if arguments.quiet {
        ui.print(&images.iter().map(|stored| format!("{}\n", stored.image.digest())).collect::<String>())?;
    } else {
        let images = images.iter().map(ListedImage::of).collect();
        ui.report(&LsReport { images }, arguments.output.format)?;
    }
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct LsReport {
    images: Vec<ListedImage>,
}

#[derive(Debug, Serialize)]
struct ListedImage {
    name: Option<String>,
    digest: Digest,
    media_type: String,
    platforms: Vec<String>,
    created: Option<String>,
    /// Bytes of the layers of all platforms as they are stored.
    size: Option<u64>,
    /// Why the image cannot be read, if it cannot.
    problem: Option<String>,
}

impl ListedImage {
    /// An image that cannot be read is listed too: how else would one find it to remove it.
    fn of(stored: &StoredImage) -> Self {
        let mut listed = ListedImage {
            name: stored.name.clone(),
            digest: stored.image.digest().clone(),
            media_type: stored.image.descriptor().media_type.clone(),
            platforms: Vec::new(),
            created: None,
            size: None,
            problem: None,
        };
        if let Err(error) = listed.read(stored) {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            listed.problem = Some(format!("{error}{}", cause.unwrap_or_default()));
        }
        listed
    }

    fn read(&mut self, stored: &StoredImage) -> Result<(), ContentError> {
        let mut total = 0;
        for image in stored.image.images()? {
            let (manifest, config) = (image.manifest()?, image.config()?);
            total += manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
            self.platforms.push(config.platform().to_string());
            self.created = self.created.take().or(config.created);
        }
        self.size = Some(total);
        Ok(())
    }
}

impl Report for LsReport {
    fn human(&self) -> String {
        let columns = [
            ("NAME", Align::Left),
            ("DIGEST", Align::Left),
            ("PLATFORMS", Align::Left),
            ("CREATED", Align::Left),
            ("SIZE", Align::Right),
        ];
        let mut table = Table::new(&columns);
        for image in &self.images {
            table.row(&[
                image.name.clone().unwrap_or_else(|| "-".to_owned()),
                image.digest.short().to_string(),
                image.problem.clone().unwrap_or_else(|| image.platforms.join(", ")),
                image.created.clone().unwrap_or_else(|| "-".to_owned()),
                image.size.map_or_else(|| "-".to_owned(), size),
            ]);
        }
        table.render()
    }
}
