//! The guide's runbook: build, run with a published port, ask for health, logs, stop – word for word, with `longshore` for `docker`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use longshore_testkit::{Longshore, Requirement, Stop, Suite, TestResult, distributions, example};

use super::{Person, Who};
use crate::rungs::open_folder;

const GOLANG: &str = "golang:1.21-alpine";
const ALPINE: &str = "alpine:latest";

pub(super) fn add(suite: Suite) -> Suite {
    const GUIDE: &[Requirement] = &[
        Requirement::Root,
        Requirement::Distribution(GOLANG),
        Requirement::Distribution(ALPINE),
        Requirement::ModuleProxy,
    ];
    suite
        .test("containers::runbook::as_root", GUIDE, || steps(Who::Root))
        .test("containers::runbook::with_lent_ids", GUIDE, || steps(Who::Lent))
        .test("containers::runbook::with_a_single_id", GUIDE, || steps(Who::Single))
}

/// The guide's image, built once as root: building as others is another test's.
fn image() -> Result<PathBuf, Stop> {
    static BUILT: OnceLock<Result<PathBuf, Stop>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = open_folder()?.until_end();
        let user = Longshore::at(env!("CARGO_BIN_EXE_longshore"))?.inside(&folder);
        let context =
            |name: &str| format!("{name}=oci-layout://{}:{name}", distributions::folder().display());
        let (golang, alpine) = (context(GOLANG), context(ALPINE));
        let guide = example("guide");
        let (file, path) = (guide.join("Dockerfile").display().to_string(), guide.display().to_string());
        let build = ["build", "-f", &file, "-t", "myapp:latest", &path];
        let contexts = ["--build-context", &golang, "--build-context", &alpine];
        user.run(build.iter().chain(&contexts))?.succeeded()?;
        let archive = folder.join("myapp.tar");
        user.run(["image", "save", "myapp:latest", "-o", &archive.display().to_string()])?.succeeded()?;
        std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o644))?;
        Ok(archive)
    });
    match built {
        Ok(archive) => Ok(archive.clone()),
        Err(Stop::Skipped(reason)) => Err(Stop::Skipped(reason.clone())),
        Err(Stop::Failed(message)) => Err(Stop::failed(message.clone())),
    }
}

fn steps(who: Who) -> TestResult {
    let person = Person::new(who)?;
    person.run(&["image", "load", "-i", &image()?.display().to_string()])?.succeeded()?;
    // The guide's port may be taken on the machine that tests; a free one is not.
    person.contain(&["-d", "-p", "127.0.0.1::8080", "--name", "myapp", "myapp:latest"])?.succeeded()?;
    let port = person.inspect("myapp")?["state"]["ports"][0]["host"]
        .as_u64()
        .ok_or_else(|| Stop::failed("no port is published"))?;
    person.until("the service", || {
        let asked = person.run(&["exec", "myapp", "wget", "--spider", "http://localhost:8080/health"])?;
        Ok(asked.status.success())
    })?;
    let answer = get(u16::try_from(port)?, "/health")?;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"status\":\"healthy\""),
        "{answer}"
    );
    let user = person.run(&["exec", "myapp", "id", "-u"])?.succeeded()?.stdout;
    assert_eq!(user, "1001\n");
    let logs = person.run(&["logs", "myapp"])?.succeeded()?;
    assert!(!logs.stdout.is_empty() || !logs.stderr.is_empty());
    assert_eq!(person.run(&["stop", "myapp"])?.succeeded()?.stdout, "myapp\n");
    let state = person.inspect("myapp")?["state"].clone();
    assert_eq!((&state["status"], &state["exit"]["code"]), (&"exited".into(), &0.into()), "{state}");
    Ok(())
}

fn get(port: u16, path: &str) -> Result<String, Stop> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
