//! Containers: how long it takes to start and end one, to run a program in one, to have many at once, and what a monitor keeps in memory.
//!
//! runc is the peer, started on a bundle of the same files with the settings that it proposes itself (`runc spec`); an engine would
//! add its own daemon's time to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::Bench;
use super::measure::{answer, median, time};
use super::report::{Row, mebibytes};
use crate::command::{Result, command, context, find, output, repository, run, write};

/// Rounds of each measurement.
const ROUNDS: usize = 30;
/// Containers at once.
const MANY: usize = 200;
/// Longest that `longshore test` may take.
const TEST: Duration = Duration::from_secs(10);
/// Most memory of a monitor's own, in bytes.
const MONITOR: u64 = 5_000_000;

struct Place<'b> {
    bench: &'b Bench,
    store: PathBuf,
    bundle: PathBuf,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let place = Place { bench, store: bench.scratch.join("store"), bundle: bench.scratch.join("bundle") };
    place.prepare()?;
    let mut rows = vec![
        Row::or_reason("start and end of `true`", place.start()),
        Row::or_reason("exec of `true`", place.exec()),
    ];
    rows.push(Row::or_reason(&format!("{MANY} at once"), place.many()));
    rows.push(Row::or_reason("a monitor's memory of its own", place.monitor()));
    rows.push(Row::or_reason("`test` of the gin service", place.test()));
    Ok(rows)
}

