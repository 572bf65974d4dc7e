//! The client against servers that answer wrongly, slowly, in part, or not at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail where they stand")]

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_http::{
    Body, Bytes, Client, Download, HttpErrorKind, HttpSettings, Method, Request, StatusCode, Transfer, Url,
    block_on,
};
use longshore_testkit::{Answer, FaultServer, Reply};

fn client() -> Client {
    let settings = HttpSettings {
        stall_timeout: Duration::from_millis(300),
        backoff: Duration::from_millis(5),
        attempts: 3,
        ..HttpSettings::default()
    };
    Client::new(settings)
}

fn get(server: &FaultServer, path: &str) -> Request {
    Request::get(url(server, path))
}

fn url(server: &FaultServer, path: &str) -> Url {
    format!("{}{path}", server.url()).parse().unwrap()
}

fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(Answer::new(status, body))
}

fn send(request: &Request) -> Result<(StatusCode, String), HttpErrorKind> {
    block_on(async {
        let response = client().send(request, &Events::silent()).await.map_err(|error| error.kind)?;
        let status = response.status();
        let body = response.bytes(1000).await.map_err(|error| error.kind)?;
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    })
}

fn download(request: &Request, limit: u64) -> (Result<Download, HttpErrorKind>, Vec<u8>) {
    let mut received = Vec::new();
    let mut receive = |bytes: Bytes| {
        received.extend_from_slice(&bytes);
        Ok(())
    };
    let outcome =
        block_on(client().download(request, &mut Transfer::new(limit), &mut receive, &Events::silent()));
    (outcome.map_err(|error| error.kind), received)
}

#[test]
fn what_may_be_tried_again_is_and_what_may_not_is_not() {
    let server = FaultServer::start(|request| match (request.target.as_str(), request.earlier) {
        ("/broken", 0) => Reply::Closed,
        ("/busy", 0) => Reply::Answer(Answer::new(429, "").header("Retry-After", "0")),
        ("/later", _) => Reply::Answer(Answer::new(503, "closed").header("Retry-After", "9999")),
        ("/down", 0 | 1) => answer(502, "no"),
        ("/dead", _) => answer(500, "no"),
        ("/odd", _) => answer(501, "no"),
        _ => answer(200, "yes"),
    })
    .unwrap();
    for (path, status, body, tries) in [
        ("/broken", 200, "yes", 2),
        ("/busy", 200, "yes", 2),
        ("/later", 503, "closed", 1),
        ("/down", 200, "yes", 3),
        ("/dead", 500, "no", 3),
        ("/odd", 501, "no", 1),
    ] {
        assert_eq!(
            send(&get(&server, path)).unwrap(),
            (StatusCode::from_u16(status).unwrap(), body.to_owned()),
            "{path}"
        );
        assert_eq!(
            server.requests().iter().filter(|request| request.target == path).count(),
            tries,
            "{path}"
        );
    }
    let post = Request::new(Method::POST, url(&server, "/broken?post"));
    let closed = FaultServer::start(|_| Reply::Closed).unwrap();
    let post_closed = Request::new(Method::POST, url(&closed, "/"));
    assert_eq!(send(&post).unwrap().1, "yes");
    assert!(matches!(send(&post_closed), Err(HttpErrorKind::Broken { .. })));
    assert_eq!(closed.requests().len(), 1, "a POST whose fate is unknown is not repeated");
}

#[test]
fn a_body_is_sent_anew_with_each_attempt_and_its_own_failure_is_the_error() {
    let server = FaultServer::start(|request| {
        if request.earlier == 0 { answer(503, "") } else { answer(200, &request.body.len().to_string()) }
    })
    .unwrap();
    let content = vec![7_u8; 1_000_000];
    let body = Body::reader(1_000_000, move || Ok(Box::new(io::Cursor::new(content.clone()))));
    let put = Request::new(Method::PUT, url(&server, "/")).body(body);
    assert_eq!(send(&put).unwrap().1, "1000000");

    let receiver = FaultServer::start(|request| answer(200, &request.body.len().to_string())).unwrap();
    let target = receiver.url();
    let sender =
        FaultServer::start(move |_| Reply::Answer(Answer::new(307, "").header("Location", target.clone())))
            .unwrap();
    let small = Body::reader(5, || Ok(Box::new(&b"12345"[..])));
    let redirected = Request::new(Method::PUT, url(&sender, "/")).body(small);
    assert_eq!(send(&redirected).unwrap().1, "5", "a redirected PUT takes its body along");

    struct Failing;
    impl io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let put = Request::new(Method::PUT, url(&server, "/x")).body(Body::reader(10, || Ok(Box::new(Failing))));
    let Err(HttpErrorKind::Local(error)) = send(&put) else { panic!("no local error") };
    assert_eq!(error.to_string(), "the disk is gone");
}

