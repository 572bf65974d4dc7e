use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Folder, Ran, Registry, RegistryOptions, RunError, Stop, TestResult, program, run};

pub(crate) fn skopeo(arguments: &[&str]) -> Result<Ran, Stop> {
    Ok(run(Command::new(program("skopeo")?).args(arguments), Duration::from_secs(60))?)
}

/// An OCI layout with one image of one small layer, made by umoci.
pub(crate) fn layout(folder: &Folder) -> Result<String, Stop> {
    let layout = folder.join("layout");
    let tree = folder.join("tree");
    folder.write("tree/etc/greeting", "hello")?;
    let umoci = program("umoci")?;
    let step = |arguments: &[&str]| -> Result<Ran, RunError> {
        run(Command::new(&umoci).args(arguments).current_dir(folder.path()), Duration::from_secs(60))?
            .succeeded()
    };
    step(&["init", "--layout", "layout"])?;
    step(&["new", "--image", "layout:1.0"])?;
    step(&["insert", "--image", "layout:1.0", &tree.display().to_string(), "/"])?;
    Ok(format!("oci:{}:1.0", layout.display()))
}

pub(crate) fn takes_and_gives_images() -> TestResult {
    let folder = Folder::new()?;
    let source = layout(&folder)?;
    let registry = Registry::start()?;
    let target = format!("docker://{}", registry.reference("team/greeting:1.0"));
    skopeo(&["copy", "--dest-tls-verify=false", &source, &target])?.succeeded()?;
    let digest =
        skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &target])?.succeeded()?;
    let own = skopeo(&["inspect", "--format", "{{.Digest}}", &source])?.succeeded()?;
    assert_eq!(digest.stdout, own.stdout);
    assert!(registry.log().contains("team/greeting"), "{}", registry.log());
    assert!(registry.data().join("docker/registry/v2/repositories/team/greeting").is_dir());
    Ok(())
}

pub(crate) fn wants_its_password_over_tls() -> TestResult {
    let folder = Folder::new()?;
    let source = layout(&folder)?;
    let credentials = Some(("ada".to_owned(), "se:cret".to_owned()));
    let registry = Registry::start_with(&RegistryOptions { credentials, tls: true, mirror_of: None })?;
    let authority = registry.authority().ok_or_else(|| Stop::failed("no authority"))?;
    let target = format!("docker://{}", registry.reference("greeting:1.0"));

    let certificates = folder.join("certificates");
    std::fs::create_dir(&certificates)?;
    std::fs::copy(authority.certificate(), certificates.join("ca.crt"))?;
    let certificates = format!("--dest-cert-dir={}", certificates.display());

    let untrusted = skopeo(&["copy", "--dest-creds=ada:se:cret", &source, &target])?.expect_code(1)?;
    assert!(untrusted.stderr.contains("certificate"), "{}", untrusted.stderr);
    let refused =
        skopeo(&["copy", &certificates, "--dest-creds=ada:wrong", &source, &target])?.expect_code(1)?;
    assert!(refused.stderr.contains("authentication required"), "{}", refused.stderr);
    skopeo(&["copy", &certificates, "--dest-creds=ada:se:cret", &source, &target])?.succeeded()?;
    Ok(())
}

pub(crate) fn ends_with_its_guard() -> TestResult {
    let registry = Registry::start()?;
    let url = format!("{}/v2/", registry.url());
    let ask = || {
        run(Command::new(program("curl")?).args(["-s", &url]), Duration::from_secs(10)).map_err(Stop::from)
    };
    assert_eq!(ask()?.succeeded()?.stdout, "{}");
    let data = registry.data();
    drop(registry);
    // 7: connection refused.
    ask()?.expect_code(7)?;
    assert!(!data.exists());
    Ok(())
}
