//! Against docker-registry, with skopeo as the other side.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore_events::{Event, Events, Listener, Outcome};
use longshore_image::validate::validate;
use longshore_oci::StringMap;
use longshore_registry::{Artifact, Platforms, PushOptions, Pushed, Registries, RegistryErrorKind};
use longshore_testkit::{
    FaultServer, Folder, Ran, Registry, RegistryOptions, Reply, Stop, TestResult, program, run,
};

use crate::images::{Blobs, TestStore, bytes_of, reference, registries, settings, tar};

pub(crate) fn skopeo(arguments: &[&str]) -> Result<Ran, Stop> {
    let mut command = Command::new(program("skopeo")?);
    // Without a policy file of the machine's own skopeo may refuse all.
    command.arg("--insecure-policy").args(arguments);
    Ok(run(&mut command, Duration::from_secs(120))?)
}

#[derive(Default)]
struct Ends(Mutex<BTreeMap<&'static str, usize>>);

impl Listener for Ends {
    fn event(&self, event: Event) {
        if let Event::Finished { outcome, .. } = event {
            let name = match outcome {
                Outcome::Done => "done",
                Outcome::Cached => "cached",
                Outcome::Skipped => "skipped",
                Outcome::Failed => "failed",
                Outcome::Cancelled => "cancelled",
            };
            *self.0.lock().unwrap().entry(name).or_default() += 1;
        }
    }
}

fn push(
    registries: &Registries,
    blobs: &Blobs,
    root: &longshore_oci::Descriptor,
    name: &str,
) -> Result<Pushed, Stop> {
    let options = PushOptions::default();
    Ok(registries.push(&blobs.image(root), &reference(name)?, &options, &Events::silent())?)
}

pub(crate) fn skopeo_reads_what_is_pushed() -> TestResult {
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let one = blobs.add_image("linux/amd64", &[tar(1, 3_000_000), tar(2, 100)]);
    let two = blobs.add_image("linux/arm64", &[tar(1, 3_000_000), tar(3, 100)]);
    let root = blobs.add_index(vec![one, two]);
    let name = registry.reference("team/app:1.0");
    let pushed = push(&registries(), &blobs, &root, &name)?;
    // Three layers and two configs: the layer that both share is sent once.
    assert_eq!(pushed, Pushed { sent: 5, mounted: 0, present: 0 });

    let folder = Folder::new()?;
    let target = format!("oci:{}:app", folder.join("layout").display());
    let source = format!("docker://{name}");
    skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &source, &target])?
        .succeeded()?;
    let layout = longshore_image::Layout::open(&folder.join("layout"))?;
    let entries = layout.entries()?;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].descriptor.digest, root.digest);
    assert_eq!(bytes_of(&layout.image(&entries[0].descriptor))?, bytes_of(&blobs.image(&root))?);
    Ok(())
}

pub(crate) fn what_skopeo_pushes_is_pulled() -> TestResult {
    let registry = Registry::start()?;
    let folder = Folder::new()?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 200_000)]);
    let mut layout = longshore_image::Layout::create(&folder.join("layout"))?;
    longshore_image::copy(&blobs.image(&root), &mut layout, &Events::silent())?;
    layout.tag(Some("app"), &root)?;
    let source = format!("oci:{}:app", folder.join("layout").display());
    for (format, media_type) in [
        ("v2s2", "application/vnd.docker.distribution.manifest.v2+json"),
        ("oci", "application/vnd.oci.image.manifest.v1+json"),
    ] {
        let name = registry.reference(&format!("app:{format}"));
        let target = format!("docker://{name}");
        skopeo(&["copy", "--dest-tls-verify=false", "--format", format, &source, &target])?.succeeded()?;
        let store = TestStore::new()?;
        let pulled = store.pull(&registries(), &name, &Platforms::All)?;
        assert_eq!(pulled.image.descriptor().media_type, media_type);
        assert_eq!(pulled.resolved, *pulled.image.descriptor());
        let said =
            skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &target])?.succeeded()?;
        assert_eq!(pulled.image.digest().to_string(), said.stdout.trim());
        // Manifest, config and layer, and nothing else.
        assert_eq!(bytes_of(&pulled.image)?.len(), 3);
        assert_eq!(store.blobs()?.len(), 3);
        assert_eq!(pulled.image.config()?.architecture, "amd64");
        let findings = validate(&pulled.image, &Events::silent())?;
        assert!(findings.is_empty(), "{findings:?}");
    }
    Ok(())
}

