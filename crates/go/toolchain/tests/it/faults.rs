//! Proxies and databases that fail, lie or are not there.

use longshore_events::Events;
use longshore_testkit::{Answer, Reply, TestResult};
use longshore_toolchain::{HashSource, Pin, ToolchainError, ToolchainErrorKind, Toolchains};

use crate::support::{
    Content, chain, database, listening, path, proxy, request, serve, serve_with, settings, shelf, toolchain,
    toolchains,
};

const NAME: &str = "go1.901.0";

/// A proxy's content with the toolchain and a database that knows it, and the database's key.
fn good() -> (Content, String) {
    let (zip, hash) = toolchain(NAME, "");
    let (mut content, key) = database(NAME, &hash);
    content.insert(path(NAME, "zip"), zip);
    (content, key)
}

fn fetch(toolchains: &Toolchains, pin: Option<&str>) -> Result<(), ToolchainError> {
    let pin = pin.map(|hash| Pin { name: NAME.parse().unwrap(), hash: Some(hash.to_owned()) });
    let request = longshore_toolchain::ToolchainRequest { pin, ..request("1.901", "") };
    toolchains.resolve(&request, &Events::silent()).map(|_| ())
}

pub(crate) fn of_the_proxy() -> TestResult {
    let wanted = format!("cannot provide {NAME}, which the go line of /src/go.mod asks for");
    let missing = "no proxy of GOPROXY has VERSION; the newest release they have is go1.900.5: URL/golang.org/toolchain/@v/VERSION.zip";
    let cases: &[(Reply, String)] = &[
        (Reply::Answer(Answer::new(404, "not found")), format!("{wanted}: {missing} does not have it")),
        (Reply::Answer(Answer::new(410, "gone")), format!("{wanted}: {missing} does not have it")),
        (
            Reply::Answer(Answer::new(403, "blocked by policy\n")),
            format!("{wanted}: {missing} answers 403: blocked by policy"),
        ),
        (
            Reply::Answer(Answer::new(500, "<html>\n<p>oops")),
            format!("{wanted}: cannot fetch it: URL/golang.org/toolchain/@v/VERSION.zip answers 500"),
        ),
    ];
    for (reply, expected) in cases {
        let cache = tempfile::tempdir()?;
        let (mut content, key) = good();
        content.extend(proxy(&["go1.900.4", "go1.900.5"]));
        let reply = reply.clone();
        let server = serve_with(content, move |path, _| {
            (path == crate::support::path(NAME, "zip")).then(|| reply.clone())
        });
        let error = fetch(&toolchains(cache.path(), &[("GOPROXY", &server.url()), ("GOSUMDB", &key)]), None)
            .unwrap_err();
        let text =
            chain(&error).replace(&server.url(), "URL").replace(&crate::support::version(NAME), "VERSION");
        assert_eq!(text, *expected);
        assert!(shelf(cache.path()).is_empty());
    }
    let cache = tempfile::tempdir()?;
    let nobody = toolchains(cache.path(), &[("GOPROXY", "http://127.0.0.1:9"), ("GOSUMDB", "off")]);
    let error = fetch(&nobody, Some("h1:x=")).unwrap_err();
    assert!(chain(&error).contains("cannot connect to 127.0.0.1:9"), "{}", chain(&error));
    Ok(())
}

pub(crate) fn in_the_zip() -> TestResult {
    let (_, hash) = toolchain(NAME, "");
    let (other, other_hash) = toolchain(NAME, "with a backdoor");
    let (foreign, _) = toolchain("go1.901.1", "");
    let cut = other[..other.len() - 100].to_vec();
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        (
            "another toolchain",
            other,
            format!("its hash is {other_hash}, but the checksum database says {hash}"),
        ),
        ("a cut zip", cut, "the zip is broken".into()),
        ("another module", foreign, "is not below the module's own folder".into()),
        ("a page", b"<html>sign in to the wifi</html>".to_vec(), "the zip is broken".into()),
        ("nothing", Vec::new(), "the zip is broken".into()),
    ];
    for (what, zip, expected) in cases {
        let cache = tempfile::tempdir()?;
        let (mut content, key) = good();
        content.insert(path(NAME, "zip"), zip);
        let server = serve(content);
        let toolchains = toolchains(cache.path(), &[("GOPROXY", &server.url()), ("GOSUMDB", &key)]);
        let error = fetch(&toolchains, None).unwrap_err();
        assert!(chain(&error).contains(&expected), "{what}: {}", chain(&error));
        assert!(
            error.hint().is_some_and(|hint| hint.contains("another GOPROXY")),
            "{what}: {:?}",
            error.hint()
        );
        assert!(shelf(cache.path()).is_empty(), "{what}");
    }
    Ok(())
}

