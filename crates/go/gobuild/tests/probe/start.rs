//! The programs on disk, and what can be seen of them without running them long.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Ran, RunError, TestResult, program, run};

/// How long a program may take that ends by itself.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Where the program for an architecture was written.
pub(crate) fn path(architecture: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{architecture}-{}", std::process::id()))
}

/// The program for this machine. What the tests run is Linux on x86-64 or 64-bit ARM.
pub(crate) fn probe() -> PathBuf {
    path(if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" })
}

/// Writes the programs as an image would hold them.
pub(crate) fn write_programs() {
    for architecture in ["amd64", "arm64"] {
        let path = path(architecture);
        longshore_files::write_atomic(&path, longshore_gobuild::probe(architecture).unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    }
}

/// Runs the probe to its end.
pub(crate) fn ask(arguments: &[&str]) -> Result<Ran, RunError> {
    run(Command::new(probe()).args(arguments), LIMIT)
}

pub(crate) fn bytes() -> TestResult {
    assert_eq!(longshore_gobuild::probe("riscv64"), None);
    for (architecture, machine, most) in [("amd64", 62_u16, 10_000), ("arm64", 183, 16_000)] {
        let bytes = longshore_gobuild::probe(architecture).unwrap();
        assert!(bytes.len() <= most, "{architecture}: {} bytes", bytes.len());
        let half = |place: usize| u16::from_le_bytes([bytes[place], bytes[place + 1]]);
        let word = |place: usize| u32::from(half(place)) | u32::from(half(place + 2)) << 16;
        // An executable for that machine (System V ABI, "ELF Header") that has two program headers: one that is loaded, read and executed, and the
        // stack, read and written. There is no interpreter.
        assert_eq!((half(16), half(18), half(56)), (2, machine, 2), "{architecture}");
        let headers: Vec<(u32, u32)> = [64, 120].map(|place| (word(place), word(place + 4))).to_vec();
        assert_eq!(headers, [(1, 5), (0x6474_e551, 6)], "{architecture}");
    }
    Ok(())
}

pub(crate) fn arm64() -> TestResult {
    let qemu = program("qemu-aarch64-static")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("tcp://{}", listener.local_addr()?);
    let cases: [(&[&str], i32, &str); 6] = [
        (&[&url], 0, ""),
        (&["tcp://127.0.0.1:1"], 1, "probe: tcp://127.0.0.1:1: cannot connect: connection refused\n"),
        (&["--timeout", "100ms", &url.replace("tcp", "http")], 1, "no answer: time is over\n"),
        (&["init", "sh", "-c", "exit 7"], 7, ""),
        (&["init", "sh", "-c", "kill -9 $$"], 137, ""),
        (&["init", "/no/such"], 127, "probe: cannot run /no/such: no such file\n"),
    ];
    for (arguments, code, stderr) in cases {
        let ran = run(Command::new(&qemu).arg(path("arm64")).args(arguments), LIMIT)?.expect_code(code)?;
        assert!(
            ran.stderr.ends_with(stderr) && ran.stderr.is_empty() == stderr.is_empty(),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    Ok(())
}
