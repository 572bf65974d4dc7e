//! `longshore test`: a service that is built here, and files of structure tests.

use longshore_testkit::{Dockerd, Folder, Requirement, Stop, Suite, TestResult};
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
        .test(
            "test: the settings of compose services and Kubernetes workloads",
            &[Requirement::Root, Requirement::Go],
            deployments,
        )
        .test(
            "test: the same by an engine's containers",
            &[Requirement::Containers, Requirement::Go],
            by_an_engine,
        )
        .test("test: mistakes in the files of a deployment", &[Requirement::Go], wrong_deployments)
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

/// A service that ends with 7 unless it has what its deployments give.
const NEEDS: &str = "token, err := os.ReadFile(\"/run/secrets/token\")
	if err != nil || string(token) != \"s3cret\" || os.Getenv(\"LEVEL\") != \"debug\" {
		log.Println(\"not as deployed:\", string(token), os.Getenv(\"LEVEL\"), err)
		os.Exit(7)
	}
	if os.WriteFile(\"/tmp/x\", nil, 0o600) != nil || os.WriteFile(\"/x\", nil, 0o600) == nil {
		log.Println(\"not as deployed: what may be written\")
		os.Exit(7)
	}
	";

const COMPOSE: &str = "services:
  shop:
    image: ${NAME:-shop}:1
    read_only: true
    user: '4321'
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ['no-new-privileges:true']
    env_file: shop.env
    secrets: [token]
    ports: ['8080:8080']
    networks: [front]
    deploy: {resources: {limits: {memory: 64M, pids: 50}}}
  db: {image: postgres:17}
secrets:
  token: {environment: TOKEN}
networks: {front: }
";

const MANIFEST: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 4321, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: shop
        image: docker.io/library/shop:1
        ports: [{containerPort: 8080, name: http}]
        envFrom: [{configMapRef: {name: settings}}]
        resources: {limits: {memory: 64Mi}}
        readinessProbe: {httpGet: {path: /healthz, port: http}}
        securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: tmp, mountPath: /tmp}, {name: token, mountPath: /run/secrets}]
      - {name: beside, image: other:1}
      volumes: [{name: tmp, emptyDir: {}}, {name: token, secret: {secretName: token}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {LEVEL: debug}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: s3cret}
";

fn deployments() -> TestResult {
    let user = user()?.env("TOKEN", "s3cret");
    let end = "server.Shutdown(end)";
    let needs = source(end).replacen("os.WriteFile(\"/var/state\", nil, 0o600)", NEEDS, 1);
    let folder = Folder::new()?;
    folder.write("go.mod", MODULE)?;
    folder.write("main.go", &needs)?;
    let path = folder.path().display().to_string();
    user.run(["build", "-t", "shop:1", &path])?.succeeded()?;
    folder.write("shop.env", "LEVEL=debug\n")?;
    let compose = folder.write("compose.yaml", COMPOSE)?.display().to_string();
    let manifest = folder.write("shop.yaml", MANIFEST)?.display().to_string();

    // By itself it does not start: what follows shows that the settings reach it.
    let bare = user.run(["test", "shop:1", "--behaviour", "--fail-fast"])?.expect_code(3)?;
    assert!(bare.stdout.contains("it ended with 7"), "{}", bare.stdout);

    let ran = user.run(["test", "shop:1", "--compose", &compose, "--format", "json"])?.succeeded()?;
    let found = report(&ran.stdout)?;
    assert!(found.len() == 9 && found.iter().all(|(_, verdict)| verdict == "passed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("uid 4321") && ran.stdout.contains("compose.yaml: shop"), "{}", ran.stdout);
    assert!(ran.stderr.contains("services.shop.networks is left out"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("s3cret") && !ran.stderr.contains("s3cret"), "{}", ran.stderr);

    let ran = user.run(["test", "shop:1", "--k8s", &manifest, "--format", "json"])?.succeeded()?;
    let found = report(&ran.stdout)?;
    assert!(found.len() == 10 && found.iter().all(|(_, verdict)| verdict == "passed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("shop.yaml: Deployment/shop, container shop"), "{}", ran.stdout);

    // Without its Secret it is not the container that was asked for, and does not start.
    let alone = folder.write("alone.yaml", MANIFEST.split("---").next().unwrap_or_default())?;
    let alone = alone.display().to_string();
    let ran = user.run(["test", "shop:1", "--k8s", &alone])?.expect_code(3)?;
    assert!(ran.stdout.contains("? has all that is asked for: spec.volumes.token"), "{}", ran.stdout);
    assert!(ran.stdout.contains("from the ConfigMap settings, which is not in the files"), "{}", ran.stdout);
    assert!(ran.stdout.contains("not as deployed"), "{}", ran.stdout);

    // More seconds than a clock counts.
    let patient = MANIFEST.replace(
        "      containers:\n",
        "      terminationGracePeriodSeconds: 9223372036854775807\n      containers:\n",
    );
    assert_ne!(patient, MANIFEST);
    let patient = folder.write("patient.yaml", patient)?;
    let ran = user.run(["test", "shop:1", "--k8s", &patient.display().to_string()])?.succeeded()?;
    assert!(ran.stdout.contains("✓ drains and exits 0"), "{}", ran.stdout);

    let root = folder.write("root.yaml", MANIFEST.replace("runAsUser: 4321", "runAsUser: 0"))?;
    let ran = user.run(["test", "shop:1", "--k8s", &root.display().to_string()])?.expect_code(3)?;
    assert!(ran.stdout.contains("✗ is admitted with runAsNonRoot"), "{}", ran.stdout);
    Ok(())
}

/// The engine of the tests has no network for its containers, so the image's own health check is asked.
fn by_an_engine() -> TestResult {
    let dockerd = Dockerd::start()?;
    let user = user()?.env("DOCKER_HOST", dockerd.host());
    let folder = Folder::new()?;
    folder.write("go.mod", MODULE)?;
    folder.write("main.go", source("server.Shutdown(end)"))?;
    let path = folder.path().display().to_string();
    user.run(["build", "-t", "shop:1", "--image-format", "docker", &path])?.succeeded()?;
    let compose = folder.write("compose.yaml", "services: {shop: {image: 'shop:1', read_only: true}}\n")?;
    let compose = compose.display().to_string();
    let arguments = ["--engine", "docker", "--behaviour", "--compose", &compose, "--format", "json"];
    let ran = user.run(["test", "shop:1"].into_iter().chain(arguments))?.succeeded()?;
    let found = report(&ran.stdout)?;
    let passed: Vec<&str> =
        found.iter().filter(|(_, verdict)| verdict == "passed").map(|(name, _)| name.as_str()).collect();
    for name in ["starts", "becomes healthy", "writes its log as lines", "starts again"] {
        assert_eq!(passed.iter().filter(|passed| **passed == name).count(), 2, "{name}: {}", ran.stdout);
    }
    assert!(found.iter().all(|(_, verdict)| verdict == "passed" || verdict == "skipped"), "{}", ran.stdout);
    let left = dockerd.docker(["ps", "--all", "--quiet"])?.succeeded()?;
    assert_eq!(left.stdout, "");
    let images = dockerd.docker(["images", "--quiet"])?.succeeded()?;
    assert_eq!(images.stdout, "", "the image is left in the engine");

    let absent = user.env("DOCKER_HOST", "unix:///no/such.sock");
    let ran = absent.run(["test", "shop:1", "--engine", "docker"])?.expect_code(4)?;
    assert!(ran.stderr.contains("/no/such.sock"), "{}", ran.stderr);
    Ok(())
}

fn wrong_deployments() -> TestResult {
    let user = user()?;
    let folder = Folder::new()?;
    let file = |name: &str, text: &str| folder.write(name, text).map(|path| path.display().to_string());
    let refused = |flag: &str, path: &str, more: &[&str]| {
        let arguments = ["test", "none:1", flag, path].into_iter().chain(more.iter().copied());
        Ok::<_, Stop>(user.run(arguments)?.expect_code(2)?.stderr)
    };
    let wrong = file("wrong.yaml", "services:\n  a:\n    image: a\n    read-only: true\n    user: 1000\n")?;
    let said = refused("--compose", &wrong, &[])?;
    for expected in [
        "has 2 mistakes",
        "wrong.yaml:4:5",
        "did you mean `read_only`?",
        "wrong.yaml:5:11",
        "put it in quotes",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let two = file("two.yaml", "services: {a: {image: a}, b: {image: b}}\n")?;
    let said = refused("--compose", &two, &[])?;
    assert!(said.contains("none of them has the image none:1") && said.contains("there is a, b"), "{said}");
    // One that is built here, beside others that are not, is the one that is meant; its image is not there.
    let built = file("built.yaml", "services: {a: {build: .}, b: {image: b}}\n")?;
    let ran = user.run(["test", "none:1", "--compose", &built])?.expect_code(4)?;
    assert!(ran.stderr.contains("none:1"), "{}", ran.stderr);
    let said = refused("--compose", &two, &["--service", "c"])?;
    assert!(said.contains("there is no service c in two.yaml"), "{said}");
    let said = refused("--compose", &format!("{two}.no"), &[])?;
    assert!(said.contains("cannot read"), "{said}");
    let pod = "kind: Pod\nspec: {containers: [{name: a, image: a, env: [{name: PORT, value: 8080}]}]}\n";
    let pod = file("pod.yaml", pod)?;
    let said = refused("--k8s", &pod, &[])?;
    assert!(said.contains("must be a string, and is a number (`8080`)"), "{said}");
    let none = file("none.yaml", "kind: Service\nmetadata: {name: x}\n")?;
    let said = refused("--k8s", &none, &[])?;
    assert!(said.contains("none.yaml has no workload"), "{said}");

    // What was put into a Secret in plain text is not shown, only where it stands.
    let secret = "kind: Secret\nmetadata: {name: s}\ndata: {password: my hunter2}\n";
    let secret = file("secret.yaml", secret)?;
    let said = refused("--k8s", &secret, &[])?;
    assert!(said.contains("secret.yaml:3:18") && said.contains("data: {password: **********}"), "{said}");
    assert!(!said.contains("hunter"), "{said}");
    let many: String = (0..200_000).map(|at| format!("k{at}: 1\n")).collect();
    let many = file("many.yaml", &many)?;
    let said = refused("--compose", &many, &[])?;
    assert!(said.contains("has 200000 mistakes, of which the first 20 are shown"), "{}", said.len());
    assert_eq!(said.matches("many.yaml:").count(), 20, "{said}");
    let outside = "kind: ConfigMap\nmetadata: {name: c}\ndata: {\"../../x\": y}\n---\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: [{name: v, configMap: {name: c}}], containers: [{name: a, image: a, volumeMounts: [{name: v, mountPath: /c}]}]}\n";
    let outside = file("outside.yaml", outside)?;
    let said = refused("--k8s", &outside, &[])?;
    assert!(said.contains("cannot provide /c for outside.yaml: Pod/p"), "{said}");
    assert!(said.contains("`../../x` is no path within a volume"), "{said}");
    Ok(())
}