pub(crate) fn of_the_database() -> TestResult {
    let (_, hash) = toolchain(NAME, "");
    let (evil, evil_hash) = toolchain(NAME, "with a backdoor");
    let wrong = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let (_, key) = good();
    let zip_of = |_: &str, _: usize| None;
    let gone = |path: &str, _: usize| path.starts_with("sumdb").then(|| Reply::Answer(Answer::new(500, "")));
    let unsigned = |path: &str, _: usize| {
        path.contains("/lookup/").then(|| Reply::Answer(Answer::new(200, "0\nx\n\nno note\n")))
    };
    type Spoil = dyn Fn(&str, usize) -> Option<Reply> + Send + Sync;
    // What the proxy does, GOSUMDB, the lock's hash, and the error's words: empty where it works.
    let cases: Vec<(Box<Spoil>, &str, Option<&str>, &str)> = vec![
        (Box::new(zip_of), &key, Some(&hash), ""),
        (Box::new(zip_of), &key, Some(wrong), "longshore.lock says its hash is h1:AAAA"),
        (Box::new(zip_of), "off", None, "GOSUMDB=off switches off the check"),
        (Box::new(zip_of), "off", Some(&hash), ""),
        (Box::new(zip_of), "off", Some(wrong), "but longshore.lock says h1:AAAA"),
        (Box::new(zip_of), "nonsense", Some(&hash), "without a usable key"),
        (Box::new(gone), &key, None, "answers 500"),
        (Box::new(gone), &key, Some(&hash), ""),
        (Box::new(gone), &key, Some(wrong), "but longshore.lock says h1:AAAA"),
        (Box::new(unsigned), &key, Some(&hash), "its answer is malformed"),
    ];
    for (at, (spoil, database, pin, expected)) in cases.into_iter().enumerate() {
        let cache = tempfile::tempdir()?;
        let server = serve_with(good().0, spoil);
        let toolchains = toolchains(cache.path(), &[("GOPROXY", &server.url()), ("GOSUMDB", database)]);
        match fetch(&toolchains, pin) {
            Ok(()) => assert_eq!(expected, "", "case {at}"),
            Err(error) => {
                assert!(
                    !expected.is_empty() && chain(&error).contains(expected),
                    "case {at}: {}",
                    chain(&error)
                );
                assert!(shelf(cache.path()).is_empty(), "case {at}");
            }
        }
    }
    // What is in the cache is held to the lock too, and offline the lock's word is enough.
    let cache = tempfile::tempdir()?;
    let server = serve(good().0);
    let variables = [("GOPROXY", server.url()), ("GOSUMDB", key.clone())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fetch(&toolchains(cache.path(), &variables), None)?;
    let error = fetch(&toolchains(cache.path(), &variables), Some(wrong)).unwrap_err();
    assert!(
        matches!(error.kind, ToolchainErrorKind::HashMismatch { by: HashSource::Lock, .. }),
        "{}",
        chain(&error)
    );
    let mut offline = settings(cache.path(), &variables);
    offline.offline = true;
    fetch(&Toolchains::new(offline), Some(&hash))?;
    let folder = tempfile::tempdir()?;
    let mut content = good().0;
    content.insert(path(NAME, "zip"), evil);
    crate::support::write(&content, folder.path());
    let url = format!("file://{}", folder.path().display());
    for (pin, works) in [(Some(evil_hash.as_str()), true), (Some(hash.as_str()), false), (None, false)] {
        let cache = tempfile::tempdir()?;
        let mut offline = settings(cache.path(), &[("GOPROXY", &url), ("GOSUMDB", &key)]);
        offline.offline = true;
        assert_eq!(fetch(&Toolchains::new(offline), pin).is_ok(), works, "{pin:?}");
    }
    Ok(())
}

pub(crate) fn in_the_middle() -> TestResult {
    let cache = tempfile::tempdir()?;
    let (content, key) = good();
    let zip = content[&path(NAME, "zip")].clone();
    let half = zip.len() / 2;
    let server = serve_with(content, move |path, earlier| {
        let whole = || Answer::new(200, zip.clone()).header("ETag", "\"1\"");
        (path.ends_with(".zip") && earlier == 0).then(|| Reply::Truncated(whole(), half))
    });
    let toolchains = toolchains(cache.path(), &[("GOPROXY", &server.url()), ("GOSUMDB", &key)]);
    fetch(&toolchains, None)?;
    let ranges: Vec<_> = server
        .requests()
        .iter()
        .filter(|request| request.target.ends_with(".zip"))
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges, [None, Some(format!("bytes={half}-"))], "the rest alone is asked for");
    Ok(())
}

