//! What a program in a container sees, and may do.

use std::collections::BTreeMap;

use longshore_testkit::{Requirement, Stop, Suite, TestResult};

use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("containers::sees::rights_are_dockers_and_what_was_asked_for", ROOT, rights)
        .test("containers::sees::nothing_of_the_machine", ROOT, machine)
        .test("containers::sees::mounts_and_volumes", ROOT, mounts)
        .test("containers::sees::its_limits", ROOT, limits)
        .test("containers::sees::another_network", ROOT, networks)
}

/// Lines of /proc/self/status by name.
fn status(person: &Person, words: &[&str]) -> Result<BTreeMap<String, String>, Stop> {
    let mut all = vec!["--rm", "--network", "none"];
    all.extend(words);
    all.extend([IMAGE, "cat", "/proc/self/status"]);
    let text = person.contain(&all)?.succeeded()?.stdout;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn rights() -> TestResult {
    for who in [Who::Root, Who::Lent] {
        let person = Person::new(who)?;
        let plain = status(&person, &[])?;
        for (name, value) in [
            ("Pid", "1"),
            ("CapEff", "00000000a80425fb"),
            ("CapBnd", "00000000a80425fb"),
            ("CapInh", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "0"),
            ("Seccomp", "2"),
            ("Umask", "0022"),
        ] {
            assert_eq!(plain.get(name).map(String::as_str), Some(value), "{name} for {who:?}");
        }
        let bare = status(
            &person,
            &["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1234:5678"],
        )?;
        let ids = |id: &str| [id; 4].join("\t");
        assert_eq!((bare["CapBnd"].as_str(), bare["NoNewPrivs"].as_str()), ("0000000000000000", "1"));
        assert_eq!((bare["Uid"].clone(), bare["Gid"].clone()), (ids("1234"), ids("5678")));
        let one = status(
            &person,
            &["--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt", "seccomp=unconfined"],
        )?;
        assert_eq!((one["CapEff"].as_str(), one["Seccomp"].as_str()), ("0000000000000400", "0"));
    }
    Ok(())
}

/// What a hostile program would try first.
fn machine() -> TestResult {
    let tries: &[(&str, &str)] = &[
        ("sysctl", "echo 1 > /proc/sys/kernel/panic"),
        ("sysrq", "echo h > /proc/sysrq-trigger"),
        ("mount", "mount -t tmpfs none /mnt"),
        ("unmount", "umount /proc/sys"),
        ("disk", "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk"),
        ("memory", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem"),
        ("kcore", "head -c 1 /proc/kcore | grep -q ."),
        ("host name", "hostname other && test $(hostname) = other"),
        ("control groups", "mkdir /sys/fs/cgroup/pids/more"),
        ("kernel log", "dmesg | grep -q ."),
        ("namespaces", "unshare -U true"),
        ("other root", "test -e /proc/1/root/../../proc/1/root/var/lib/dpkg"),
    ];
    for who in [Who::Root, Who::Lent, Who::Single] {
        let person = Person::new(who)?;
        for (what, attempt) in tries {
            let ran = person.contain(&[
                "--rm",
                "--network",
                "none",
                IMAGE,
                "sh",
                "-c",
                &format!("{attempt} 2>/dev/null"),
            ])?;
            assert!(!ran.status.success(), "{what} as {who:?}: {}", ran.stdout);
        }
        let seen = person.contain(&["--rm", "--network", "none", IMAGE, "sh", "-c", "test $(ls /proc | grep -c '^[0-9]') -le 4 && echo few; ls -A /dev | sort | tr '\\n' ' '; env | sort | grep -v HOSTNAME | tr '\\n' ' '; ls /proc/self/fd | wc -l"])?;
        let expected = "few\ncore fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero \
                        HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PWD=/ SHLVL=1 4\n";
        // The shell, another that counts, `ls` and `grep`; the three streams and the folder that is being listed.
        assert_eq!(seen.succeeded()?.stdout, expected, "{who:?}");
    }
    Ok(())
}

fn mounts() -> TestResult {
    let person = Person::new(Who::Root)?;
    let shell = |flags: &[&str], script: &str| -> Result<(Option<i32>, String), Stop> {
        let mut words = vec!["--rm", "--network", "none"];
        words.extend(flags);
        words.extend([IMAGE, "sh", "-c", script]);
        let ran = person.contain(&words)?;
        Ok((ran.status.code(), ran.stdout))
    };
    assert_eq!(
        shell(&["--read-only"], "touch /x; echo $?; touch /dev/shm/x; echo $?")?,
        (Some(0), "1\n0\n".to_owned())
    );
    assert_eq!(
        shell(
            &["--read-only", "--tmpfs", "/tmp:size=64k,mode=700"],
            "touch /tmp/x && stat -c %a /tmp && head -c 100000 /dev/zero > /tmp/y; echo $?"
        )?
        .1,
        "700\n1\n"
    );
    let folder = person.user.home().join("shared");
    std::fs::create_dir(&folder)?;
    let bind = format!("{}:/shared", folder.display());
    assert_eq!(shell(&["-v", &bind], "echo hello > /shared/file")?.0, Some(0));
    assert_eq!(std::fs::read_to_string(folder.join("file"))?, "hello\n");
    assert_eq!(
        shell(&["-v", &format!("{bind}:ro")], "cat /shared/file; echo more >> /shared/file; echo $?")?.1,
        "hello\n1\n"
    );
    assert_eq!(shell(&["-v", "kept:/fresh"], "echo one >> /fresh/file; cat /fresh/file")?.1, "one\n");
    assert_eq!(shell(&["-v", "kept:/fresh"], "echo two >> /fresh/file; cat /fresh/file")?.1, "one\ntwo\n");
    assert_eq!(shell(&["-v", "/fresh"], "ls /fresh | wc -l; touch /fresh/x")?.1, "0\n");
    Ok(())
}

fn limits() -> TestResult {
    if !std::path::Path::new("/sys/fs/cgroup/memory/tasks").exists() {
        return Err(
            longshore_testkit::Skip("memory has no control groups of the first version here".into()).into()
        );
    }
    let person = Person::new(Who::Root)?;
    let words = [
        "--rm",
        "--network",
        "none",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "7",
        "--ulimit",
        "nofile=123:456",
        IMAGE,
        "sh",
        "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max; ulimit -n; \
         for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done",
    ];
    let ran = person.contain(&words)?;
    assert_eq!(ran.stdout, "67108864\n50000\n7\n123\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("can't fork"), "{}", ran.stderr);
    Ok(())
}

fn networks() -> TestResult {
    for who in [Who::Root, Who::Lent, Who::Single] {
        let person = Person::new(who)?;
        let interfaces = |network: &str| -> Result<String, Stop> {
            let ran = person.contain(&[
                "--rm",
                "--network",
                network,
                IMAGE,
                "sh",
                "-c",
                "ls /proc/sys/net/ipv4/conf | tr '\\n' ' '",
            ])?;
            Ok(ran.succeeded()?.stdout)
        };
        assert_eq!(interfaces("none")?, "all default lo ", "{who:?}");
        let machine: Vec<String> = std::fs::read_dir("/proc/sys/net/ipv4/conf")?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_, _>>()?;
        let mut machine = machine;
        machine.sort();
        assert_eq!(interfaces("host")?.split_whitespace().collect::<Vec<_>>(), machine, "{who:?}");
        // A program that listens on loopback alone cannot be reached from outside, as with other engines.
        let serve = |address: &str, name: &str| -> Result<bool, Stop> {
            let script = format!("echo hi > /index.html; exec httpd -f -p {address}:80 -h /");
            person
                .contain(&["-d", "--name", name, "-p", "127.0.0.1::80", IMAGE, "sh", "-c", &script])?
                .succeeded()?;
            let port = person.inspect(name)?["state"]["ports"][0]["host"]
                .as_u64()
                .ok_or_else(|| Stop::failed("no port"))?;
            person.until("the server", || {
                Ok(person.run(&["exec", name, "wget", "-q", "-O", "-", "http://127.0.0.1/"])?.stdout
                    == "hi\n")
            })?;
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", u16::try_from(port)?))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer);
            Ok(read.is_ok() && answer.ends_with(b"hi\n"))
        };
        assert!(serve("0.0.0.0", "open")?, "{who:?}");
        assert!(!serve("127.0.0.1", "closed")?, "{who:?}");
    }
    Ok(())
}
