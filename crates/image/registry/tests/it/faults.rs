//! Registries that refuse, break off, lie and hang.

use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_http::HttpErrorKind;
use longshore_image::Layout;
use longshore_image::validate::validate;
use longshore_oci::media_type::{DOCKER_FOREIGN_LAYER, OCI_CONFIG, OCI_MANIFEST};
use longshore_oci::{Descriptor, Digest, Manifest};
use longshore_registry::{Platforms, PushOptions, RegistryError, RegistryErrorKind};
use longshore_testkit::{Answer, FaultServer, Folder, Registry, Reply, Stop, TestResult};

use crate::images::{Blobs, TestStore, bytes_of, noise, reference, registries, tar};

fn push(name: &str, blobs: &Blobs, root: &Descriptor) -> Result<(), RegistryError> {
    let name = name.parse().expect("a reference");
    let options = PushOptions::default();
    registries().push(&blobs.image(root), &name, &options, &Events::silent()).map(drop)
}

fn chain(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}

/// Status, headers, what the error says after the registry's name, what its hint says.
type Refusal = (u16, &'static [(&'static str, &'static str)], &'static str, &'static str);

pub(crate) fn refusals() -> TestResult {
    let body = r#"{"errors":[{"code":"CODE","message":"no such luck"}]}"#;
    let cases: [Refusal; 7] = [
        (
            401,
            &[("WWW-Authenticate", "Basic realm=x")],
            " wants credentials for app, and there are none: no such luck (CODE)",
            "docker login 127",
        ),
        (403, &[], " denies access to app: no such luck (CODE)", "log in first"),
        (404, &[], " has no manifest 1 in app: no such luck (CODE)", "check the name and the tag"),
        (
            429,
            &[("Retry-After", "0")],
            " refuses further requests for now (for 0 s): no such luck (CODE)",
            "wait, log in",
        ),
        (
            429,
            &[("Retry-After", "86400")],
            " refuses further requests for now (for 86400 s): no such luck (CODE)",
            "wait, log in",
        ),
        (
            500,
            &[],
            " answered 500 Internal Server Error when asked to give the manifest 1 of app: no such luck (CODE)",
            "",
        ),
        (
            418,
            &[],
            " answered 418 I'm a teapot when asked to give the manifest 1 of app: no such luck (CODE)",
            "",
        ),
    ];
    for (status, headers, says, hint) in cases {
        let server = FaultServer::start(move |request| {
            let answer = match request.target.as_str() {
                "/v2/" => Answer::new(200, "{}"),
                _ => headers
                    .iter()
                    .fold(Answer::new(status, body), |answer, (name, value)| answer.header(name, *value)),
            };
            Reply::Answer(answer)
        })?;
        let error = TestStore::new()?
            .pull(&registries(), &format!("{}/app:1", server.address()), &Platforms::All)
            .unwrap_err();
        assert_eq!(error.to_string(), format!("cannot pull {}/app:1", server.address()));
        assert_eq!(error.kind.to_string(), format!("{}{says}", server.address()), "{status}");
        let own = error.hint().unwrap_or_default();
        assert!(own.starts_with(hint) && own.is_empty() == hint.is_empty(), "{status}: {own}");
        let tries = server.requests().iter().filter(|one| one.target != "/v2/").count();
        assert_eq!(
            tries,
            if status == 500 || says.contains("0 s") && !says.contains("86400") { 3 } else { 1 },
            "{status}"
        );
    }
    let closed = format!("{}/app:1", FaultServer::start(|_| Reply::Closed)?.address());
    let error = TestStore::new()?.pull(&registries(), &closed, &Platforms::All).unwrap_err();
    assert!(matches!(&*error.kind, RegistryErrorKind::Http(_)), "{error:?}");
    Ok(())
}

pub(crate) fn lies() -> TestResult {
    let mut blobs = Blobs::default();
    let layer = noise(1, 5000);
    let root = blobs.add_image("linux/amd64", std::slice::from_ref(&layer));
    let image = blobs.image(&root);
    let (raw, config) = (image.raw()?, image.manifest()?.config);
    let config_bytes = {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut image.open(&config)?, &mut bytes)?;
        bytes
    };
    let (other, layer_digest) = (Digest::of(b"other"), Digest::of(&layer).encoded().to_owned());
    for (lie, says) in [
        ("header", "gave the manifest 1 of app with the digest"),
        ("manifest", "gave the manifest sha256:"),
        ("blob", "gave a blob of app with the digest"),
        ("short", "gave 10 bytes for sha256:"),
        ("long", "has more than the 5000 bytes"),
    ] {
        let (raw, layer, config_bytes, other) =
            (raw.clone(), layer.clone(), config_bytes.clone(), other.clone());
        let config = config.digest.to_string();
        let server = FaultServer::start(move |request| {
            let target = request.target.as_str();
            let answer = |bytes: &[u8]| Answer::new(200, bytes).header("Content-Type", OCI_MANIFEST);
            Reply::Answer(match (target, lie) {
                ("/v2/", _) => Answer::new(200, "{}"),
                _ if target.contains("/manifests/") => match lie {
                    "header" => answer(&raw).header("Docker-Content-Digest", other.to_string()),
                    "manifest" => answer(&[&raw[..], b"\n"].concat()),
                    _ => answer(&raw),
                },
                _ if target.ends_with(&config) => answer(&config_bytes),
                (_, "blob") => answer(&noise(2, layer.len())),
                (_, "short") => answer(&layer[..10]),
                (_, "long") => answer(&[&layer[..], b"more"].concat()),
                _ => answer(&layer),
            })
        })?;
        let name = match lie {
            "manifest" => format!("{}/app@{}", server.address(), root.digest),
            _ => format!("{}/app:1", server.address()),
        };
        let store = TestStore::new()?;
        let error = store.pull(&registries(), &name, &Platforms::All).unwrap_err();
        assert!(chain(&error).contains(says), "{lie}: {}", chain(&error));
        let kept = store.blobs()?;
        assert!(!kept.contains(&layer_digest), "{lie}: {kept:?}");
        assert!(!kept.contains(&root.digest.encoded().to_owned()), "{lie}: {kept:?}");
    }
    Ok(())
}

