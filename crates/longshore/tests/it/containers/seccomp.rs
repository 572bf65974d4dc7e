//! Profiles of system calls, and the default one with other capabilities: what a program gets to hear, here and under `docker run`.

use longshore_testkit::{Dockerd, Folder, Requirement, Stop, Suite, TestResult, repository};
use serde_json::{Value, json};

use super::{IMAGE, LIMIT, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    const DOCKER: &[Requirement] =
        &[Requirement::Root, Requirement::Program("dockerd"), Requirement::Program("docker")];
    suite
        .test("containers::seccomp::a_profile_decides_what_a_program_may_call", ROOT, profiles)
        .test("containers::seccomp::a_profile_need_not_allow_what_it_takes_to_become_a_user", ROOT, becoming)
        .test("containers::seccomp::docker_run_decides_alike", DOCKER, docker)
        .test("containers::seccomp::programs_that_join_are_filtered_too", ROOT, joined)
        .test("containers::seccomp::what_is_wrong_is_told_before_there_is_a_container", ROOT, told)
        .test("containers::seccomp::a_file_that_is_no_profile_is_told", ROOT, files)
        .test("containers::seccomp::a_profile_that_lets_nothing_start_is_told", ROOT, nothing_starts)
}

/// What is run under a profile, and what comes of it.
struct Case {
    name: &'static str,
    /// No profile for the default one.
    profile: Option<Value>,
    flags: &'static [&'static str],
    script: &'static str,
    code: i32,
    /// What it writes, errors too.
    said: &'static str,
}

/// The calls that Docker's default profile allows whatever their arguments, but for these.
fn common(without: &[&str]) -> Result<Vec<String>, Stop> {
    let path = repository().join("crates/build/sandbox/src/seccomp/calls.txt");
    let text = std::fs::read_to_string(path)?;
    let names = text.lines().filter_map(|line| line.strip_suffix(" +")?.split(' ').next());
    let names: Vec<String> =
        names.filter(|name| !without.contains(name)).map(str::to_owned).chain(["clone".to_owned()]).collect();
    assert!(names.len() > 350, "{}", names.len());
    Ok(names)
}

/// What it takes to become a user in a folder.
const START: &[&str] = &["setresuid", "setresgid", "setgroups", "chdir", "capset"];

