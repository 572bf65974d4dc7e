//! `longshore plan` and `longshore build`: what comes out, and what bad input gets.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use longshore_testkit::{
    Folder, Longshore, Ran, Redactions, Requirement, Skip, Stop, Suite, TestResult, example, run,
};

use crate::run::{assert_snapshot, redactions, transcript, user};
use crate::schema;

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("plan_says_what_would_be_built_and_why", &[], plan)
        .test("plan_takes_every_service_of_a_workspace", &[], plan_workspace)
        .test("a_build_prints_its_digest_alone_and_does_nothing_the_second_time", &[], build)
        .test("the_digest_is_the_same_in_another_folder_store_and_time_zone", &[], same_digest)
        .test("a_build_goes_wherever_it_is_asked_to", &[], outputs)
        .test("a_health_route_is_asked_by_the_probe", &[], health_route)
        .test("files_tell_what_was_built", &[], files)
        .test("every_service_of_a_workspace_is_built_under_its_name", &[], workspace)
        .test("progress_as_json_is_one_object_a_line", &[], json_progress)
        .test("bad_modules_are_named_with_their_line", &[], bad_modules)
        .test("bad_configuration_is_named_with_its_line", &[], bad_configuration)
        .test("a_choice_among_services_must_be_made", &[], choices)
        .test("a_package_that_does_not_compile_shows_gos_own_message", &[], does_not_compile)
        .test("a_toolchain_newer_than_exists_is_named", &[Requirement::ModuleProxy], newer_toolchain)
        .test("a_module_that_cannot_be_fetched_is_named", &[], unfetchable_module)
        .test("a_package_of_c_code_without_cgo_is_told_what_it_needs", &[], c_code)
        .test("a_go_sum_that_lacks_an_entry_is_named", &[], missing_sum)
}

/// A user whose Go is the machine's; on a machine without one, longshore fetches it once for all tests.
pub(crate) fn user_with_go() -> Result<Longshore, Stop> {
    if Requirement::Go.check().is_ok() {
        return user();
    }
    static FETCHED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FETCHED.get_or_init(|| fetch_go().map_err(|error| format!("{error:?}"))) {
        Ok(bin) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let all = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
            Ok(user()?.env("PATH", std::env::join_paths(all)?))
        }
        Err(reason) => Err(Skip(format!("no Go is installed and none could be fetched: {reason}")).into()),
    }
}

fn fetch_go() -> Result<PathBuf, Stop> {
    Requirement::ModuleProxy.check()?;
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store");
    let fetcher = user()?.with_store(&store);
    fetcher.run(["build".as_ref(), example("hello").as_os_str()])?.succeeded()?;
    let toolchains = store.join("cache/toolchains");
    for entry in std::fs::read_dir(&toolchains)? {
        let bin = entry?.path().join("bin");
        if bin.join("go").is_file() {
            return Ok(bin);
        }
    }
    Err(Stop::failed(format!("no Go in {}", toolchains.display())))
}

