//! The same image under `docker run` and under `longshore run`: what a program sees of itself and of what is around it.
//!
//! Every line is compared. What differs on purpose stands here with its reason, and must differ: a list that is too long fails.

use std::collections::BTreeMap;

use longshore_testkit::{Dockerd, Requirement, Stop, Suite, TestResult};

use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const NEEDS: &[Requirement] =
        &[Requirement::Root, Requirement::Program("dockerd"), Requirement::Program("docker")];
    suite.test("containers::docker::a_program_sees_what_it_sees_under_docker_run", NEEDS, same).test(
        "containers::docker::its_terminal_is_the_console",
        NEEDS,
        console,
    )
}

/// Prints `NAME VALUE` lines. Mounts are named by their place, with kind and what they forbid.
const SCRIPT: &str = r#"
sed -n -E 's/^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Umask):\s*/status.\1 /p' /proc/self/status
awk '{ options = $6; gsub(/relatime|noatime/, "", options); gsub(/,+/, ",", options); kind = ""; for (i = 7; i <= NF; i++) if ($i == "-") kind = $(i + 1); print "mount." $5, kind, options }' /proc/self/mountinfo
for limit in n c s u l; do echo "ulimit.$limit $(ulimit -S -$limit) $(ulimit -H -$limit)"; done
env | grep -v -E '^(HOSTNAME|SHLVL|_)=' | sed 's/^/environment./; s/=/ /'
for node in $(ls -A /dev | sort); do echo "dev.$node $(stat -c '%F %a %u' /dev/$node)"; done
for path in /proc/kcore /proc/keys /proc/timer_list /proc/acpi /sys/firmware; do echo "covered.$path $(cat $path 2>/dev/null | wc -c) $(ls -A $path 2>/dev/null | wc -l)"; done
for path in /proc/sys/kernel/panic /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do (: > $path) 2>/dev/null; echo "writable.$path $?"; done
echo "pwd $(pwd)"
echo "hostname.length $(hostname | wc -c)"
echo "pid $$"
echo "control-groups $(ls /sys/fs/cgroup | grep -E '^(memory|pids|cpu)$' | tr '\n' ' ')"
"#;

/// What differs, by the beginning of a line's name, and why.
const DIFFERENT: [(&str, &str); 12] = [
    ("mount./ ", "overlays of ours let no device nodes be opened: that stands for Docker's device groups"),
    ("mount./dev ", "the same: devices are mounted one by one"),
    (
        "mount./dev/",
        "each of the six devices is a mount of its own; a console is there with a terminal alone",
    ),
    (
        "mount./proc/",
        "the kernel's list of paths to cover grew since Docker 20.10; covers are of other kinds",
    ),
    ("mount./sys", "Docker 20.10 shows /sys/fs/cgroup of the machine, ours that of the container"),
    ("mount./etc/", "ours are files in memory that may only be read, Docker's are files of the machine"),
    ("dev.", "the six devices are the machine's own, with their owner; ours has no fd of Docker's"),
    (
        "ulimit.",
        "Docker's daemon raises limits for itself and its containers; ours are those of whoever types",
    ),
    ("covered./proc/acpi", "covered by us, and by Docker where the kernel has it"),
    ("control-groups", "Docker 20.10 shows all of the machine's"),
    ("environment.", "none: both have the same"),
    ("status.Seccomp", "none: both have one"),
];

/// Those of the list that say "none" must not be used.
fn differs_on_purpose(name: &str) -> bool {
    DIFFERENT.iter().any(|(begin, why)| format!("{name} ").starts_with(begin) && !why.starts_with("none"))
}

fn lines(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Somebody, and an engine that has the image.
fn both() -> Result<(Person, Dockerd), Stop> {
    let person = Person::new(Who::Root)?;
    let engine = Dockerd::start()?;
    let mut copy = person.user.command(["image", "copy", IMAGE, &format!("docker-daemon:{IMAGE}")]);
    copy.env("DOCKER_HOST", engine.host());
    longshore_testkit::run(&mut copy, super::LIMIT)?.succeeded()?;
    Ok((person, engine))
}

/// What `-t` puts at /dev/console.
fn console() -> TestResult {
    const SCRIPT: &str = r#"stat -c '%n %F %a %u:%g %t:%T' /dev/console /dev/pts/0; tty; echo written > /dev/console
awk '$5 == "/dev/console" || $5 == "/dev/pts" { gsub(/,relatime/, "", $6); print $4, $5, $6, $8 }' /proc/self/mountinfo | sort"#;
    let (person, engine) = both()?;
    for user in ["0", "1234:5678"] {
        for more in [&[][..], &["--read-only"]] {
            let mut words = vec!["--rm", "-t", "--network", "none", "--user", user];
            words.extend(more);
            words.extend([IMAGE, "sh", "-c", SCRIPT]);
            let ours = person.contain(&words)?.succeeded()?.stdout;
            let theirs = engine.docker(["run"].iter().chain(&words))?.succeeded()?.stdout;
            assert!(ours.contains("\nwritten\r\n") && ours.contains("/0 /dev/console rw,"), "{ours}");
            assert_eq!(ours, theirs, "{words:?}");
        }
    }
    Ok(())
}

fn same() -> TestResult {
    let (person, engine) = both()?;
    for flags in [
        [].as_slice(),
        &["--user", "1234:5678", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
        &["--user", "1234:5678", "--cap-add", "SYS_ADMIN"],
        &["--cap-add", "SYS_PTRACE", "--read-only", "--tmpfs", "/tmp", "--workdir", "/tmp", "-e", "A=b"],
    ] {
        let mut words = vec!["--rm", "--network", "none"];
        words.extend(flags);
        words.extend([IMAGE, "sh", "-c", SCRIPT]);
        let ours = lines(&person.contain(&words)?.succeeded()?.stdout);
        let docker: Vec<&str> = ["run"].into_iter().chain(words.iter().copied()).collect();
        let theirs = lines(&engine.docker(docker)?.succeeded()?.stdout);
        compare(flags, &ours, &theirs)?;
    }
    Ok(())
}

fn compare(flags: &[&str], ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> TestResult {
    assert!(ours.len() > 60 && theirs.len() > 60, "{} and {} lines", ours.len(), theirs.len());
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    let unexpected: Vec<String> = names
        .filter(|name| ours.get(*name) != theirs.get(*name) && !differs_on_purpose(name))
        .map(|name| format!("{name}: {:?}, Docker {:?}", ours.get(name), theirs.get(name)))
        .collect();
    match unexpected.is_empty() {
        true => Ok(()),
        false => Err(Stop::failed(format!("{flags:?}\n{}", unexpected.join("\n")))),
    }
}
