//! Tokens, identity tokens and helpers, by servers that check what they are shown.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longshore_events::Events;
use longshore_registry::{Platforms, PushOptions, Registries, RegistryErrorKind, RegistrySettings};
use longshore_testkit::{Answer, FaultServer, Folder, Registry, Reply, Request, Skip, TestResult};

use crate::images::{Blobs, TestStore, bytes_of, reference, settings, tar};

/// Settings whose config.json holds this for the registry.
fn settings_with(folder: &Folder, registry: &str, entry: &str) -> RegistrySettings {
    let file = format!(r#"{{"auths":{{"{registry}":{entry}}}}}"#);
    folder.write("config.json", file).expect("a file");
    let mut settings = settings();
    settings.variables.insert("DOCKER_CONFIG".into(), folder.path().display().to_string());
    settings
}

fn challenge(host: &str, scope: &str) -> Reply {
    let value = format!(r#"Bearer realm="http://{host}/token",service="test",scope="{scope}""#);
    Reply::Answer(
        Answer::new(401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#).header("WWW-Authenticate", value),
    )
}

fn host(request: &Request) -> String {
    request.header("host").unwrap_or_default().to_owned()
}

/// The scopes of a request for a token, decoded.
fn scopes(target: &str) -> Vec<String> {
    let decode = |text: &str| text.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/");
    target.split(['?', '&']).filter_map(|pair| pair.strip_prefix("scope=")).map(decode).collect()
}

/// A registry that wants tokens: each is good for a few requests, and only for what it was asked for.
fn token_registry(registry: &Registry, uses: usize) -> std::io::Result<FaultServer> {
    let (issued, used) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    FaultServer::in_front_of(registry.address(), move |request| {
        if request.target.starts_with("/token") {
            // ada:se:cret
            if request.header("authorization") != Some("Basic YWRhOnNlOmNyZXQ=") {
                return Reply::Answer(Answer::new(401, r#"{"details":"incorrect username or password"}"#));
            }
            used.store(0, Ordering::SeqCst);
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            let granted = scopes(&request.target).join("+");
            return Reply::Answer(Answer::new(
                200,
                format!(r#"{{"token":"{number}.{granted}","expires_in":300}}"#),
            ));
        }
        let newest = format!("Bearer {}.", issued.load(Ordering::SeqCst));
        let shown = request.header("authorization").unwrap_or_default();
        let actions = if request.method == "GET" || request.method == "HEAD" { "pull" } else { "pull,push" };
        let allowed = shown.starts_with(&newest)
            && shown.contains(actions)
            && request
                .target
                .split_once("from=")
                .is_none_or(|(_, from)| shown.contains(&format!("repository:{from}:pull")));
        if !allowed || used.fetch_add(1, Ordering::SeqCst) >= uses {
            return challenge(&host(request), "");
        }
        Reply::Forward
    })
}

pub(crate) fn tokens() -> TestResult {
    let registry = Registry::start()?;
    // One blob at a time, so that the order of requests is known; a token is good for three of them.
    let proxy = token_registry(&registry, 3)?;
    let folder = Folder::new()?;
    let entry = r#"{"auth":"YWRhOnNlOmNyZXQ="}"#;
    let settings = RegistrySettings { parallel: 1, ..settings_with(&folder, &proxy.address(), entry) };
    let client = Registries::new(settings);
    let mut blobs = Blobs::default();
    let base = blobs.add_image("linux/amd64", &[tar(1, 5000)]);
    let app = blobs.add_image("linux/amd64", &[tar(1, 5000), tar(2, 300_000), tar(3, 10)]);
    let silent = Events::silent();
    let base_name = reference(&format!("{}/base:1", proxy.address()))?;
    client.push(&blobs.image(&base), &base_name, &PushOptions::default(), &silent)?;
    let options = PushOptions { mount_from: vec![base_name], ..PushOptions::default() };
    let name = format!("{}/team/app:1", proxy.address());
    let pushed = client.push(&blobs.image(&app), &reference(&name)?, &options, &silent)?;
    assert_eq!((pushed.sent, pushed.mounted), (3, 1));
    let store = TestStore::new()?;
    let pulled = store.pull(&client, &name, &Platforms::All)?;
    assert_eq!(bytes_of(&pulled.image)?, bytes_of(&blobs.image(&app))?);

    let requests = proxy.requests();
    let asked: Vec<_> = requests
        .iter()
        .filter(|one| one.target.starts_with("/token"))
        .map(|one| scopes(&one.target))
        .collect();
    assert!(asked.len() > 4, "tokens were not renewed: {asked:?}");
    let mount = ["repository:team/app:pull,push".to_owned(), "repository:base:pull".to_owned()];
    assert!(asked.iter().any(|scopes| *scopes == mount), "{asked:?}");
    assert!(asked.iter().any(|scopes| *scopes == ["repository:team/app:pull"]), "{asked:?}");
    // The password goes to the token server alone.
    let basic = |one: &&Request| one.header("authorization").is_some_and(|value| value.starts_with("Basic"));
    assert!(requests.iter().filter(basic).all(|one| one.target.starts_with("/token?")));

    let wrong = settings_with(&folder, &proxy.address(), r#"{"auth":"YWRhOndyb25n"}"#);
    let refused = TestStore::new()?.pull(&Registries::new(wrong), &name, &Platforms::All).unwrap_err();
    let config = folder.join("config.json").display().to_string();
    assert_eq!(
        refused.kind.to_string(),
        format!(
            "{} does not accept the credentials from {config} for team/app: incorrect username or password",
            proxy.address()
        )
    );
    assert!(!format!("{refused:?}").contains("wrong\""), "{refused:?}");
    Ok(())
}

pub(crate) fn identity_tokens() -> TestResult {
    let server = FaultServer::start(|request| match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/token") => {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let expected = "grant_type=refresh_token&service=test&client_id=longshore\
                            &scope=repository%3Aapp%3Apull&refresh_token=refresh%2Fme";
            let kind = request.header("content-type") == Some("application/x-www-form-urlencoded");
            match kind && form == expected {
                true => Reply::Answer(Answer::new(200, r#"{"access_token":"access"}"#)),
                false => Reply::Answer(Answer::new(400, format!(r#"{{"error_description":"{form}"}}"#))),
            }
        }
        ("GET", "/v2/app/manifests/1") if request.header("authorization") == Some("Bearer access") => {
            Reply::Answer(Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#))
        }
        _ => challenge(&host(request), ""),
    })?;
    let folder = Folder::new()?;
    let settings =
        settings_with(&folder, &server.address(), r#"{"auth":"MDAwMDow","identitytoken":"refresh/me"}"#);
    let name = format!("{}/app:1", server.address());
    // The exchange worked: what is missing is the manifest.
    let missing = Registries::new(settings).resolve(&reference(&name)?, &Events::silent()).unwrap_err();
    assert!(matches!(&*missing.kind, RegistryErrorKind::NotFound { .. }), "{missing:?}");
    Ok(())
}

pub(crate) fn realm_without_tls() -> TestResult {
    // A registry on loopback may name a token server without TLS, but nobody may name one that is no address.
    for (realm, problem) in [
        ("ftp://auth.example/token", "names a token server without TLS, ftp://auth.example/token"),
        ("token", "names `token` as its token server"),
    ] {
        let server = FaultServer::start(move |_| {
            let value = format!(r#"Bearer realm="{realm}",service="x""#);
            Reply::Answer(Answer::new(401, "").header("WWW-Authenticate", value))
        })?;
        let name = reference(&format!("{}/app:1", server.address()))?;
        let error = Registries::new(settings()).resolve(&name, &Events::silent()).unwrap_err();
        assert_eq!(error.kind.to_string(), format!("the answer of {} {problem}", server.address()));
    }
    Ok(())
}

pub(crate) fn helpers() -> TestResult {
    let server = FaultServer::start(|request| match request.header("authorization") {
        // ada:from-helper
        Some("Basic YWRhOmZyb20taGVscGVy") => Reply::Answer(Answer::new(404, "")),
        _ => Reply::Answer(Answer::new(401, "").header("WWW-Authenticate", r#"Basic realm="x""#)),
    })?;
    let folder = Folder::new()?;
    let script = format!(
        "#!/bin/sh\nread name\n[ \"$1\" = get ] || exit 9\n\
         case \"$name\" in {}) echo '{{\"ServerURL\":\"x\",\"Username\":\"ada\",\"Secret\":\"from-helper\"}}';;\n\
         broken*) echo no json;;\n*) echo credentials not found in native keychain; exit 1;; esac\n",
        server.address()
    );
    let helper = folder.write("bin/docker-credential-test", script)?;
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755))?;
    if std::process::Command::new("/bin/sh").arg("-c").arg(":").status().is_err() {
        return Err(Skip("there is no /bin/sh".into()).into());
    }
    let attempt = |config: &str| {
        folder.write("config.json", config).expect("a file");
        let mut settings = settings();
        settings.variables.insert("DOCKER_CONFIG".into(), folder.path().display().to_string());
        settings.variables.insert("PATH".into(), folder.join("bin").display().to_string());
        let name = reference(&format!("{}/app:1", server.address())).expect("a reference");
        *Registries::new(settings).resolve(&name, &Events::silent()).unwrap_err().kind
    };
    let found = |kind: &RegistryErrorKind| matches!(kind, RegistryErrorKind::NotFound { .. });
    assert!(found(&attempt(r#"{"credsStore":"test"}"#)));
    assert!(found(&attempt(&format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, server.address()))));
    let RegistryErrorKind::Unauthorized(nobody) = attempt(r#"{"credsStore":"absent"}"#) else {
        return Err(longshore_testkit::Stop::failed("a helper that is not there was no reason to go on"));
    };
    assert_eq!(nobody.used, None);
    assert!(nobody.looked.iter().any(|place| place.starts_with("docker-credential-absent ")), "{nobody:?}");
    let outside = attempt(r#"{"credsStore":"../../bin/sh"}"#);
    assert!(outside.to_string().contains("is not the name of a credential helper"), "{outside}");
    Ok(())
}
