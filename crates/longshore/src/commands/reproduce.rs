//! `longshore reproduce`.

use std::path::PathBuf;

use clap::Args;
use longshore_gobuild::{ReproduceOptions, Reproduction, reproduce as rebuild};

use super::build::Tools;
use crate::arguments::OutputArgs;
use crate::bases::Bases;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Report, Ui};

/// Rebuild an image from its source and compare it with the original, byte for byte
///
/// The image says how it was made; the source must be at the revision that it names. Names the first difference: layer, path,
/// field, byte. Ends with 0 if there is none, with 3 if there is one, with 4 if the image cannot be rebuilt.
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// Image to rebuild: a name or digest of the store, or a transport and a place
    #[arg(value_name = "IMAGE")]
    image: ImageLocation,

    /// Folder of the project: where longshore.toml stands, or would
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,

    /// Take what this machine's Go build cache has: faster, and a lesser proof
    #[arg(long)]
    shared_go_cache: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn reproduce(
    arguments: &ReproduceArgs,
    context: &Context,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let original = images::open(&arguments.image, context, ui.events()).map_err(CommandError::unchecked)?;
    let (store, toolchains) = (context.store()?, context.toolchains()?);
    let tools = Tools { store: &store, toolchains: &toolchains, bases: Bases::new(context)? };
    let path = std::fs::canonicalize(&arguments.path).unwrap_or_else(|_| arguments.path.clone());
    let options = ReproduceOptions { shared_go_cache: arguments.shared_go_cache };
    let reproduction = rebuild(&original, &path, &tools.environment(context), &options, ui.events())
        .map_err(CommandError::unchecked)?;
    ui.report(&reproduction, arguments.output.format)?;
    Ok(if reproduction.is_identical() { Exit::Done } else { Exit::Findings })
}

impl Report for Reproduction {
    fn human(&self) -> String {
        match &self.difference {
            None => format!("identical: {}\n", self.original),
            Some(difference) => {
                format!(
                    "original {}\nrebuilt  {}\nfirst difference: {difference}\n",
                    self.original, self.rebuilt
                )
            }
        }
    }
}
