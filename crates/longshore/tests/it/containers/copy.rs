//! `cp`: what a container sees is what is copied, and nothing that it holds leads out of it.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use longshore_testkit::{Ran, Requirement, Stop, Suite, TestResult};

use super::life::for_all;
use super::{IMAGE, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("containers::copy::what_it_sees_is_copied_while_it_runs", ROOT, || for_all(running))
        .test("containers::copy::what_it_left_is_copied_when_it_has_ended", ROOT, || for_all(ended))
        .test("containers::copy::nothing_leads_out_of_it", ROOT, || for_all(hostile))
        .test("containers::copy::nothing_leads_out_of_a_destination", ROOT, || for_all(planted))
        .test("containers::copy::what_changes_or_blocks_does_not_keep_it", ROOT, || for_all(restless))
        .test("containers::copy::an_interrupt_leaves_nothing_half_written", ROOT, || for_all(interrupted))
        .test("containers::copy::owners_and_rights", ROOT, owners)
        .test("containers::copy::mistakes_are_told", ROOT, mistakes)
}

/// A folder of this person's, on the machine.
fn folder(person: &Person, name: &str) -> Result<PathBuf, Stop> {
    let path = person.user.home().join(name);
    std::fs::create_dir(&path)?;
    std::os::unix::fs::chown(&path, person.uid, person.uid)?;
    Ok(path)
}

/// A file of this person's.
fn write(person: &Person, path: &Path, content: &str) -> TestResult {
    longshore_files::write_unsynced(path, content.as_bytes())?;
    Ok(std::os::unix::fs::chown(path, person.uid, person.uid)?)
}

fn start(person: &Person, flags: &[&str], script: &str) -> TestResult {
    let mut words = vec!["-d", "--name", "box", "--network", "none"];
    words.extend(flags);
    words.extend([IMAGE, "sh", "-c", script]);
    person.contain(&words)?.succeeded()?;
    Ok(())
}

fn inside(person: &Person, script: &str) -> Result<String, Stop> {
    Ok(person.run(&["exec", "box", "sh", "-c", script])?.succeeded()?.stdout)
}

