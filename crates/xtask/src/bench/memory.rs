//! Peak memory with one layer of 2 GiB: longshore's aim is a limit, whatever the image's size.

use std::path::Path;
use std::process::Command;

use longshore_testkit::Registry;

use super::measure::peak_memory;
use super::report::{Row, mebibytes};
use super::{Bench, images, remove};
use crate::command::{Result, command};

const LAYER_MEBIBYTES: u64 = 2048;
const LIMIT: u64 = 64 << 20;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let layout = images::random_layout(&bench.scratch.join("large"), 1, LAYER_MEBIBYTES)?;
    let registry = Registry::start().map_err(|error| error.to_string())?;
    let source = format!("oci:{}:1", layout.display());
    let archive = bench.scratch.join("large.tar");
    let store = bench.scratch.join("memory-store");
    let name = registry.reference("large/longshore:1");

    let longshore = |arguments: &[&str]| -> Command {
        let mut command = command(&bench.longshore);
        command.args(arguments).args(["--progress", "quiet", "--store"]).arg(&store);
        command
    };
    let copied = format!("oci:{}:1", bench.scratch.join("copied").display());
    let remote = format!("docker://{name}");
    let file = archive.display().to_string();
    // In this order: each job's image comes from the one before. `true`: from an empty store.
    let jobs: [(&str, bool, &[&str]); 7] = [
        ("copy, layout to store", true, &["image", "copy", &source, &name]),
        ("save, store to archive", false, &["image", "save", "-o", &file, &name]),
        ("load, archive to store", true, &["image", "load", "-i", &file]),
        ("push, store to registry", false, &["image", "push", &name]),
        ("pull, registry to store", true, &["image", "pull", &name]),
        ("copy, registry to layout", true, &["image", "copy", &remote, &copied]),
        ("validate", false, &["image", "validate", &copied]),
    ];
    let mut rows = Vec::new();
    for (job, from_empty, arguments) in jobs {
        if from_empty {
            remove(&store)?;
        }
        rows.push(Row::or_reason(job, limited(job, &mut longshore(arguments))));
    }
    rows.extend(against_peers(bench, &registry, &layout, &source));
    for path in [&layout, &archive, &store, &bench.scratch.join("copied")] {
        remove(path)?;
    }
    Ok(rows)
}

fn limited(job: &str, command: &mut Command) -> Result<Row> {
    let peak = peak_memory(command)?;
    Ok(Row::figure(job, mebibytes(peak), "at most 64 MiB", peak <= LIMIT))
}

fn against_peers(bench: &Bench, registry: &Registry, layout: &Path, source: &str) -> Vec<Row> {
    let target = |tool: &str| registry.reference(&format!("large-again/{tool}:1"));
    let own = || {
        let mut copy = command(&bench.longshore);
        peak_memory(copy.args([
            "image",
            "copy",
            source,
            &format!("docker://{}", target("longshore")),
            "--progress",
            "quiet",
        ]))
    };
    let crane = || peak_memory(command(&bench.peers.crane).arg("push").arg(layout).arg(target("crane")));
    let skopeo = || {
        let mut copy = command(&bench.peers.skopeo);
        let target = format!("docker://{}", target("skopeo"));
        peak_memory(copy.args(["copy", "--dest-tls-verify=false", "--dest-compress=false", source, &target]))
    };
    let row = |job: &str, peer: &str, theirs: Result<u64>| {
        let row = own().and_then(|ours| Ok(Row::memory(job, peer, (ours, theirs?))));
        Row::or_reason(job, row)
    };
    vec![row("push of the same layer", "crane", crane()), row("push of the same layer", "skopeo", skopeo())]
}
