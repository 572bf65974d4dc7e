//! Caches in registries: moved by other tools, in images, and through registries that break.

use std::process::Command;

use longshore_testkit::{
    Answer, FaultServer, Folder, Longshore, Registry, Reply, Requirement, Stop, Suite, TestResult, program,
    run,
};

use super::{Built, DOCKERFILE, STEPS, arguments, build, from, manifest, project, to};
use crate::conformance::bases;
use crate::run::user;

const REGISTRY: &[Requirement] = &[Requirement::Program("docker-registry")];
const SKOPEO: &[Requirement] = &[Requirement::Program("skopeo"), Requirement::Program("docker-registry")];

pub(super) fn add(suite: Suite) -> Suite {
    suite
        .test("cache::a_registry_and_skopeo_move_it", SKOPEO, registry)
        .test("cache::bases_are_not_pulled_for_what_is_known", REGISTRY, bases_from_registry)
        .test("cache::an_image_brings_its_own", REGISTRY, inline)
        .test("cache::a_registry_that_breaks_is_done_without", REGISTRY, breaking)
}

fn registry() -> TestResult {
    let (folder, copies) = (project()?, Folder::new()?);
    let registry = Registry::start()?;
    let name = registry.reference("team/cache:main");
    let made = build(&user()?, &folder, &["--cache-to", &format!("type=registry,ref={name},mode=max")])?;
    for source in [name.clone(), format!("type=registry,ref={name}")] {
        let known = build(&user()?, &folder, &["--cache-from", &source])?;
        assert_eq!((known.digest.as_str(), known.done), (made.digest.as_str(), 0), "{}", known.stderr);
    }
    let skopeo = |arguments: &[&str]| -> Result<String, Stop> {
        let mut command = Command::new(program("skopeo")?);
        let ran = run(command.args(arguments), std::time::Duration::from_secs(60))?.succeeded()?;
        Ok(ran.stdout)
    };
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")])?;
    let manifest: serde_json::Value = serde_json::from_str(&raw)?;
    let kind = "application/vnd.longshore.build-cache.v1+json";
    assert_eq!((&manifest["artifactType"], &manifest["config"]["mediaType"]), (&kind.into(), &kind.into()));
    let copy = copies.join("copy");
    let to = format!("oci:{}:cache", copy.display());
    skopeo(&["copy", "--src-tls-verify=false", &format!("docker://{name}"), &to])?;
    let other = registry.reference("other/cache:copy");
    skopeo(&["copy", "--dest-tls-verify=false", &to, &format!("docker://{other}")])?;
    for source in [from(&copy), format!("{},tag=cache", from(&copy)), other] {
        let known = build(&user()?, &folder, &["--cache-from", &source])?;
        assert_eq!((known.digest.as_str(), known.done), (made.digest.as_str(), 0), "{}", known.stderr);
    }
    Ok(())
}

/// Of a base that only known steps stand on nothing comes but its documents.
fn bases_from_registry() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let registry = Registry::start()?;
    let pusher = user()?;
    let mut digests = Vec::new();
    for base in ["merged", "platforms"] {
        let source = format!("oci:{}:{base}", bases()?.folder().display());
        pusher
            .run(["image", "copy", &source, &format!("docker://{}", registry.reference(base))])?
            .succeeded()?;
        let image = bases()?.image(base)?.ok_or_else(|| Stop::failed("a base is missing"))?;
        let image = image.select(&longshore_oci::Platform::host())?;
        digests.push(image.manifest()?.layers.into_iter().map(|layer| layer.digest).collect::<Vec<_>>());
    }
    let dockerfile = DOCKERFILE
        .replacen("busybox", &registry.reference("merged"), 1)
        .replace("FROM busybox\n", &format!("FROM {}\n", registry.reference("platforms")));
    folder.write("Dockerfile", dockerfile)?;
    let cache = caches.join("max");
    let exporter = user()?;
    let made = build(&exporter, &folder, &["--cache-to", &to(&cache, "max")])?;
    let importer = user()?;
    let known = build(&importer, &folder, &["-t", "app:1", "--cache-from", &from(&cache)])?;
    assert_eq!((known.digest.as_str(), known.done), (made.digest.as_str(), 0), "{}", known.stderr);
    let has = |user: &Longshore, base: usize| -> Result<bool, Stop> {
        let store = longshore_store::Store::open(user.store())?;
        Ok(digests[base].iter().all(|digest| store.layout().blob_path(digest).exists()))
    };
    assert_eq!((has(&exporter, 0)?, has(&exporter, 1)?), (true, true));
    assert_eq!((has(&importer, 0)?, has(&importer, 1)?), (false, true), "{}", known.stderr);
    importer.run(["image", "validate"])?.succeeded()?;
    // What is known needs no network, and what is pulled later fits.
    let offline = importer.env("LONGSHORE_OFFLINE", "1");
    // Nor does pruning what nothing reaches change that.
    offline.run(["cache", "prune"])?.succeeded()?;
    let later = build(&offline, &folder, &[])?;
    assert_eq!((later.digest.as_str(), later.done), (made.digest.as_str(), 0), "{}", later.stderr);
    folder.write("main.go", "package main // edited\n")?;
    let refused =
        offline.run(arguments(&folder.path().display().to_string(), &["--cache-from", &from(&cache)])?)?;
    assert!(refused.expect_code(1)?.stderr.contains("cannot read layer"), "the base is not here");
    let online = offline.env("LONGSHORE_OFFLINE", "0");
    let edited = build(&online, &folder, &["--cache-from", &from(&cache)])?;
    assert_eq!((edited.done, edited.steps), (3, Some(STEPS.0)), "{}", edited.stderr);
    online.run(["image", "validate"])?.succeeded()?;
    Ok(())
}

