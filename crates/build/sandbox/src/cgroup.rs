//! Limits on all processes of a step together: control groups, of the first version (admin-guide/cgroup-v1) and of the second
//! (admin-guide/cgroup-v2).
//!
//! A step gets a group of its own. In the first version each controller has a tree, in which a group stands below this process's own. In the
//! second there is one tree, and a group with processes in it may have none below it that is controlled; so the step's stands beside this
//! process's own, where the same controllers are in force.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Exceeded, Limits, SandboxError};

/// Processes and threads that a step may have at once, where nothing else is asked for and groups can be made: enough for any build, and an end to
/// one that forks without.
const PROCESSES: u64 = 8192;

/// Microseconds over which processor time is counted.
const PERIOD: u64 = 100_000;

/// What our groups' names begin with; the process and a number follow.
const NAME: &str = "longshore-";

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A step's groups. Gone when this is dropped, which must be after the last process in them.
#[derive(Debug)]
pub struct Group {
    folders: Vec<PathBuf>,
    asked: bool,
}

/// One controller's file and what is written to it.
struct Setting {
    controller: &'static str,
    /// Names of the file in the first and the second version.
    files: [&'static str; 2],
    values: [String; 2],
    /// What is limited, for a person.
    what: &'static str,
    asked: bool,
}

fn settings(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(memory) = limits.memory {
        let files = ["memory.limit_in_bytes", "memory.max"];
        let values = [memory.to_string(), memory.to_string()];
        settings.push(Setting { controller: "memory", files, values, what: "memory", asked: true });
    }
    if let Some(processors) = limits.processors {
        let quota = (processors.saturating_mul(PERIOD) / 1000).max(1000);
        let files = ["cpu.cfs_quota_us", "cpu.max"];
        let values = [quota.to_string(), format!("{quota} {PERIOD}")];
        settings.push(Setting { controller: "cpu", files, values, what: "processor time", asked: true });
    }
    let processes = limits.processes.unwrap_or(PROCESSES).to_string();
    let values = [processes.clone(), processes];
    let files = ["pids.max"; 2];
    let asked = limits.processes.is_some();
    settings.push(Setting { controller: "pids", files, values, what: "number of processes", asked });
    settings
}

/// Where a controller's groups are: the tree's version, and the folder in which a step's is made.
struct Tree {
    second: bool,
    folder: PathBuf,
}

impl Group {
    /// Makes the groups that the limits ask for, and one that bounds the number of processes where that is possible.
    ///
    /// Errors: a limit that was asked for cannot be set here.
    pub(crate) fn make(limits: &Limits) -> Result<Group, SandboxError> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (mounts, own) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
        let name = format!("{NAME}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let asked = limits.need_group();
        let mut group = Group { folders: Vec::new(), asked };
        for setting in settings(limits) {
            let set = tree(&mounts, &own, setting.controller, limits.cgroup_parent.as_deref())
                .and_then(|tree| group.set(&tree, &name, &setting));
            match set {
                Err(source) if setting.asked => {
                    return Err(SandboxError::Limit { what: setting.what, source });
                }
                // Nobody asked for it, and a step can do without.
                _ => {}
            }
        }
        if limits.cgroup_parent.is_some() && group.folders.is_empty() {
            let source =
                io::Error::other("there is no control group of that name that groups can be made in");
            return Err(SandboxError::Limit { what: "resources", source });
        }
        Ok(group)
    }

    /// No group at all.
    pub(crate) fn none() -> Group {
        Group { folders: Vec::new(), asked: false }
    }

    fn set(&mut self, tree: &Tree, name: &str, setting: &Setting) -> io::Result<()> {
        let folder = tree.folder.join(name);
        if !self.folders.contains(&folder) {
            remove_abandoned(&tree.folder);
            fs::create_dir(&folder)?;
            self.folders.push(folder.clone());
        }
        let version = usize::from(tree.second);
        write(&folder.join(setting.files[version]), &setting.values[version])
    }

    /// Moves a process, which has not started any other yet, into the groups.
    pub(crate) fn take_in(&self, process: u32) -> Result<(), SandboxError> {
        let move_to = |folder: &PathBuf| write(&folder.join("cgroup.procs"), &process.to_string());
        match self.folders.iter().try_for_each(move_to) {
            Err(source) if self.asked => Err(SandboxError::Limit { what: "resources", source }),
            _ => Ok(()),
        }
    }