pub(crate) fn strange_manifests() -> TestResult {
    let mut blobs = Blobs::default();
    let config = blobs.add(OCI_CONFIG, "{}");
    let mut foreign = Descriptor::of(DOCKER_FOREIGN_LAYER, b"windows");
    foreign.urls.push("https://elsewhere.example/layer".to_owned());
    let manifest = Manifest::new(longshore_oci::media_type::ImageFormat::Docker, config, vec![foreign]);
    let foreign = serde_json::to_string(&manifest)?;
    for (body, says) in [
        (
            r#"{"schemaVersion":1,"name":"app","tag":"1"}"#.to_owned(),
            "it is a manifest of Docker's schema 1, which is not supported",
        ),
        (
            r#"{"schemaVersion":2,"mediaType":"application/x"}"#.to_owned(),
            "it is no image manifest or index (its media type is `application/x`)",
        ),
        ("{}".to_owned(), "it is no image manifest or index (its media type is `none`)"),
        ("<html>".to_owned(), "is no JSON where a manifest was asked for"),
        (
            foreign,
            "may not be distributed by registries (`application/vnd.docker.image.rootfs.foreign.diff.tar.gzip`): its places are https://elsewhere.example/layer",
        ),
    ] {
        let server = FaultServer::start(move |request| {
            Reply::Answer(match request.target.as_str() {
                "/v2/" => Answer::new(200, "{}"),
                target if target.contains("/manifests/") => Answer::new(200, body.clone()),
                _ => Answer::new(200, "{}"),
            })
        })?;
        let name = format!("{}/app:1", server.address());
        let error = TestStore::new()?.pull(&registries(), &name, &Platforms::All).unwrap_err();
        assert!(error.kind.to_string().ends_with(says), "{}", error.kind);
    }
    Ok(())
}

