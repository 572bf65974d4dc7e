//! Published ports under load, and with few files to open.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use longshore_testkit::{Requirement, Stop, Suite, TestResult, run};

use super::{IMAGE, LIMIT, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite.test("containers::ports::a_soft_limit_of_open_files_limits_no_connections", ROOT, soft_limit).test(
        "containers::ports::whoever_finds_no_free_file_waits_for_one",
        ROOT,
        hard_limit,
    )
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