/// What a user sees, without what depends on the machine: its Go, and its platform.
fn shown(ran: &Ran, redactions: &Redactions) -> String {
    let host = longshore_oci::Platform::host().to_string();
    let text = transcript(ran, redactions).replace(&host, "[PLATFORM]");
    let text = text.replace(&host.replace('/', "-"), "[PLATFORM]");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("go  "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn plan() -> TestResult {
    let folder = Folder::with_example("shop")?;
    let user = user()?.inside(folder.path());
    let ran = user.run(["plan"])?.succeeded()?;
    assert_snapshot("plan", &shown(&ran, &redactions(&user).path(folder.path(), "FOLDER")));
    schema::check("plan", &user.run(["plan", "--format", "json"])?.succeeded()?.stdout)
}

fn plan_workspace() -> TestResult {
    let folder = Folder::with_example("fleet")?;
    let user = user()?.inside(folder.path());
    let ran = user.run(["plan"])?.succeeded()?;
    assert_snapshot("plan-workspace", &shown(&ran, &redactions(&user).path(folder.path(), "FOLDER")));
    Ok(())
}

const HEALTH_ROUTE: &str = r#"package main

import "net/http"

func main() {
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {})
	panic(http.ListenAndServe(":8080", nil))
}
"#;

fn health_route() -> TestResult {
    let folder = Folder::new()?;
    folder.write("go.mod", "module asked\n\ngo 1.22\n")?;
    folder.write("main.go", HEALTH_ROUTE)?;
    folder.write("longshore.toml", "[build]\nimage-format = \"docker\"\nplatforms = [\"linux/amd64\"]\n")?;
    let user = user_with_go()?.inside(folder.path());
    let plan = user.run(["plan"])?.succeeded()?.stdout;
    let line = plan.lines().find(|line| line.contains("health check")).unwrap_or_default();
    let expected = "probe http://127.0.0.1:8080/healthz  the program has the route, and the probe asks for it  (main.go:6)";
    assert!(line.ends_with(expected), "{plan}");
    let built = user.run(["build", "-t", "asked:dev"])?.succeeded()?;
    assert!(built.stderr.contains("the probe: in, the health check is made with it"), "{}", built.stderr);
    let shown = user.run(["image", "show", "asked:dev", "--format", "json"])?.succeeded()?.stdout;
    let test = r#""CMD","/usr/local/bin/probe","http://127.0.0.1:8080/healthz""#;
    assert!(shown.split_whitespace().collect::<String>().contains(test), "{shown}");
    let history = user.run(["image", "history", "asked:dev"])?.succeeded()?.stdout;
    assert!(history.contains("longshore: probe"), "{history}");
    let plain = user.run(["build", "-t", "asked:oci", "--image-format", "oci"])?.succeeded()?;
    assert!(!plain.stderr.contains("the probe: in"), "{}", plain.stderr);
    Ok(())
}

fn is_digest_alone(ran: &Ran) -> bool {
    ran.stdout.strip_suffix('\n').is_some_and(|line| line.parse::<longshore_oci::Digest>().is_ok())
}

fn build() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path());
    let first = user.run(["build", "-t", "hello:dev"])?.succeeded()?;
    assert!(is_digest_alone(&first), "{}", first.stdout);
    let second = user.run(["build", "-t", "hello:dev", "-t", "hello:again"])?.succeeded()?;
    assert_eq!(second.stdout, first.stdout);
    assert!(
        second.stderr.contains("nothing changed") && !second.stderr.contains("compile"),
        "{}",
        second.stderr
    );
    let listed = user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout;
    assert_eq!(listed, first.stdout.repeat(2));
    user.run(["image", "validate"])?.succeeded()?;
    let config = user.run(["image", "show", "hello:dev", "--format", "json"])?.succeeded()?.stdout;
    schema::check("image-show", &config)?;
    let config: serde_json::Value = serde_json::from_str(&config)?;
    let config = &config["images"][0]["config"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8080/tcp": {}}));
    Ok(())
}

fn same_digest() -> TestResult {
    let mut digests = Vec::new();
    for zone in ["UTC", "Asia/Kolkata"] {
        let folder = Folder::with_example("hello")?;
        let user = user_with_go()?.inside(folder.path()).env("TZ", zone);
        let ran = user.run(["build", "--platform", "linux/amd64,linux/arm64"])?.succeeded()?;
        digests.push(ran.stdout);
    }
    assert_eq!(digests[0], digests[1]);
    Ok(())
}