#[test]
fn silence_is_an_error_that_names_the_host_and_cancelling_ends_a_wait() {
    let server = FaultServer::start(|request| match request.target.as_str() {
        "/head" => Reply::Silence,
        _ => Reply::Stalled(Answer::new(200, "0123456789"), 5),
    })
    .unwrap();
    for path in ["/head", "/body"] {
        let Err(HttpErrorKind::Stalled { host, .. }) = send(&get(&server, path)) else {
            panic!("{path} did not stall")
        };
        assert_eq!(host, server.address());
    }
    let events = Events::silent();
    let patient = Client::new(HttpSettings::default());
    let started = Instant::now();
    let canceller = events.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        canceller.cancel();
    });
    let error = block_on(patient.send(&get(&server, "/head"), &events)).unwrap_err();
    assert!(error.is_cancelled() && started.elapsed() < Duration::from_secs(5), "{error:?}");
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let content: String = (0..5000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    let whole = content.clone();
    let server = FaultServer::start(move |request| {
        let full = Answer::new(200, whole.clone()).header("ETag", "\"1\"");
        match (request.target.as_str(), request.header("range")) {
            // A chunked body whose last chunk never came: all bytes are there, and nobody knows.
            ("/whole", None) => Reply::Truncated(full.header("Content-Length", "5001"), 5000),
            ("/whole", Some(_)) => {
                Reply::Answer(Answer::new(416, "").header("Content-Range", "bytes */5000"))
            }
            (_, None) => Reply::Truncated(full, 1000),
            ("/ranges", Some(range)) => {
                assert_eq!(request.header("if-range"), Some("\"1\""));
                let from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
                let rest = Answer::new(206, &whole[from..])
                    .header("Content-Range", format!("bytes {from}-4999/5000"));
                if from < 3000 { Reply::Truncated(rest, 1000) } else { Reply::Answer(rest) }
            }
            ("/no-ranges", Some(_)) => Reply::Answer(full),
            ("/liar", Some(_)) => {
                Reply::Answer(Answer::new(206, "xyz").header("Content-Range", "bytes 0-2/5000"))
            }
            _ => answer(416, ""),
        }
    })
    .unwrap();
    for path in ["/ranges", "/no-ranges", "/whole"] {
        let (outcome, received) = download(&get(&server, path), 5000);
        assert!(matches!(outcome, Ok(Download::Complete(5000))), "{path}: {outcome:?}");
        assert!(received == content.as_bytes(), "{path}");
    }
    let (outcome, _) = download(&get(&server, "/liar"), 5000);
    assert!(matches!(outcome, Err(HttpErrorKind::Range { status: 206 })), "{outcome:?}");
    let (outcome, _) = download(&get(&server, "/ranges"), 100);
    assert!(matches!(outcome, Err(HttpErrorKind::TooLarge { limit: 100 })), "{outcome:?}");
}

#[test]
fn a_download_that_never_gets_further_ends_and_a_refusal_is_handed_on() {
    let server = FaultServer::start(|request| match request.target.as_str() {
        "/absent" => answer(404, "no such thing"),
        _ => Reply::Truncated(Answer::new(200, "0123456789"), 0),
    })
    .unwrap();
    let (outcome, received) = download(&get(&server, "/stuck"), 100);
    assert!(matches!(outcome, Err(HttpErrorKind::Broken { .. })), "{outcome:?}");
    assert_eq!((received.len(), server.requests().len()), (0, 3));
    let (outcome, _) = download(&get(&server, "/absent"), 100);
    let Ok(Download::Refused(response)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host_and_are_in_no_error() {
    let other =
        FaultServer::start(|request| answer(200, request.header("authorization").unwrap_or("none"))).unwrap();
    // Another name for the same machine is another host.
    let target = other.url().replace("127.0.0.1", "localhost");
    let server = FaultServer::start(move |request| match request.target.as_str() {
        "/loop" => Reply::Answer(Answer::new(302, "").header("Location", "/loop")),
        _ => Reply::Answer(Answer::new(307, "").header("Location", target.clone())),
    })
    .unwrap();
    let secret = longshore_http::Secret::new("Bearer hunter2");
    let request = get(&server, "/").authorization(&secret);
    assert_eq!(send(&request).unwrap().1, "none");
    assert!(matches!(send(&get(&server, "/loop")), Err(HttpErrorKind::Redirect(_))));

    let url = Url::parse("http://user:hunter2@127.0.0.1:1/a?token=hunter2").unwrap();
    let error =
        block_on(client().send(&Request::get(url).authorization(&secret), &Events::silent())).unwrap_err();
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(next) = source {
        shown.push_str(&format!(" {next} {next:?}"));
        source = next.source();
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(error.to_string().starts_with("cannot GET http://127.0.0.1:1/a?token=…"), "{error}");
    assert!(matches!(error.kind, HttpErrorKind::Connect { .. }), "{error:?}");
}

#[test]
fn a_proxy_is_asked_for_other_hosts() {
    let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
    let recorder = std::sync::Arc::clone(&seen);
    let proxy = FaultServer::start(move |request| {
        recorder.lock().unwrap().push(request.target.clone());
        answer(200, "by proxy")
    })
    .unwrap();
    let address = proxy.url();
    let variable = |name: &str| (name == "HTTP_PROXY").then(|| address.clone());
    let client = Client::new(HttpSettings::from_variables(variable));
    let request = Request::get("http://registry.invalid/v2/".parse().unwrap());
    let body =
        block_on(async { client.send(&request, &Events::silent()).await.unwrap().bytes(100).await.unwrap() });
    assert_eq!(&body[..], b"by proxy");
    assert_eq!(seen.lock().unwrap()[..], ["http://registry.invalid/v2/"]);
}
