//! Files from web servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longshore_oci::Digest;
use longshore_testkit::{Answer, FaultServer, Reply, Request, Requirement, Suite, TestResult};

use crate::workshop::Workshop;

const ROOT: &[Requirement] = &[Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("web::an_unchanged_file_costs_a_request_and_no_body", ROOT, unchanged)
        .test("web::a_checksum_that_is_known_costs_no_request", ROOT, known_checksum)
        .test("web::a_wrong_checksum_is_refused_every_time", ROOT, wrong_checksum)
        .test("web::without_network_nothing_unknown_is_fetched", ROOT, offline)
        .test("web::credentials_are_sent_and_shown_nowhere", ROOT, credentials)
        .test("web::a_download_that_breaks_off_goes_on", ROOT, broken_off)
        .test("web::a_damaged_copy_is_fetched_again", ROOT, damaged)
        .test("web::mode_and_time_are_those_that_buildkit_gives", ROOT, metadata)
        .test("web::names_with_special_characters_are_names", ROOT, names)
        .test("web::answers_that_hold_no_file_are_errors", ROOT, statuses)
}

fn has_tag(request: &Request, tag: &str) -> bool {
    request.header("if-none-match") == Some(tag)
}

fn unchanged() -> TestResult {
    let workshop = Workshop::new()?;
    let version = Arc::new(AtomicUsize::new(1));
    let served = Arc::clone(&version);
    let server = FaultServer::start(move |request| {
        let version = served.load(Ordering::SeqCst);
        let tag = format!("\"v{version}\"");
        if has_tag(request, &tag) {
            return Reply::Answer(Answer::new(304, "").header("ETag", tag));
        }
        Reply::Answer(Answer::new(200, format!("version {version}")).header("ETag", tag))
    })?;
    let line = format!("ADD {}/file /dest/", server.url());
    let first = workshop.add(&line)?;
    assert!(first.holds("dest/file", b"version 1"), "{:?}", first.listing());
    assert!(!first.is_cached());
    let again = workshop.add(&line)?;
    assert_eq!(again.outcome.root, first.outcome.root);
    assert!(again.is_cached());
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("if-none-match"), None);
    assert_eq!(requests[1].header("if-none-match"), Some("\"v1\""));
    // Another step takes the bytes from the store.
    let other = workshop.add(&format!("ADD {}/file /other", server.url()))?;
    assert!(other.holds("other", b"version 1"));
    assert!(has_tag(&server.requests()[2], "\"v1\""));

    version.store(2, Ordering::SeqCst);
    let changed = workshop.add(&line)?;
    assert!(changed.holds("dest/file", b"version 2") && !changed.is_cached());
    // What is there again is known again.
    version.store(1, Ordering::SeqCst);
    let back = workshop.add(&line)?;
    assert_eq!(back.outcome.root, first.outcome.root);
    assert!(back.is_cached());
    assert_eq!(server.requests().len(), 5);
    Ok(())
}

fn known_checksum() -> TestResult {
    let mut workshop = Workshop::new()?;
    let server = FaultServer::start(|_| Reply::Answer(Answer::new(200, "pinned")))?;
    let flag = format!("--checksum={}", Digest::of(b"pinned"));
    let first = workshop.add(&format!("ADD {flag} {}/file /one", server.url()))?;
    assert!(first.holds("one", b"pinned"));
    assert_eq!(server.requests().len(), 1);
    workshop.http = None;
    let again = workshop.add(&format!("ADD {flag} {}/file /one", server.url()))?;
    assert_eq!(again.outcome.root, first.outcome.root);
    // The bytes are here, by whatever address they came.
    let other = workshop.add(&format!("ADD {flag} http://127.0.0.1:1/elsewhere /two/"))?;
    assert!(other.holds("two/elsewhere", b"pinned"));
    assert_eq!(server.requests().len(), 1);
    Ok(())
}

fn wrong_checksum() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|_| Reply::Answer(Answer::new(200, "other")))?;
    let (expected, found) = (Digest::of(b"pinned"), Digest::of(b"other"));
    let line = format!("ADD --checksum={expected} {}/file /one", server.url());
    for _ in 0..2 {
        let (messages, _) = workshop.refused(&line)?;
        let told = format!("{}/file has the checksum {found}, and {expected} is asked for", server.url());
        assert_eq!(messages, [format!("line 2: {line} failed"), told]);
    }
    let (messages, _) =
        workshop.refused(&format!("ADD --checksum={expected} {0}/a {0}/b /x/", server.url()))?;
    let told = format!("--checksum is `{expected}`, and must be used with one source alone");
    assert_eq!(messages[1..], [told]);
    Ok(())
}

fn offline() -> TestResult {
    let mut workshop = Workshop::new()?;
    workshop.http = None;
    let (messages, hint) = workshop.refused("ADD http://127.0.0.1:1/file /one")?;
    assert_eq!(
        messages[1..],
        ["cannot fetch http://127.0.0.1:1/file", "it is not in the store, and the network is not to be used"]
    );
    assert_eq!(hint.as_deref(), Some("build once without --offline"));
    let (messages, _) =
        workshop.refused(&format!("ADD --checksum={} http://127.0.0.1:1/f /x", Digest::of(b"")))?;
    assert_eq!(messages[2..], ["it is not in the store, and the network is not to be used"]);
    Ok(())
}