fn outputs() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path());
    let arguments = [
        "build",
        "-t",
        "hello:dev",
        "-o",
        "oci:out",
        "-o",
        "oci-archive:out.tar",
        "-o",
        "docker-archive:docker.tar",
    ];
    let digest = user.run(arguments)?.succeeded()?.stdout;
    for place in ["oci:out", "oci-archive:out.tar:hello:dev", "docker-archive:docker.tar"] {
        user.run(["image", "validate", place])?.succeeded()?;
        let shown = user.run(["image", "show", place, "--format", "json"])?.succeeded()?.stdout;
        assert!(shown.contains(digest.trim_end()), "{place}: {shown}");
    }
    Requirement::Program("skopeo").check()?;
    let mut skopeo = std::process::Command::new("skopeo");
    let archive = format!("docker-archive:{}", folder.join("docker.tar").display());
    let inspected = run(skopeo.args(["inspect", "--config", &archive]), MINUTE)?.succeeded()?.stdout;
    let config: serde_json::Value = serde_json::from_str(&inspected)?;
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/app/hello"]));
    Ok(())
}

fn files() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path());
    let arguments = [
        "build",
        "-t",
        "r.example.com/{name}:1",
        "-t",
        "hello",
        "--iidfile",
        "id",
        "--image-refs",
        "refs",
        "--metadata-file",
        "metadata.json",
    ];
    let ran = user.run(arguments)?.succeeded()?;
    let digest = ran.stdout.trim_end();
    assert_eq!(folder.read("id")?, digest);
    assert_eq!(folder.read("refs")?, format!("r.example.com/hello@{digest}\nhello@{digest}\n"));
    let metadata: serde_json::Value = serde_json::from_str(&folder.read("metadata.json")?)?;
    assert_eq!(metadata["containerimage.digest"], digest);
    assert_eq!(metadata["image.name"], "r.example.com/hello:1,hello:latest");
    Ok(())
}

fn workspace() -> TestResult {
    Requirement::ModuleProxy.check()?;
    let folder = Folder::with_example("fleet")?;
    let user = user_with_go()?.inside(folder.path());
    let ran = user.run(["build", "--all", "-t", "fleet/{name}:1"])?.succeeded()?;
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
    let listed = user.run(["image", "ls"])?.succeeded()?.stdout;
    for name in ["fleet/gateway:1", "fleet/inventory:1", "fleet/pricing:1"] {
        assert!(listed.contains(name), "{name}: {listed}");
    }
    Ok(())
}

fn json_progress() -> TestResult {
    let folder = Folder::with_example("hello")?;
    let user = user_with_go()?.inside(folder.path());
    let ran = user.run(["build", "--progress", "json"])?.succeeded()?;
    let mut kinds = Vec::new();
    for line in ran.stderr.lines() {
        schema::check("progress", line)?;
        let event: serde_json::Value = serde_json::from_str(line)?;
        kinds.push(event["event"].as_str().unwrap_or_default().to_owned());
    }
    assert!(
        kinds.iter().any(|kind| kind == "started") && kinds.iter().any(|kind| kind == "finished"),
        "{kinds:?}"
    );
    Ok(())
}

/// Runs a build that must fail, and compares what the user sees; the store must hold nothing afterwards.
fn fails(files: &[(&str, &str)], arguments: &[&str], snapshot: &str) -> TestResult {
    fails_for(user_with_go()?, files, arguments, snapshot)
}

/// The same for a user of the test's own.
fn fails_for(user: Longshore, files: &[(&str, &str)], arguments: &[&str], snapshot: &str) -> TestResult {
    let folder = Folder::new()?;
    for (path, content) in files {
        folder.write(path, content)?;
    }
    let user = user.inside(folder.path());
    let ran = user.run(["build"].iter().chain(arguments))?;
    assert_ne!(ran.status.code(), Some(0), "{snapshot}: {}", ran.stderr);
    assert_snapshot(snapshot, &shown(&ran, &redactions(&user).path(folder.path(), "FOLDER")));
    assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout, "", "{snapshot}");
    Ok(())
}

const MAIN: (&str, &str) = ("main.go", "package main\n\nfunc main() {}\n");
const MODULE: (&str, &str) = ("go.mod", "module example.com/x\n\ngo 1.24\n");

