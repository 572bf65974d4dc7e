//! Registries and engines, and what is rebuilt from an image alone.

use longshore_testkit::{
    Answer, Dockerd, FaultServer, Folder, Longshore, Registry, RegistryOptions, Reply, Requirement, Stop,
    Suite, TestResult,
};

use crate::build::user_with_go;
use crate::run::{assert_snapshot, redactions, transcript, user};
use crate::schema;

const REGISTRY: &[Requirement] = &[Requirement::Program("docker-registry")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("what_is_pushed_is_pulled_with_the_same_digest", REGISTRY, push_and_pull)
        .test("an_image_stands_on_a_base_from_a_registry", REGISTRY, foreign_base)
        .test("a_password_and_a_private_authority_are_used", REGISTRY, private_registry)
        .test("what_a_registry_refuses_is_said", REGISTRY, refusals)
        .test("offline_nothing_is_asked_of_the_network", &[], offline)
        .test("docker_runs_what_is_loaded", &[Requirement::Containers], load)
        .test("an_image_is_reproduced_byte_for_byte", &[Requirement::Program("git")], reproduce)
}

/// A user with the image hello:dev.
fn user_with_hello(folder: &Folder) -> Result<(Longshore, String), Stop> {
    let user = user_with_go()?.inside(folder.path());
    let digest = user.run(["build", "-t", "hello:dev"])?.succeeded()?.stdout.trim_end().to_owned();
    Ok((user, digest))
}

fn push_and_pull() -> TestResult {
    let registry = Registry::start()?;
    let folder = Folder::with_example("hello")?;
    let (user, digest) = user_with_hello(&folder)?;
    let name = registry.reference("team/hello:1");
    let pushed = user.run(["image", "push", "hello:dev", &name, "--format", "json"])?.succeeded()?;
    schema::check("image-push", &pushed.stdout)?;
    assert!(pushed.stdout.contains(&digest), "{}", pushed.stdout);
    let again = user.run(["image", "push", "hello:dev", &name])?.succeeded()?;
    assert!(again.stderr.contains("0 blobs sent"), "{}", again.stderr);
    // The same from the build itself, into another repository.
    let other = registry.reference("other/{name}:2");
    user.run(["build", "-t", &other, "--push"])?.succeeded()?;
    let reader = crate::run::user()?;
    for name in ["team/hello:1", "other/hello:2"] {
        let pulled = reader.run(["image", "pull", &registry.reference(name)])?.succeeded()?;
        assert_eq!(pulled.stdout.trim_end(), digest);
    }
    reader.run(["image", "validate"])?.succeeded()?;
    let shown =
        reader.run(["image", "show", &format!("docker://{name}"), "--format", "json"])?.succeeded()?;
    assert!(shown.stdout.contains(&digest));
    let copied = reader.run([
        "image",
        "copy",
        &format!("docker://{name}"),
        &format!("docker://{}", registry.reference("third:1")),
    ])?;
    assert_eq!(copied.succeeded()?.stdout.trim_end(), digest);
    Ok(())
}

fn foreign_base() -> TestResult {
    let registry = Registry::start()?;
    let folder = Folder::with_example("hello")?;
    let (user, _) = user_with_hello(&folder)?;
    let base = registry.reference("base:1");
    user.run(["image", "push", "hello:dev", &base])?.succeeded()?;
    let built = user.run(["build", "-t", "based:1", "--base", &base])?.succeeded()?;
    let again = user.run(["build", "-t", "based:1", "--base", &base])?.succeeded()?;
    assert_eq!(again.stdout, built.stdout);
    assert!(again.stderr.contains("nothing changed"), "{}", again.stderr);
    user.run(["image", "validate", "based:1"])?.succeeded()?;
    // What the lock pins is there already: no network is needed.
    user.run(["build", "-t", "based:1", "--base", &base, "--offline", "--no-cache"])?.succeeded()?;
    let lock = folder.read("longshore.lock")?;
    assert!(lock.contains("[[base]]") && lock.contains("sha256:"), "{lock}");
    Ok(())
}