pub(crate) fn fall_through() -> TestResult {
    let (content, key) = good();
    let full = serve(content.clone());
    let database_alone = serve(content.into_iter().filter(|(path, _)| path.starts_with("sumdb")).collect());
    let broken = serve_with(Content::new(), |_, _| Some(Reply::Answer(Answer::new(502, "bad gateway"))));
    // {0} has all, {1} has the database alone, {2} is broken.
    let cases = [
        ("{1},{0}", None),
        ("{2}|{0}", None),
        ("{2},{0}", Some("502")),
        ("{1},off", Some("does not have it")),
        ("off", Some("GOPROXY=off forbids it")),
        ("ftp://x,{0}", Some("the scheme must be https, http or file")),
    ];
    for (list, expected) in cases {
        let urls = [full.url(), database_alone.url(), broken.url()];
        let list = urls
            .iter()
            .enumerate()
            .fold(list.to_owned(), |list, (at, url)| list.replace(&format!("{{{at}}}"), url));
        let cache = tempfile::tempdir()?;
        let database = format!("{key} {}/sumdb/test.db", full.url());
        let toolchains = toolchains(cache.path(), &[("GOPROXY", &list), ("GOSUMDB", &database)]);
        match (fetch(&toolchains, None), expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                let said = chain(&error);
                assert!(said.contains(expected), "{list}: {said}");
            }
            (outcome, _) => panic!("{list}: {outcome:?}"),
        }
    }
    Ok(())
}

pub(crate) fn show_no_password() -> TestResult {
    let server = serve_with(Content::new(), |_, _| Some(Reply::Answer(Answer::new(401, "who are you\n"))));
    let url = server.url().replace("http://", "http://user:hunter22@");
    let cache = tempfile::tempdir()?;
    let (events, warnings) = listening();
    let toolchains = toolchains(cache.path(), &[("GOPROXY", &url), ("GOSUMDB", "off")]);
    let pin = Pin { name: NAME.parse().unwrap(), hash: Some("h1:x=".into()) };
    let request = longshore_toolchain::ToolchainRequest { pin: Some(pin), ..request("", "") };
    let error = toolchains.resolve(&request, &events).unwrap_err();
    let text = format!("{} {error:?} {:?} {:?}", chain(&error), error.hint(), warnings.0.lock().unwrap());
    assert!(text.contains("answers 401: who are you") && !text.contains("hunter22"), "{text}");
    assert!(error.hint().unwrap().contains(".netrc"));
    let sent: Vec<_> = server
        .requests()
        .iter()
        .filter_map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(
        sent.first().map(String::as_str),
        Some("Basic dXNlcjpodW50ZXIyMg=="),
        "it was sent all the same"
    );
    Ok(())
}
