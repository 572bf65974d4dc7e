//! HTTP and TCP: what is well, what is not, and what is said about it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use longshore_testkit::TestResult;

use crate::start::ask;

/// A server that reads a request's head and answers with these bytes, again and again; and what it read.
pub(crate) fn serve(address: &str, answer: &[u8]) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(address).unwrap();
    let own = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    let answer = answer.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|count| count == 1)
            {
                request.push(byte[0]);
            }
            // One byte at a time: an answer may come in any pieces. Whoever does not read on has seen enough.
            for byte in &answer {
                if connection.write_all(&[*byte]).is_err() {
                    break;
                }
            }
            // What is unread when a connection is closed resets it, and the answer with it.
            let _ = connection.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut connection, &mut std::io::sink());
            if sender.send(String::from_utf8_lossy(&request).into_owned()).is_err() {
                return;
            }
        }
    });
    (own, receiver)
}

pub(crate) fn http() -> TestResult {
    let endless = format!("HTTP/1.1 200 {}", "a".repeat(3000));
    let cases: &[(&str, i32, &str)] = &[
        ("HTTP/1.1 200 OK\r\n\r\n", 0, ""),
        ("HTTP/1.0 204 No Content\r\n\r\n", 0, ""),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 0, ""),
        ("HTTP/1.1 399 Odd\r\n\r\n", 0, ""),
        ("HTTP/1.1 199 Odd\r\n\r\n", 1, "answered 199 Odd"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", 1, "answered 400 Bad Request"),
        ("HTTP/1.1 503\r\n\r\n", 1, "answered 503"),
        ("HTTP/1.1 503 \x1b[2J\r\n\r\n", 1, "answered 503 ?[2J"),
        ("HTTP/2 200\r\n\r\n", 1, "not HTTP/1"),
        ("SSH-2.0-OpenSSH_9.2\r\n", 1, "not HTTP/1"),
        ("HTTP/1.1 200 OK", 1, "no valid answer"),
        ("", 1, "no valid answer"),
        (&endless, 1, "no valid answer"),
    ];
    for (answer, code, said) in cases {
        let (address, requests) = serve("127.0.0.1:0", answer.as_bytes());
        let url = format!("http://{address}/health?a=b");
        let ran = ask(&[&url])?.expect_code(*code)?;
        let expected = if said.is_empty() { String::new() } else { format!("probe: {url}: {said}\n") };
        assert_eq!((ran.stdout.as_str(), ran.stderr), ("", expected), "{answer:?}");
        let request = requests.recv_timeout(Duration::from_secs(5))?;
        let head = "\r\nUser-Agent: longshore-probe\r\nConnection: close\r\n\r\n";
        assert_eq!(request, format!("GET /health?a=b HTTP/1.1\r\nHost: {address}{head}"));
    }
    Ok(())
}

pub(crate) fn tcp() -> TestResult {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("tcp://{}", listener.local_addr()?);
    ask(&[&url])?.succeeded()?;
    drop(listener);
    let ran = ask(&[&url])?.expect_code(1)?;
    assert_eq!(ran.stderr, format!("probe: {url}: cannot connect: connection refused\n"));
    Ok(())
}

pub(crate) fn localhost() -> TestResult {
    let ran = ask(&["tcp://localhost:1"])?.expect_code(1)?;
    assert_eq!(ran.stderr, "probe: tcp://localhost:1: cannot connect: connection refused\n");
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = match TcpListener::bind(address) {
            Ok(listener) => listener,
            // Many containers have no IPv6.
            Err(_) if address.starts_with('[') => {
                return Err(longshore_testkit::Skip("there is no IPv6".into()).into());
            }
            Err(error) => return Err(error.into()),
        };
        let port = listener.local_addr()?.port();
        ask(&[&format!("tcp://localhost:{port}")])?.succeeded()?;
        ask(&[&format!("tcp://{}:{port}", address.trim_end_matches(":0"))])?.succeeded()?;
    }
    Ok(())
}

pub(crate) fn time() -> TestResult {
    // It accepts, since the kernel does, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?;
    for (url, arguments) in [
        (format!("http://{address}/"), ["--timeout", "150ms"]),
        (format!("grpc://{address}"), ["--timeout=150ms", "--timeout=150ms"]),
    ] {
        let begin = Instant::now();
        let ran = ask(&[&[url.as_str()], arguments.as_slice()].concat())?.expect_code(1)?;
        let took = begin.elapsed();
        assert_eq!(ran.stderr, format!("probe: {url}: no answer: time is over\n"));
        assert!((150..2000).contains(&took.as_millis()), "{took:?}");
    }
    Ok(())
}

pub(crate) fn usage() -> TestResult {
    let cases: &[(&[&str], &str)] = &[
        (&[], "not http://, tcp:// or grpc://: "),
        (&["127.0.0.1:80"], "not http://, tcp:// or grpc://: 127.0.0.1:80"),
        (&["https://127.0.0.1/"], "not http://, tcp:// or grpc://: https://127.0.0.1/"),
        (&["http://example.com/"], "not an IPv4 address, [IPv6 address] or localhost: http://example.com/"),
        (&["tcp://127.0.0.1"], "no port from 1 to 65535: tcp://127.0.0.1"),
        (&["http://127.0.0.1/a b"], "not a URL: http://127.0.0.1/a b"),
        (&["http://127.0.0.1", "http://127.0.0.2"], "unexpected: http://127.0.0.2"),
        (&["http://127.0.0.1", "--retry"], "unexpected: --retry"),
        (&["http://127.0.0.1", "--timeout"], "not a time: "),
        (&["http://127.0.0.1", "--timeout", "soon"], "not a time: soon"),
        (&["http://127.0.0.1", "--timeout=0"], "not a time: 0"),
    ];
    for (arguments, said) in cases {
        let ran = ask(arguments)?.expect_code(2)?;
        assert_eq!((ran.stdout.as_str(), ran.stderr), ("", format!("probe: {said}\n")), "{arguments:?}");
    }
    for word in ["-h", "--help", "-V", "--version"] {
        let ran = ask(&[word])?.succeeded()?;
        assert!(
            ran.stdout.starts_with("probe ") && ran.stdout.contains("probe init") && ran.stderr.is_empty()
        );
    }
    Ok(())
}

/// A call from the start of the process to its end, on a server that answers at once: the fastest of many, since other tests run meanwhile.
pub(crate) fn fast() -> TestResult {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let _ = connection
                .read(&mut [0; 1024])
                .and_then(|_| connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        }
    });
    let mut fastest = Duration::MAX;
    for _ in 0..200 {
        let begin = Instant::now();
        let status = std::process::Command::new(crate::start::probe()).arg(&url).status()?;
        fastest = fastest.min(begin.elapsed());
        assert!(status.success());
    }
    // Debug builds of this test start processes a little slower.
    assert!(fastest < Duration::from_micros(1000), "{fastest:?}");
    Ok(())
}