fn credentials() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|request| {
        let status = if request.target.starts_with("/file") { 200 } else { 403 };
        Reply::Answer(Answer::new(status, "secret file"))
    })?;
    let address = |path: &str| format!("http://user:hunter2@{}/{path}", server.address());
    let built = workshop.add(&format!("ADD {} /one", address("file?part=1&token=hunter2")))?;
    assert!(built.holds("one", b"secret file"));
    assert_eq!(server.requests()[0].header("authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    assert_eq!(server.requests()[0].target, "/file?part=1&token=hunter2");
    assert_eq!(built.history, [format!("ADD {}/file?part=1&token=… /one # buildkit", server.url())]);
    let (messages, _) = workshop.refused(&format!("ADD {} /two", address("absent")))?;
    assert_eq!(
        messages,
        [
            format!("line 2: ADD {}/absent /two failed", server.url()),
            format!("cannot fetch {}/absent", server.url()),
            "the server answered 403 (forbidden)".to_owned(),
        ]
    );
    Ok(())
}

fn broken_off() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|request| match request.header("range") {
        Some(range) => {
            assert_eq!(range, "bytes=4-");
            let rest = Answer::new(206, "second half").header("Content-Range", "bytes 4-14/15");
            Reply::Answer(rest.header("ETag", "\"x\""))
        }
        None => {
            let whole = Answer::new(200, "and second half").header("ETag", "\"x\"");
            Reply::Truncated(whole.header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"), 4)
        }
    })?;
    let built = workshop.add(&format!("ADD {}/file /one", server.url()))?;
    assert!(built.holds("one", b"and second half"), "{:?}", built.listing());
    assert_eq!(built.tree.get("one").map(|file| file.mtime), Some(1_445_412_480));
    assert_eq!(server.requests().len(), 2);
    Ok(())
}

fn damaged() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|_| Reply::Answer(Answer::new(200, "pinned")))?;
    let digest = Digest::of(b"pinned");
    workshop.add(&format!("ADD --checksum={digest} {}/file /one", server.url()))?;
    let copy = workshop.store.cache_folder("web").join(digest.encoded()).join("content");
    assert_eq!(std::fs::read(&copy)?, b"pinned");
    longshore_files::write_atomic(&copy, b"spoilt")?;
    let built = workshop.add(&format!("ADD --checksum={digest} {}/file /two", server.url()))?;
    assert!(built.holds("two", b"pinned"));
    assert_eq!(server.requests().len(), 2);
    assert_eq!(std::fs::read(&copy)?, b"pinned");
    // A damaged record is as good as none.
    let records = workshop.store.cache_folder("dockerfile").join("addresses");
    for record in std::fs::read_dir(records)? {
        longshore_files::write_atomic(&record?.path(), b"{")?;
    }
    let built = workshop.add(&format!("ADD {}/file /three", server.url()))?;
    assert!(built.holds("three", b"pinned"));
    Ok(())
}

fn metadata() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|request| {
        let answer = Answer::new(200, "text");
        Reply::Answer(match request.target.as_str() {
            "/dated" => answer.header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            _ => answer,
        })
    })?;
    let built = workshop.add(&format!("ADD {0}/dated {0}/undated /", server.url()))?;
    assert_eq!(built.listing(), ["dated 600 4", "undated 600 4"]);
    let time = |built: &crate::workshop::Built, path: &str| built.tree.get(path).map(|file| file.mtime);
    assert_eq!(time(&built, "dated"), Some(1_445_412_480));
    assert_eq!(time(&built, "undated"), Some(0));
    let built = workshop.try_add(&format!("ADD {}/dated /", server.url()), Some(1_000_000_000))?;
    assert_eq!(time(&built, "dated"), Some(1_000_000_000), "no time is later than SOURCE_DATE_EPOCH");
    Ok(())
}

fn names() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|_| Reply::Answer(Answer::new(200, "text")))?;
    for (path, name) in
        [("a[1]*.txt", "a[1]*.txt"), ("a%20b", "a b"), ("back%5Cslash", "back\\slash"), ("x/?y", "x")]
    {
        let built = workshop.add(&format!("ADD [\"{}/{path}\", \"/d/\"]", server.url()))?;
        assert_eq!(built.listing(), ["d/ 755".to_owned(), format!("d/{name} 600 4")], "{path}");
    }
    Ok(())
}

fn statuses() -> TestResult {
    let workshop = Workshop::new()?;
    let server = FaultServer::start(|request| {
        Reply::Answer(match request.target.as_str() {
            "/absent" => Answer::new(404, "an error page is no file"),
            "/unasked" => Answer::new(304, ""),
            _ => Answer::new(418, ""),
        })
    })?;
    for (path, expected) in [
        ("absent", "the server answered 404 (not found)"),
        ("unasked", "the server answered 304"),
        ("tea", "the server answered 418"),
    ] {
        let (messages, _) = workshop.refused(&format!("ADD {}/{path} /x", server.url()))?;
        assert_eq!(messages.last().map(String::as_str), Some(expected), "{path}");
    }
    Ok(())
}