fn private_registry() -> TestResult {
    Requirement::Program("htpasswd").check()?;
    let credentials = Some(("me".to_owned(), "s3cret-word".to_owned()));
    let registry =
        Registry::start_with(&RegistryOptions { credentials, tls: true, ..RegistryOptions::default() })?;
    let folder = Folder::with_example("hello")?;
    let (user, digest) = user_with_hello(&folder)?;
    let name = registry.reference("hello:1");
    let refused = user.run(["image", "push", "hello:dev", &name])?.expect_code(1)?;
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    let authority = registry.authority().map(|authority| authority.certificate().display().to_string());
    let authority = authority.ok_or_else(|| Stop::failed("the registry speaks no TLS"))?;
    let refused = user.run(["image", "push", "hello:dev", &name, "--ca-file", &authority])?.expect_code(1)?;
    assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    // me:s3cret-word
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6czNjcmV0LXdvcmQ="}}}}}}"#, registry.address());
    let settings = Folder::new()?;
    settings.write("config.json", config)?;
    let user = user.env("DOCKER_CONFIG", settings.path());
    let pushed = user.run(["image", "push", "hello:dev", &name, "--ca-file", &authority])?.succeeded()?;
    assert!(pushed.stdout.contains(&digest));
    for ran in [&refused, &pushed] {
        assert!(!ran.stderr.contains("s3cret-word") && !ran.stderr.contains("bWU6"), "{}", ran.stderr);
    }
    user.run(["image", "push", "hello:dev", &name, "--insecure-registry", registry.address()])?
        .succeeded()?;
    Ok(())
}

fn refusals() -> TestResult {
    let registry = Registry::start()?;
    let user = user()?;
    let ran = user.run(["image", "pull", &registry.reference("nothing:1"), "--progress", "quiet"])?;
    assert_snapshot("pull-nothing", &transcript(&ran, &redactions(&user)));
    let server = FaultServer::start(|_| Reply::Answer(Answer::new(403, "no")))?;
    let ran = user.run(["image", "pull", &format!("{}/hello:1", server.address()), "--progress", "quiet"])?;
    assert_snapshot("pull-forbidden", &transcript(&ran, &redactions(&user)));
    Ok(())
}

fn offline() -> TestResult {
    let user = user()?;
    let ran = user.run(["image", "pull", "registry.example.com/hello:1", "--offline"])?;
    assert_snapshot("pull-offline", &transcript(&ran, &redactions(&user)));
    Ok(())
}

fn load() -> TestResult {
    let engine = Dockerd::start()?;
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path()).env("DOCKER_HOST", engine.host());
    user.run(["build", "-t", "hello:dev", "--load", "--image-format", "docker"])?.succeeded()?;
    let version = engine.docker(["run", "--rm", "--read-only", "hello:dev", "version"])?.succeeded()?.stdout;
    assert!(!version.trim().is_empty(), "{version:?}");
    // And back.
    user.run(["image", "copy", "docker-daemon:hello:dev", "back:1"])?.succeeded()?;
    user.run(["image", "validate", "back:1"])?.succeeded()?;
    let doctor = user.run(["doctor"])?.succeeded()?.stdout;
    assert!(doctor.contains("DOCKER_HOST"), "{doctor}");
    Ok(())
}

fn git(folder: &Folder, arguments: &[&str]) -> TestResult {
    let mut command = std::process::Command::new("git");
    command.args(["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]);
    command.args(arguments).current_dir(folder.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    longshore_testkit::run(&mut command, std::time::Duration::from_secs(30))?.succeeded()?;
    Ok(())
}

fn reproduce() -> TestResult {
    let folder = Folder::with_example("hello")?;
    git(&folder, &["init", "-q"])?;
    git(&folder, &["add", "."])?;
    git(&folder, &["commit", "-qm", "First"])?;
    let (user, digest) = user_with_hello(&folder)?;
    let same = user.run(["reproduce", "hello:dev", "--shared-go-cache", "--format", "json"])?.succeeded()?;
    schema::check("reproduce", &same.stdout)?;
    let human =
        user.run(["reproduce", "hello:dev", "--shared-go-cache", "--progress", "quiet"])?.succeeded()?;
    assert_eq!(human.stdout, format!("identical: {digest}\n"));
    folder.write("main.go", format!("{}\nvar changed = true\n", folder.read("main.go")?))?;
    let other = user.run(["reproduce", "hello:dev", "--shared-go-cache", "--progress", "quiet"])?;
    assert_eq!(other.status.code(), Some(3), "{}{}", other.stdout, other.stderr);
    assert!(other.stdout.contains("first difference: "), "{}", other.stdout);
    let nothing = user.run(["reproduce", "nothing"])?;
    assert_eq!(nothing.status.code(), Some(4));
    Ok(())
}
