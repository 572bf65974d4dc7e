//! Fetches that succeed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use longshore_events::Events;
use longshore_testkit::TestResult;
use longshore_toolchain::{Choice, Source, Toolchain};

use crate::support::{
    database, listening, path, proxy, request, serve, shelf, toolchain, toolchains, version, write,
};

fn fetched_hash(toolchain: &Toolchain) -> &str {
    match &toolchain.source {
        Source::Fetched { hash, .. } => hash,
        Source::Installed => "installed",
    }
}

pub(crate) fn from_a_folder() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (files, cache) = (folder.path().join("proxy"), folder.path().join("cache"));
    write(&proxy(&["go1.901.2"]), &files);
    let url = format!("file://{}", files.display());
    let toolchains = toolchains(&cache, &[("GOPROXY", &url), ("GOSUMDB", "off")]);
    let (events, warnings) = listening();
    let wanted = request("1.901.2", "");
    assert!(matches!(toolchains.choose(&wanted, &events)?, Choice::Fetch { version: Some(_), .. }));
    let toolchain_there = toolchains.resolve(&wanted, &events)?;
    assert_eq!(fetched_hash(&toolchain_there), toolchain("go1.901.2", "").1);
    assert_eq!(warnings.0.lock().unwrap().len(), 1, "nobody verified it, and that is said");
    assert_eq!(toolchain_there.version().as_str(), "1.901.2");

    let root = &toolchain_there.goroot;
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o111 != 0;
    let executable =
        ["bin/go", "pkg/tool/linux_amd64/compile", "lib/wasm/go_js_wasm_exec", "VERSION", "src/go.mod"];
    assert_eq!(executable.map(mode), [true, true, true, false, false]);
    assert_eq!(std::fs::read_to_string(root.join("src/cmd/go.mod"))?, "module cmd\n");
    let said = Command::new(&toolchain_there.go).output()?;
    assert_eq!(String::from_utf8_lossy(&said.stdout), "go version go1.901.2\n");

    // From now on the proxy is not needed.
    std::fs::remove_dir_all(&files)?;
    let Choice::Ready(again) = toolchains.choose(&wanted, &events)? else { panic!("it is there") };
    assert_eq!(
        (again.goroot, again.source),
        (toolchain_there.goroot.clone(), toolchain_there.source.clone())
    );
    let cached = toolchains.cached()?;
    assert_eq!(cached.len(), 1);
    assert_eq!((cached[0].version.to_string(), cached[0].size > 10_000), (version("go1.901.2"), true));
    assert!(cached[0].last_used.elapsed()? < Duration::from_secs(60));
    drop(again.lease);
    assert_eq!(toolchains.remove(&cached[0].version)?, None, "a build uses it");
    drop(toolchain_there);
    assert!(toolchains.remove(&cached[0].version)?.is_some());
    assert!(shelf(&cache).is_empty());
    Ok(())
}

pub(crate) fn from_a_proxy() -> TestResult {
    let cache = tempfile::tempdir()?;
    let (zip, hash) = toolchain("go1.901.0", "");
    let (mut content, key) = database("go1.901.0", &hash);
    content.insert(path("go1.901.0", "zip"), zip);
    let server = serve(content);
    let url = format!("{},direct", server.url());
    let toolchains =
        toolchains(cache.path(), &[("GOPROXY", &url), ("GOSUMDB", &key), ("GONOSUMDB", "golang.org")]);
    let (events, warnings) = listening();
    // A language version is fetched as its first release.
    let toolchain = toolchains.resolve(&request("1.901", ""), &events)?;
    assert_eq!(fetched_hash(&toolchain), hash);
    assert!(warnings.0.lock().unwrap().is_empty());
    let asked: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    let expected = [
        "/sumdb/test.db/supported".to_owned(),
        format!("/sumdb/test.db/lookup/golang.org/toolchain@{}", version("go1.901.0")),
        "/sumdb/test.db/tile/8/0/000.p/1".to_owned(),
        format!("/{}", path("go1.901.0", "zip")),
    ];
    assert_eq!(asked, expected, "Go demands the database's word for this module, whatever GONOSUMDB says");
    assert!(cache.path().join("sumdb/test.db/latest").is_file());
    assert_eq!(shelf(cache.path()), [format!("go1.901.0.{}", version("").rsplit('.').next().unwrap())]);
    Ok(())
}

