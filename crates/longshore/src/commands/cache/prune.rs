//! `longshore cache prune`.

use std::time::Duration;

use clap::Args;
use longshore_container::Containers;
use longshore_store::PruneOptions;
use serde::Serialize;

use super::{Item, ls};
use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Report, Ui, size};

/// Make the store smaller
///
/// Without options, what nothing needs goes: blobs of no image and images without a name. Named images stay unless --named
/// is given. What a running build needs always stays, and so do the
/// layers of containers, until they are removed.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove what was not used for this long, such as 12h or 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,

    /// Remove what was used longest ago until the store has this size, such as 500MB or 20GB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_size: Option<u64>,

    /// Remove named images too
    #[arg(long)]
    named: bool,

    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn prune(arguments: &PruneArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let options = PruneOptions {
        older_than: arguments.older_than,
        max_size: arguments.max_size,
        named: arguments.named,
        dry_run: arguments.dry_run,
    };
    let store = context.store()?;
    let containers = Containers::of(&store);
    // Containers that have ended too: they may be looked into.
    let layers = || {
        let mut damaged = None;
        let listed = containers.list(&mut |error| damaged = Some(error))?;
        // What one of those stands on is not known.
        damaged.map_or(Ok(()), Err)?;
        Ok(listed.into_iter().flat_map(|(_, record)| record.layers).collect())
    };
    let pruned = store.prune_but(&options, &layers)?;
    let report = PruneReport {
        dry_run: arguments.dry_run,
        removed: pruned.removed.into_iter().map(Item::from).collect(),
        freed: pruned.freed,
        remaining: pruned.remaining,
    };
    ui.report(&report, arguments.output.format)?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct PruneReport {
    dry_run: bool,
    removed: Vec<Item>,
    /// Bytes freed, or that would be.
    freed: u64,
    /// Bytes that remain.
    remaining: u64,
}

impl Report for PruneReport {
    fn human(&self) -> String {
        let mut text = if self.removed.is_empty() { String::new() } else { ls::table(&self.removed) };
        let freed = if self.dry_run { "would free" } else { "freed" };
        text.push_str(&format!("{freed} {}, {} remain\n", size(self.freed), size(self.remaining)));
        text
    }
}

/// Reads `90s`, `15m`, `12h`, `30d`, `2w`.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not an age such as 12h, 30d or 2w");
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
    let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

/// Reads `500MB`, `20GB`, `1GiB`, `4096`.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as 500MB, 20GB or 1GiB");
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    count.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("12h", Some(43_200)),
            ("30d", Some(2_592_000)),
            ("30", None),
            ("d", None),
            ("-1d", None),
            ("99999999999999999999d", None),
            ("9999999999999999999w", None),
        ] {
            assert_eq!(age(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn sizes_may_be_decimal_or_binary() {
        for (text, expected) in [
            ("4096", Some(4_096)),
            ("500MB", Some(500_000_000)),
            ("20 gb", Some(20_000_000_000)),
            ("1GiB", Some(1_073_741_824)),
            ("1.5GB", None),
            ("GB", None),
            ("99999999999999TB", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }
}
