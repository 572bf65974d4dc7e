//! `cargo xtask bench`: longshore against its peers, both on this machine and in this run.
//!
//! Runs alternate (ours, theirs, ours, …), so that whatever else the machine does meets both; figures are medians. A figure
//! that could not be taken stands in the table with its reason: an empty cell would look like a met aim.

mod binary;
mod build;
mod container;
mod digests;
mod dockerfile;
mod images;
mod measure;
mod memory;
mod peers;
mod registry;
mod report;

use std::path::PathBuf;

use crate::command::{Result, cargo, context, newest_binary, repository, run, target_folder, write};
use peers::Peers;
use report::Row;

/// What the cells share: the binaries and a folder for what they write.
pub(crate) struct Bench {
    pub(crate) longshore: PathBuf,
    pub(crate) peers: Peers,
    /// Removed at the end; on the same file system as cargo's target folder, which has room for large images.
    pub(crate) scratch: PathBuf,
    /// What of the cells is measured; all where none is named.
    pub(crate) parts: Vec<String>,
}

type Cell = (&'static str, &'static str, fn(&Bench) -> Result<Vec<Row>>);

/// Each cell's name, title and measurement.
const CELLS: [Cell; 7] = [
    ("build", "Native builds", build::measure),
    ("dockerfile", "Dockerfile builds", dockerfile::measure),
    ("container", "Containers", container::measure),
    ("memory", "Peak memory with a layer of 2 GiB", memory::measure),
    ("registry", "Push and pull over loopback", registry::measure),
    ("digests", "The same digest everywhere", digests::measure),
    ("binary", "The binary", binary::measure),
];

/// Measures the named cells, or all, and puts their tables into docs/benchmarks.md in place of the ones that were there. `CELL/PART`
/// measures a part of a cell that has parts. Says whether every cell could be measured.
pub(crate) fn bench(names: &[&str]) -> Result<bool> {
    let chosen = names.iter().map(|name| choose(name)).collect::<Result<Vec<_>>>()?;
    let target = target_folder();
    let longshore = release_binary()?;
    let scratch = target.join("bench");
    recreate(&scratch)?;
    let parts = chosen.iter().filter_map(|(_, part)| part.map(str::to_owned)).collect();
    let bench = Bench { longshore, peers: Peers::install(&target.join("peers"))?, scratch, parts };

    let mut sections = Vec::new();
    let mut complete = true;
    for (name, title, measure) in CELLS {
        if !names.is_empty() && !chosen.iter().any(|(cell, _)| *cell == name) {
            continue;
        }
        println!("\n=== {title}");
        let rows = measure(&bench).unwrap_or_else(|message| vec![Row::unmeasured(title, message)]);
        complete &= rows.iter().all(Row::is_measured);
        print!("{}", report::table(&rows));
        sections.push((title, rows));
    }
    remove(&bench.scratch)?;
    if std::env::var_os("LONGSHORE_BINARY").is_none() {
        let path = repository().join("docs/benchmarks.md");
        let before =
            std::fs::read_to_string(&path).map_err(context(format!("cannot read {}", path.display())))?;
        let text = report::document(&before, &CELLS.map(|(_, title, _)| title), &sections, &bench.peers)?;
        write(&path, &text)?;
        println!("\nWritten to {}.", path.display());
    }
    Ok(complete)
}

/// A cell, and a part of it, by what was typed.
fn choose(name: &str) -> Result<(&'static str, Option<&str>)> {
    let (cell, part) = name.split_once('/').map_or((name, None), |(cell, part)| (cell, Some(part)));
    let known: Vec<&str> = CELLS.iter().map(|(name, _, _)| *name).collect();
    match CELLS.iter().find(|(own, _, _)| *own == cell) {
        Some((own, _, _)) if part.is_none() || *own == "dockerfile" => Ok((own, part)),
        Some(_) => Err(format!("{cell} has no parts")),
        None => Err(format!("there is no cell {cell}; there are {}", known.join(", "))),
    }
}

/// Builds what users get, and returns its path. LONGSHORE_BINARY names another one, for a trial.
fn release_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LONGSHORE_BINARY") {
        return Ok(path.into());
    }
    if !run(cargo().args(["build", "--release", "--locked", "--package", "longshore"]))? {
        return Err("longshore does not compile".into());
    }
    newest_binary("release")
}

/// An empty folder at a path where one may have been.
pub(crate) fn recreate(path: &std::path::Path) -> Result<()> {
    remove(path)?;
    std::fs::create_dir_all(path).map_err(context(format!("cannot create {}", path.display())))
}

/// Removes a folder and what is in it, read-only folders of module caches included.
pub(crate) fn remove(path: &std::path::Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    if run_quietly("chmod", &["-R", "u+w"], path) && run_quietly("rm", &["-rf"], path) {
        return Ok(());
    }
    Err(format!("cannot remove {}", path.display()))
}

fn run_quietly(program: &str, arguments: &[&str], path: &std::path::Path) -> bool {
    crate::command::command(program).args(arguments).arg(path).status().is_ok_and(|status| status.success())
}