pub(crate) fn an_index_whole_or_in_part() -> TestResult {
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let one = blobs.add_image("linux/amd64", &[tar(1, 1000)]);
    let two = blobs.add_image("linux/arm64", &[tar(2, 1000)]);
    let root = blobs.add_index(vec![one, two.clone()]);
    let name = registry.reference("app:1");
    push(&registries(), &blobs, &root, &name)?;

    let store = TestStore::new()?;
    let arm = Platforms::One("linux/arm64".parse()?);
    let pulled = store.pull(&registries(), &name, &arm)?;
    assert_eq!(pulled.resolved.digest, root.digest);
    assert_eq!(*pulled.image.digest(), two.digest);
    assert_eq!(store.blobs()?.len(), 3);

    let all = store.pull(&registries(), &name, &Platforms::All)?;
    assert_eq!(*all.image.digest(), root.digest);
    assert_eq!(bytes_of(&all.image)?, bytes_of(&blobs.image(&root))?);
    assert_eq!(store.blobs()?.len(), 7);

    // By digest, what is there is not fetched again.
    let ends = Arc::new(Ends::default());
    let by_digest = reference(&format!("{}@{}", registry.reference("app"), root.digest))?;
    let writer = store.store.writer()?;
    let events = Events::new(ends.clone());
    registries().pull(&by_digest, &Platforms::All, &store.store, &writer, &events)?;
    assert_eq!(*ends.0.lock().unwrap(), BTreeMap::from([("cached", 4)]));

    let none = store.pull(&registries(), &name, &Platforms::One("linux/s390x".parse()?)).unwrap_err();
    assert!(matches!(&*none.kind, RegistryErrorKind::Content(_)), "{none:?}");
    assert_eq!(none.hint().as_deref(), Some("name one of the platforms it has with --platform"));
    let missing = store.pull(&registries(), &registry.reference("app:2"), &Platforms::All).unwrap_err();
    assert_eq!(missing.to_string(), format!("cannot pull {}", registry.reference("app:2")));
    assert_eq!(
        missing.kind.to_string(),
        format!("{} has no manifest 2 in app: manifest unknown (MANIFEST_UNKNOWN)", registry.address())
    );
    Ok(())
}

pub(crate) fn skips_and_mounts() -> TestResult {
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let base = blobs.add_image("linux/amd64", &[tar(1, 50_000)]);
    let app = blobs.add_image("linux/amd64", &[tar(1, 50_000), tar(2, 10_000)]);
    let client = registries();
    assert_eq!(push(&client, &blobs, &base, &registry.reference("base:1"))?.sent, 2);
    let name = reference(&registry.reference("team/app:1"))?;
    let options = PushOptions {
        tags: vec!["latest".to_owned(), "1".to_owned()],
        mount_from: vec![reference("other.example/base")?, reference(&registry.reference("base"))?],
    };
    let pushed = client.push(&blobs.image(&app), &name, &options, &Events::silent())?;
    assert_eq!(pushed, Pushed { sent: 2, mounted: 1, present: 0 });
    assert!(registry.log().contains("mount=sha256"), "{}", registry.log());
    let again = client.push(&blobs.image(&app), &name, &options, &Events::silent())?;
    assert_eq!(again, Pushed { sent: 0, mounted: 0, present: 3 });
    for tag in ["1", "latest"] {
        assert_eq!(client.resolve(&name.with_tag(tag)?, &Events::silent())?.digest, app.digest);
    }
    let wrong = name.with_digest(base.digest);
    let refused = client.push(&blobs.image(&app), &wrong, &options, &Events::silent()).unwrap_err();
    assert_eq!(refused.kind.to_string(), "the name has a digest, and it is not this image's");
    Ok(())
}

