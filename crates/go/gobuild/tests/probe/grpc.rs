//! grpc.health.v1: answers as bytes, and a real server of grpc-go.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use longshore_testkit::{Folder, Stop, TestResult, program};

use crate::checks::serve;
use crate::start::{LIMIT, ask};

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

fn trailers(status: &str) -> Vec<u8> {
    let length = u8::try_from(status.len()).unwrap();
    frame(1, 5, 1, &[b"\x40\x0bgrpc-status", &[length][..], status.as_bytes()].concat())
}

pub(crate) fn answers() -> TestResult {
    let settings = frame(4, 0, 0, b"\0\x05\0\0\x40\0");
    let headers = frame(1, 4, 1, b"\x20\x88\x5f\x10application/grpc");
    let data = |bytes: &[u8]| frame(0, 0, 1, bytes);
    let serving = data(b"\0\0\0\0\x02\x08\x01");
    let coded = frame(1, 5, 1, b"\x40\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x010\0\x07message\0");
    let cases: Vec<(Vec<Vec<u8>>, i32, &str)> = vec![
        (vec![settings.clone(), headers.clone(), serving.clone(), trailers("0")], 0, ""),
        (vec![settings.clone(), headers.clone(), serving.clone(), coded], 0, ""),
        (
            vec![settings.clone(), headers.clone(), data(b"\0\0\0\0\x02"), data(b"\x08\x01"), trailers("0")],
            0,
            "",
        ),
        (
            vec![
                settings.clone(),
                frame(6, 0, 0, b"12345678"),
                headers.clone(),
                serving.clone(),
                trailers("0"),
            ],
            0,
            "",
        ),
        (
            vec![settings.clone(), headers.clone(), data(b"\0\0\0\0\x02\x08\x02"), trailers("0")],
            1,
            "not SERVING: status 2",
        ),
        (
            vec![settings.clone(), headers.clone(), data(b"\0\0\0\0\0"), trailers("0")],
            1,
            "not SERVING: status 0",
        ),
        (vec![settings.clone(), trailers("5")], 1, "unknown service: gRPC status 5"),
        (vec![settings.clone(), trailers("12")], 1, "no grpc.health.v1: gRPC status 12"),
        (vec![settings.clone(), headers.clone(), serving.clone(), trailers("14")], 1, "gRPC status 14"),
        (vec![settings.clone(), frame(3, 0, 1, b"\0\0\0\x07")], 1, "the call was refused"),
        (vec![settings.clone(), headers, serving], 1, "no valid answer"),
        (vec![settings], 1, "no valid answer"),
        (vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()], 1, "not HTTP/2"),
        (vec![b"\x15\x03\x01\0\x02\x02\x46\0\0\0".to_vec()], 1, "not HTTP/2"),
        (vec![], 1, "no valid answer"),
    ];
    for (index, (frames, code, said)) in cases.iter().enumerate() {
        // The server takes the end of the preface for the end of a request, which is all that it waits for.
        let (address, _requests) = serve("127.0.0.1:0", &frames.concat());
        let url = format!("grpc://{address}/shop.Cart");
        let ran = ask(&[&url])?.expect_code(*code)?;
        let expected = if said.is_empty() { String::new() } else { format!("probe: {url}: {said}\n") };
        assert_eq!(ran.stderr, expected, "{index}");
    }
    Ok(())
}

const GO_MOD: &str = "module health\n\ngo 1.21\n\nrequire google.golang.org/grpc v1.64.0\n";
const MAIN_GO: &str = r#"package main

import (
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	if len(os.Args) < 2 {
		checks := health.NewServer()
		checks.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_SERVING)
		checks.SetServingStatus("shop.Stock", healthpb.HealthCheckResponse_NOT_SERVING)
		healthpb.RegisterHealthServer(server, checks)
	}
	fmt.Println(listener.Addr())
	panic(server.Serve(listener))
}
"#;

/// Starts the built server; what it listens on, and the process.
fn start(binary: &std::path::Path, arguments: &[&str]) -> Result<(String, std::process::Child), Stop> {
    let mut child = Command::new(binary).args(arguments).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    Ok((line.trim().to_owned(), child))
}

pub(crate) fn go() -> TestResult {
    let folder = Folder::new()?;
    folder.write("go.mod", GO_MOD)?;
    folder.write("main.go", MAIN_GO)?;
    for words in [&["mod", "tidy"][..], &["build", "-o", "server", "."]] {
        let mut go = Command::new(program("go")?);
        go.args(words).current_dir(folder.path()).env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local");
        longshore_testkit::run(&mut go, LIMIT * 15)?.succeeded()?;
    }
    let binary = folder.path().join("server");
    let (address, mut server) = start(&binary, &[])?;
    let (without, mut bare) = start(&binary, &["without"])?;
    let cases = [
        (format!("grpc://{address}"), 0, ""),
        (format!("grpc://{address}/shop.Cart"), 0, ""),
        (format!("grpc://{address}/shop.Stock"), 1, "not SERVING: status 2"),
        (format!("grpc://{address}/shop.Other"), 1, "unknown service: gRPC status 5"),
        (format!("grpc://{without}"), 1, "no grpc.health.v1: gRPC status 12"),
    ];
    let mut outcomes = Vec::new();
    for (url, _, _) in &cases {
        outcomes.push(ask(&[url]));
    }
    for child in [&mut server, &mut bare] {
        child.kill()?;
        child.wait()?;
    }
    for ((url, code, said), outcome) in cases.iter().zip(outcomes) {
        let ran = outcome?.expect_code(*code)?;
        let expected = if said.is_empty() { String::new() } else { format!("probe: {url}: {said}\n") };
        assert_eq!(ran.stderr, expected);
    }
    Ok(())
}