pub(crate) fn broken_download() -> TestResult {
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let layer = tar(1, 3_000_000);
    let root = blobs.add_image("linux/amd64", &[layer.clone(), tar(2, 100)]);
    push(&registry.reference("app:1"), &blobs, &root)?;
    let path = format!("/blobs/{}", Digest::of(&layer));
    let proxy = FaultServer::in_front_of(registry.address(), move |request| {
        match request.target.ends_with(&path) && request.earlier < 2 {
            true => Reply::ForwardTruncated(1_000_000),
            false => Reply::Forward,
        }
    })?;
    let store = TestStore::new()?;
    let pulled = store.pull(&registries(), &format!("{}/app:1", proxy.address()), &Platforms::All)?;
    assert_eq!(bytes_of(&pulled.image)?, bytes_of(&blobs.image(&root))?);
    let ranges: Vec<_> =
        proxy.requests().iter().filter_map(|one| one.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    Ok(())
}

pub(crate) fn broken_upload() -> TestResult {
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 2_000_000)]);
    // The upload's PUT gets no answer once, a server's error once, a refusal of its token once; then it goes through.
    let puts = AtomicUsize::new(0);
    let proxy = FaultServer::in_front_of(registry.address(), move |request| {
        let large = request.method == "PUT" && request.body.len() > 1_000_000;
        match large.then(|| puts.fetch_add(1, Ordering::SeqCst)) {
            Some(0) => Reply::Closed,
            Some(1) => Reply::Answer(Answer::new(503, "")),
            _ => Reply::Forward,
        }
    })?;
    push(&format!("{}/app:1", proxy.address()), &blobs, &root)?;
    let store = TestStore::new()?;
    let pulled = store.pull(&registries(), &registry.reference("app:1"), &Platforms::All)?;
    assert_eq!(bytes_of(&pulled.image)?, bytes_of(&blobs.image(&root))?);
    resumes_where_the_registry_is()
}

/// docker-registry forgets an upload that broke off in its middle; others keep what came.
fn resumes_where_the_registry_is() -> TestResult {
    const KEPT: usize = 700_000;
    let mut blobs = Blobs::default();
    let layer = tar(1, 2_000_000);
    let root = blobs.add_image("linux/amd64", std::slice::from_ref(&layer));
    let digest = Digest::of(&layer).to_string();
    let server = FaultServer::start(move |request| {
        let accepted = |last: usize| {
            Answer::new(202, "")
                .header("Location", "/v2/app/blobs/uploads/1?state=x")
                .header("Range", format!("0-{last}"))
        };
        let target = request.target.as_str();
        let of_layer = target.contains(&digest.replace(':', "%3A"));
        Reply::Answer(match request.method.as_str() {
            "HEAD" => Answer::new(404, ""),
            "POST" => accepted(0),
            "PUT" if target.contains("/manifests/") => Answer::new(201, ""),
            "PUT" if of_layer && request.body.len() > KEPT => return Reply::Closed,
            "PUT" => Answer::new(201, ""),
            "PATCH" => {
                let expected = format!("{KEPT}-{}", layer.len() - 1);
                let right =
                    request.header("content-range") == Some(&expected) && request.body == layer[KEPT..];
                if right { accepted(layer.len() - 1) } else { Answer::new(416, "") }
            }
            "GET" if target.starts_with("/v2/app/blobs/uploads/") => {
                let status = Answer::new(204, "").header("Location", "/v2/app/blobs/uploads/1?state=y");
                status.header("Range", format!("0-{}", KEPT - 1))
            }
            _ => Answer::new(200, "{}"),
        })
    })?;
    push(&format!("{}/app:1", server.address()), &blobs, &root)?;
    let patches = server.requests().iter().filter(|one| one.method == "PATCH").count();
    assert_eq!(patches, 1);
    Ok(())
}

pub(crate) fn pieces() -> TestResult {
    const LIMIT: usize = 16 * 1024 * 1024;
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 40_000_000)]);
    let proxy =
        FaultServer::in_front_of(registry.address(), move |request| match request.body.len() > LIMIT {
            true => Reply::Answer(Answer::new(413, "<html>too large</html>")),
            false => Reply::Forward,
        })?;
    push(&format!("{}/app:1", proxy.address()), &blobs, &root)?;
    let sizes: Vec<_> =
        proxy.requests().iter().filter(|one| one.method == "PATCH").map(|one| one.body.len()).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    let store = TestStore::new()?;
    let pulled = store.pull(&registries(), &registry.reference("app:1"), &Platforms::All)?;
    assert_eq!(bytes_of(&pulled.image)?, bytes_of(&blobs.image(&root))?);

    // What is refused in pieces as well is an error that says so.
    let stubborn = FaultServer::in_front_of(registry.address(), |request| match request.body.len() > 1000 {
        true => Reply::Answer(Answer::new(413, "")),
        false => Reply::Forward,
    })?;
    let error = push(&format!("{}/other:1", stubborn.address()), &blobs, &root).unwrap_err();
    let expected = format!("{} does not take {LIMIT} bytes at once", stubborn.address());
    assert_eq!(error.kind.to_string(), expected);
    Ok(())
}

