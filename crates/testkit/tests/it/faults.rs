use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Answer, FaultServer, Folder, Ran, Registry, Reply, Stop, TestResult, program, run};

use crate::registry::{layout, skopeo};

fn curl(arguments: &[&str]) -> Result<Ran, Stop> {
    let mut command = Command::new(program("curl")?);
    Ok(run(command.args(["-s", "-S", "--max-time", "1"]).args(arguments), Duration::from_secs(20))?)
}

pub(crate) fn answer_stall_and_break_off() -> TestResult {
    let server = FaultServer::start(|request| match request.target.as_str() {
        "/busy" if request.earlier == 0 => Reply::Answer(Answer::new(429, "").header("Retry-After", "0")),
        "/busy" => Reply::Answer(Answer::new(200, "free")),
        "/echo" => Reply::Answer(Answer::new(200, request.body.clone())),
        "/short" => Reply::Truncated(Answer::new(200, "0123456789"), 4),
        "/slow" => Reply::Stalled(Answer::new(200, "0123456789"), 4),
        "/silent" => Reply::Silence,
        _ => Reply::Closed,
    })?;
    // Target, more arguments, curl's exit code (18: partial, 28: time is over, 52: no answer), what it got.
    let cases: [(&str, &[&str], i32, &str); 7] = [
        ("/busy", &["-w", "%{http_code}"], 0, "429"),
        ("/busy", &[], 0, "free"),
        ("/echo", &["-H", "Transfer-Encoding: chunked", "-d", "a chunk"], 0, "a chunk"),
        ("/short", &[], 18, "0123"),
        ("/slow", &[], 28, "0123"),
        ("/silent", &[], 28, ""),
        ("/closed", &[], 52, ""),
    ];
    for (target, arguments, code, expected) in cases {
        let url = server.url() + target;
        let ran = curl(&[&[url.as_str()], arguments].concat())?.expect_code(code)?;
        assert_eq!(ran.stdout, expected, "{target}");
    }
    let targets: Vec<String> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/busy", "/busy", "/echo", "/short", "/slow", "/silent", "/closed"]);
    Ok(())
}

pub(crate) fn spoil_one_request_of_many() -> TestResult {
    let folder = Folder::new()?;
    let source = layout(&folder)?;
    let registry = Registry::start()?;
    let proxy = FaultServer::in_front_of(registry.address(), |request| match request.method.as_str() {
        "PUT" if request.target.contains("/manifests/") && request.earlier == 0 => Reply::Answer(
            Answer::new(400, r#"{"errors":[{"code":"MANIFEST_INVALID","message":"not today"}]}"#),
        ),
        _ => Reply::Forward,
    })?;
    let target = format!("docker://{}/greeting:1.0", proxy.address());
    // Without it skopeo would try again with other media types.
    let copy = ["copy", "--preserve-digests", "--dest-tls-verify=false", source.as_str(), target.as_str()];
    let spoiled = skopeo(&copy)?.expect_code(1)?;
    assert!(spoiled.stderr.contains("not today"), "{}", spoiled.stderr);
    skopeo(&copy)?.succeeded()?;
    let direct = format!("docker://{}", registry.reference("greeting:1.0"));
    skopeo(&["inspect", "--tls-verify=false", &direct])?.succeeded()?;
    Ok(())
}
