//! The digest is a promise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use longshore_events::Events;
use longshore_gobuild::{ReproduceOptions, reproduce};
use longshore_testkit::{Skip, TestResult};

use crate::world::{World, copy};

const SERVICE: &str = "package main\n\nimport (\n\t_ \"embed\"\n\t\"net/http\"\n)\n\n//go:embed page.html\nvar page []byte\n\nfunc main() {\n\thttp.ListenAndServe(\":8080\", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) }))\n}\n";

fn service() -> World {
    let mut world = World::new(SERVICE);
    world.write("page.html", "<p>hello");
    world.write("assets/a.txt", "asset");
    let include =
        longshore_config::Include { source: "assets".into(), destination: "/srv".into(), mode: None };
    world.request.settings.include = Some(vec![include]);
    world
}

pub(crate) fn the_digest_is_the_same_anywhere() -> TestResult {
    let first = service();
    first.commit();
    let expected = first.build()?.root.digest;
    // Another folder, store, home, time zone, temporary folder, umask, and noise in GOFLAGS.
    let mut second = World::empty();
    fs::remove_dir_all(second.source(""))?;
    copy(&first.source(""), &second.source(""));
    second.request.settings = first.request.settings.clone();
    for (path, mode) in [("page.html", 0o600), ("assets/a.txt", 0o664), ("assets", 0o777), ("", 0o700)] {
        fs::set_permissions(second.source(path), fs::Permissions::from_mode(mode))?;
    }
    second.folder.write("home/.config/go/env", "GOAMD64=v3\nGOFLAGS=-tags=netgo\n")?;
    second.folder.write("tmp/x", "")?;
    for (name, value) in [("HOME", "home"), ("TMPDIR", "tmp")] {
        second.variables.insert(name.into(), second.folder.join(value).into());
    }
    for (name, value) in
        [("TZ", "Asia/Tokyo"), ("GOFLAGS", "-v -buildvcs=true"), ("GOAMD64", "v2"), ("LANG", "de_DE.UTF-8")]
    {
        second.variables.insert(name.into(), value.into());
    }
    let modules = first.variables.get(std::ffi::OsStr::new("HOME")).cloned().unwrap_or_default();
    second.variables.insert("GOMODCACHE".into(), std::path::Path::new(&modules).join("go/pkg/mod").into());
    assert_eq!(second.build()?.root.digest, expected);
    // And once more after all memory of it is gone.
    fs::remove_dir_all(first.store.cache_folder("builds"))?;
    let again = first.build()?;
    assert!(!again.cached);
    assert_eq!(again.root.digest, expected);
    Ok(())
}

/// Names the source to the process of another user.
const CHILD: &str = "LONGSHORE_TEST_SOURCE";

/// What [`the_digest_is_the_same_for_another_user`] starts as that user: builds the source, and writes the digest to a file.
pub(crate) fn another_user_builds() -> TestResult {
    let source = std::env::var_os(CHILD).ok_or_else(|| Skip("only another test starts it".into()))?;
    let mut world = service();
    fs::remove_dir_all(world.source(""))?;
    copy(std::path::Path::new(&source), &world.source(""));
    world.variables.insert("HOME".into(), world.folder.path().into());
    world.variables.insert("GOCACHE".into(), world.folder.join("go-build").into());
    let digest = world.build()?.root.digest;
    let place = std::env::var_os("LONGSHORE_TEST_DIGEST").unwrap_or_default();
    longshore_files::write_atomic(std::path::Path::new(&place), digest.to_string().as_bytes())?;
    Ok(())
}

pub(crate) fn the_digest_is_the_same_for_another_user() -> TestResult {
    let world = service();
    world.commit();
    let expected = world.build()?.root.digest;
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755))?;
    let place = longshore_testkit::Folder::new()?;
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777))?;
    let program = place.join("it");
    fs::copy(std::env::current_exe()?, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "sh",
            "-c",
            "umask 077; exec \"$0\" \"$@\"",
        ])
        .arg(program)
        .args(["--exact", "another_user_builds"])
        .env(CHILD, world.source(""))
        .env("LONGSHORE_TEST_DIGEST", place.join("digest"))
        .env("TMPDIR", place.path())
        .current_dir(place.path())
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let digest =
        fs::read_to_string(place.join("digest")).map_err(|_| longshore_testkit::Stop::failed(told))?;
    assert_eq!(digest, expected.to_string());
    Ok(())
}

pub(crate) fn an_image_is_built_again() -> TestResult {
    let mut world = service();
    world.request.settings.platforms = Some(vec!["linux/amd64".into(), "linux/arm64".into()]);
    world.request.facts.health = Some(vec!["health".into()]);
    world.commit();
    let outcome = world.build()?;
    let image = world.image(&outcome);
    let options = ReproduceOptions { shared_go_cache: true };
    let root = world.request.root.clone();
    let again = world
        .with_environment(|environment| reproduce(&image, &root, environment, &options, &Events::silent()))?;
    assert!(again.is_identical(), "{:?}", again.difference);
    assert_eq!(again.rebuilt, outcome.root.digest);
    world.write("main.go", SERVICE.replace(":8080", ":9090"));
    let again = world
        .with_environment(|environment| reproduce(&image, &root, environment, &options, &Events::silent()))?;
    let difference = again.difference.unwrap();
    assert_eq!((difference.path.as_deref(), difference.field.as_str()), (Some("app/hello"), "content"));
    assert!(difference.offset.is_some());
    world.run(
        "git",
        &["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--all", "-m", "second"],
    );
    let error = world
        .with_environment(|environment| reproduce(&image, &root, environment, &options, &Events::silent()))
        .unwrap_err();
    assert!(error.hint().unwrap().starts_with("git checkout "), "{error}");
    Ok(())
}

pub(crate) fn a_difference_is_named() -> TestResult {
    let world = service();
    let outcome = world.build()?;
    let image = world.image(&outcome);
    world.write("assets/a.txt", "assex");
    let root = world.request.root.clone();
    let options = ReproduceOptions { shared_go_cache: true };
    let again = world
        .with_environment(|environment| reproduce(&image, &root, environment, &options, &Events::silent()))?;
    let difference = again.difference.unwrap().to_string();
    assert!(
        difference.starts_with("layer 2 of linux/amd64, /srv/a.txt, content at byte 4: "),
        "{difference}"
    );
    Ok(())
}
