//! `--output`: what is written of a build, and where, beside or instead of an image.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use longshore_image::layer::{TarKind, entries};
use longshore_testkit::{
    BuildKit, Folder, Longshore, Registry, Requirement, Stop, Suite, TestResult, copy_tree, example,
};

use crate::conformance::bases;
use crate::dockerfile::busybox;
use crate::run::{assert_snapshot, redactions, transcript, user};

pub(crate) const BUILDKIT: &[Requirement] = &[Requirement::BuildKit];
const ROOT: &[Requirement] = &[Requirement::Root];
const ORDINARY: &[Requirement] = &[Requirement::OrdinaryUser];
const REGISTRY: &[Requirement] = &[Requirement::Program("docker-registry")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("outputs::files_are_those_that_buildkit_writes", BUILDKIT, as_buildkit)
        .test("outputs::each_of_several_platforms_has_a_folder", &[], platforms)
        .test("outputs::files_belong_to_whoever_builds", ORDINARY, ordinary)
        .test("outputs::standard_output_takes_a_tar_and_nothing_else", &[], streams)
        .test("outputs::archives_and_layouts_in_the_words_of_buildx", &[], archives)
        .test("outputs::names_are_given_and_pushed", REGISTRY, names)
        .test("outputs::a_go_service_has_files_too", &[], service)
        .test("outputs::what_does_not_go_together_is_refused", &[], refusals)
        .test("outputs::a_folder_of_ones_own_is_not_harmed", &[], harmless)
        .test("outputs::a_full_disk_leaves_the_old_tar", ROOT, full_disk)
}

/// Files of every kind, with fixed times, made by a RUN and copied by the stage that is written.
const EVERYTHING: &str = "FROM busybox AS made
RUN mkdir -p /out/closed /out/empty && cd /out \\
 && echo text > file && echo text > closed/file && ln file again && ln -s /etc/passwd absolute && ln -s closed relative \\
 && echo run > set-id && mkfifo pipe && mknod null c 1 3 \\
 && chown 1234:5 file && chmod 4750 set-id && chmod 555 closed && chmod 1777 empty && chmod 0 closed/file \\
 && touch -d @1000000000 file closed/file set-id pipe null && touch -d @1100000000 closed empty
FROM scratch
COPY --from=made /out /
";

/// All about each file below a folder: path, mode with its type, owner where it counts, names, time, target or text.
fn facts(folder: &Path, owner: u32) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            let about = path.symlink_metadata()?;
            assert_eq!((about.uid(), about.gid()), (owner, owner), "{}", path.display());
            let text = match () {
                () if about.is_symlink() => format!("-> {}", std::fs::read_link(&path)?.display()),
                () if about.is_dir() => "folder".to_owned(),
                () if about.is_file() => std::fs::read_to_string(&path)?,
                () => format!("device {}", about.rdev()),
            };
            // Links are as old as the build.
            let time = if about.is_symlink() { 0 } else { about.mtime() };
            let names = if about.is_dir() { 0 } else { about.nlink() };
            let name = path.strip_prefix(folder)?.display();
            found.push(format!("{name} {:o} {names} {time} {}", about.mode(), text.trim_end()));
            if about.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The same for a tar, in its order, with the owners in it.
pub(crate) fn tar_facts(bytes: &[u8]) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    let mut tar = entries(bytes);
    while let Some(entry) = tar.next_entry()? {
        // A symbolic link is as old as the build.
        let time = if matches!(entry.kind, TarKind::Symlink(_)) { 0 } else { entry.mtime };
        let text = match &entry.kind {
            TarKind::File => {
                let mut content = Vec::new();
                tar.content().take(100).read_to_end(&mut content)?;
                String::from_utf8_lossy(&content).into_owned()
            }
            TarKind::Symlink(target) => format!("-> {}", target.display()),
            TarKind::Hardlink(target) => format!("= {}", target.display()),
            other => format!("{other:?}"),
        };
        let name = entry.path.display();
        found.push(format!("{name} {:o} {}:{} {time} {}", entry.mode, entry.uid, entry.gid, text.trim_end()));
    }
    Ok(found)
}

