//! What a step sees and what it may do, with namespaces as root.

use std::time::Duration;

use longshore_sandbox::{Isolation, Network, SandboxError, Status, Ulimit, User};
use longshore_testkit::{Requirement, Suite, TestResult};

use crate::root::Fixture;

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("exit_codes_and_streams", ROOT, exit_codes_and_streams)
        .test("the_environment_is_what_was_named", ROOT, environment)
        .test("input_is_read_to_its_end", ROOT, input)
        .test("users_groups_and_their_capabilities", ROOT, users)
        .test("capabilities_and_filter_are_dockers", ROOT, capabilities)
        .test("networks", ROOT, networks)
        .test("limits", ROOT, limits)
        .test("programs_that_cannot_be_started", ROOT, not_started)
        .test("what_cannot_be_set_up_is_named", ROOT, not_set_up)
        .test("large_output_is_whole", ROOT, large_output)
        .test("usage_is_measured", ROOT, usage)
}

fn namespaces(script: &str) -> Result<Fixture, longshore_testkit::Stop> {
    Fixture::new(Isolation::Namespaces, script)
}

fn exit_codes_and_streams() -> TestResult {
    let cases = [
        ("echo out; echo err >&2; exit 7", "out\n", "err\n", Status::Exited(7)),
        ("kill -TERM $$", "", "", Status::Signalled(15)),
        ("printf '1\\n2\\n3\\n'", "1\n2\n3\n", "", Status::Exited(0)),
        // The shell's own signals are at their defaults, SIGPIPE too.
        ("yes | head -n 1", "y\n", "", Status::Exited(0)),
        (
            "echo to-stdout > /dev/stdout; echo to-stderr > /dev/stderr",
            "to-stdout\n",
            "to-stderr\n",
            Status::Exited(0),
        ),
    ];
    for (script, stdout, stderr, status) in cases {
        let outcome = namespaces(script)?.run()?;
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (stdout, stderr), "{script}");
        assert_eq!((outcome.ended.status, outcome.ended.reason), (status, None), "{script}");
    }
    Ok(())
}

fn environment() -> TestResult {
    let mut fixture =
        namespaces("env; pwd; hostname; umask; echo $$; cat /etc/hosts; ls /proc/self/fd | wc -l")?;
    fixture.step.environment.push(("NAME".into(), "a b".into()));
    fixture.step.folder = "/etc".into();
    fixture.step.hosts = vec![("db".into(), "10.0.0.7".into())];
    let outcome = fixture.run()?;
    // The shell adds PWD and SHLVL itself; of the descriptors, ls has the three and the folder it reads.
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    let rest = lines.split_off(lines.iter().position(|line| !line.contains('=')).unwrap_or(0));
    lines.sort_unstable();
    assert_eq!(lines, ["NAME=a b", "PATH=/bin", "PWD=/etc", "SHLVL=1"]);
    let expected = [
        "/etc",
        "buildkitsandbox",
        "0022",
        "2",
        "127.0.0.1\tlocalhost buildkitsandbox",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.0.0.7\tdb",
        "4",
    ];
    assert_eq!(rest, expected);
    Ok(())
}

fn input() -> TestResult {
    let mut fixture = namespaces("cat; echo end")?;
    assert_eq!(fixture.run()?.stdout, "end\n");
    let bytes = "line\n".repeat(50_000);
    fixture.step.input = Some(bytes.clone().into_bytes());
    // A second run needs an overlay's work folder that is as new.
    assert_eq!(fixture.run()?.stdout, format!("{bytes}end\n"));
    Ok(())
}

fn users() -> TestResult {
    let script = "id -u; id -g; id -G; grep Cap /proc/self/status; touch /tmp/mine && stat -c '%u:%g %a' /tmp/mine; touch /etc/no 2>&1; echo err > /dev/stderr";
    let mut fixture = namespaces(script)?;
    std::fs::set_permissions(
        fixture.path("lower/tmp"),
        std::os::unix::fs::PermissionsExt::from_mode(0o1777),
    )?;
    fixture.step.user = User { uid: 1000, gid: 1001, groups: vec![5, 1002] };
    let outcome = fixture.run()?;
    let expected = "1000\n1001\n1001 5 1002\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n\
        1000:1001 644\ntouch: /etc/no: Permission denied\n";
    assert_eq!(outcome.stdout, expected);
    assert_eq!(outcome.stderr, "err\n");
    Ok(())
}

