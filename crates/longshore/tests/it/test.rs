//! `longshore test`: a service that is built here, and files of structure tests.

use longshore_testkit::{Folder, Requirement, Stop, Suite, TestResult};
use serde_json::Value;

use crate::run::user;
use crate::schema;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test(
            "test: a service that drains passes, one that does not is told",
            &[Requirement::Root, Requirement::Go],
            services,
        )
        .test("test: files of structure tests, and mistakes in them", &[Requirement::Go], structure)
}

const MODULE: &str = "module example.com/service\n\ngo 1.24\n";

/// A service that ends as it is told.
fn source(end: &str) -> String {
    format!(
        "package main

import (
	\"context\"
	\"log\"
	\"net/http\"
	\"os\"
	\"os/signal\"
	\"syscall\"
	\"time\"
)

func main() {{
	os.WriteFile(\"/var/state\", nil, 0o600)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc(\"/healthz\", func(w http.ResponseWriter, r *http.Request) {{ w.Write([]byte(\"ok\")) }})
	server := &http.Server{{Addr: \":8080\", Handler: mux}}
	go server.ListenAndServe()
	log.Println(\"listening\")
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	{end}
}}
"
    )
}

fn build(user: &longshore_testkit::Longshore, name: &str, end: &str) -> TestResult {
    let folder = Folder::new()?;
    folder.write("go.mod", MODULE)?;
    folder.write("main.go", source(end))?;
    let path = folder.path().display().to_string();
    user.run(["build", "-t", name, &path])?.succeeded()?;
    Ok(())
}

fn report(text: &str) -> Result<Vec<(String, String)>, Stop> {
    schema::check("test", text)?;
    let report: Value = serde_json::from_str(text)?;
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    Ok(checks.iter().map(|check| (word(check, "name"), word(check, "verdict"))).collect())
}

fn services() -> TestResult {
    let user = user()?;
    build(&user, "good:1", "server.Shutdown(end)")?;
    build(&user, "bad:1", "_ = end; os.Exit(3)")?;
    let test = ["test", "--port", "8080", "--behaviour", "--format", "json"];
    let good = user.run(test.iter().copied().chain(["good:1"]))?.succeeded()?;
    let found = report(&good.stdout)?;
    assert_eq!(found.len(), 8, "{found:?}");
    assert!(found.iter().all(|(_, verdict)| verdict == "passed"), "{}", good.stdout);
    let bad = user.run(test.iter().copied().chain(["bad:1"]))?.expect_code(3)?;
    let failed: Vec<_> =
        report(&bad.stdout)?.into_iter().filter(|(_, verdict)| verdict == "failed").collect();
    assert_eq!(failed.len(), 1, "{}", bad.stdout);
    assert!(bad.stdout.contains("exit code 3"), "{}", bad.stdout);
    let junit =
        user.run(["test", "--port", "8080", "--behaviour", "--format", "junit", "bad:1"])?.expect_code(3)?;
    assert!(
        junit.stdout.contains("<testsuite name=\"behaviour\" tests=\"8\" failures=\"1\""),
        "{}",
        junit.stdout
    );
    let left = user.run(["ps", "-a", "--quiet"])?.succeeded()?;
    assert_eq!(left.stdout, "");
    Ok(())
}

fn structure() -> TestResult {
    let user = user()?;
    build(&user, "app:1", "server.Shutdown(end)")?;
    let folder = Folder::new()?;
    let file = |name: &str, text: &str| folder.write(name, text).map(|path| path.display().to_string());
    let good = file(
        "good.yaml",
        "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: users, path: /etc/passwd, permissions: -rw-r--r--, uid: 0}\n",
    )?;
    let ran = user.run(["test", "app:1", "--structure", &good, "--format", "json"])?.succeeded()?;
    assert_eq!(report(&ran.stdout)?, [("file existence: users".to_owned(), "passed".to_owned())]);
    let wrong = file(
        "wrong.yaml",
        "schemaVersion: 2.0.0\nmetadataTest: {user: root}\nfileExistenceTests: [{name: n, path: /etc/pasword}]\n",
    )?;
    let ran = user.run(["test", "app:1", "--structure", &wrong])?.expect_code(3)?;
    assert!(
        ran.stdout.contains("hint: there is /etc/passwd") && ran.stdout.contains("2 failed"),
        "{}",
        ran.stdout
    );
    let unknown = file("unknown.yaml", "schemaVersion: 2.0.0\nfileExistenceTest: []\n")?;
    let ran = user.run(["test", "app:1", "--structure", &unknown])?.expect_code(2)?;
    assert!(ran.stderr.contains("line 2: there is no key `fileExistenceTest`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `fileExistenceTests`?"), "{}", ran.stderr);
    user.run(["test", "none:1", "--structure", &good])?.expect_code(4)?;
    Ok(())
}
