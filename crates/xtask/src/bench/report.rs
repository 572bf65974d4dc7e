//! The rows of the tables, and docs/benchmarks.md.

use std::fmt::Write as _;
use std::time::Duration;

use super::Peers;
use crate::command::{Result, command, context, output};

/// One line of a table.
pub(crate) struct Row {
    job: String,
    ours: String,
    theirs: String,
    ratio: String,
    aim: String,
    met: Option<bool>,
}

impl Row {
    /// Two durations. The aim is the largest ratio of ours to theirs.
    pub(crate) fn times(job: &str, peer: &str, (ours, theirs): (Duration, Duration), most: f64) -> Row {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        Row {
            job: job.to_owned(),
            ours: duration(ours),
            theirs: format!("{peer}: {}", duration(theirs)),
            ratio: format!("{ratio:.3}"),
            aim: format!("at most {most}"),
            met: Some(ratio <= most),
        }
    }

    /// Two peaks of memory, in bytes. The aim is that ours is the smaller one.
    pub(crate) fn memory(job: &str, peer: &str, (ours, theirs): (u64, u64)) -> Row {
        Row {
            job: job.to_owned(),
            ours: mebibytes(ours),
            theirs: format!("{peer}: {}", mebibytes(theirs)),
            ratio: format!("{:.3}", ours as f64 / theirs as f64),
            aim: "less than 1".to_owned(),
            met: Some(ours < theirs),
        }
    }

    /// A figure without a peer, held against a limit.
    pub(crate) fn figure(job: &str, figure: impl Into<String>, aim: &str, met: bool) -> Row {
        Row {
            job: job.to_owned(),
            ours: figure.into(),
            theirs: "–".to_owned(),
            ratio: "–".to_owned(),
            aim: aim.to_owned(),
            met: Some(met),
        }
    }

    /// A figure that could not be taken.
    pub(crate) fn unmeasured(job: &str, reason: impl Into<String>) -> Row {
        let reason: String = reason.into();
        let dash = || "–".to_owned();
        // A table's cell is one line.
        let ours = format!("not measured: {}", reason.replace('\n', " ").replace('|', "/"));
        Row { job: job.to_owned(), ours, theirs: dash(), ratio: dash(), aim: dash(), met: None }
    }

    /// The row, or the one that says why there is none.
    pub(crate) fn or_reason(job: &str, row: Result<Row>) -> Row {
        row.unwrap_or_else(|reason| Row::unmeasured(job, reason))
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.met.is_some()
    }
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| job | longshore | peer | ratio | aim | met |\n|---|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {met} |",
            row.job, row.ours, row.theirs, row.ratio, row.aim
        );
    }
    text
}

const INTRODUCTION: &str = "\
Written by `cargo xtask bench`, which measures longshore's release binary and its peers on one machine in one run. The two sides
run in turn; times are medians, ratios are longshore's figure divided by the peer's. Peak memory is the process's own
high-water mark (VmHWM), without that of programs it starts. `cargo xtask bench CELL` repeats one table and leaves the others.
";

/// The whole of docs/benchmarks.md: sections that were measured now take the place of those of the same title, others stay. Titles
/// are in the order of `order`, and what else stands in `before` comes last.
pub(crate) fn document(
    before: &str,
    order: &[&str],
    measured: &[(&str, Vec<Row>)],
    peers: &Peers,
) -> Result<String> {
    let when = format!(
        "{}, commit {}. {}. {}.",
        output(command("date").args(["-u", "+%Y-%m-%d"]))?.trim(),
        output(command("git").args(["describe", "--always", "--dirty"]))?.trim(),
        machine()?,
        peers.versions()?
    );
    let measured: Vec<(&str, String)> =
        measured.iter().map(|(title, rows)| (*title, section(title, &when, rows))).collect();
    Ok(merge(before, order, &measured))
}

fn section(title: &str, when: &str, rows: &[Row]) -> String {
    let how = HOW.iter().find(|(name, _)| *name == title).map_or("", |(_, how)| how);
    format!("Measured {when}\n\n{}\n{how}", table(rows))
}