pub(crate) fn hang() -> TestResult {
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[noise(1, 5000)]);
    let server = FaultServer::start(|request| match request.target.as_str() {
        "/v2/" => Reply::Answer(Answer::new(200, "{}")),
        _ => Reply::Silence,
    })?;
    let name = format!("{}/app:1", server.address());
    let started = Instant::now();
    let pulled = TestStore::new()?.pull(&registries(), &name, &Platforms::All).unwrap_err();
    let pushed = push(&name, &blobs, &root).unwrap_err();
    for error in [pulled, pushed] {
        let RegistryErrorKind::Http(http) = &*error.kind else {
            return Err(Stop::failed(format!("{error:?}")));
        };
        assert!(matches!(http.kind, HttpErrorKind::Stalled { .. }), "{error:?}");
        assert!(error.hint().is_some());
    }
    // Three attempts each, of two seconds.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());

    let events = Events::silent();
    let canceller = events.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        canceller.cancel();
    });
    let started = Instant::now();
    let error = registries().resolve(&reference(&name)?, &events).unwrap_err();
    assert!(error.is_cancelled(), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    Ok(())
}

pub(crate) fn store_stays_valid() -> TestResult {
    let registry = Registry::start()?;
    let mut blobs = Blobs::default();
    let root = blobs.add_image("linux/amd64", &[tar(1, 200_000), tar(2, 200_000), tar(3, 200_000)]);
    push(&registry.reference("app:1"), &blobs, &root)?;
    let store = TestStore::new()?;
    // Each blob in turn is altered on the way; in the end nothing is.
    for spoiled in 0..4 {
        let count = AtomicUsize::new(0);
        let proxy = FaultServer::in_front_of(registry.address(), move |request| {
            let blob = request.target.contains("/blobs/");
            match blob && count.fetch_add(1, Ordering::SeqCst) == spoiled {
                true => Reply::Answer(Answer::new(200, noise(9, 300))),
                false => Reply::Forward,
            }
        })?;
        let name = format!("{}/app:1", proxy.address());
        let outcome = store.pull(&registries(), &name, &Platforms::All);
        for blob in store.blobs()? {
            let digest: Digest = format!("sha256:{blob}").parse()?;
            let bytes = std::fs::read(store.store.layout().blob_path(&digest))?;
            assert_eq!(Digest::of(&bytes), digest);
        }
        if let Ok(pulled) = outcome {
            let found = validate(&pulled.image, &Events::silent())?;
            assert!(found.is_empty(), "{found:?}");
        }
    }
    let pulled = store.pull(&registries(), &registry.reference("app:1"), &Platforms::All)?;
    assert_eq!(bytes_of(&pulled.image)?, bytes_of(&blobs.image(&root))?);
    Ok(())
}

pub(crate) fn damaged_blob() -> TestResult {
    let registry = Registry::start()?;
    let folder = Folder::new()?;
    let mut blobs = Blobs::default();
    let layer = tar(1, 300_000);
    let root = blobs.add_image("linux/amd64", std::slice::from_ref(&layer));
    let mut layout = Layout::create(folder.path())?;
    longshore_image::copy(&blobs.image(&root), &mut layout, &Events::silent())?;
    let path = layout.blob_path(&Digest::of(&layer));
    for (name, damaged) in [("altered", noise(9, layer.len())), ("short", layer[..1000].to_vec())] {
        File::create(&path)?.write_all(&damaged)?;
        let name = reference(&registry.reference(name))?;
        let options = PushOptions::default();
        let error = registries().push(&layout.image(&root), &name, &options, &Events::silent()).unwrap_err();
        let expected = format!("cannot read layer {}", Digest::of(&layer));
        assert_eq!(error.kind.to_string(), expected, "{}", chain(&error));
    }
    Ok(())
}