/// Docker's default profile.
fn default() -> Result<Value, Stop> {
    let path = repository().join("crates/build/sandbox/src/seccomp/recorded/default.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

fn cases() -> Result<Vec<Case>, Stop> {
    let lenient = |rules: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
    let no_folders = |action: &str, error: Value| {
        lenient(json!([{"names": ["mkdir", "mkdirat"], "action": action, "errnoRet": error}]))
    };
    let strict = |default: &str, without: &[&str]| -> Result<Value, Stop> {
        Ok(
            json!({"defaultAction": default, "syscalls": [{"names": common(without)?, "action": "SCMP_ACT_ALLOW"}]}),
        )
    };
    let no_streams = lenient(json!([{
        "names": ["socket"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 13,
        "args": [
            {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
            {"index": 1, "value": 15, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"},
        ],
    }]));
    let only_with_rights = lenient(json!([
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30, "excludes": {"caps": ["CAP_SYS_TIME"]}},
        {"names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30, "includes": {"arches": ["s390x"]}},
    ]));
    let case = |name, profile: Option<Value>, flags, script, code, said| Case {
        name,
        profile,
        flags,
        script,
        code,
        said,
    };
    Ok(vec![
        case(
            "a call is refused",
            Some(no_folders("SCMP_ACT_ERRNO", Value::Null)),
            &[],
            "mkdir /made; echo $?; touch /file && rmdir /opt 2>/dev/null; ls -d /file",
            0,
            "mkdir: can't create directory '/made': Operation not permitted\n1\n/file\n",
        ),
        case(
            "with another error, and without rights",
            Some(no_folders("SCMP_ACT_ERRNO", json!(30))),
            &["--user", "1234:5678", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"],
            "mkdir /tmp/made",
            1,
            "mkdir: can't create directory '/tmp/made': Read-only file system\n",
        ),
        case(
            "as another user",
            Some(no_folders("SCMP_ACT_ERRNO", json!(30))),
            &["--user", "1234:5678"],
            "mkdir /tmp/made",
            1,
            "mkdir: can't create directory '/tmp/made': Read-only file system\n",
        ),
        case(
            "a call is the end",
            Some(no_folders("SCMP_ACT_KILL_PROCESS", Value::Null)),
            &[],
            "exec mkdir /made",
            159,
            "",
        ),
        case(
            "a call is a signal",
            Some(no_folders("SCMP_ACT_TRAP", Value::Null)),
            &[],
            "exec mkdir /made",
            159,
            "",
        ),
        case(
            "what is not allowed is refused",
            Some(strict("SCMP_ACT_ERRNO", &["mkdir", "mkdirat"])?),
            &[],
            "echo so far; mkdir /made",
            1,
            "so far\nmkdir: can't create directory '/made': Operation not permitted\n",
        ),
        case(
            "what is not allowed is the end",
            Some(strict("SCMP_ACT_KILL_PROCESS", &["mkdir", "mkdirat"])?),
            &[],
            "echo so far; exec mkdir /made",
            159,
            "so far\n",
        ),
        case(
            "what becoming the user takes is no concern of the profile's where no new privileges come",
            Some(strict("SCMP_ACT_KILL_PROCESS", START)?),
            &["--user", "1234:5678", "--security-opt", "no-new-privileges"],
            "echo alive",
            0,
            "alive\n",
        ),
        case(
            "Docker's default profile, as a file",
            Some(default()?),
            &[],
            "mount -t tmpfs none /mnt; unshare -U true; mkdir /made && rmdir /made && echo made",
            0,
            "mount: permission denied (are you root?)\nunshare: unshare(0x10000000): Operation not permitted\nmade\n",
        ),
        case(
            "the same for an administrator",
            Some(default()?),
            &["--cap-add", "SYS_ADMIN"],
            "mkdir -p /mnt && mount -t tmpfs none /mnt && echo mounted",
            0,
            "mounted\n",
        ),
        case(
            "a kind of socket is refused",
            Some(no_streams),
            &[],
            "nc 127.0.0.1 9; ifconfig lo | grep -c 127.0.0.1",
            0,
            "nc: socket: Permission denied\n1\n",
        ),
        case(
            "a rule that depends on rights, without them",
            Some(only_with_rights.clone()),
            &[],
            "mkdir /made; mkdir -p /tmp/other 2>/dev/null; rmdir /tmp/other 2>/dev/null; echo $?",
            0,
            "mkdir: can't create directory '/made': Read-only file system\n1\n",
        ),
        case(
            "a rule that depends on rights, with them",
            Some(only_with_rights),
            &["--cap-add", "SYS_TIME"],
            "mkdir /made && rmdir /made && echo made",
            0,
            "made\n",
        ),
        case(
            "the default one forbids to mount",
            None,
            &[],
            "mount -t tmpfs none /mnt",
            1,
            "mount: permission denied (are you root?)\n",
        ),
        case(
            "the default one lets an administrator mount",
            None,
            &["--cap-add", "SYS_ADMIN"],
            "mkdir -p /mnt && mount -t tmpfs none /mnt && echo mounted && unshare -u true && echo apart",
            0,
            "mounted\napart\n",
        ),
    ])
}

/// What `run` is told for a case, but for the isolation.
fn words(case: &Case, folder: &Folder) -> Result<Vec<String>, Stop> {
    let mut words: Vec<String> = ["--rm", "--network", "none"].map(str::to_owned).to_vec();
    words.extend(case.flags.iter().map(|flag| (*flag).to_owned()));
    if let Some(profile) = &case.profile {
        let path = folder.write("profile.json", profile.to_string())?;
        words.extend(["--security-opt".to_owned(), format!("seccomp={}", path.display())]);
    }
    words.extend([IMAGE, "sh", "-c"].map(str::to_owned));
    words.push(format!("exec 2>&1; {}", case.script));
    Ok(words)
}

fn check(who: &str, case: &Case, code: Option<i32>, said: &str) {
    assert_eq!((code, said), (Some(case.code), case.said), "{} {who}", case.name);
}

fn profiles() -> TestResult {
    for who in [Who::Root, Who::Lent, Who::Single] {
        let person = Person::new(who)?;
        let folder = crate::rungs::open_folder()?;
        for case in cases()? {
            // There is one user, without rights over mounts of its own.
            if who == Who::Single && !case.flags.is_empty() {
                continue;
            }
            let words = words(&case, &folder)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ran = person.contain(&words)?;
            check(&format!("{who:?}: {}", ran.stderr), &case, ran.status.code(), &ran.stdout);
        }
    }
    Ok(())
}

/// Under Docker it must, unless no new privileges come: there the filter is put on before.
fn becoming() -> TestResult {
    let person = Person::new(Who::Root)?;
    let folder = Folder::new()?;
    let profile = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"names": common(START)?, "action": "SCMP_ACT_ALLOW"}]});
    let option = format!("seccomp={}", folder.write("profile.json", profile.to_string())?.display());
    let flags = ["--network", "none", "--rm", "--user", "1234", "--cap-add", "SYS_ADMIN"];
    let program = [
        "--security-opt",
        &option,
        IMAGE,
        "grep",
        "-E",
        "^(Uid|Cap(Prm|Eff|Inh|Amb)|Seccomp):",
        "/proc/self/status",
    ];
    let ran = person.contain(&[&flags[..], &program].concat())?.succeeded()?;
    let none = "0".repeat(16);
    let expected = format!(
        "Uid:\t1234\t1234\t1234\t1234\nCapInh:\t{none}\nCapPrm:\t{none}\nCapEff:\t{none}\nCapAmb:\t{none}\nSeccomp:\t2\n"
    );
    assert_eq!(ran.stdout, expected);
    Ok(())
}

fn docker() -> TestResult {
    let person = Person::new(Who::Root)?;
    let engine = Dockerd::start()?;
    let mut copy = person.user.command(["image", "copy", IMAGE, &format!("docker-daemon:{IMAGE}")]);
    copy.env("DOCKER_HOST", engine.host());
    longshore_testkit::run(&mut copy, LIMIT)?.succeeded()?;
    let folder = Folder::new()?;
    for case in cases()? {
        let words = words(&case, &folder)?;
        let all = ["run"].into_iter().chain(words.iter().map(String::as_str));
        let ran = engine.docker(all)?;
        check(&format!("under docker: {}", ran.stderr), &case, ran.status.code(), &ran.stdout);
    }
    Ok(())
}

fn joined() -> TestResult {
    let person = Person::new(Who::Root)?;
    let folder = Folder::new()?;
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"name": "mkdir", "action": "SCMP_ACT_ERRNO", "errnoRet": 30},
            {
                "names": ["write", "sendto", "sendmsg"],
                "action": "SCMP_ACT_KILL_PROCESS",
                "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_GT"}],
            },
        ],
    });
    let path = folder.write("profile.json", profile.to_string())?;
    let script = script(&folder)?;
    let option = format!("seccomp={}", path.display());
    let flags = [
        "-d",
        "--name",
        "kept",
        "--network",
        "none",
        "-v",
        &script,
        "--security-opt",
        &option,
        IMAGE,
        "sleep",
        "600",
    ];
    person.contain(&flags)?.succeeded()?;
    // The profile is the container's: the file may go.
    std::fs::remove_file(path)?;
    for user in [&[][..], &["--user", "1234"]] {
        let words: Vec<&str> =
            ["exec"].iter().chain(user).chain(&["kept", "mkdir", "/tmp/made"]).copied().collect();
        let ran = person.run(&words)?;
        assert_eq!(ran.status.code(), Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("'/tmp/made': Read-only file system"), "{}", ran.stderr);
    }
    let ran = person.run(&["exec", "kept", "/script"])?;
    assert_eq!(ran.status.code(), Some(1), "{}", ran.stderr);
    let said =
        format!("--security-opt {option}: a call that is refused ended the process before its program");
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    Ok(())
}

