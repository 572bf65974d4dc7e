//! Which toolchain a request gets, with Go installed in the places where people have it.
//!
//! Versions are far above any real one, so that a Go that the machine has never satisfies a line.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use longshore_events::Events;
use longshore_testkit::TestResult;
use longshore_toolchain::{Choice, Pin, Source, ToolchainErrorKind, Toolchains};

use crate::support::{chain, request, settings, version};

/// A GOROOT with a VERSION file.
pub(crate) fn install(root: &Path, name: &str) {
    std::fs::create_dir_all(root.join("pkg/tool")).unwrap();
    std::fs::create_dir_all(root.join("bin")).unwrap();
    let file = |path: &str, mode: u32, text: &str| {
        let mut options = std::fs::File::options();
        let mut file =
            options.write(true).create(true).truncate(true).mode(mode).open(root.join(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    file("VERSION", 0o644, &format!("{name}\n"));
    file("bin/go", 0o755, "#!/bin/sh\nexit 1\n");
}

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// A machine with Go 1.901.3 in the PATH and 1.902.0 and 1.903.1 in ~/sdk.
    fn new() -> Machine {
        let machine = Machine { folder: tempfile::tempdir().unwrap() };
        for (root, name) in
            [("path", "go1.901.3"), ("home/sdk/go1.902.0", "go1.902.0"), ("home/sdk/go1.903.1", "go1.903.1")]
        {
            install(&machine.folder.path().join(root), name);
        }
        machine
    }

    fn toolchains(&self, setting: &str) -> Toolchains {
        let at = |path: &str| self.folder.path().join(path).display().to_string();
        let (path, home) = (at("path/bin"), at("home"));
        let mut settings = settings(
            &self.folder.path().join("cache"),
            &[("PATH", &path), ("HOME", &home), ("GOTOOLCHAIN", setting)],
        );
        settings.use_installed = true;
        Toolchains::new(settings)
    }
}

pub(crate) fn follows_lines_setting_and_pin() -> TestResult {
    let machine = Machine::new();
    // GOTOOLCHAIN, go line, toolchain line, pin, and what is given; a + marks what is fetched.
    let cases = [
        ("", "", "", "", "go1.901.3"),
        ("", "1.20", "", "", "go1.901.3"),
        ("", "1.901.3", "", "", "go1.901.3"),
        ("auto", "1.901.4", "", "", "go1.903.1"),
        ("auto", "1.902", "", "", "go1.903.1"),
        ("auto", "1.901", "go1.902.0", "", "go1.903.1"),
        ("auto", "1.901", "default", "", "go1.901.3"),
        ("local", "1.902", "", "", "go1.903.1"),
        ("local", "1.901", "go1.999.0", "", "go1.901.3"),
        ("auto", "1.904", "", "", "+go1.904.0"),
        ("auto", "1.904rc2", "", "", "+go1.904rc2"),
        ("auto", "1.901", "go1.904.2", "", "+go1.904.2"),
        ("auto", "1.904", "go1.904.2", "", "+go1.904.2"),
        ("go1.902.0", "1.901", "", "", "go1.902.0"),
        ("go1.902.1", "1.901", "", "", "+go1.902.1"),
        ("go1.902.1+auto", "1.901", "", "", "+go1.902.1"),
        ("go1.902.0+path", "1.903", "", "", "go1.903.1"),
        ("", "1.901", "", "go1.902.0", "go1.902.0"),
        ("", "1.901", "", "go1.902.1", "+go1.902.1"),
        ("auto", "1.901", "go1.903.1", "go1.901.3", "go1.901.3"),
    ];
    for (setting, go, line, pin, expected) in cases {
        let pin = pin.parse().ok().map(|name| Pin { name, hash: None });
        let request = longshore_toolchain::ToolchainRequest { pin, ..request(go, line) };
        let given = match machine.toolchains(setting).choose(&request, &Events::silent())? {
            Choice::Ready(toolchain) => {
                assert_eq!(toolchain.source, Source::Installed);
                assert!(toolchain.go.is_file());
                toolchain.name.to_string()
            }
            Choice::Fetch { version: Some(version), .. } => {
                assert_eq!(version.to_string(), crate::support::version(version.name().as_str()));
                format!("+{}", version.name())
            }
            Choice::Fetch { version: None, .. } => "+newest".into(),
        };
        assert_eq!(given, expected, "GOTOOLCHAIN={setting} go {go} toolchain {line} pin {:?}", request.pin);
    }
    Ok(())
}

pub(crate) fn says_why_nothing_will_do() -> TestResult {
    let machine = Machine::new();
    let installed =
        format!("the installed Go is go1.901.3 ({})", machine.folder.path().join("path").display());
    let cases = [
        (
            ("local", "1.904", "", ""),
            format!("cannot provide go1.904.0, which the go line of /src/go.mod asks for: GOTOOLCHAIN=local forbids to fetch it, and {installed}"),
        ),
        (
            ("path", "1.904.1", "", ""),
            format!("cannot provide go1.904.1, which the go line of /src/go.mod asks for: GOTOOLCHAIN=path forbids to fetch it, and {installed}"),
        ),
        (
            ("nonsense", "", "", ""),
            "cannot provide a Go toolchain: GOTOOLCHAIN has a value that Go does not know: \"nonsense\" is not a GOTOOLCHAIN setting".into(),
        ),
        (
            ("go1.902.0", "1.903", "", ""),
            "cannot provide go1.902.0, which GOTOOLCHAIN asks for: it is older than Go 1.903, which the go line asks for".into(),
        ),
        (
            ("", "1.903", "", "go1.902.0"),
            "cannot provide go1.902.0, which longshore.lock pins: it is older than Go 1.903, which the go line asks for".into(),
        ),
        (
            ("", "", "go1.904.0-Corp", ""),
            "cannot provide go1.904.0-Corp, which the toolchain line of /src/go.mod asks for: its name cannot be a module's version, so it cannot be fetched".into(),
        ),
    ];
    for ((setting, go, line, pin), expected) in cases {
        let pin = pin.parse().ok().map(|name| Pin { name, hash: None });
        let request = longshore_toolchain::ToolchainRequest { pin, ..request(go, line) };
        let error = machine.toolchains(setting).choose(&request, &Events::silent()).unwrap_err();
        assert_eq!(chain(&error), expected);
        assert!(error.hint().is_some(), "{expected}");
    }
    let mut offline = settings(&machine.folder.path().join("cache"), &[]);
    offline.offline = true;
    let error = Toolchains::new(offline).resolve(&request("1.904", ""), &Events::silent()).unwrap_err();
    assert!(matches!(error.kind, ToolchainErrorKind::Offline), "{}", chain(&error));
    assert!(version("go1.2.3").starts_with("v0.0.1-go1.2.3.linux-"));
    Ok(())
}
