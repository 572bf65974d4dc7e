//! Where a Dockerfile and its context come from: pipes, tars, addresses; as root and as a user who is not.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use longshore_testkit::{
    Answer, BuildKit, FaultServer, Folder, Longshore, Reply, Requirement, Stop, Suite, TestResult,
};

use crate::conformance::bases;
use crate::dockerfile::busybox;
use crate::outputs::{BUILDKIT, tar_facts};
use crate::run::{assert_snapshot, redactions, transcript, user};

const TAR: &[Requirement] = &[Requirement::Program("tar")];
const ORDINARY: &[Requirement] = &[Requirement::OrdinaryUser, Requirement::Program("tar")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("contexts::a_tar_will_do_from_a_file_a_pipe_and_a_server", TAR, tars)
        .test("contexts::those_of_a_server_hold_what_buildkit_finds", BUILDKIT, as_buildkit)
        .test("contexts::pipes_reach_the_steps_of_a_user_who_is_not_root", ORDINARY, ordinary)
        .test("contexts::what_is_no_context_is_refused", &[], refusals)
        .test("contexts::what_a_dockerfile_warns_of_is_said_once", ORDINARY, said_once)
}

/// A folder with a context and a tar of it.
fn context() -> Result<Folder, Stop> {
    let folder = Folder::new()?;
    folder.write("context/sub/Dockerfile", "FROM busybox\nCOPY . /src/\nRUN cat /src/hello > /said\n")?;
    folder.write("context/hello", "hello\n")?;
    folder.write("context/.dockerignore", "secret\n")?;
    folder.write("context/secret", "")?;
    tar(&folder)?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

fn tar(folder: &Folder) -> TestResult {
    let mut command = std::process::Command::new("tar");
    command.args([
        "--owner=0",
        "--group=0",
        "--mtime=@1000000000",
        "-czf",
        "context.tar.gz",
        "-C",
        "context",
        ".",
    ]);
    longshore_testkit::run(command.current_dir(folder.path()), std::time::Duration::from_secs(60))?
        .succeeded()?;
    Ok(())
}

/// Builds with a file as standard input.
fn piped(user: &Longshore, input: &Path, arguments: &[&str]) -> Result<Output, Stop> {
    let busybox = busybox("busybox")?;
    let arguments = ["build", "--build-context", &busybox].into_iter().chain(arguments.iter().copied());
    Ok(user.command(arguments).stdin(File::open(input)?).output()?)
}

fn succeeded(output: Output) -> Result<String, Stop> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

fn tars() -> TestResult {
    let folder = context()?;
    let user = user()?.inside(folder.path());
    let archive = folder.join("context.tar.gz");
    let served = std::fs::read(&archive)?;
    let server = FaultServer::start(move |_| Reply::Answer(Answer::new(200, served.clone())))?;
    let url = format!("{}/context.tar.gz", server.url());
    let first = succeeded(piped(&user, &archive, &["-f", "sub/Dockerfile", "-", "-o", "out"])?)?;
    assert_eq!(
        (folder.read("out/said")?, folder.listing()?.iter().any(|line| line.contains("out/src/secret"))),
        ("hello\n".into(), false)
    );
    assert!(folder.join("out/src/sub/Dockerfile").is_file());
    for context in ["context.tar.gz", &url] {
        let built = succeeded(piped(&user, Path::new("/dev/null"), &["-f", "sub/Dockerfile", context])?)?;
        assert_eq!(built, first, "{context}");
    }
    // A Dockerfile of this machine is named by its whole path.
    let own = folder.write("own", "FROM busybox\nCOPY hello /mine\n")?.display().to_string();
    succeeded(piped(&user, &archive, &["-f", &own, "-", "-o", "mine"])?)?;
    assert_eq!(folder.read("mine/mine")?, "hello\n");
    // A Dockerfile in the pipe, and a context elsewhere.
    succeeded(piped(&user, Path::new(&own), &["-f", "-", &url, "-o", "third", "-t", "{name}"])?)?;
    assert_eq!(folder.read("third/mine")?, "hello\n");
    assert!(user.run(["image", "ls"])?.succeeded()?.stdout.contains("context"));
    Ok(())
}

/// A tar with owners, links, modes and rules, packed by GNU tar.
fn owned_tar() -> Result<Vec<u8>, Stop> {
    let folder = Folder::new()?;
    folder.write("c/Dockerfile", "FROM scratch\nCOPY . /all/\nCOPY --chown=1:2 file li* /some/\n")?;
    folder.write("c/file", "text\n")?;
    folder.write("c/closed/file", "text\n")?;
    folder.write("c/secret", "")?;
    folder.write("c/.dockerignore", "secret\n")?;
    std::fs::hard_link(folder.join("c/file"), folder.join("c/same"))?;
    for (link, target) in [("link", "closed/file"), ("absolute", "/closed"), ("lies", "../../file")] {
        std::os::unix::fs::symlink(target, folder.join("c").join(link))?;
    }
    for (name, mode) in [("c/closed", 0o700), ("c/file", 0o4711)] {
        std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(mode))?;
    }
    let mut command = std::process::Command::new("tar");
    command.args(["--owner=7", "--group=8", "--mtime=@1000000000", "-czf", "c.tar.gz", "-C", "c", "."]);
    longshore_testkit::run(command.current_dir(folder.path()), std::time::Duration::from_secs(60))?
        .succeeded()?;
    Ok(std::fs::read(folder.join("c.tar.gz"))?)
}