fn told() -> TestResult {
    let person = Person::new(Who::Root)?;
    let folder = Folder::new()?;
    let cases = [
        ("", "it is no profile in Docker's form: EOF", ""),
        (r#"{"syscalls": []}"#, "it has no defaultAction", "seccomp=unconfined"),
        (
            r#"{"defaultAction": "SCMP_ACT_DENY"}"#,
            "defaultAction: unknown action `SCMP_ACT_DENY`",
            "there are SCMP_ACT_ALLOW, ",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}"#,
            "syscalls[0] (mkdir): SCMP_ACT_NOTIFY hands calls to another program",
            "SCMP_ACT_ERRNO",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]}"#,
            "it lets no program start: execve is refused",
            "allow execve",
        ),
    ];
    for (text, said, hint) in cases {
        let path = folder.write("profile.json", text)?;
        let option = format!("seccomp={}", path.display());
        let ran = person.contain(&["--security-opt", &option, IMAGE, "true"])?;
        assert_eq!(ran.status.code(), Some(125), "{text}: {}", ran.stderr);
        let expected = format!("--security-opt {option}: {said}");
        assert!(ran.stderr.contains(&expected) && ran.stderr.contains(hint), "{text}: {}", ran.stderr);
    }
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    Ok(())
}

fn files() -> TestResult {
    let person = Person::new(Who::Root)?;
    let folder = Folder::new()?;
    let named = |name: &str| format!("seccomp={}", folder.path().join(name).display());
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RWXU)?;
    folder.write("large", vec![b' '; 10 << 20])?;
    folder.write("latin", b"{\"defaultAction\": \"\xe4\"}")?;
    for (option, said) in [
        (named("none"), "cannot read /"),
        (named("latin"), "cannot read /"),
        (named("large"), "/large: a profile of system calls has at most 1 MiB"),
        (named("pipe"), "/pipe: it is no regular file"),
        (named("."), "/.: it is no regular file"),
        (
            "seccomp=".to_owned(),
            "--security-opt seccomp=: expected no-new-privileges, seccomp=unconfined or seccomp=FILE",
        ),
        ("apparmor=unconfined".to_owned(), "--security-opt apparmor=unconfined: expected"),
    ] {
        let ran = person.contain(&["--security-opt", &option, IMAGE, "true"])?;
        assert_eq!(ran.status.code(), Some(125), "{option}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{option}: {}", ran.stderr);
    }
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    Ok(())
}

