//! Limits on a step: of each process, and of all together by control groups.

use std::path::{Path, PathBuf};

use longshore_sandbox::{Exceeded, Isolation, Status};
use longshore_testkit::{Requirement, Skip, Stop, Suite, TestResult};

use crate::root::Fixture;

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("limits_of_each_process_are_set", ROOT, ulimits)
        .test("limits_of_all_processes_are_kept_by_a_group_that_goes_with_the_step", ROOT, groups)
        .test("a_group_that_cannot_be_made_is_an_error_only_where_it_was_asked_for", ROOT, no_group)
}

fn ulimits() -> TestResult {
    let mut fixture = Fixture::new(Isolation::Namespaces, "ulimit -n; ulimit -H -n; ulimit -c")?;
    fixture.step.limits.ulimits = vec!["nofile=100:200".parse()?, "core=0".parse()?];
    assert_eq!(fixture.run()?.stdout, "100\n200\n0\n");
    Ok(())
}

/// The folder in which groups of a controller's first version are made.
fn first_version(controller: &str) -> Result<PathBuf, Skip> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let line = own.lines().find_map(|line| line.split_once(&format!(":{controller}:")));
    let mounted = Path::new("/sys/fs/cgroup").join(controller);
    let (_, path) = line
        .filter(|_| mounted.join("tasks").exists())
        .ok_or_else(|| Skip(format!("{controller} has no control groups of the first version here")))?;
    Ok(mounted.join(path.trim_start_matches('/')))
}

/// A group that is removed when this is dropped.
struct Parent(PathBuf);

impl Drop for Parent {
    fn drop(&mut self) {
        // One that stays is empty and harms nobody.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn groups() -> TestResult {
    let pids = first_version("pids")?;
    let folders = ["memory", "cpu", "pids"].map(|name| Path::new("/sys/fs/cgroup").join(name));
    first_version("memory").and(first_version("cpu"))?;
    let mut fixture = Fixture::new(Isolation::Namespaces, "cat /proc/self/cgroup; yes | tr -d '\\n' | sort")?;
    fixture.step.limits.memory = Some(16 << 20);
    fixture.step.limits.processors = Some(500);
    let outcome = fixture.run()?;
    for (controller, folder) in ["memory", "cpu", "pids"].iter().zip(&folders) {
        let own = outcome.stdout.lines().find_map(|line| line.split_once(&format!(":{controller}:")));
        let (_, path) = own.ok_or_else(|| Stop::failed(format!("{controller}: {}", outcome.stdout)))?;
        assert!(path.contains(&format!("/longshore-{}-", std::process::id())), "{controller}: {path}");
        let group = folder.join(path.trim_start_matches('/'));
        assert!(!group.exists() && group.parent().is_some_and(Path::exists), "{}", group.display());
    }
    // One line without end does not fit; the kernel ends who wanted it.
    assert_eq!(outcome.ended.status, Status::Exited(137));
    assert_eq!(outcome.ended.exceeded, Exceeded { memory: true, processes: false });

    let parent = Parent(pids.join(format!("longshore-parent-of-test-{}", std::process::id())));
    std::fs::create_dir(&parent.0)?;
    std::fs::OpenOptions::new()
        .write(true)
        .open(parent.0.join("pids.max"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"12"))?;
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; echo all";
    let mut fixture = Fixture::new(Isolation::Namespaces, script)?;
    let path = parent.0.strip_prefix("/sys/fs/cgroup/pids")?;
    fixture.step.limits.cgroup_parent = Some(path.display().to_string());
    let outcome = fixture.run()?;
    assert!(outcome.stderr.contains("can't fork"), "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.ended.exceeded, Exceeded { memory: false, processes: true });
    // Whatever forks without end is held at the limit, and goes with the step.
    fixture.step.arguments[2] = "f() { f & f & }; f 2>/dev/null; sleep 1; exit 4".into();
    let outcome = fixture.run()?;
    assert_eq!((outcome.ended.status, outcome.ended.exceeded.processes), (Status::Exited(4), true));
    let below = std::fs::read_dir(&parent.0)?.flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(below, 0);
    Ok(())
}

fn no_group() -> TestResult {
    let mut fixture = Fixture::new(Isolation::Namespaces, "true")?;
    fixture.step.limits.cgroup_parent = Some("no/such/group".to_owned());
    let error = fixture.run().err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("cannot limit the resources of the step by a control group"));
    // What is not below the tree of groups is none, even where it is a folder.
    let folder = tempfile::tempdir()?;
    let old = folder.path().join("longshore-99999999-0");
    std::fs::create_dir(&old)?;
    fixture.step.limits.cgroup_parent = Some(format!("../../..{}", folder.path().display()));
    let error = fixture.run().err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("cannot limit the resources of the step by a control group"));
    assert!(old.exists());
    fixture.step.limits.memory = Some(1 << 30);
    let error = fixture.run().err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some("cannot limit the memory of the step by a control group"));
    Ok(())
}