fn capabilities() -> TestResult {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp)' /proc/self/status";
    let mut fixture = namespaces(script)?;
    // What `docker run` shows, with Docker 28 on Linux 6.
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n";
    assert_eq!(fixture.run()?.stdout, expected);
    fixture.step.insecure = true;
    let insecure = fixture.run()?.stdout;
    assert!(
        insecure.contains("Seccomp:\t0\n") && !insecure.contains("CapEff:\t00000000a80425fb"),
        "{insecure}"
    );
    Ok(())
}

fn networks() -> TestResult {
    let script = "sed -n '3,$p' /proc/net/dev | sed 's/:.*//; s/ //g'";
    for (network, expected) in [(Network::None, "lo\n"), (Network::Own, "lo\n")] {
        let mut fixture = namespaces(script)?;
        fixture.step.network = network;
        assert_eq!(fixture.run()?.stdout, expected, "{network:?}");
    }
    let host = std::fs::read_link("/proc/self/ns/net")?;
    assert_eq!(namespaces("readlink /proc/self/ns/net")?.run()?.stdout.trim(), host.to_string_lossy());
    Ok(())
}

fn limits() -> TestResult {
    let mut fixture = namespaces("ulimit -n; ulimit -Hn; stat -f -c '%b %S' /dev/shm")?;
    fixture.step.limits.ulimits = vec![Ulimit { name: "nofile".into(), soft: 100, hard: 200 }];
    fixture.step.limits.shm_size = 1 << 20;
    assert_eq!(fixture.run()?.stdout, "100\n200\n256 4096\n");
    fixture.step.limits.ulimits = vec![Ulimit { name: "naps".into(), soft: 1, hard: 1 }];
    let Err(error) = fixture.run() else {
        return Err(longshore_testkit::Stop::failed("there is no such limit"));
    };
    assert_eq!(error.to_string(), "cannot set the limit naps for the step");
    Ok(())
}

fn not_started() -> TestResult {
    let cases: [(&[&str], i32, &str); 5] = [
        (&["no-such-program"], 127, "cannot run no-such-program: No such file or directory (os error 2)"),
        (&["/bin/absent"], 127, "cannot run /bin/absent: No such file or directory (os error 2)"),
        (&["/etc"], 126, "cannot run /etc: Permission denied (os error 13)"),
        (&["/etc/passwd"], 126, "cannot run /etc/passwd: Permission denied (os error 13)"),
        (&[""], 127, "cannot run : No such file or directory (os error 2)"),
    ];
    for (arguments, code, reason) in cases {
        let mut fixture = namespaces("")?;
        fixture.step.arguments = arguments.iter().map(Into::into).collect();
        let outcome = fixture.run()?;
        assert_eq!(outcome.ended.status, Status::Exited(code), "{arguments:?}");
        assert_eq!(outcome.ended.reason.as_deref(), Some(reason));
        assert_eq!(outcome.stderr, format!("{reason}\n"));
    }
    Ok(())
}

fn not_set_up() -> TestResult {
    let mut fixture = namespaces("true")?;
    fixture.step.folder = "/absent".into();
    let text =
        |answer: Result<crate::root::Outcome, SandboxError>| answer.err().map(|error| error.to_string());
    assert_eq!(text(fixture.run()).as_deref(), Some("cannot enter the working folder /absent for the step"));
    fixture.step.isolation = Isolation::Chroot;
    fixture.step.network = Network::None;
    let refused = "isolation chroot cannot cut a step off from the network";
    assert_eq!(text(fixture.run()).as_deref(), Some(refused));
    Ok(())
}

fn large_output() -> TestResult {
    let outcome = namespaces("dd if=/dev/zero bs=65536 count=160 2>/dev/null | tr '\\0' x; echo; dd if=/dev/zero bs=65536 count=32 2>/dev/null | tr '\\0' y >&2")?.run()?;
    assert_eq!(outcome.stdout.len(), 160 * 65_536 + 1);
    assert_eq!(outcome.stderr.len(), 32 * 65_536);
    assert!(outcome.stdout.trim_end().bytes().all(|byte| byte == b'x'));
    Ok(())
}

fn usage() -> TestResult {
    let ended = namespaces("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 0.2")?.run()?.ended;
    assert!(ended.elapsed >= Duration::from_millis(200), "{ended:?}");
    assert!(ended.processor_time > Duration::from_millis(10), "{ended:?}");
    assert!((100 << 10..1 << 30).contains(&ended.peak_memory), "{ended:?}");
    Ok(())
}
