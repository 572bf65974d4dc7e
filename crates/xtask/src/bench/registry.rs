//! Push and pull over loopback, against crane and skopeo: time and peak memory.

use std::path::Path;
use std::process::Command;

use longshore_testkit::Registry;

use super::measure::{alternate, peak_memory, time};
use super::report::Row;
use super::{Bench, images, remove};
use crate::command::{Result, command};

const LAYERS: usize = 4;
const LAYER_MEBIBYTES: u64 = 64;
const ROUNDS: usize = 7;

#[derive(Clone, Copy)]
enum Tool {
    Longshore,
    Crane,
    Skopeo,
}

/// What the commands of all tools are made of.
struct Setting<'b> {
    bench: &'b Bench,
    registry: Registry,
    layout: std::path::PathBuf,
}

impl Setting<'_> {
    fn push(&self, tool: Tool, repository: &str) -> Command {
        let reference = self.registry.reference(&format!("{repository}:1"));
        let source = format!("oci:{}:1", self.layout.display());
        let target = format!("docker://{reference}");
        match tool {
            Tool::Longshore => self.longshore(&source, &target),
            Tool::Crane => {
                let mut push = command(&self.bench.peers.crane);
                push.arg("push").arg(&self.layout).arg(reference);
                push
            }
            Tool::Skopeo => {
                let mut copy = command(&self.bench.peers.skopeo);
                copy.args(["copy", "--dest-tls-verify=false", &source, &target]);
                copy
            }
        }
    }

    fn pull(&self, tool: Tool, repository: &str, to: &Path) -> Command {
        let reference = self.registry.reference(&format!("{repository}:1"));
        let source = format!("docker://{reference}");
        let target = format!("oci:{}:1", to.display());
        match tool {
            Tool::Longshore => self.longshore(&source, &target),
            Tool::Crane => {
                let mut pull = command(&self.bench.peers.crane);
                pull.args(["pull", "--format=oci", &reference]).arg(to);
                pull
            }
            Tool::Skopeo => {
                let mut copy = command(&self.bench.peers.skopeo);
                copy.args(["copy", "--src-tls-verify=false", &source, &target]);
                copy
            }
        }
    }

    fn longshore(&self, source: &str, target: &str) -> Command {
        let mut copy = command(&self.bench.longshore);
        copy.args(["image", "copy", source, target, "--progress", "quiet"]);
        copy.env("LONGSHORE_STORE", self.bench.scratch.join("registry-store"));
        copy
    }
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let layout = images::random_layout(&bench.scratch.join("layers"), LAYERS, LAYER_MEBIBYTES)?;
    let registry = Registry::start().map_err(|error| error.to_string())?;
    let setting = Setting { bench, registry, layout };
    time(&mut setting.push(Tool::Skopeo, "source"))?;
    let mut rows = Vec::new();
    for (name, tool) in [("crane", Tool::Crane), ("skopeo", Tool::Skopeo)] {
        rows.push(Row::or_reason("push", push_times(&setting, name, tool)));
        rows.push(Row::or_reason("pull", pull_times(&setting, name, tool)));
        rows.push(Row::or_reason("push, peak memory", push_memory(&setting, name, tool)));
        rows.push(Row::or_reason("pull, peak memory", pull_memory(&setting, name, tool)));
    }
    Ok(rows)
}

fn push_times(setting: &Setting<'_>, name: &str, tool: Tool) -> Result<Row> {
    // A repository that was never pushed to: nothing is there already, for either side.
    let figures = alternate(
        ROUNDS,
        |round| time(&mut setting.push(Tool::Longshore, &format!("push-{name}/ours-{round}"))),
        |round| time(&mut setting.push(tool, &format!("push-{name}/theirs-{round}"))),
    )?;
    Ok(Row::times("push", name, figures, 1.0))
}

fn pull_times(setting: &Setting<'_>, name: &str, tool: Tool) -> Result<Row> {
    let to = setting.bench.scratch.join("pulled");
    let pull = |tool| {
        remove(&to)?;
        time(&mut setting.pull(tool, "source", &to))
    };
    let figures = alternate(ROUNDS, |_| pull(Tool::Longshore), |_| pull(tool))?;
    Ok(Row::times("pull", name, figures, 1.0))
}

fn push_memory(setting: &Setting<'_>, name: &str, tool: Tool) -> Result<Row> {
    let figures = alternate(
        3,
        |round| peak_memory(&mut setting.push(Tool::Longshore, &format!("memory-{name}/ours-{round}"))),
        |round| peak_memory(&mut setting.push(tool, &format!("memory-{name}/theirs-{round}"))),
    )?;
    Ok(Row::memory("push, peak memory", name, figures))
}

fn pull_memory(setting: &Setting<'_>, name: &str, tool: Tool) -> Result<Row> {
    let to = setting.bench.scratch.join("pulled");
    let pull = |tool| {
        remove(&to)?;
        peak_memory(&mut setting.pull(tool, "source", &to))
    };
    let figures = alternate(3, |_| pull(Tool::Longshore), |_| pull(tool))?;
    Ok(Row::memory("pull, peak memory", name, figures))
}