fn build<'b>(busybox: &'b str, more: &[&'b str]) -> Vec<&'b str> {
    [&["build", "-f", "Dockerfile", "--build-context", busybox], more].concat()
}

fn with(dockerfile: &str) -> Result<Folder, Stop> {
    let folder = Folder::new()?;
    folder.write("Dockerfile", dockerfile)?;
    Ok(folder)
}

fn as_buildkit() -> TestResult {
    let folder = with(EVERYTHING)?;
    let user = user()?.inside(folder.path());
    let kit = BuildKit::start()?;
    let image = bases()?.image("busybox")?.ok_or_else(|| Stop::failed("there is no busybox"))?;
    let layout = format!("bases={}", bases()?.folder().display());
    let context = format!("context:busybox=oci-layout://bases@{}", image.digest());
    let busybox = busybox("busybox")?;
    for (theirs, ours) in
        [("type=local,dest=theirs", "ours"), ("type=tar,dest=theirs.tar", "type=tar,dest=ours.tar")]
    {
        kit.build(folder.path(), ["--oci-layout", &layout, "--opt", &context, "--output", theirs])?
            .succeeded()?;
        user.run(build(&busybox, &["--output", ours]))?.succeeded()?;
    }
    let expected = facts(&folder.join("theirs"), 0)?;
    assert_eq!(facts(&folder.join("ours"), 0)?, expected);
    assert_eq!(expected.len(), 10);
    let tar = |name: &str| -> Result<Vec<String>, Stop> { tar_facts(&std::fs::read(folder.join(name))?) };
    let expected = tar("theirs.tar")?;
    assert_eq!(tar("ours.tar")?, expected);
    assert_eq!(expected.len(), 10);
    Ok(())
}

fn platforms() -> TestResult {
    let folder = with("FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n")?;
    let user = user()?.inside(folder.path());
    let both = ["build", "-f", "Dockerfile", "--platform", "linux/amd64,linux/arm/v7", "--output"];
    let one = ["build", "-f", "Dockerfile", "--platform", "linux/arm64", "--output"];
    let run = |start: &[&str], output: &str| user.run(start.iter().copied().chain([output]));
    run(&both, "out")?.succeeded()?;
    assert_eq!(folder.read("out/linux_amd64/arch")?, "amd64\n");
    assert_eq!(folder.read("out/linux_arm_v7/arch")?, "arm\n");
    run(&one, "type=local,dest=one")?.succeeded()?;
    run(&one, "type=local,dest=split,platform-split=true")?.succeeded()?;
    assert_eq!(
        (folder.read("one/arch")?, folder.read("split/linux_arm64/arch")?),
        ("arm64\n".into(), "arm64\n".into())
    );
    run(&both, "type=tar,dest=out.tar")?.succeeded()?;
    let paths: Vec<_> = tar_facts(&std::fs::read(folder.join("out.tar"))?)?
        .iter()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(paths, ["linux_amd64/", "linux_amd64/arch", "linux_arm_v7/", "linux_arm_v7/arch"]);
    let refused = run(&both, "type=local,dest=mixed,platform-split=false")?;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(!folder.join("mixed").exists());
    Ok(())
}

fn ordinary() -> TestResult {
    let folder = with(&EVERYTHING.replace(" && mknod null c 1 3", "").replace(" null ", " "))?;
    let user = user()?.as_ordinary_user()?;
    let owner = std::fs::metadata(user.home())?.uid();
    assert_ne!(owner, 0);
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let (busybox, context) = (busybox("busybox")?, folder.path().display().to_string());
    let file = folder.join("Dockerfile").display().to_string();
    readable(bases()?.folder())?;
    let (out, tar) = (user.home().join("out"), user.home().join("out.tar"));
    let tar_output = format!("type=tar,dest={}", tar.display());
    let folder_output = out.display().to_string();
    let arguments = [
        "build",
        "-f",
        &file,
        "--build-context",
        &busybox,
        &context,
        "--output",
        &folder_output,
        "--output",
        &tar_output,
    ];
    // The second time all is known, and there.
    for expected in ["2 of 2 steps done", "nothing changed"] {
        let built = user.run(arguments)?.succeeded()?;
        assert!(built.stderr.contains(expected), "{}", built.stderr);
        std::fs::set_permissions(out.join("closed/file"), PermissionsExt::from_mode(0o400))?;
        let found = facts(&out, owner)?;
        let expected = [
            "absolute 120777 1 0 -> /etc/passwd",
            "again 100644 2 1000000000 text",
            "closed 40555 0 1100000000 folder",
            "closed/file 100400 1 1000000000 text",
            "empty 41777 0 1100000000 folder",
            "file 100644 2 1000000000 text",
            "pipe 10644 1 1000000000 device 0",
            "relative 120777 1 0 -> closed",
            "set-id 104750 1 1000000000 run",
        ];
        assert_eq!(found, expected);
    }
    let owners = tar_facts(&std::fs::read(tar)?)?;
    assert!(owners.contains(&"again 644 1234:5 1000000000 text".to_owned()), "{owners:?}");
    // Of the stage that was only copied from no layer was written yet, and a file of it is closed to everybody.
    let stage = [&arguments[..6], &["--target", "made"]].concat();
    assert!(user.run(stage)?.succeeded()?.stderr.contains("nothing changed"));
    Ok(())
}

/// Lets every user read what tests made as root.
fn readable(folder: &Path) -> TestResult {
    for above in folder.ancestors().take_while(|above| above.starts_with(std::env::temp_dir())) {
        let mode = std::fs::metadata(above)?.mode();
        std::fs::set_permissions(above, PermissionsExt::from_mode(mode & 0o7777 | 0o055))?;
    }
    Ok(())
}

fn streams() -> TestResult {
    let folder = with("FROM scratch\nCOPY Dockerfile /file\n")?;
    let user = user()?.inside(folder.path());
    for output in ["-", "type=tar", "type=tar,dest=-"] {
        let mut command = user.command(["build", "-f", "Dockerfile", "--output", output]);
        let ran = command.stdin(Stdio::null()).output()?;
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let found = tar_facts(&ran.stdout)?;
        assert_eq!(found.len(), 1, "{output}: {found:?}");
        assert!(found[0].starts_with("file 644 0:0 "), "{output}: {found:?}");
    }
    let ran = user.command(["build", "-f", "Dockerfile", "-t", "x:1", "--output", "type=oci"]).output()?;
    let names: Vec<_> = tar_facts(&ran.stdout)?;
    assert!(names.iter().any(|line| line.starts_with("oci-layout ")), "{names:?}");
    // Whoever reads less than there is heard enough.
    let mut command = user.command(["build", "-f", "Dockerfile", "--output", "-"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    assert!(child.wait()?.success());
    Ok(())
}

fn archives() -> TestResult {
    let folder = with("FROM scratch\nCOPY Dockerfile /file\n")?;
    let user = user()?.inside(folder.path());
    let outputs =
        ["type=oci,dest=a.tar,name=x:1", "type=docker,dest=b.tar", "type=oci,dest=layout,tar=false,name=x:2"];
    let arguments = outputs.iter().flat_map(|output| ["--output", output]);
    let built = user.run(["build", "-f", "Dockerfile"].into_iter().chain(arguments))?.succeeded()?;
    for place in ["oci-archive:a.tar:x:1", "docker-archive:b.tar", "oci:layout:2"] {
        let shown = user.run(["image", "show", place])?.succeeded()?;
        assert!(shown.stdout.contains(built.stdout.trim_end()), "{place}: {}", shown.stdout);
    }
    Ok(())
}

fn names() -> TestResult {
    let registry = Registry::start()?;
    let folder = with("FROM scratch\nCOPY Dockerfile /file\n")?;
    let user = user()?.inside(folder.path());
    let run = |arguments: &[&str]| user.run(["build", "-f", "Dockerfile"].iter().chain(arguments));
    let (pushed, kept, tagged) =
        (registry.reference("a:1"), registry.reference("b:1"), registry.reference("c:1"));
    let built = run(&["--output", &format!("type=image,name={pushed},push=true")])?.succeeded()?;
    run(&["--output", &format!("type=image,name={kept}")])?.succeeded()?;
    run(&["--output", "type=registry", "-t", &tagged])?.succeeded()?;
    let listed = user.run(["image", "ls"])?.succeeded()?.stdout;
    assert!([&pushed, &kept, &tagged].iter().all(|name| listed.contains(&**name)), "{listed}");
    let other = crate::run::user()?;
    for (name, is_there) in [(&pushed, true), (&kept, false), (&tagged, true)] {
        let pulled = other.run(["image", "pull", name])?;
        assert_eq!(pulled.status.success(), is_there, "{name}: {}", pulled.stderr);
        assert!(!is_there || pulled.stdout == built.stdout);
    }
    Ok(())
}

fn service() -> TestResult {
    let folder = Folder::new()?;
    copy_tree(&example("hello"), folder.path())?;
    let user = crate::build::user_with_go()?.inside(folder.path());
    user.run(["build", "--output", "out", "--output", "type=tar,dest=out.tar"])?.succeeded()?;
    let names: Vec<_> = tar_facts(&std::fs::read(folder.join("out.tar"))?)?;
    assert!(names.iter().any(|line| line.starts_with("etc/passwd 644 0:0 ")), "{names:?}");
    assert!(folder.read("out/etc/passwd")?.contains("nonroot"));
    Ok(())
}

fn refused(user: &Longshore, outputs: &[&str], snapshot: &str) -> TestResult {
    let arguments = outputs.iter().flat_map(|output| ["--output", output]);
    let ran = user.run(["build", "--progress", "quiet", "-f", "Dockerfile"].into_iter().chain(arguments))?;
    assert_snapshot(&format!("output-{snapshot}"), &transcript(&ran, &redactions(user)));
    Ok(())
}

fn refusals() -> TestResult {
    let folder = with("FROM scratch\nCOPY Dockerfile /file\n")?;
    let user = user()?.inside(folder.path());
    refused(&user, &["type=zip"], "unknown-type")?;
    refused(&user, &["type=local,dest=out,compression=zstd"], "unknown-key")?;
    refused(&user, &["app:1"], "name")?;
    refused(&user, &["-", "type=oci"], "two-streams")?;
    refused(&user, &["type=registry"], "no-name")?;
    refused(&user, &["type=local,dest=out,src=/nowhere"], "no-source")?;
    assert_eq!(folder.listing()?, ["100644 Dockerfile"]);
    Ok(())
}

fn harmless() -> TestResult {
    let folder = with("FROM scratch\nCOPY Dockerfile /data\nCOPY Dockerfile /safe/file\n")?;
    let user = user()?.inside(folder.path()).env("LC_ALL", "C");
    let shown = |ran: &longshore_testkit::Ran| {
        let text = transcript(ran, &redactions(&user));
        // A name without a file has letters that nobody can know.
        let text = text.split_once(".tmp-").map_or(text.clone(), |(text, _)| format!("{text}.tmp-[NAME]"));
        text.replace(
            &std::fs::canonicalize(folder.path()).unwrap_or_default().display().to_string(),
            "[FOLDER]",
        )
    };
    let run =
        |output: &str| user.run(["build", "--progress", "quiet", "-f", "Dockerfile", "--output", output]);
    folder.write("out/data/precious", "mine")?;
    folder.write("file", "mine")?;
    assert_snapshot("output-folder-in-the-way", &shown(&run("out")?));
    assert_snapshot("output-file-as-folder", &shown(&run("file")?));
    assert_snapshot("output-tar-over-folder", &shown(&run("type=tar,dest=out")?));
    assert_snapshot("output-tar-nowhere", &shown(&run("type=tar,dest=no/such/out.tar")?));
    assert_eq!((folder.read("out/data/precious")?, folder.read("file")?), ("mine".into(), "mine".into()));
    // Into the context itself, through a link that was named, and past one that was not.
    symlink(folder.join("elsewhere"), folder.join("safe"))?;
    std::fs::create_dir(folder.join("elsewhere"))?;
    run(".")?.succeeded()?;
    assert!(!folder.join("safe").is_symlink());
    assert_eq!(std::fs::read_dir(folder.join("elsewhere"))?.count(), 0);
    symlink("elsewhere", folder.join("named"))?;
    run("named")?.succeeded()?;
    assert!(folder.join("elsewhere/safe/file").is_file() && folder.join("named").is_symlink());
    Ok(())
}

fn full_disk() -> TestResult {
    let folder = with(
        "FROM busybox AS large\nRUN head -c 8000000 /dev/urandom > /large\nFROM scratch\nCOPY --from=large /large /\n",
    )?;
    let (user, busybox) = (user()?.inside(folder.path()), busybox("busybox")?);
    let small = folder.join("small");
    std::fs::create_dir(&small)?;
    let mount = |arguments: &[&str]| {
        let mut command = std::process::Command::new(if arguments.is_empty() { "umount" } else { "mount" });
        longshore_testkit::run(command.args(arguments).arg(&small), std::time::Duration::from_secs(10))
    };
    mount(&["-t", "tmpfs", "-o", "size=4m", "none"])?.succeeded()?;
    let ended = (|| {
        folder.write("small/out.tar", "old")?;
        for output in ["type=tar,dest=small/out.tar", "small/out"] {
            let ran = user.run(build(&busybox, &["--output", output]))?;
            assert_eq!(ran.status.code(), Some(1), "{}", ran.stderr);
            assert!(ran.stderr.contains("hint: the disk is full"), "{}", ran.stderr);
        }
        assert_eq!(folder.read("small/out.tar")?, "old");
        let left = Folder::listing(&folder)?;
        assert!(!left.iter().any(|line| line.contains(".tmp-") || line.contains("large")), "{left:?}");
        Ok(())
    })();
    mount(&[])?.succeeded()?;
    ended
}