fn copy(person: &Person, from: &str, to: &str) -> Result<Ran, Stop> {
    person.run(&["cp", from, to])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn running(person: &Person) -> TestResult {
    let home = folder(person, "files")?;
    std::fs::create_dir_all(home.join("tree/deep"))?;
    write(person, &home.join("tree/deep/file"), "content")?;
    symlink("deep/file", home.join("tree/link"))?;
    if let Some(uid) = person.uid {
        longshore_testkit::run(
            std::process::Command::new("chown").args(["-hR", &format!("{uid}:{uid}"), text(&home)]),
            super::LIMIT,
        )?
        .succeeded()?;
    }
    std::fs::set_permissions(home.join("tree/deep/file"), PermissionsExt::from_mode(0o4751))?;
    start(person, &["-v", "/volume", "--tmpfs", "/memory"], "sleep 600")?;
    let tree = home.join("tree");
    for place in ["/root", "/volume", "/memory", "/dev/shm"] {
        copy(person, text(&tree), &format!("box:{place}"))?.succeeded()?;
        let seen = inside(
            person,
            &format!("cd {place}/tree && cat link && stat -c ' %a %u:%g %F' deep/file deep link | sort"),
        )?;
        let expected = "content 4751 0:0 regular file\n 755 0:0 directory\n 777 0:0 symbolic link\n";
        assert_eq!(seen, expected, "{place}");
        inside(
            person,
            &format!("echo more >> {place}/tree/deep/file && ln {place}/tree/deep/file {place}/tree/hard"),
        )?;
        let back = home.join(place.rsplit('/').next().unwrap_or_default());
        copy(person, &format!("box:{place}/tree"), text(&back))?.succeeded()?;
        assert_eq!(std::fs::read_to_string(back.join("link"))?, "contentmore\n");
        let (file, hard) = (back.join("deep/file").metadata()?, back.join("hard").metadata()?);
        assert_eq!(file.ino(), hard.ino());
        // Nobody else may run what a container made as this user.
        assert_eq!((file.mode() & 0o7777, Some(file.uid())), (0o751, person.uid.or(Some(0))));
        assert_eq!(back.join("deep").metadata()?.mtime(), {
            let time = inside(person, &format!("stat -c %Y {place}/tree/deep"))?;
            time.trim().parse::<i64>().map_err(|error| Stop::failed(error.to_string()))?
        });
    }
    // Nothing stays behind in either.
    assert_eq!(inside(person, "find / -xdev -name '.longshore*' | wc -l")?, "0\n");
    Ok(())
}

fn ended(person: &Person) -> TestResult {
    let home = folder(person, "files")?;
    let file = home.join("file");
    write(person, &file, "brought")?;
    start(
        person,
        &["-v", "/volume", "--tmpfs", "/memory"],
        "echo made > /made; rm -r /usr/bin; echo kept > /volume/kept; echo gone > /memory/gone",
    )?;
    person.run(&["wait", "box"])?.succeeded()?;
    for (from, content) in [("/made", "made\n"), ("/volume/kept", "kept\n")] {
        let to = home.join("out");
        copy(person, &format!("box:{from}"), text(&to))?.succeeded()?;
        assert_eq!(std::fs::read_to_string(&to)?, content);
    }
    let ran = copy(person, "box:/memory/gone", text(&home))?;
    assert!(ran.stderr.contains("there is no /memory/gone"), "{}", ran.stderr);
    let ran = copy(person, "box:/usr/bin", text(&home))?;
    assert!(ran.stderr.contains("there is no /usr/bin"), "{}", ran.stderr);
    for place in ["/etc/brought", "/volume/brought"] {
        copy(person, text(&file), &format!("box:{place}"))?.succeeded()?;
        let to = home.join("again");
        copy(person, &format!("box:{place}"), text(&to))?.succeeded()?;
        assert_eq!(std::fs::read_to_string(&to)?, "brought");
    }
    // Whole, with what is in the image and what was made; without the places of mounts that were made for them only.
    let whole = home.join("whole");
    copy(person, "box:/", text(&whole))?.succeeded()?;
    assert!(whole.join("bin/busybox").metadata()?.len() > 100_000);
    assert_eq!(std::fs::read_to_string(whole.join("volume/brought"))?, "brought");
    assert!(!whole.join("usr/bin").exists());
    // Two at once wait for each other.
    let mut both: Vec<_> = (0..2)
        .map(|number| {
            let to = home.join(format!("both{number}"));
            person.command(&["cp", "box:/bin", text(&to)]).spawn()
        })
        .collect::<Result<_, _>>()?;
    for one in &mut both {
        assert!(one.wait()?.success());
    }
    person.run(&["rm", "box"])?.succeeded()?;
    Ok(())
}

/// Links of all kinds that lead to a secret of the machine, and that would write to it.
fn hostile(person: &Person) -> TestResult {
    let home = folder(person, "files")?;
    let secret = home.join("secret");
    write(person, &secret, "secret")?;
    let (here, up) = (text(&home), "../".repeat(30));
    start(person, &["-v", "/volume"], "sleep 600")?;
    inside(
        person,
        &format!(
            "mkdir /trap && cd /trap && ln -s {here}/secret absolute && ln -s {up}{here}/secret up && ln -s {here} folder && \
             ln -s {up}{here} upfolder && ln -s /proc/self/root/{here}/secret self && ln -s /proc/1/root/{here}/secret one && \
             ln -s /proc/self/cwd cwd && ln -s / root && ln -s /proc/self/fd/0 zero && ln -s {here}/made made && ln -s {up}{here}/made upmade"
        ),
    )?;
    let out = home.join("out");
    for name in [
        "absolute",
        "up",
        "self",
        "one",
        "zero",
        "folder/secret",
        "upfolder/secret",
        "cwd/../../secret",
        "root/proc/self/root/etc/passwd",
        "root/proc/1/root/trap",
        "root/proc/self/exe",
        "root/proc/1/exe",
        "folder/",
        "folder/.",
    ] {
        let ran = person.run(&["cp", "-L", &format!("box:/trap/{name}"), text(&out)])?;
        assert_eq!(ran.status.code(), Some(1), "{name}: {}", ran.stdout);
        assert!(!out.exists(), "{name}");
        let ran = person.run(&["cp", "-L", &format!("box:/trap/{name}"), "-"])?;
        assert!(ran.status.code() == Some(1) && !ran.stdout.contains("secret"), "{name}");
    }
    // Nor is anything written by them.
    let source = home.join("source");
    write(person, &source, "written")?;
    for name in [
        "made",
        "upmade",
        "folder",
        "upfolder",
        "folder/made",
        "self",
        "one",
        "zero",
        "absolute",
        "up",
        "cwd",
    ] {
        // Some of them may do something, but within the container.
        let _ = copy(person, text(&source), &format!("box:/trap/{name}"))?;
        assert!(!home.join("made").exists(), "{name}");
        assert_eq!(std::fs::read_to_string(&secret)?, "secret", "{name}");
        assert_eq!(std::fs::read_dir(&home)?.count(), 2, "{name}");
    }
    // Links themselves are copied as what they are.
    let copied = home.join("copied");
    copy(person, "box:/trap", text(&copied))?.succeeded()?;
    assert_eq!(std::fs::read_link(copied.join("folder"))?, home);
    assert_eq!(std::fs::read_to_string(&secret)?, "secret");
    Ok(())
}

/// What stands where files are to be written leads elsewhere.
fn planted(person: &Person) -> TestResult {
    let home = folder(person, "files")?;
    let elsewhere = home.join("elsewhere");
    let to = home.join("to");
    for path in [&elsewhere, &to] {
        std::fs::create_dir(path)?;
        std::os::unix::fs::chown(path, person.uid, person.uid)?;
    }
    symlink(&elsewhere, to.join("tree"))?;
    start(person, &[], "sleep 600")?;
    inside(person, "mkdir -p /d/tree && echo x > /d/tree/file && echo y > /d/plain")?;
    let ran = copy(person, "box:/d/tree", text(&to))?;
    assert!(ran.stderr.contains("which is no folder, with one"), "{}", ran.stderr);
    let ran = copy(person, "box:/d/.", text(&to))?;
    assert!(ran.stderr.contains("which is no folder, with one"), "{}", ran.stderr);
    std::fs::remove_file(to.join("plain"))?;
    symlink(elsewhere.join("target"), to.join("plain"))?;
    copy(person, "box:/d/plain", text(&to))?.succeeded()?;
    assert!(to.join("plain").symlink_metadata()?.is_file());
    assert_eq!(std::fs::read_dir(&elsewhere)?.count(), 0);
    // The same within the container, by tars that somebody made.
    inside(person, "mkdir /into && ln -s /etc /into/etc && echo before > /etc/victim")?;
    let tars = folder(person, "tars")?;
    let make = |name: &str, script: &str| -> Result<PathBuf, Stop> {
        let script = format!("cd {} && mkdir -p work && cd work && {script}", text(&tars));
        let mut shell = std::process::Command::new("sh");
        longshore_testkit::run(shell.args(["-c", &script]), super::LIMIT)?.succeeded()?;
        Ok(tars.join(name))
    };
    let leaving = make("leaving", "echo z > file && tar -P --transform 's|^|../../|' -cf ../leaving file")?;
    let linked = make("linked", "mkdir -p etc && echo new > etc/victim && tar -cf ../linked etc/victim")?;
    let device = make(
        "device",
        "mknod null c 1 3 && mknod pipe p && echo a > after && tar -cf ../device null pipe after",
    )?;
    let cut =
        make("cut", "head -c 100000 /dev/zero > big && tar -cf whole big && head -c 50000 whole > ../cut")?;
    let packed = make("packed", "echo in > packed && tar -czf ../packed packed")?;
    for (tar, code, said) in [
        (&leaving, 1, "`../../file` of the tar leads out of the folder"),
        (&linked, 0, ""),
        (&device, 0, "/into/null is left out: it is a device"),
        (&cut, 1, "the tar ends in the middle"),
        (&packed, 0, ""),
        (&home.join("to/plain"), 1, "the tar ends in the middle of an entry"),
    ] {
        let mut command = person.command(&["cp", "-", "box:/into"]);
        let output = command.stdin(std::fs::File::open(tar)?).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}: {stderr}", tar.display());
        assert!(stderr.contains(said), "{}: {stderr}", tar.display());
    }
    // As under Docker, a link of the container's leads where it leads in the container.
    let seen = inside(person, "cat /etc/victim /into/packed /into/after; ls -A /into | tr '\\n' ' '")?;
    assert_eq!(seen, "new\nin\na\nafter etc packed pipe ");
    Ok(())
}