fn merge(before: &str, order: &[&str], measured: &[(&str, String)]) -> String {
    let old: Vec<(&str, &str)> = before
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once("\n\n").unwrap_or((section, "")))
        .collect();
    let find = |title: &str| {
        let new = measured.iter().find(|(name, _)| *name == title).map(|(_, text)| text.as_str());
        new.or_else(|| old.iter().find(|(name, _)| *name == title).map(|(_, text)| *text))
    };
    let others = old.iter().map(|(title, _)| *title).filter(|title| !order.contains(title));
    let mut text = format!("# Benchmarks\n\n{INTRODUCTION}");
    for title in order.iter().copied().chain(others) {
        if let Some(section) = find(title) {
            let _ = write!(text, "\n## {title}\n\n{}\n", section.trim_end());
        }
    }
    text
}

/// What each table's commands are.
const HOW: [(&str, &str); 7] = [
    (
        "Native builds",
        "`longshore build DIR -t NAME`; `ko build --push=false --oci-layout-path=DIR --sbom=none` with KOCACHE and a small base in a \
         registry on loopback, in a clean git repository; `go build -trimpath -ldflags \"-s -w\"` with CGO_ENABLED=0. For \"one line \
         changed\" each run changes a constant of the main package, both sides have a filled GOCACHE of their own; for \"cold\" GOCACHE \
         and longshore's store are empty and the module cache is full.\n",
    ),
    (
        "Dockerfile builds",
        "`longshore build --go-cache -f FILE CONTEXT -t NAME`; `buildctl build --frontend=dockerfile.v0 --output type=image` (overlayfs, runc); \
         `buildah build --layers --isolation oci` (overlay driver). Base images come from one OCI layout, and every side's image ends in \
         its own store. The Dockerfiles are those of examples/guide with its service; for \"one line changed\" each run changes a \
         constant of the main package. \"20,000 files\" copies as many files of 1 KB into an Alpine image and counts them there. For \
         \"cold\" nothing is kept, base images and Go modules included. Peak memory is longshore's own, without the steps'.\n",
    ),
    (
        "Containers",
        "`longshore run --rm --network none IMAGE true` and `runc run` on a bundle with the same files and the config of `runc spec`; `longshore exec`, \
         `runc exec`; 30 rounds each. The image is busybox. A monitor's own memory is what it shares with no other process \
         (Private_* in /proc/PID/smaps_rollup).\n",
    ),
    ("Peak memory with a layer of 2 GiB", "The layer is random bytes in one file, not compressed.\n"),
    (
        "Push and pull over loopback",
        "The image has four layers of 64 MiB of random bytes; every push goes to a new repository. `longshore image copy`, `crane push` \
         and `crane pull --format=oci`, `skopeo copy`; layouts on disk at the other end.\n",
    ),
    (
        "The same digest everywhere",
        "`longshore build` of copies of examples/shop, with a new store each time.\n",
    ),
    ("The binary", "`cargo build --release`; read with readelf.\n"),
];

fn machine() -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(context(format!("cannot read {path}")));
    let (cpu, memory) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?);
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = value(&cpu, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kibibytes: u64 =
        value(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or_default();
    let system = read("/etc/os-release")?;
    let system = value(&system.replace('=', ":"), "PRETTY_NAME").unwrap_or_default();
    let kernel = output(command("uname").arg("-r"))?;
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let gibibytes = (kibibytes + (1 << 19)) >> 20;
    Ok(format!("{cores} cores ({model}), {gibibytes} GiB, {}, Linux {kernel}", system.trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_takes_the_place_of_what_was_and_the_rest_stays() {
        let before = "# Benchmarks\n\nOld words.\n\n## B\n\nold b\n\n## By hand\n\nwords\n\n## A\n\nold a\n";
        let after =
            merge(before, &["A", "B", "C"], &[("B", "new b\n".to_owned()), ("C", "new c".to_owned())]);
        let (_, sections) = after.split_once("\n\n## A").unwrap();
        assert_eq!(sections, "\n\nold a\n\n## B\n\nnew b\n\n## C\n\nnew c\n\n## By hand\n\nwords\n");
        assert_eq!(merge(&after, &["A", "B", "C"], &[]), after);
    }
}