pub(crate) fn copies() -> TestResult {
    let (one, two) = (Registry::start()?, Registry::start()?);
    let mut blobs = Blobs::default();
    let image = blobs.add_image("linux/amd64", &[tar(1, 2_000_000), tar(2, 1000)]);
    let root = blobs.add_index(vec![image]);
    let client = registries();
    push(&client, &blobs, &root, &one.reference("app:1"))?;
    let from = reference(&one.reference("app:1"))?;
    for target in [one.reference("copy:1"), two.reference("team/copy:2")] {
        let to = reference(&target)?;
        let copied = client.copy(&from, &to, &PushOptions::default(), &Events::silent())?;
        assert_eq!(*copied.digest(), root.digest);
        let store = TestStore::new()?;
        let pulled = store.pull(&client, &target, &Platforms::All)?;
        assert_eq!(bytes_of(&pulled.image)?, bytes_of(&blobs.image(&root))?);
    }
    // Within one registry everything was mounted: no blob was read from it before the pull that checked.
    let log = one.log();
    assert!(log.contains("mount=sha256"), "{log}");
    Ok(())
}

pub(crate) fn tags_referrers_and_deletion() -> TestResult {
    let registry = Registry::start()?;
    // docker-registry 2.8 gives all tags at once; this proxy has it give two at a time.
    let proxy = FaultServer::in_front_of(registry.address(), |request| {
        use longshore_testkit::Answer;
        let page = |tags: &str| Answer::new(200, format!(r#"{{"name":"app","tags":[{tags}]}}"#));
        match request.target.as_str() {
            "/v2/many/tags/list?n=1000" => Reply::Answer(
                page(r#""a","b""#).header("Link", r#"</v2/many/tags/list?n=2&last=b>; rel="next""#),
            ),
            "/v2/many/tags/list?n=2&last=b" => Reply::Answer(page(r#""c""#)),
            "/v2/away/tags/list?n=1000" => {
                Reply::Answer(page(r#""a""#).header("Link", r#"<http://127.0.0.1:1/v2/x>; rel="next""#))
            }
            _ => Reply::Forward,
        }
    })?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 1000)]);
    let client = registries();
    let name = reference(&format!("{}/app:1", proxy.address()))?;
    let options = PushOptions { tags: vec!["2".to_owned()], ..PushOptions::default() };
    client.push(&blobs.image(&root), &name, &options, &Events::silent())?;
    let silent = Events::silent();
    // docker-registry's own order is a folder's.
    let mut tags = client.tags(&name, &silent)?;
    tags.sort();
    assert_eq!(tags, ["1", "2"]);
    let many = reference(&format!("{}/many", proxy.address()))?;
    assert_eq!(client.tags(&many, &silent)?, ["a", "b", "c"]);
    let away = client.tags(&reference(&format!("{}/away", proxy.address()))?, &silent).unwrap_err();
    assert!(away.kind.to_string().ends_with("names a next page on another host"), "{}", away.kind);

    assert_eq!(client.referrers(&name, None, &silent)?, []);
    let artifact = |kind: &str| Artifact {
        artifact_type: kind.to_owned(),
        media_type: "application/json".to_owned(),
        content: format!("{{\"of\":\"{kind}\"}}").into_bytes(),
        annotations: StringMap::from([("who".to_owned(), "test".to_owned())]),
    };
    let bill = client.attach(&artifact("application/spdx+json"), &name, &silent)?;
    let signature = client.attach(&artifact("application/x-signature"), &name, &silent)?;
    client.attach(&artifact("application/x-signature"), &name, &silent)?;
    let digests = |kind: Option<&str>| -> Result<Vec<_>, Stop> {
        Ok(client.referrers(&name, kind, &silent)?.into_iter().map(|one| one.digest).collect())
    };
    assert_eq!(digests(None)?, [bill.digest.clone(), signature.digest]);
    assert_eq!(digests(Some("application/spdx+json"))?, [bill.digest]);
    assert_eq!(digests(Some("application/none"))?, []);

    assert_eq!(client.delete(&name, &silent)?, root.digest);
    let gone = client.resolve(&name.with_tag("2")?, &silent).unwrap_err();
    assert!(matches!(&*gone.kind, RegistryErrorKind::NotFound { .. }), "{gone:?}");
    Ok(())
}

pub(crate) fn mirrors() -> TestResult {
    let (origin, mirror) = (Registry::start()?, Registry::start()?);
    let broken = FaultServer::start(|_| Reply::Closed)?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 1000)]);
    push(&registries(), &blobs, &root, &mirror.reference("hub/app:1"))?;
    push(&registries(), &blobs, &root, &origin.reference("only:1"))?;
    let mirrors = vec![format!("http://{}", broken.address()), format!("http://{}/hub", mirror.address())];
    let mirrors = BTreeMap::from([(origin.address().to_owned(), mirrors)]);
    let client = Registries::new(longshore_registry::RegistrySettings { mirrors, ..settings() });
    let store = TestStore::new()?;
    // The first mirror is broken, the second has it, the registry itself has not.
    let pulled = store.pull(&client, &origin.reference("app:1"), &Platforms::All)?;
    assert_eq!(*pulled.image.digest(), root.digest);
    // No mirror has this one.
    store.pull(&client, &origin.reference("only:1"), &Platforms::All)?;
    Ok(())
}

pub(crate) fn passwords_over_tls() -> TestResult {
    let credentials = Some(("ada".to_owned(), "se:cret".to_owned()));
    let registry = Registry::start_with(&RegistryOptions { credentials, tls: true, mirror_of: None })?;
    let authority = registry.authority().ok_or_else(|| Stop::failed("no authority"))?;
    let folder = Folder::new()?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 100_000)]);
    let image = blobs.image(&root);
    let name = reference(&registry.reference("team/app:1"))?;
    let attempt = |trusted: bool, auth: &str| {
        // "YWRhOnNlOmNyZXQ=" is ada:se:cret.
        let file = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address());
        folder.write("config.json", file).expect("a file");
        let mut settings = settings();
        settings.variables.insert("DOCKER_CONFIG".into(), folder.path().display().to_string());
        if trusted {
            settings.http.authorities.push(authority.certificate());
        }
        let client = Registries::new(settings);
        client.push(&image, &name, &PushOptions::default(), &Events::silent()).map(|pushed| (client, pushed))
    };
    let untrusted = attempt(false, "YWRhOnNlOmNyZXQ=").unwrap_err();
    assert!(matches!(&*untrusted.kind, RegistryErrorKind::Http(_)), "{untrusted:?}");
    assert!(untrusted.hint().is_some_and(|hint| hint.contains("--ca-file")), "{:?}", untrusted.hint());

    let config = folder.join("config.json").display().to_string();
    let wrong = attempt(true, "YWRhOndyb25n").unwrap_err();
    let expected =
        format!("{} does not accept the credentials from {config} for team/app", registry.address());
    assert!(wrong.kind.to_string().starts_with(&expected), "{}", wrong.kind);
    let hint = wrong.hint().unwrap_or_default();
    assert!(
        hint.starts_with(&format!("docker login {}; credentials were looked for in ", registry.address()))
    );

    let nobody = attempt(true, "").unwrap_err();
    assert!(
        nobody.kind.to_string().contains("wants credentials for team/app, and there are none"),
        "{}",
        nobody.kind
    );

    let (client, pushed) = attempt(true, "YWRhOnNlOmNyZXQ=")?;
    assert_eq!(pushed.sent, 2);
    let store = TestStore::new()?;
    let pulled = store.pull(&client, &registry.reference("team/app:1"), &Platforms::All)?;
    assert_eq!(bytes_of(&pulled.image)?, bytes_of(&image)?);
    Ok(())
}