fn restless(person: &Person) -> TestResult {
    let home = folder(person, "files")?;
    let script = "mkdir /r; cd /r; mkfifo pipe; echo x > plain; \
                  (while true; do head -c 65536 /dev/zero >> growing; usleep 3000; done) & \
                  (while true; do head -c 200000 /dev/zero > /r/breathing; : > /r/breathing; usleep 1000; done) & \
                  (while true; do mkdir -p /r/come/and; rm -r /r/come; ln -s / /r/come; rm /r/come; usleep 1000; done) & \
                  sleep 600";
    let sockets = folder(person, "sockets")?;
    let _listener = std::os::unix::net::UnixListener::bind(sockets.join("socket"))?;
    let mount = format!("{}:/sockets", text(&sockets));
    // As much as it can grow.
    start(person, &["--ulimit", "fsize=5000000", "-v", &mount], script)?;
    person.until("the files", || {
        Ok(inside(person, "test -p /r/pipe && test -s /r/growing && echo yes || true")? == "yes\n")
    })?;
    for number in 0..4 {
        let to = home.join(number.to_string());
        let ran = copy(person, "box:/r", text(&to))?.succeeded()?;
        assert_eq!(std::fs::read_to_string(to.join("plain"))?, "x\n");
        assert!(to.join("growing").metadata()?.len() > 0, "{}", ran.stderr);
        assert!(
            to.join("come")
                .symlink_metadata()
                .map_or(true, |about| !about.is_dir() || !to.join("come/etc").exists())
        );
    }
    let ran = copy(person, "box:/sockets", text(&home.join("sockets")))?.succeeded()?;
    assert!(ran.stderr.contains("/sockets/socket is left out: it is a socket"), "{}", ran.stderr);
    // What is no file is none to wait for.
    copy(person, "box:/r/pipe", text(&home.join("pipe")))?.succeeded()?;
    for (path, said) in [
        ("/sockets/socket", "/sockets/socket is a socket, which cannot be copied"),
        ("/dev/null", "/dev/null is a device, which cannot be copied"),
        ("/proc/version", "/proc/version is made up by the kernel"),
        ("/sys/kernel", "/sys/kernel is made up by the kernel"),
    ] {
        let ran = copy(person, &format!("box:{path}"), text(&home.join("special")))?;
        assert!(ran.stderr.contains(said), "{path}: {}", ran.stderr);
        assert!(!home.join("special").exists());
    }
    Ok(())
}