/// A mount of a program that cannot be run, which only execve finds out.
fn script(folder: &Folder) -> Result<String, Stop> {
    let path = folder.write("script", "#!/no/such/interpreter\n")?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(format!("{}:/script:ro", path.display()))
}

/// Profiles under which execve may be called, and does not succeed, or nothing is left to tell why.
fn nothing_starts() -> TestResult {
    let person = Person::new(Who::Root)?;
    let folder = Folder::new()?;
    let mount = script(&folder)?;
    let strict = |action: &str, names: &[&str]| json!({"defaultAction": action, "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]});
    let no_execve = |action: &str| {
        let never = json!([{"index": 0, "value": 0, "op": "SCMP_CMP_NE"}]);
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": action, "args": never}]})
    };
    let ended = "a call that is refused ended the process before its program began";
    let kept_back = "let nobody tell why";
    let cases = [
        (no_execve("SCMP_ACT_ERRNO"), "true", 126, "cannot run true: Operation not permitted"),
        (no_execve("SCMP_ACT_KILL_PROCESS"), "true", 125, ended),
        (no_execve("SCMP_ACT_TRAP"), "true", 125, ended),
        // What can be told before the filter is there is told.
        (strict("SCMP_ACT_KILL", &["execve"]), "nothing", 127, "the image has no nothing in its PATH"),
        (strict("SCMP_ACT_KILL", &["execve"]), "/etc", 126, "cannot run /etc"),
        (strict("SCMP_ACT_KILL", &["execve"]), "/script", 125, ended),
        (
            strict("SCMP_ACT_ERRNO", &["execve"]),
            "/script",
            125,
            "signal 4 ended the process before its program",
        ),
        (strict("SCMP_ACT_ERRNO", &["execve", "exit_group"]), "/script", 127, kept_back),
    ];
    for (number, (profile, program, code, said)) in cases.into_iter().enumerate() {
        let path = folder.write("profile.json", profile.to_string())?;
        let option = format!("seccomp={}", path.display());
        for user in ["0", "1234"] {
            let ran = person.contain(&[
                "--network",
                "none",
                "-v",
                &mount,
                "-u",
                user,
                "--security-opt",
                &option,
                IMAGE,
                program,
            ])?;
            assert_eq!(ran.status.code(), Some(code), "{number}: {}", ran.stderr);
            assert!(ran.stderr.contains(said), "{number}: {}", ran.stderr);
            if code == 125 {
                assert!(
                    ran.stderr.contains(&format!("--security-opt {option}: ")),
                    "{number}: {}",
                    ran.stderr
                );
                assert!(ran.stderr.contains("hint: a profile must allow execve"), "{number}: {}", ran.stderr);
            }
        }
    }
    assert_eq!(person.run(&["ps", "-aq"])?.stdout, "");
    Ok(())
}