    /// The folders of the groups, one for each tree of controllers.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Which limits the group has run into so far.
    pub fn exceeded(&self) -> Exceeded {
        // Each has the file of its controller and version alone; what cannot be read tells of nothing.
        let counted = |file: &str, name: &str| {
            let texts = self.folders.iter().filter_map(|folder| fs::read_to_string(folder.join(file)).ok());
            texts.map(|text| count(&text, name)).any(|count| count > 0)
        };
        Exceeded {
            memory: counted("memory.oom_control", "oom_kill") || counted("memory.events", "oom_kill"),
            processes: counted("pids.events", "max"),
        }
    }
}

/// The number that stands after a name, in a file of one such pair a line.
fn count(text: &str, name: &str) -> u64 {
    let number =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    number.unwrap_or(0)
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            // One that stays is removed by a later step.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Writes to a file of the kernel's, which must be there.
fn write(file: &Path, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(file)?, text.as_bytes())
}

/// Finds the folder for a step's group. The fields are those of proc_pid_mountinfo(5) and cgroups(7).
fn tree(mounts: &str, own: &str, controller: &str, parent: Option<&str>) -> io::Result<Tree> {
    let none =
        || io::Error::new(io::ErrorKind::NotFound, format!("there is no control group of {controller}"));
    let leaves = |path: &Path| path.components().any(|part| part == Component::ParentDir);
    if parent.is_some_and(|parent| leaves(Path::new(parent))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a control group's path has no `..`"));
    }
    let in_first = |line: &str| {
        line.split(' ')
            .next_back()
            .is_some_and(|options| options.split(',').any(|option| option == controller))
    };
    let mounted = |kind: &str, suits: &dyn Fn(&str) -> bool| {
        mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let fields: Vec<&str> = before.split(' ').collect();
            let suits = after.split(' ').next() == Some(kind) && suits(after);
            suits.then(|| Some((PathBuf::from(fields.get(3)?), PathBuf::from(fields.get(4)?))))?
        })
    };
    let path_of = |suits: &dyn Fn(&str) -> bool| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            suits(fields.next()?).then(|| fields.next())?.map(PathBuf::from)
        })
    };
    if let Some((root, at)) = mounted("cgroup", &in_first) {
        let path = path_of(&|names| names.split(',').any(|name| name == controller)).ok_or_else(none)?;
        let path = parent.map_or(path, PathBuf::from);
        // One's own group is outside of what a namespace of control groups shows.
        if leaves(&path) {
            return Err(none());
        }
        return Ok(Tree { second: false, folder: below(&at, &root, &path) });
    }
    let (root, at) = mounted("cgroup2", &|_| true).ok_or_else(none)?;
    let path = path_of(&str::is_empty).filter(|path| !leaves(path)).ok_or_else(none)?;
    // The root of a tree may hold processes and groups.
    let beside = path.parent().unwrap_or(&path).to_owned();
    let folder = below(&at, &root, &parent.map_or(beside, PathBuf::from));
    let controlled = fs::read_to_string(folder.join("cgroup.subtree_control"))?;
    if !controlled.split_whitespace().any(|name| name == controller) {
        write(&folder.join("cgroup.subtree_control"), &format!("+{controller}"))?;
    }
    Ok(Tree { second: true, folder })
}

/// A group's folder, in a tree of which a part is mounted.
fn below(at: &Path, root: &Path, path: &Path) -> PathBuf {
    let path = path.strip_prefix(root).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
    at.join(path)
}

/// The process that made a group, if it is one of ours: people name groups after programs, too.
fn maker(name: &str) -> Option<u32> {
    let (process, number) = name.strip_prefix(NAME)?.split_once('-')?;
    number.parse::<u64>().ok().and(process.parse().ok())
}

/// Removes groups of processes that were killed.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(maker);
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            // One that is not empty belongs to somebody in another process namespace.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "30 1 0:20 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        31 1 0:21 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
        32 1 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn folder(mounts: &str, own: &str, controller: &str, parent: Option<&str>) -> Option<PathBuf> {
        tree(mounts, own, controller, parent).ok().map(|tree| tree.folder)
    }

    #[test]
    fn groups_of_the_first_version_are_below_ones_own() {
        let own = "9:memory:/a/b\n8:cpu,cpuacct:/\n0::/c\n";
        let found = |controller, parent| folder(FIRST, own, controller, parent);
        assert_eq!(found("memory", None), Some("/sys/fs/cgroup/memory/a/b".into()));
        assert_eq!(found("cpu", None), Some("/sys/fs/cgroup/cpu/".into()));
        assert_eq!(found("memory", Some("/builds")), Some("/sys/fs/cgroup/memory/builds".into()));
        assert_eq!(found("memory", Some("builds")), Some("/sys/fs/cgroup/memory/builds".into()));
        // A container sees a part of the tree.
        let part = FIRST.replace("0:20 / ", "0:20 /a ");
        assert_eq!(folder(&part, own, "memory", None), Some("/sys/fs/cgroup/memory/b".into()));
        assert_eq!(folder("", own, "memory", None), None);
        for parent in ["..", "/../tmp", "builds/../../.."] {
            assert_eq!(found("memory", Some(parent)), None, "{parent}");
        }
        assert_eq!(folder(FIRST, "9:memory:/../a\n", "memory", None), None);
    }

    #[test]
    fn only_our_own_groups_are_taken_for_abandoned() {
        let names =
            ["longshore-12-3", "longshore-12", "longshore-builds", "longshore-of-12-3", "longshore-12-a"];
        assert_eq!(names.map(maker), [Some(12), None, None, None, None]);
    }

    #[test]
    fn what_was_exceeded_is_counted() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!([count(text, "oom_kill"), count("max 12\n", "max"), count(text, "max")], [3, 12, 0]);
    }

    #[test]
    fn groups_of_the_second_version_are_beside_ones_own() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("user")).unwrap();
        longshore_files::write_atomic(&place.path().join("user/cgroup.subtree_control"), b"cpu memory\n")
            .unwrap();
        let mounts = format!("32 1 0:22 / {} rw - cgroup2 cgroup2 rw\n", place.path().display());
        assert_eq!(folder(&mounts, "0::/user/shell\n", "memory", None), Some(place.path().join("user")));
        assert_eq!(folder(&mounts, "0::/other/shell\n", "memory", None), None);
    }

    #[test]
    fn what_is_asked_for_is_set() {
        let limits = Limits { memory: Some(1 << 20), processors: Some(1500), ..Limits::default() };
        let all: Vec<_> = settings(&limits)
            .into_iter()
            .map(|setting| (setting.files[1], setting.values[1].clone(), setting.asked))
            .collect();
        let expected = [
            ("memory.max", "1048576", true),
            ("cpu.max", "150000 100000", true),
            ("pids.max", "8192", false),
        ];
        assert_eq!(all, expected.map(|(file, value, asked)| (file, value.to_owned(), asked)));
    }
}
