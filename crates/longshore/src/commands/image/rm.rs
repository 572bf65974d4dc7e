//! `longshore image rm`.

use clap::Args;
use longshore_oci::Reference;
use longshore_store::Store;
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Report, Ui, size};

/// Remove images from the store
///
/// By name, that name goes; by digest, all names of the image go. What no image needs any more is deleted.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Name, digest or unique beginning of a digest
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn rm(arguments: &RmArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let store = context.store()?;
    let mut removed = Vec::new();
    for typed in &arguments.images {
        removed.extend(remove(&store, typed)?);
    }
    let freed = store.collect_garbage()?;
    ui.report(&RmReport { removed, freed }, arguments.output.format)?;
    Ok(Exit::Done)
}

fn remove(store: &Store, typed: &str) -> Result<Vec<String>, CommandError> {
    let image = store.resolve(typed)?;
    if let Some(name) = stored_name(store, typed)? {
        store.untag(&name)?;
        return Ok(vec![name]);
    }
    let names = store.remove(image.digest())?;
    Ok(if names.is_empty() { vec![image.digest().to_string()] } else { names })
}

/// The name as the store has it, if a name was typed.
fn stored_name(store: &Store, typed: &str) -> Result<Option<String>, CommandError> {
    let full = |name: &str| name.parse::<Reference>().ok().map(Reference::with_default_tag);
    let wanted = full(typed);
    let mut names: Vec<String> = store.images()?.into_iter().filter_map(|stored| stored.name).collect();
    if let Some(index) = names.iter().position(|name| name == typed) {
        return Ok(Some(names.swap_remove(index)));
    }
    Ok(names.into_iter().find(|name| wanted.is_some() && full(name) == wanted))
}

#[derive(Debug, Serialize)]
struct RmReport {
    /// Names that went, and digests of images that had none.
    removed: Vec<String>,
    /// Bytes of what no image needs any more.
    freed: u64,
}

impl Report for RmReport {
    fn human(&self) -> String {
        let mut text: String = self.removed.iter().map(|name| format!("removed {name}\n")).collect();
        text.push_str(&format!("freed {}\n", size(self.freed)));
        text
    }
}