fn inline() -> TestResult {
    let folder = project()?;
    let registry = Registry::start()?;
    for format in ["oci", "docker"] {
        let name = registry.reference(&format!("app:{format}"));
        let flags = ["--cache-to", "type=inline", "--image-format", format];
        let made = build(&user()?, &folder, &[&flags[..], &["-t", &name, "--push"]].concat())?;
        let importer = user()?;
        let known = build(&importer, &folder, &[&flags[..], &["--cache-from", &name]].concat())?;
        assert_eq!((known.digest.as_str(), known.done), (made.digest.as_str(), 0), "{}", known.stderr);
        importer.run(["image", "validate"])?.succeeded()?;
    }
    // What stands on such an image has no records of it.
    let name = registry.reference("app:oci");
    folder.write("Dockerfile", format!("FROM {name}\nENV B=c\n"))?;
    let child = user()?;
    build(&child, &folder, &["-t", "child:1"])?;
    let config = child.run(["image", "show", "child:1", "--format", "json"])?.succeeded()?.stdout;
    assert!(config.contains("B=c") && !config.contains("longshore.build-cache"), "{config}");
    folder.write("Dockerfile", DOCKERFILE)?;
    let refused = build(&user()?, &folder, &["--cache-from", &registry.reference("nothing:1")])?;
    assert!(refused.stderr.contains("nothing:1 is not used: "), "{}", refused.stderr);
    Ok(())
}

/// A registry that has the records, and of the layers nothing, or the wrong bytes.
fn breaking() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let registry = Registry::start()?;
    let name = registry.reference("cache:1");
    let local = caches.join("local");
    let remote = format!("type=registry,ref={name},mode=max");
    build(&user()?, &folder, &["--cache-to", &remote, "--cache-to", &to(&local, "max")])?;
    let layers = manifest(&local)?["layers"].as_array().cloned().unwrap_or_default();
    let layers: Vec<String> =
        layers.iter().filter_map(|layer| Some(layer["digest"].as_str()?.to_owned())).collect();
    assert_eq!(layers.len(), STEPS.0);
    for (answer, warning) in [
        (Answer::new(404, "{}"), "cannot be had"),
        (Answer::new(403, "{}"), "cannot be had"),
        (Answer::new(200, "other bytes"), "cannot be had"),
    ] {
        let layers = layers.clone();
        let server = FaultServer::in_front_of(registry.address(), move |request| {
            let is_layer = layers.iter().any(|digest| request.target.ends_with(digest));
            if is_layer { Reply::Answer(answer.clone()) } else { Reply::Forward }
        })?;
        let importer = user()?;
        let source = format!("{}/cache:1", server.address());
        let built: Built = build(&importer, &folder, &["--cache-from", &source])?;
        assert_eq!((built.done, built.steps), (STEPS.0, Some(STEPS.0)), "{}", built.stderr);
        let warnings: Vec<&str> = built.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(warning), "{warnings:?}");
        importer.run(["image", "validate"])?.succeeded()?;
    }
    Ok(())
}
