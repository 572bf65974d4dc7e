//! What cannot be had: said with its reason, with Docker's exit codes, and nothing is left behind.

use longshore_testkit::{Folder, Requirement, Suite, TestResult};

use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    const GCC: &[Requirement] = &[Requirement::Root, Requirement::Program("gcc")];
    suite
        .test("containers::mistakes::each_is_told_with_its_reason", ROOT, told)
        .test("containers::mistakes::a_loader_that_the_image_lacks_is_named", GCC, loader)
        .test("containers::mistakes::memory_that_ran_out_is_told", ROOT, memory)
        .test("containers::mistakes::a_damaged_one_does_not_hide_the_others", ROOT, damaged)
}

fn told() -> TestResult {
    let person = Person::new(Who::Root)?;
    let taken = std::net::TcpListener::bind("0.0.0.0:0")?;
    let port = format!("{}:80", taken.local_addr()?.port());
    let bound = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let datagrams = format!("{}:53/udp", bound.local_addr()?.port());
    person.contain(&["-d", "--name", "here", "--network", "none", IMAGE, "sleep", "600"])?.succeeded()?;
    let cases: &[(&[&str], i32, &str)] = &[
        (&["none:1"], 125, "none:1"),
        (&["--name", "here", IMAGE, "true"], 125, "the name is taken by the container "),
        (&["--rm", "--restart", "always", IMAGE, "true"], 125, "cannot be started again"),
        (&["--name", "x!", IMAGE, "true"], 125, "--name: `x!` is no name"),
        (&["-p", &port, IMAGE, "true"], 125, "is taken by process "),
        (&["-p", "53:53/sctp", IMAGE, "true"], 125, "the protocol is tcp or udp"),
        (&["-p", &datagrams, IMAGE, "true"], 125, "is taken by process "),
        (&["-p", "x", IMAGE, "true"], 125, "--publish x: expected"),
        (&["-u", "nobody-knows", IMAGE, "true"], 125, "--user: the image has no user `nobody-knows`"),
        (&["--cap-add", "FLY", IMAGE, "true"], 125, "unknown capability `FLY`"),
        (&["-v", "/no/such/folder:/x", IMAGE, "true"], 125, "--volume: /no/such/folder: No such file"),
        (&["--stop-signal", "SIGNOTHING", IMAGE, "true"], 125, "--stop-signal: `SIGNOTHING` is no signal"),
        (&["--network", "none", IMAGE, "nothing"], 127, "the image has no nothing in its PATH"),
        (&["--network", "none", IMAGE, "/etc"], 126, "cannot run /etc"),
        (
            &["--network", "none", "-w", "/no/folder", IMAGE, "true"],
            125,
            "cannot enter the working folder /no/folder",
        ),
    ];
    for (words, code, said) in cases {
        let ran = person.contain(words)?;
        assert_eq!(ran.status.code(), Some(*code), "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
    }
    assert_eq!(person.run(&["ps", "-aq"])?.stdout.lines().count(), 1);
    for words in
        [["stop", "nobody"], ["logs", "nobody"], ["inspect", "nobody"], ["rm", "nobody"], ["wait", "nobody"]]
    {
        let ran = person.run(&words)?;
        assert_eq!(ran.status.code(), Some(1), "{words:?}");
        assert!(ran.stderr.contains("there is no such container"), "{words:?}: {}", ran.stderr);
    }
    Ok(())
}

/// What the guide's hardened Dockerfile makes: a program that was asked to be static and needs a loader.
fn loader() -> TestResult {
    let person = Person::new(Who::Root)?;
    let folder = Folder::new()?;
    folder.write("main.c", "int main(void) { return 0; }\n")?;
    folder.write("Dockerfile", "FROM scratch\nCOPY main /main\nENTRYPOINT [\"/main\"]\n")?;
    let compiled = std::process::Command::new("gcc")
        .args(["-o", "main", "main.c"])
        .current_dir(folder.path())
        .status()?;
    assert!(compiled.success());
    let path = folder.path().display().to_string();
    person.run(&["build", "-f", &format!("{path}/Dockerfile"), &path, "-t", "pie:1"])?.succeeded()?;
    let ran = person.contain(&["--network", "none", "pie:1"])?;
    assert_eq!(ran.status.code(), Some(127), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("/main needs the loader /lib") && ran.stderr.contains("which the image lacks"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: build it with CGO_ENABLED=0"), "{}", ran.stderr);
    Ok(())
}

fn memory() -> TestResult {
    if !std::path::Path::new("/sys/fs/cgroup/memory/tasks").exists() {
        return Err(
            longshore_testkit::Skip("memory has no control groups of the first version here".into()).into()
        );
    }
    let person = Person::new(Who::Root)?;
    let ran = person.contain(&[
        "--name",
        "greedy",
        "-m",
        "16m",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "exec tail /dev/zero",
    ])?;
    assert_eq!(ran.status.code(), Some(137), "{}", ran.stderr);
    assert!(ran.stderr.contains("it needed more memory than --memory lets it have"), "{}", ran.stderr);
    assert_eq!(person.inspect("greedy")?["state"]["exit"]["out_of_memory"], true);
    Ok(())
}

fn damaged() -> TestResult {
    let person = Person::new(Who::Root)?;
    let start =
        |name: &str| person.contain(&["-d", "--name", name, "--network", "none", IMAGE, "sleep", "600"]);
    let broken = start("broken")?.succeeded()?.stdout.trim().to_owned();
    start("whole")?.succeeded()?;
    person.run(&["stop", "-t", "0", "broken"])?.succeeded()?;
    let record = person.user.store().join("containers").join(&broken).join("record");
    std::fs::OpenOptions::new().write(true).truncate(true).open(&record)?;
    let listed = person.run(&["ps", "-a"])?.succeeded()?;
    assert!(listed.stdout.contains("whole") && !listed.stdout.contains("broken"), "{}", listed.stdout);
    assert!(listed.stderr.contains("record is damaged"), "{}", listed.stderr);
    let pruned = person.run(&["cache", "prune", "--older-than", "0s"])?;
    assert!(
        pruned.status.code() == Some(1) && pruned.stderr.contains("cannot find out what is in use"),
        "{}",
        pruned.stderr
    );
    person.run(&["rm", "-f", &broken])?.succeeded()?;
    person.run(&["ps", "-a"])?.succeeded()?;
    start("broken")?.succeeded()?;
    Ok(())
}