fn interrupted(person: &Person) -> TestResult {
    let home = folder(person, "files")?;
    let (large, to) = (home.join("large"), folder(person, "to")?);
    // Nothing but holes: it takes no room, and long.
    std::fs::File::create(&large)?.set_len(1 << 40)?;
    std::os::unix::fs::chown(&large, person.uid, person.uid)?;
    start(person, &["-v", &format!("{}:/machine", text(&home))], "sleep 600")?;
    let half = || inside(person, "ls -A / /machine | grep -c '^\\.longshore' || true");
    let arrived = || -> Result<usize, Stop> { Ok(std::fs::read_dir(&to)?.count()) };
    for (words, is_in) in
        [(["cp", text(&large), "box:/large"], true), (["cp", "box:/machine/large", text(&to)], false)]
    {
        let mut child = person.command(&words).stderr(Stdio::null()).spawn()?;
        person.until("a part", || Ok(if is_in { half()? == "1\n" } else { arrived()? == 1 }))?;
        let id = child.id().to_string();
        longshore_testkit::run(std::process::Command::new("kill").args(["-INT", &id]), super::LIMIT)?
            .succeeded()?;
        assert_eq!(child.wait()?.code(), Some(130), "{words:?}");
        person.until("the end of it", || Ok(half()? == "0\n" && arrived()? == 0))?;
        assert_eq!(inside(person, "test -e /large; echo $?")?, "1\n");
    }
    // One that was killed outright is missed by its courier.
    let mut child = person.command(&["cp", text(&large), "box:/large"]).spawn()?;
    person.until("a part", || Ok(half()? == "1\n"))?;
    child.kill()?;
    child.wait()?;
    person.until("the end of it", || Ok(half()? == "0\n"))?;
    Ok(())
}

