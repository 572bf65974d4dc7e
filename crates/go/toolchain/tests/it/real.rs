//! A real toolchain from the real proxy, proved by the real database.

use std::path::Path;

use longshore_events::Events;
use longshore_golang::ToolchainLines;
use longshore_http::{Client, HttpSettings};
use longshore_process::{Command, Environment};
use longshore_testkit::{Skip, TestResult, repository};
use longshore_toolchain::{
    GoEnvironment, Source, ToolchainErrorKind, ToolchainRequest, ToolchainSettings, Toolchains,
};

/// The release that is fetched, once: the cache is shared by all runs.
const RELEASE: &str = "1.26.8";
/// The hash that go.sum lines of that release have; sum.golang.org says the same for ever.
const HASH: &str = "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=";

/// Where fetched toolchains are kept between runs.
fn cache() -> std::path::PathBuf {
    repository().join("target/test-cache")
}

pub(crate) fn is_fetched_and_runs() -> TestResult {
    let names = ["GOPROXY", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "HOME"];
    let variables: Vec<_> =
        names.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?))).collect();
    let http = HttpSettings::from_variables(|name| std::env::var(name).ok());
    let toolchains = Toolchains::new(ToolchainSettings {
        cache_dir: cache(),
        environment: GoEnvironment::of_variables(variables),
        http: Client::new(HttpSettings { attempts: 2, ..http }),
        offline: false,
        use_installed: false,
    });
    let lines = ToolchainLines { go: RELEASE.parse().ok(), toolchain: None };
    let request = ToolchainRequest { lines, file: None, pin: None };
    let toolchain = match toolchains.resolve(&request, &Events::silent()) {
        Ok(toolchain) => toolchain,
        Err(error) => match &error.kind {
            ToolchainErrorKind::Remote(reason) => {
                return Err(Skip(format!("no module proxy answers: {reason}")).into());
            }
            ToolchainErrorKind::Database(reason) if reason.kind.is_unreachable() => {
                return Err(Skip(format!("no checksum database answers: {reason}")).into());
            }
            _ => return Err(error.into()),
        },
    };
    let expected =
        longshore_toolchain::Pin { name: format!("go{RELEASE}").parse()?, hash: Some(HASH.into()) };
    if cfg!(target_arch = "x86_64") {
        assert_eq!(toolchain.pin(), expected);
    }
    assert!(matches!(toolchain.source, Source::Fetched { .. }));
    assert!(toolchain.zoneinfo().is_file());
    // Go keeps counters in its user's configuration folder.
    let home = tempfile::tempdir()?;
    let environment =
        Environment::empty().with("GOTOOLCHAIN", "local").with("HOME", home.path()).with("PATH", "/bin");
    let go = |arguments: &[&str]| {
        let command =
            Command::new(&toolchain.go, environment.clone()).arguments(arguments.iter().copied()).folder("/");
        command.run(&Events::silent())?.success().map(|finished| finished.stdout.text())
    };
    assert!(go(&["version"])?.starts_with(&format!("go version go{RELEASE} linux/")));
    assert_eq!(Path::new(go(&["env", "GOROOT"])?.trim()), toolchain.goroot);
    // The compiler itself starts too, and the modules of Go's own source have their go.mod.
    assert!(go(&["tool", "compile", "-V"])?.starts_with(&format!("compile version go{RELEASE}")));
    assert!(toolchain.goroot.join("src/go.mod").is_file());
    Ok(())
}
