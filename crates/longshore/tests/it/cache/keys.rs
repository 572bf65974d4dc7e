//! What makes a step another step, and what does not: BuildKit's meaning, where one word of the Dockerfile or one flag changes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use longshore_testkit::{Folder, Stop, Suite, TestResult};

use super::build;
use crate::dockerfile::busybox;
use crate::run::user;

pub(super) fn add(suite: Suite) -> Suite {
    suite
        .test("cache::mounts_are_part_of_a_step", &[], mounts)
        .test("cache::what_counts_for_a_run", &[], words)
        .test("cache::folders_of_workdir_have_the_time_that_is_asked_for", &[], workdir)
        .test("cache::locked_mounts_never_wait_for_each_other", &[], locked)
        .test("cache::without_cache_a_step_is_run_once_for_all_platforms", &[], platforms)
}

/// Builds each pair one after the other, and compares how many steps of the second are done.
fn pairs(table: &[(&str, &str, &[&str], usize)]) -> TestResult {
    let (folder, files, user) = (Folder::new()?, Folder::new()?, user()?);
    let secrets = ["one", "two"].map(|id| {
        files.write(id, format!("secret {id}")).map(|path| format!("id={id},src={}", path.display()))
    });
    let [one, two] = secrets;
    let (one, two) = (one?, two?);
    for (first, second, flags, done) in table {
        for (dockerfile, flags, expected) in [(first, &[][..], None), (second, *flags, Some(*done))] {
            folder.write("Dockerfile", dockerfile)?;
            let flags: Vec<&str> =
                ["--secret", &one, "--secret", &two].into_iter().chain(flags.iter().copied()).collect();
            let built = build(&user, &folder, &flags)?;
            if let Some(expected) = expected {
                assert_eq!(built.done, expected, "{first}\n{second}\n{}", built.stderr);
            }
        }
    }
    Ok(())
}

fn mounts() -> TestResult {
    let mount = |options: &str| format!("FROM busybox\nRUN --mount={options} ls -lR /m > /made 2>&1; true\n");
    let stages = "FROM busybox AS a\nRUN echo a > /of\nFROM busybox AS b\nRUN echo b > /of\n";
    let cache_from = |stage: &str| {
        format!(
            "{stages}FROM busybox\nRUN --mount=type=cache,id=of-stages,from={stage},target=/m ls -lR /m > /made\n"
        )
    };
    for (first, second, done) in [
        ("type=secret,id=one,target=/m", "type=secret,id=two,target=/m", 1),
        ("type=secret,id=one,target=/m", "type=secret,id=one,target=/m,mode=0444", 1),
        ("type=secret,id=one,target=/m", "type=secret,id=one,target=/m,uid=5", 1),
        ("type=secret,id=one,target=/m", "type=secret,id=one,target=/m,gid=5", 1),
        ("type=secret,id=one,target=/m", "type=secret,target=/m,id=one", 0),
        ("type=ssh,id=one", "type=ssh,id=two", 1),
        ("type=cache,id=one,target=/m", "type=cache,id=two,target=/m", 1),
        ("type=cache,id=three,target=/m", "type=cache,id=three,target=/m,sharing=locked", 1),
        ("type=cache,id=four,target=/m", "type=cache,id=four,target=/m,uid=3", 1),
        ("type=cache,id=one,target=/m", "type=cache,sharing=shared,id=one,target=/m", 0),
        ("type=tmpfs,target=/m", "type=tmpfs,target=/m,size=1m", 1),
    ] {
        pairs(&[(&mount(first), &mount(second), &[], done)])?;
    }
    pairs(&[(&cache_from("a"), &cache_from("b"), &[], 2)])
}

