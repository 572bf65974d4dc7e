//! Published ports under load, and with few files to open.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use longshore_testkit::{Requirement, Stop, Suite, TestResult, run};

use super::life::for_all;
use super::{IMAGE, LIMIT, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    const GO: &[Requirement] = &[Requirement::Root, Requirement::Go];
    suite
        .test("containers::ports::a_soft_limit_of_open_files_limits_no_connections", ROOT, soft_limit)
        .test("containers::ports::whoever_finds_no_free_file_waits_for_one", ROOT, hard_limit)
        .test("containers::ports::datagrams_are_answered", GO, || for_all(datagrams))
}

/// Starts an echo server with a limit of open files, `-Sn 64` say, and returns its port on the machine.
fn start(person: &Person, limit: &str) -> Result<u16, Stop> {
    let words = [
        "run",
        "-d",
        "--name",
        "echo",
        "-p",
        "127.0.0.1::7",
        IMAGE,
        "busybox",
        "nc",
        "-ll",
        "-p",
        "7",
        "-e",
        "/bin/cat",
    ];
    let like = person.command(&words);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
    command.arg(like.get_program()).args(like.get_args());
    command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.stdin(Stdio::null()), LIMIT)?.succeeded()?;
    let port = person.inspect("echo")?["state"]["ports"][0]["host"].as_u64();
    let port = u16::try_from(port.ok_or_else(|| Stop::failed("no port is published"))?)?;
    person.until("the server", || Ok(asked(&connected(port)?, "first").is_ok()))?;
    Ok(port)
}

fn connected(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Sends a text, which must come back.
fn asked(mut stream: &TcpStream, text: &str) -> TestResult {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(String::from_utf8_lossy(&answer), text);
    Ok(())
}

fn soft_limit() -> TestResult {
    let person = Person::new(Who::Root)?;
    let port = start(&person, "-Sn 64")?;
    let mut streams = Vec::new();
    for number in 0..400 {
        let stream = connected(port)?;
        asked(&stream, &format!("connection {number}"))?;
        streams.push(stream);
    }
    for stream in &streams {
        asked(stream, "once more")?;
    }
    Ok(())
}

fn hard_limit() -> TestResult {
    let person = Person::new(Who::Root)?;
    let port = start(&person, "-n 64")?;
    let mut streams = (0..100).map(|_| connected(port)).collect::<Result<Vec<_>, _>>()?;
    asked(&streams[0], "one of the first")?;
    // Those who have to wait take no time of the processor.
    let before = processor_time(&person)?;
    std::thread::sleep(Duration::from_secs(1));
    let used = processor_time(&person)? - before;
    assert!(used < 20, "{used} hundredths of a second");
    // As the first go, the others come.
    while !streams.is_empty() {
        asked(&streams[0], "its turn")?;
        streams.remove(0);
    }
    Ok(())
}

/// Of the process that serves the ports, in hundredths of a second: proc_pid_stat(5), utime and stime.
fn processor_time(person: &Person) -> Result<u64, Stop> {
    let process = person.inspect("echo")?["state"]["process"].to_string();
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let monitor = text.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
    let monitor = monitor.ok_or_else(|| Stop::failed("it has no monitor"))?;
    let children = std::fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children"))?;
    for child in children.split_whitespace() {
        let words = std::fs::read(format!("/proc/{child}/cmdline"))?;
        if words.starts_with(b"longshore: ports") {
            let text = std::fs::read_to_string(format!("/proc/{child}/stat"))?;
            let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
            return Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum());
        }
    }
    Err(Stop::failed("nobody serves the ports"))
}

/// Answers each datagram with itself and the address that it came from.
const ECHO: &str = r#"package main

import (
	"fmt"
	"net"
)

func main() {
	connection, err := net.ListenPacket("udp4", ":53")
	if err != nil {
		panic(err)
	}
	buffer := make([]byte, 65536)
	for {
		count, from, err := connection.ReadFrom(buffer)
		if err == nil {
			connection.WriteTo([]byte(fmt.Sprintf("%s %s", from, buffer[:count])), from)
		}
	}
}
"#;

fn datagrams(person: &Person) -> TestResult {
    let folder = crate::rungs::open_folder()?;
    folder.write("main.go", ECHO)?;
    folder.write("go.mod", "module echo\n\ngo 1.21\n")?;
    let mut build = Command::new("go");
    build.args(["build", "-o", "echo", "."]).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local");
    run(build.current_dir(folder.path()), LIMIT)?.succeeded()?;
    let volume = format!("{}:/echo:ro", folder.join("echo").display());
    let words = ["-d", "--name", "echo", "-p", "127.0.0.1::53/udp", "-p", "127.0.0.1::53", "-v", &volume];
    person.contain(&[&words[..], &[IMAGE, "/echo"]].concat())?.succeeded()?;
    let ports = person.inspect("echo")?["state"]["ports"].clone();
    assert_eq!((&ports[0]["protocol"], &ports[1]["protocol"]), (&"udp".into(), &"tcp".into()), "{ports}");
    let port = ports[0]["host"].as_u64().ok_or_else(|| Stop::failed("no port is published"))?;
    assert!(person.run(&["ps"])?.stdout.contains(&format!("127.0.0.1:{port}->53/udp")));

    let clients = (0..50).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let address = ("127.0.0.1", u16::try_from(port)?);
    let mut buffer = vec![0; 65536];
    let mut ask = |client: &UdpSocket, text: &str| -> Result<(String, String), Stop> {
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        client.send_to(text.as_bytes(), address)?;
        let (count, from) = client.recv_from(&mut buffer)?;
        assert_eq!(from.to_string(), format!("127.0.0.1:{port}"));
        let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let (from, text) = answer.split_once(' ').ok_or_else(|| Stop::failed(answer.clone()))?;
        Ok((from.to_owned(), text.to_owned()))
    };
    // The server may not listen yet: what is sent before is lost.
    clients[0].set_read_timeout(Some(Duration::from_millis(100)))?;
    person.until("the server", || {
        clients[0].send_to(b"first", address)?;
        Ok(clients[0].recv_from(&mut [0; 100]).is_ok())
    })?;
    std::thread::sleep(Duration::from_millis(200));
    clients[0].set_nonblocking(true)?;
    while clients[0].recv_from(&mut [0; 100]).is_ok() {}
    clients[0].set_nonblocking(false)?;
    let long = "x".repeat(60_000);
    let mut seen = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        let text = format!("client {number}");
        let (from, answer) = ask(client, &text)?;
        assert_eq!(answer, text);
        let (again, answer) = ask(client, &long)?;
        assert!(again == from && answer == long, "{from}, {again}, {} bytes", answer.len());
        seen.push(from);
    }
    // Each client is another for the server.
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), clients.len());
    person.run(&["rm", "-f", "echo"])?.succeeded()?;
    // The port is free again.
    UdpSocket::bind(address)?;
    Ok(())
}
