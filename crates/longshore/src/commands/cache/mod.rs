//! `longshore cache`: what the store holds, and making it smaller.

mod ls;
mod prune;

use clap::Subcommand;
use longshore_store::{CacheItem, CacheKind};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// List and prune what the store holds
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    Ls(ls::LsArgs),
    Prune(prune::PruneArgs),
}

pub(crate) fn cache(command: &CacheCommand, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match command {
        CacheCommand::Ls(arguments) => ls::ls(arguments, context, ui),
        CacheCommand::Prune(arguments) => prune::prune(arguments, context, ui),
    }
}

/// An item as it is reported.
#[derive(Debug, Serialize)]
struct Item {
    kind: String,
    name: String,
    /// Bytes that its removal would free.
    size: u64,
    /// When it was last used, in seconds since 1970.
    used: u64,
}

impl From<CacheItem> for Item {
    fn from(item: CacheItem) -> Self {
        let kind = match item.kind {
            CacheKind::NamedImage => "image".to_owned(),
            CacheKind::UnnamedImage => "unnamed image".to_owned(),
            CacheKind::Blob => "unused blob".to_owned(),
            CacheKind::Temporary => "temporary".to_owned(),
            CacheKind::Folder(kind) => kind,
            _ => "other".to_owned(),
        };
        Item { kind, name: item.name, size: item.size, used: item.used }
    }
}