fn words() -> TestResult {
    let run = |before: &str, words: &str| format!("FROM busybox\n{before}RUN {words}\n");
    let print = "env > /tmp/made";
    for (first, second, flags, done) in [
        (run("", print), run("ENV A=b\n", print), &[][..], 1),
        (run("ARG A=b\n", print), run("ARG A=c\n", print), &[], 1),
        (run("ARG A=b\n", print), run("ARG A=b\n", print), &["--build-arg", "A=c"], 1),
        (run("", print), run("", print), &["--build-arg", "A=c"], 0),
        (run("ARG A\n", print), run("ARG A\n", print), &["--build-arg", "A=c"], 1),
        (run("", print), run("USER 7\n", print), &[], 1),
        (run("", print), run("LABEL a=b\nEXPOSE 80\nCMD [\"x\"]\n", print), &[], 0),
        (run("", print), run("", "--network=none env > /tmp/made"), &[], 1),
        (run("", print), run("", print), &["--network", "none"], 1),
        (run("", print), run("", "--security=sandbox env > /tmp/made"), &[], 0),
        (run("", "<<EOF\nenv > /made\nEOF"), run("", "<<EOF\nenv  > /made\nEOF"), &[], 1),
        (run("", "<<EOF\nenv > /made\nEOF"), run("", "<<END\nenv > /made\nEND"), &[], 0),
        (run("", print), run("SHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n", print), &[], 1),
        (run("", print), run("", print), &["--no-cache"], 1),
    ] {
        pairs(&[(&first, &second, flags, done)])?;
    }
    Ok(())
}

fn workdir() -> TestResult {
    let folder = Folder::new()?;
    folder.write("Dockerfile", "FROM busybox\nWORKDIR /a/b\n")?;
    let used = user()?;
    for epoch in ["1600000000", "1700000000"] {
        let flag = format!("SOURCE_DATE_EPOCH={epoch}");
        let flags = ["--build-arg", flag.as_str()];
        let fresh = build(&user()?, &folder, &flags)?;
        let known = build(&used, &folder, &flags)?;
        assert_eq!(known.digest, fresh.digest, "{epoch}: {}", known.stderr);
    }
    Ok(())
}

fn locked() -> TestResult {
    let folder = Folder::new()?;
    let mount = |id: &str, target: &str| format!("--mount=type=cache,sharing=locked,id={id},target={target}");
    let run = |first: &str, second: &str| {
        // Each waits for a moment, so that all stages are at their mounts at once.
        let mounts = format!("{} {}", mount(first, "/one"), mount(second, "/two"));
        format!("RUN {mounts} sleep 0.05 && echo {first} {second} >> /one/x && cat /two/x > /made || true\n")
    };
    let mut dockerfile = String::new();
    let mut copies = "FROM scratch\n".to_owned();
    for stage in 0..6 {
        let ids = if stage % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
        dockerfile
            .push_str(&format!("FROM busybox AS s{stage}\nENV N={stage}\n{}", run(ids[0], ids[1]).repeat(2)));
        copies.push_str(&format!("COPY --from=s{stage} /made /{stage}\n"));
    }
    // One step with one cache at two places.
    dockerfile.push_str(&format!("FROM busybox AS same\n{}", run("a", "a")));
    copies.push_str("COPY --from=same /made /same\n");
    folder.write("Dockerfile", dockerfile + &copies)?;
    let user = user()?;
    let (file, busybox) = (folder.join("Dockerfile").display().to_string(), busybox("busybox")?);
    let path = folder.path().display().to_string();
    let arguments = ["build", "-f", &file, &path, "--build-context", &busybox, "--progress", "plain"];
    let mut command = user.command(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait()? {
            assert!(status.success(), "{status}");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Err(Stop::failed("steps wait for each other's cache mounts"))
}

fn platforms() -> TestResult {
    let folder = Folder::new()?;
    let dockerfile = "FROM --platform=$BUILDPLATFORM busybox AS a
RUN head -c 16 /dev/urandom > /made
FROM scratch
COPY --from=a /made /made
";
    folder.write("Dockerfile", dockerfile)?;
    let user = user()?;
    let mut before = Vec::new();
    for round in ["one", "two"] {
        let files = folder.join(round);
        let output = format!("type=local,dest={}", files.display());
        let flags = ["--platform", "linux/amd64,linux/arm64", "--no-cache", "--output", &output];
        let ran = user.run(super::arguments(&folder.path().display().to_string(), &flags)?)?.succeeded()?;
        let made = |platform: &str| std::fs::read(files.join(platform).join("made"));
        let (amd64, arm64) = (made("linux_amd64")?, made("linux_arm64")?);
        assert_eq!((amd64.len(), &amd64), (16, &arm64), "{}", ran.stderr);
        assert_ne!(amd64, before, "{}", ran.stderr);
        before = amd64;
    }
    Ok(())
}