fn owners() -> TestResult {
    for who in [Who::Root, Who::Lent] {
        let person = Person::new(who)?;
        let home = folder(&person, "files")?;
        start(&person, &[], "echo x > /file && chown 77:88 /file && chmod 6755 /file && sleep 600")?;
        person.until("the file", || Ok(inside(&person, "stat -c %a /file 2>&1 || true")? == "6755\n"))?;
        let kept = home.join("kept");
        person.run(&["cp", "-a", "box:/file", text(&kept)])?.succeeded()?;
        let about = kept.metadata()?;
        let seen = (about.uid(), about.gid(), about.mode() & 0o7777);
        match person.uid {
            // Only root gives files away.
            None => assert_eq!(seen, (77, 88, 0o6755)),
            Some(uid) => assert_eq!(seen, (uid, uid, 0o755)),
        }
        let owner =
            if who == Who::Root { (1234, 2345) } else { (person.uid.unwrap_or(0), person.uid.unwrap_or(0)) };
        std::os::unix::fs::chown(&kept, Some(owner.0), Some(owner.1))?;
        let ran = person.run(&["cp", "--archive", text(&kept), "box:/back"])?;
        // A container of an ordinary user has as many ids as were lent.
        if ran.status.success() {
            assert_eq!(inside(&person, "stat -c %u:%g /back")?, format!("{}:{}\n", owner.0, owner.1));
        } else {
            assert!(
                who == Who::Lent && ran.stderr.contains("which the container does not have"),
                "{}",
                ran.stderr
            );
        }
        person.run(&["cp", text(&kept), "box:/roots"])?.succeeded()?;
        assert_eq!(inside(&person, "stat -c %u:%g /roots")?, "0:0\n");
    }
    Ok(())
}

fn mistakes() -> TestResult {
    let person = Person::new(Who::Root)?;
    let home = folder(&person, "files")?;
    let file = home.join("file");
    write(&person, &file, "x")?;
    let read_only = format!("{}:/machine:ro", text(&home));
    start(&person, &["--read-only", "-v", "/volume", "-v", &read_only, "--tmpfs", "/memory"], "sleep 600")?;
    let file = text(&file);
    let cases: &[(&[&str], i32, &str)] = &[
        (&[file, "box:/"], 1, "container rootfs is marked read-only"),
        (&[file, "box:/etc/hostname"], 1, "container rootfs is marked read-only"),
        (&[file, "box:/machine"], 1, "mounted volume is marked read-only"),
        (&[file, "box:/volume"], 0, ""),
        (&[file, "box:/memory"], 0, ""),
        (&[file, "box:/dev/null"], 1, "/dev/null is a device, which cannot be copied"),
        (&["box:/nothing", text(&home)], 1, "there is no /nothing"),
        (&["box:/etc/", file], 1, "cannot copy a folder over "),
        (&["box:/etc", "box:/x"], 2, "copying between containers is not supported"),
        (&[file, "other"], 2, "neither of the two is CONTAINER:PATH"),
        (&[file, "nobody:/x"], 1, "there is no such container"),
        (&["box:", text(&home)], 2, "`box:` names no path in the container"),
        (&[":/x", text(&home)], 2, "`:/x` names no container"),
    ];
    let check = |when: &str| -> TestResult {
        for (words, code, said) in cases {
            let all: Vec<&str> = ["cp"].iter().chain(*words).copied().collect();
            let ran = person.run(&all)?;
            assert_eq!(ran.status.code(), Some(*code), "{when}: {words:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(said), "{when}: {words:?}: {}", ran.stderr);
        }
        Ok(())
    };
    check("running")?;
    assert_eq!(inside(&person, "cat /volume/file /memory/file")?, "xx");
    // Who reads less than there is heard enough.
    let mut command = person.command(&["cp", "box:/bin", "-"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().ok_or_else(|| Stop::failed("there is no output"))?;
    output.read_exact(&mut [0; 100])?;
    drop(output);
    let ended = child.wait_with_output()?;
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0));
    Ok(())
}