fn as_buildkit() -> TestResult {
    let text = "FROM scratch\nCOPY . /\n";
    let files = [("/tar", owned_tar()?), ("/text", text.as_bytes().to_vec())];
    let server = FaultServer::start(move |request| {
        let found = files.iter().find(|(path, _)| request.target == *path);
        Reply::Answer(found.map_or_else(|| Answer::new(404, ""), |(_, body)| Answer::new(200, body.clone())))
    })?;
    let folder = Folder::new()?;
    folder.write("Named", "FROM scratch\nCOPY --from=tar / /tar/\nCOPY --from=text / /text/\n")?;
    let (user, kit) = (user()?.inside(folder.path()), BuildKit::start()?);
    let (tar, text) = (format!("{}/tar", server.url()), format!("{}/text", server.url()));
    let mut seen = Vec::new();
    for (theirs, ours) in [
        (vec![format!("context={tar}")], vec!["Dockerfile", &tar]),
        (vec![format!("context={text}")], vec!["Dockerfile", &text]),
        (
            vec!["filename=Named".to_owned(), format!("context:tar={tar}"), format!("context:text={text}")],
            vec!["Named", "."],
        ),
    ] {
        let options: Vec<String> =
            theirs.into_iter().flat_map(|option| ["--opt".to_owned(), option]).collect();
        kit.build(
            folder.path(),
            options.iter().map(String::as_str).chain(["--output", "type=tar,dest=theirs"]),
        )?
        .succeeded()?;
        let (named_tar, named_text) = (format!("tar={tar}"), format!("text={text}"));
        let named = ["--build-context", &named_tar, "--build-context", &named_text];
        let build = ["build", "-o", "type=tar,dest=ours", "-f"].into_iter().chain(ours).chain(named);
        user.run(build)?.succeeded()?;
        let facts = |name: &str| tar_facts(&std::fs::read(folder.join(name))?);
        let (ours, mut theirs) = (facts("ours")?, facts("theirs")?);
        // On purpose: for BuildKit the rules of a context that was fetched do not count.
        theirs.retain(|line| !line.starts_with("all/secret "));
        // Folders that are made on the way are as old as the build.
        let made = |lines: Vec<String>| -> Vec<String> {
            let is_made = |line: &String| {
                ["all/ ", "some/ ", "tar/ ", "text/ "].iter().any(|name| line.starts_with(name))
            };
            lines
                .into_iter()
                .map(|line| {
                    if is_made(&line) { line.split(' ').take(3).collect::<Vec<_>>().join(" ") } else { line }
                })
                .collect()
        };
        seen.push(theirs.len());
        assert_eq!(made(ours), made(theirs));
    }
    assert_eq!(seen, [14, 1, 4]);
    Ok(())
}

/// A user who is not root, with what all share made readable.
fn ordinary_user(folder: &Folder) -> Result<Longshore, Stop> {
    for shared in bases()?.folder().ancestors().chain([folder.path()]) {
        if shared.starts_with(std::env::temp_dir()) && shared != std::env::temp_dir() {
            std::fs::set_permissions(shared, PermissionsExt::from_mode(0o755))?;
        }
    }
    Ok(user()?.as_ordinary_user()?)
}

fn ordinary() -> TestResult {
    let folder = context()?;
    let user = ordinary_user(&folder)?.inside(folder.path());
    let out = user.home().join("out");
    let output = out.display().to_string();
    succeeded(piped(&user, &folder.join("context.tar.gz"), &["-f", "sub/Dockerfile", "-", "-o", &output])?)?;
    assert_eq!(std::fs::read_to_string(out.join("said"))?, "hello\n");
    let dockerfile = folder.join("context/sub/Dockerfile");
    let built = succeeded(piped(&user, &dockerfile, &["-f", "-", "context"])?)?;
    assert!(built.trim_end().parse::<longshore_oci::Digest>().is_ok(), "{built}");
    let again = piped(&user, &dockerfile, &["-f", "-", "context"])?;
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing changed"));
    assert_eq!(succeeded(again)?, built);
    Ok(())
}

fn refusals() -> TestResult {
    let folder = Folder::new()?;
    folder.write("Dockerfile", "FROM scratch\nCOPY . /\n")?;
    folder.write("text", "no tar\n")?;
    let user = user()?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
    for (arguments, snapshot) in [
        (&["-f", "-", "-"][..], "both-piped"),
        (&["-f", "Dockerfile", "docker-image://alpine:3"], "image"),
        (&["-f", "Dockerfile", "text"], "no-tar"),
        (&["-f", "Dockerfile", "nowhere"], "no-folder"),
        (&["-f", "Dockerfile", "https://example.com/shop.git?ref=a#b"], "bad-address"),
        (&["-f", "Dockerfile", "https://example.com/shop.tar.gz"], "offline"),
    ] {
        let ran = user.run(["build", "--progress", "quiet"].iter().chain(arguments))?;
        assert_snapshot(&format!("context-{snapshot}"), &transcript(&ran, &redactions(&user)));
    }
    Ok(())
}

fn said_once() -> TestResult {
    let folder = Folder::new()?;
    let dockerfile = "# syntax=docker/dockerfile:1\n# escape=x\nFROM busybox\n\nRUN echo \\\n\n  one\n";
    folder.write("Dockerfile", dockerfile.replace("# escape=x\n", ""))?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let user = ordinary_user(&folder)?.inside(folder.path());
    let built = piped(&user, Path::new("/dev/null"), &["-f", "Dockerfile", "."])?;
    let said = String::from_utf8(built.stderr.clone())?;
    succeeded(built)?;
    for text in ["docker/dockerfile:1 is asked for", "warning: Dockerfile:"] {
        assert_eq!(said.matches(text).count(), 1, "{text}: {said}");
    }
    Ok(())
}