impl Place<'_> {
    fn longshore(&self, arguments: &[&str]) -> std::process::Command {
        let mut longshore = command(&self.bench.longshore);
        longshore.env("LONGSHORE_STORE", &self.store).env("LONGSHORE_OFFLINE", "true").args(arguments);
        longshore
    }

    /// An image of busybox alone, and the same files as a bundle of runc's.
    fn prepare(&self) -> Result<()> {
        let busybox = find("busybox").ok_or("busybox is not installed (Debian: busybox-static)")?;
        let context_folder = self.bench.scratch.join("context");
        let root = self.bundle.join("rootfs/bin");
        for folder in [&context_folder, &root] {
            fs::create_dir_all(folder).map_err(context("cannot make a folder"))?;
        }
        for target in [context_folder.join("busybox"), root.join("busybox")] {
            fs::copy(&busybox, target).map_err(context("cannot copy busybox"))?;
        }
        for name in ["true", "sleep"] {
            std::os::unix::fs::symlink("busybox", root.join(name)).map_err(context("cannot make a link"))?;
        }
        let dockerfile = context_folder.join("Dockerfile");
        let text =
            "FROM scratch\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
        write(&dockerfile, text)?;
        let (file, folder) = (dockerfile.display().to_string(), context_folder.display().to_string());
        output(&mut self.longshore(&["build", "-f", &file, &folder, "-t", "bench:1"]))?;
        output(command("runc").arg("spec").current_dir(&self.bundle))?;
        self.configure("true")
    }

    /// What runc starts: a program without a terminal.
    fn configure(&self, program: &str) -> Result<()> {
        let path = self.bundle.join("config.json");
        let text = fs::read_to_string(&path).map_err(context("cannot read runc's config"))?;
        let mut config: serde_json::Value =
            serde_json::from_str(&text).map_err(context("runc's config is none"))?;
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = program.split(' ').collect::<Vec<_>>().into();
        write(&path, config.to_string())
    }

    fn start(&self) -> Result<Row> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            ours.push(time(&mut self.longshore(&["run", "--rm", "--network", "none", "bench:1", "true"]))?);
            let name = format!("longshore-bench-{round}");
            theirs.push(time(command("runc").args(["run", &name]).current_dir(&self.bundle))?);
        }
        both("start and end of `true`", ours, theirs, 0.333)
    }

    fn exec(&self) -> Result<Row> {
        self.configure("sleep 600")?;
        let name = "longshore-bench-exec";
        output(&mut self.longshore(&[
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            name,
            "bench:1",
            "sleep",
            "600",
        ]))?;
        // What is detached keeps the outputs that it is given.
        let mut detached = command("runc");
        detached.args(["run", "--detach", name]).current_dir(&self.bundle);
        detached.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !run(&mut detached)? {
            return Err("runc did not start a container".to_owned());
        }
        let measured = (0..ROUNDS).try_fold((Vec::new(), Vec::new()), |(mut ours, mut theirs), _| {
            ours.push(time(&mut self.longshore(&["exec", name, "true"]))?);
            theirs.push(time(command("runc").args(["exec", name, "true"]))?);
            Ok::<_, String>((ours, theirs))
        });
        output(&mut self.longshore(&["rm", "-f", name]))?;
        output(command("runc").args(["delete", "--force", name]))?;
        let (ours, theirs) = measured?;
        both("exec of `true`", ours, theirs, 0.5)
    }

    fn many(&self) -> Result<Row> {
        let begin = std::time::Instant::now();
        for number in 0..MANY {
            let name = format!("many-{number}");
            output(&mut self.longshore(&[
                "run",
                "-d",
                "--network",
                "none",
                "--name",
                &name,
                "bench:1",
                "sleep",
                "600",
            ]))?;
        }
        let started = begin.elapsed();
        let running = answer(&mut self.longshore(&["ps", "-q"]))?.lines().count();
        let names: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
        let mut remove = vec!["rm", "-f"];
        remove.extend(names.iter().map(String::as_str));
        output(&mut self.longshore(&remove))?;
        let each = started / u32::try_from(MANY).unwrap_or(1);
        let figure = format!("{running} ran, started in {:.1} ms each", each.as_secs_f64() * 1e3);
        Ok(Row::figure(&format!("{MANY} at once"), figure, "all run", running == MANY))
    }

    fn monitor(&self) -> Result<Row> {
        let name = "longshore-bench-monitor";
        output(&mut self.longshore(&[
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            name,
            "bench:1",
            "sleep",
            "600",
        ]))?;
        let memory = self.monitor_of(name);
        output(&mut self.longshore(&["rm", "-f", name]))?;
        let memory = memory?;
        let figure = mebibytes(memory);
        Ok(Row::figure("a monitor's memory of its own", figure, "at most 5 MB", memory <= MONITOR))
    }

    /// All that `longshore test` does without a file.
    fn test(&self) -> Result<Row> {
        let guide = repository().join("examples/guide").display().to_string();
        let mut build = self.longshore(&["build", &guide, "-t", "bench-gin:1", "--image-format", "docker"]);
        output(build.env_remove("LONGSHORE_OFFLINE"))?;
        let mut times = Vec::new();
        for _ in 0..3 {
            times.push(time(&mut self.longshore(&["test", "bench-gin:1"]))?);
        }
        let taken = median(times).ok_or("nothing was measured")?;
        let figure = format!("{:.1} s", taken.as_secs_f64());
        Ok(Row::figure("`test` of the gin service", figure, "at most 10 s", taken <= TEST))
    }

    /// What the parent of the container's process 1 does not share with anybody (proc_pid_smaps(5)).
    fn monitor_of(&self, name: &str) -> Result<u64> {
        let text = answer(&mut self.longshore(&["inspect", name]))?;
        let report: serde_json::Value =
            serde_json::from_str(&text).map_err(context("inspect says no JSON"))?;
        let process = report["containers"][0]["state"]["process"].as_u64().ok_or("it does not run")?;
        let status = read(Path::new(&format!("/proc/{process}/status")))?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default().trim();
        std::thread::sleep(Duration::from_millis(100));
        let rollup = read(Path::new(&format!("/proc/{parent}/smaps_rollup")))?;
        let kibibytes: u64 = rollup
            .lines()
            .filter(|line| line.starts_with("Private_"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum();
        Ok(kibibytes * 1024)
    }
}

fn both(job: &str, ours: Vec<Duration>, theirs: Vec<Duration>, most: f64) -> Result<Row> {
    match (median(ours), median(theirs)) {
        (Some(ours), Some(theirs)) => Ok(Row::times(job, "runc", (ours, theirs), most)),
        _ => Err("nothing was measured".to_owned()),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(context(format!("cannot read {}", path.display())))
}