pub(crate) fn by_the_installed_settings() -> TestResult {
    let folder = tempfile::tempdir()?;
    let at = |path: &str| folder.path().join(path);
    write(&proxy(&["go1.904.0"]), &at("proxy"));
    crate::choice::install(&at("root"), "go1.901.3");
    let settings = format!("GOPROXY=file://{}\nGOSUMDB=off\n", at("proxy").display());
    write(&[("go.env".to_owned(), settings.into_bytes())].into(), &at("root"));
    let path = at("root/bin").display().to_string();
    let mut settings = crate::support::settings(&at("cache"), &[("PATH", &path)]);
    settings.use_installed = true;
    let toolchains = longshore_toolchain::Toolchains::new(settings);
    assert_eq!(toolchains.resolve(&request("1.904", ""), &Events::silent())?.name.as_str(), "go1.904.0");
    Ok(())
}

pub(crate) fn by_several_at_once() -> TestResult {
    let cache = tempfile::tempdir()?;
    let (zip, hash) = toolchain("go1.901.0", "");
    let (mut content, key) = database("go1.901.0", &hash);
    content.insert(path("go1.901.0", "zip"), zip);
    let server = serve(content);
    let roots = std::thread::scope(|scope| {
        let one = || {
            let toolchains = toolchains(cache.path(), &[("GOPROXY", &server.url()), ("GOSUMDB", &key)]);
            toolchains.resolve(&request("1.901", ""), &Events::silent()).map(|found| found.goroot)
        };
        let handles: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Result<Vec<_>, _>>()
    })?;
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    let zips = server.requests().iter().filter(|request| request.target.ends_with(".zip")).count();
    assert_eq!(zips, 1);
    Ok(())
}

const VICTIM: &str = "LONGSHORE_TEST_VICTIM";

/// Plays the process that is killed, if this one was started to.
pub(crate) fn as_victim() -> Option<ExitCode> {
    let folder = std::env::var_os(VICTIM)?;
    let folder = Path::new(&folder);
    let url = format!("file://{}", folder.join("proxy").display());
    let toolchains = toolchains(&folder.join("cache"), &[("GOPROXY", &url), ("GOSUMDB", "off")]);
    Some(match toolchains.resolve(&request("1.901.2", ""), &Events::silent()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

pub(crate) fn killed_at_any_time() -> TestResult {
    let folder = tempfile::tempdir()?;
    write(&proxy(&["go1.901.2"]), &folder.path().join("proxy"));
    let cache = folder.path().join("cache");
    let url = format!("file://{}", folder.path().join("proxy").display());
    let toolchains = toolchains(&cache, &[("GOPROXY", &url), ("GOSUMDB", "off")]);
    let files = |root: &Path| walk(root);
    let whole = {
        let toolchain = toolchains.resolve(&request("1.901.2", ""), &Events::silent())?;
        files(&toolchain.goroot)
    };
    let mut killed_before_the_end = 0;
    for step in 0..16 {
        let all = toolchains.cached()?;
        for cached in all {
            toolchains.remove(&cached.version)?;
        }
        let mut victim = Command::new(std::env::current_exe()?)
            .env(VICTIM, folder.path())
            .stdout(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(step * 4));
        victim.kill()?;
        killed_before_the_end += usize::from(!victim.wait()?.success());
        for cached in toolchains.cached()? {
            assert_eq!(
                files(&cached.folder.join("go")),
                whole,
                "what is listed is whole, killed after step {step}"
            );
        }
        let toolchain = toolchains.resolve(&request("1.901.2", ""), &Events::silent())?;
        assert_eq!(files(&toolchain.goroot), whole, "killed after step {step}");
    }
    assert!(killed_before_the_end > 3, "{killed_before_the_end}");
    toolchains.sweep()?;
    assert_eq!(shelf(&cache).len(), 1);
    Ok(())
}

fn walk(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let about = entry.metadata().unwrap();
        if about.is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push((entry.path(), about.len()));
        }
    }
    found.sort();
    found
}

pub(crate) fn newest_release() -> TestResult {
    let folder = tempfile::tempdir()?;
    write(&proxy(&["go1.901.2", "go1.901.10", "go1.902rc1"]), &folder.path().join("proxy"));
    let url = format!("file://{}", folder.path().join("proxy").display());
    let toolchains = toolchains(&folder.path().join("cache"), &[("GOPROXY", &url), ("GOSUMDB", "off")]);
    let wanted = request("", "");
    assert!(matches!(toolchains.choose(&wanted, &Events::silent())?, Choice::Fetch { version: None, .. }));
    assert_eq!(toolchains.resolve(&wanted, &Events::silent())?.name.as_str(), "go1.901.10");
    // Go lines that are older than any toolchain that can be fetched ask for the oldest that can.
    let Choice::Fetch { version: Some(oldest), .. } =
        toolchains.choose(&request("1.13", ""), &Events::silent())?
    else {
        panic!("it is not there")
    };
    assert_eq!(oldest.to_string(), version("go1.21.0"));
    Ok(())
}
