//! The image store: where it is, whether it can be written, how much room there is.

use std::path::Path;

use longshore_events::Events;

use super::{Check, State};
use crate::context::Context;
use crate::ui::size;

/// A cold build with a fetched toolchain needs about this much.
const COMFORTABLE: u64 = 2_000_000_000;

pub(super) fn checks(context: &Context, _: &Events) -> Vec<Check> {
    let folder = match context.store_folder() {
        Ok(folder) => folder,
        Err(error) => {
            let meaning = error.hint().unwrap_or_default();
            return vec![check("location", State::Missing, error.to_string(), meaning)];
        }
    };
    // A store that does not exist yet will be made below the nearest folder that does.
    let existing = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    vec![location(context, folder, existing), space(existing)]
}

fn check(name: &'static str, state: State, found: String, meaning: String) -> Check {
    Check { topic: "Image store", name, state, found, meaning }
}

fn location(context: &Context, folder: &Path, existing: &Path) -> Check {
    let found = format!("{} ({})", folder.display(), context.store_reason());
    let writable = rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    let (state, meaning) = match (writable, existing == folder) {
        (Ok(()), true) => (State::Good, String::new()),
        (Ok(()), false) => (State::Good, "it will be made by the first build or pull".to_owned()),
        (Err(error), _) => {
            let meaning = format!("{} cannot be written ({error}): use --store DIR", existing.display());
            (State::Limited, meaning)
        }
    };
    check("location", state, found, meaning)
}

fn space(existing: &Path) -> Check {
    match rustix::fs::statvfs(existing) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let (state, meaning) = if free >= COMFORTABLE {
                (State::Good, String::new())
            } else {
                let meaning =
                    "a build that fetches Go may not fit: `longshore cache prune` frees what is not used";
                (State::Limited, meaning.to_owned())
            };
            check("free space", state, size(free), meaning)
        }
        Err(error) => check("free space", State::Limited, format!("unknown: {error}"), String::new()),
    }
}