fn bad_modules() -> TestResult {
    fails(&[MAIN], &[], "no-go-mod")?;
    fails(&[], &["nowhere"], "no-such-folder")?;
    fails(
        &[MAIN, ("go.mod", "module example.com/x\n\nrequir example.com/y v1.0.0\n")],
        &[],
        "broken-go-mod",
    )?;
    fails(&[MODULE, ("x.go", "package x\n")], &[], "no-main")?;
    fails(&[MODULE, ("x.go", "package x\n"), ("cmd/api/main.go", MAIN.1)], &["cmd/web"], "no-such-package")
}

fn bad_configuration() -> TestResult {
    fails(&[MODULE, MAIN, ("longshore.toml", "[build]\nusr = \"1000\"\n")], &[], "unknown-key")?;
    fails(&[MODULE, MAIN, ("longshore.toml", "[build]\nports = [\"http\"]\n")], &[], "bad-value")?;
    fails(&[MODULE, MAIN, ("longshore.toml", "[build\n")], &[], "bad-toml")?;
    fails(
        &[MODULE, ("cmd/api/main.go", MAIN.1), ("cmd/api/longshore.toml", "")],
        &["cmd/api"],
        "misplaced-configuration",
    )
}

fn choices() -> TestResult {
    let files = [MODULE, ("cmd/api/main.go", MAIN.1), ("cmd/web/main.go", MAIN.1)];
    fails(&files, &[], "several-mains")?;
    fails(&files, &["--main", "worker"], "no-such-main")?;
    fails(&files, &["--all", "-t", "x:1"], "one-name-for-several")?;
    fails(&files, &["cmd/api", "--platform", "windows/amd64"], "not-linux")?;
    fails(&files, &["cmd/api", "--locked"], "locked-without-lock")
}

fn does_not_compile() -> TestResult {
    let broken = ("main.go", "package main\n\nfunc main() {\n\tundefined()\n}\n");
    fails(&[MODULE, broken], &[], "does-not-compile")
}

fn missing_sum() -> TestResult {
    let main = ("main.go", "package main\n\nimport _ \"golang.org/x/text/language\"\n\nfunc main() {}\n");
    let module = ("go.mod", "module example.com/x\n\ngo 1.24\n\nrequire golang.org/x/text v0.14.0\n");
    fails(&[module, main], &[], "missing-sum")
}

fn newer_toolchain() -> TestResult {
    let user = user_with_go()?.env("GOTOOLCHAIN", "auto").env("GOPROXY", "https://proxy.golang.org");
    let user = user.env("LONGSHORE_PROGRESS", "quiet");
    fails_for(user, &[MAIN, ("go.mod", "module example.com/x\n\ngo 1.999.0\n")], &[], "newer-toolchain")
}

fn unfetchable_module() -> TestResult {
    let cache = Folder::new()?;
    let main = ("main.go", "package main\n\nimport _ \"example.com/nowhere/y\"\n\nfunc main() {}\n");
    let module = ("go.mod", "module example.com/x\n\ngo 1.24\n\nrequire example.com/nowhere v1.0.0\n");
    let sum = "example.com/nowhere v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\
               example.com/nowhere v1.0.0/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    let user = user_with_go()?.env("GOPROXY", "off").env("GOMODCACHE", cache.path());
    let user = user.env("LONGSHORE_PROGRESS", "quiet");
    fails_for(user, &[module, main, ("go.sum", sum)], &[], "unfetchable-module")
}

fn c_code() -> TestResult {
    let main = (
        "main.go",
        "package main\n\n// int one(void) { return 1; }\nimport \"C\"\n\nfunc main() { C.one() }\n",
    );
    let user = user_with_go()?.env("LONGSHORE_PROGRESS", "quiet");
    fails_for(user, &[MODULE, main], &[], "c-code-without-cgo")
}
