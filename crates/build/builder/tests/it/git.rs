//! Git repositories, served by git's own daemon.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore_builder::Secret;
use longshore_process::Environment;
use longshore_testkit::{Answer, FaultServer, Folder, Reply, Requirement, Stop, Suite, TestResult};

use crate::workshop::Workshop;

const GIT: &[Requirement] = &[Requirement::Root, Requirement::Program("git")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("git::branches_tags_commits_and_folders_are_found", GIT, references)
        .test("git::a_known_commit_needs_no_server", GIT, known_commit)
        .test("git::a_branch_that_moved_is_fetched_again", GIT, moved_branch)
        .test("git::the_git_folder_is_kept_where_it_is_asked_for", GIT, git_folder)
        .test("git::a_checksum_is_held_against_the_commit", GIT, checksums)
        .test("git::a_commit_that_no_reference_names_is_fetched", GIT, hidden_commit)
        .test("git::submodules_come_along_and_never_from_this_machine", GIT, submodules)
        .test("git::the_machines_configuration_has_no_say", GIT, environment)
        .test("git::a_machine_without_git_says_so", GIT, no_git)
        .test("git::what_is_not_there_is_named", GIT, absent)
        .test("git::a_web_server_that_knows_no_git_will_do", GIT, plain_server)
        .test("git::files_get_the_commits_time_on_request", GIT, commit_time)
}

/// Repositories, and the daemon that serves them.
pub(crate) struct Daemon {
    folder: Folder,
    child: Child,
    port: u16,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String, Stop> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@example.com");
        command.env(format!("GIT_{who}_DATE"), "1500000000 +0000");
    }
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(Stop::failed(format!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Daemon {
    pub(crate) fn start() -> Result<Daemon, Stop> {
        let folder = Folder::new()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // Not `git daemon`, which would be a parent of the one to end.
        let program = PathBuf::from(git(folder.path(), &["--exec-path"])?).join("git-daemon");
        let child = Command::new(program)
            .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let daemon = Daemon { folder, child, port };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end {
                return Err(Stop::failed("git's daemon did not start"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(daemon)
    }

    /// Stops it, and keeps the address.
    fn stop(&mut self) -> TestResult {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }

    /// A repository with one commit of a program, a link and a folder.
    pub(crate) fn repository(&self, name: &str) -> Result<Repository, Stop> {
        let folder = self.folder.join(name);
        std::fs::create_dir(&folder)?;
        git(&folder, &["init", "--quiet", "--initial-branch=trunk"])?;
        let repository = Repository(folder);
        repository.write("file", "one\n")?;
        repository.write("sub/inner", "inner\n")?;
        let program = repository.write("program", "#!/bin/sh\n")?;
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        std::os::unix::fs::symlink("sub", repository.0.join("link"))?;
        repository.commit()?;
        Ok(repository)
    }
}

pub(crate) struct Repository(PathBuf);

impl Repository {
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Stop> {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            longshore_files::create_folders(folder)?;
        }
        longshore_files::write_atomic(&path, text.as_bytes())?;
        Ok(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Commits all that is there. Returns the commit.
    pub(crate) fn commit(&self) -> Result<String, Stop> {
        git(&self.0, &["add", "--all"])?;
        git(&self.0, &["commit", "--quiet", "--message=x"])?;
        git(&self.0, &["rev-parse", "HEAD"])
    }

    fn run(&self, arguments: &[&str]) -> Result<String, Stop> {
        git(&self.0, arguments)
    }
}

fn references() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    let first = repository.run(&["rev-parse", "HEAD"])?;
    repository.run(&["tag", "--annotate", "--message=x", "v1"])?;
    repository.run(&["branch", "old"])?;
    repository.write("file", "second\n")?;
    repository.commit()?;
    let url = daemon.url("a.git");
    let all =
        ["d/ 755", "d/file 644 7", "d/link -> sub", "d/program 755 10", "d/sub/ 755", "d/sub/inner 644 6"];
    let built = workshop.add(&format!("ADD {url} /d"))?;
    assert_eq!(built.listing(), all);
    assert_eq!(built.history, [format!("ADD {url} /d # buildkit")]);
    for (suffix, content) in [
        ("#trunk", "second\n"),
        ("#old", "one\n"),
        ("#v1", "one\n"),
        ("#refs/tags/v1", "one\n"),
        ("?tag=v1", "one\n"),
        ("?branch=old", "one\n"),
        (&format!("#{first}"), "one\n"),
        (&format!("?ref=old&commit={}", &first[..10]), "one\n"),
    ] {
        let built = workshop.add(&format!("ADD {url}{suffix} /d"))?;
        assert!(built.holds("d/file", content.as_bytes()), "{suffix}: {:?}", built.listing());
    }
    for suffix in ["#old:sub", "?subdir=sub", "#:/sub/"] {
        let built = workshop.add(&format!("ADD {url}{suffix} /d/"))?;
        assert_eq!(built.listing(), ["d/ 755", "d/inner 644 6"], "{suffix}");
    }
    Ok(())
}

fn known_commit() -> TestResult {
    let (mut workshop, mut daemon) = (Workshop::new()?, Daemon::start()?);
    let commit = daemon.repository("a.git")?.run(&["rev-parse", "HEAD"])?;
    let url = daemon.url("a.git");
    let first = workshop.add(&format!("ADD {url}#{commit} /d"))?;
    // By another name it is the same commit, and nothing is done again.
    let by_branch = workshop.add(&format!("ADD {url}#trunk /d"))?;
    assert!(by_branch.is_cached());
    daemon.stop()?;
    workshop.http = None;
    let again = workshop.add(&format!("ADD {url}#{commit} /d"))?;
    assert_eq!(again.outcome.root, first.outcome.root);
    let other = workshop.add(&format!("ADD {url}#{commit}:sub /other"))?;
    assert!(other.holds("other/inner", b"inner\n"));
    let (messages, _) = workshop.refused(&format!("ADD {url}#trunk /d"))?;
    let url = daemon.url("a.git");
    assert_eq!(
        messages[1..],
        [
            format!("cannot fetch {url}"),
            "it is not in the store, and the network is not to be used".to_owned()
        ]
    );
    Ok(())
}

fn moved_branch() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    let line = format!("ADD {}#trunk /d", daemon.url("a.git"));
    assert!(workshop.add(&line)?.holds("d/file", b"one\n"));
    repository.write("file", "two\n")?;
    repository.commit()?;
    assert!(workshop.add(&line)?.holds("d/file", b"two\n"));
    // History that was written anew shares no commit with what is in the store.
    repository.run(&["checkout", "--quiet", "--orphan", "new"])?;
    repository.write("file", "three\n")?;
    repository.commit()?;
    repository.run(&["branch", "--force", "trunk", "new"])?;
    assert!(workshop.add(&line)?.holds("d/file", b"three\n"));
    // A branch below the name of one that is gone.
    repository.run(&["branch", "--delete", "--force", "trunk"])?;
    repository.run(&["branch", "trunk/below"])?;
    let below = format!("ADD {}#trunk/below /d", daemon.url("a.git"));
    assert!(workshop.add(&below)?.holds("d/file", b"three\n"));
    Ok(())
}

fn git_folder() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    repository.write("file", "two\n")?;
    let commit = repository.commit()?;
    repository.run(&["tag", "--annotate", "--message=x", "v1"])?;
    let url = daemon.url("a.git");
    for line in [
        format!("ADD --keep-git-dir=true {url}#trunk /d"),
        format!("ADD {url}?keep-git-dir=1 /d"),
        format!("ADD --keep-git-dir {url}#v1 /d"),
        format!("ADD --keep-git-dir {url}#{commit} /d"),
    ] {
        let built = workshop.add(&line)?;
        assert!(built.holds("d/file", b"two\n"), "{line}");
        assert!(built.holds("d/.git/HEAD", format!("{commit}\n").as_bytes()), "{line}");
        assert!(built.holds("d/.git/shallow", format!("{commit}\n").as_bytes()), "{line}");
        let hooks = built.tree.files().any(|(path, _)| path.starts_with("d/.git/hooks"));
        assert!(!hooks && built.tree.get("d/.git/FETCH_HEAD").is_none(), "{line}");
    }
    let built = workshop.add(&format!("ADD --keep-git-dir {url}#trunk:sub /d"))?;
    assert_eq!(built.listing(), ["d/ 755", "d/inner 644 6"], "BuildKit keeps none for a folder");
    let (messages, _) = workshop.refused(&format!("ADD --keep-git-dir=false {url}?keep-git-dir=true /d"))?;
    assert_eq!(messages[1..], ["--keep-git-dir is `false`, and must be what the address says, too"]);
    Ok(())
}

fn checksums() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    let commit = repository.run(&["rev-parse", "HEAD"])?;
    repository.run(&["tag", "--annotate", "--message=x", "v1"])?;
    let tag = repository.run(&["rev-parse", "v1"])?;
    let url = daemon.url("a.git");
    for (checksum, suffix) in
        [(&commit, "#trunk"), (&commit, "#v1"), (&tag, "#v1"), (&commit[..8].to_owned(), "")]
    {
        let built = workshop.add(&format!("ADD --checksum={checksum} {url}{suffix} /d"))?;
        assert!(built.holds("d/file", b"one\n"), "{checksum} {suffix}");
    }
    for suffix in ["#trunk", &format!("#{commit}")] {
        let wrong = if commit.starts_with("000") { "111" } else { "000" };
        let (messages, _) = workshop.refused(&format!("ADD --checksum={wrong} {url}{suffix} /d"))?;
        let expected = format!("{url} has the checksum {commit}, and {wrong} is asked for");
        assert_eq!(messages[1..], [expected], "{suffix}");
    }
    let (messages, _) = workshop.refused(&format!("ADD --checksum=sha256:abc {url} /d"))?;
    assert_eq!(messages[1..], ["--checksum is `sha256:abc`, and must be the hexadecimal digits of a commit"]);
    Ok(())
}

fn hidden_commit() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    let first = repository.run(&["rev-parse", "HEAD"])?;
    for text in ["two\n", "three\n"] {
        repository.write("file", text)?;
        repository.commit()?;
    }
    let url = daemon.url("a.git");
    // By default the daemon gives what a reference names; what lies before it comes with the whole history.
    workshop.add(&format!("ADD {url}#trunk /d"))?;
    repository.run(&["config", "uploadpack.allowAnySHA1InWant", "false"])?;
    let built = workshop.add(&format!("ADD {url}#{first} /d"))?;
    assert!(built.holds("d/file", b"one\n"));
    let absent = "0123456789abcdef0123456789abcdef01234567";
    let (messages, _) = workshop.refused(&format!("ADD {url}#{absent} /d"))?;
    assert_eq!(messages[2..], [format!("the repository has no branch, tag or commit `{absent}`")]);
    Ok(())
}

fn submodules() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    daemon.repository("lib.git")?;
    let repository = daemon.repository("a.git")?;
    let library = daemon.url("lib.git");
    repository.run(&["submodule", "--quiet", "add", &library, "lib"])?;
    repository.run(&["config", "--file=.gitmodules", "submodule.lib.url", "../lib.git"])?;
    repository.commit()?;
    let url = daemon.url("a.git");
    let built = workshop.add(&format!("ADD {url} /d"))?;
    assert!(built.holds("d/lib/sub/inner", b"inner\n"), "{:?}", built.listing());
    assert!(built.tree.get("d/lib/.git").is_none(), "it would lead to a folder that is gone");
    let built = workshop.add(&format!("ADD {url}?submodules=false /d"))?;
    assert!(built.holds("d/file", b"one\n") && built.tree.get("d/lib/file").is_none());
    let built = workshop.add(&format!("ADD {url}#:lib /d"))?;
    assert!(built.holds("d/file", b"one\n"));
    let built = workshop.add(&format!("ADD --keep-git-dir {url} /d"))?;
    assert!(built.holds("d/lib/.git", b"gitdir: ../.git/modules/lib\n"), "{:?}", built.listing());

    let local = format!("file://{}", daemon.folder.join("lib.git").display());
    for address in [local, daemon.folder.join("lib.git").display().to_string()] {
        repository.run(&["config", "--file=.gitmodules", "submodule.lib.url", &address])?;
        repository.commit()?;
        let (messages, _) = workshop.refused(&format!("ADD {url} /d"))?;
        let said = messages.last().cloned().unwrap_or_default();
        assert!(said.contains("transport 'file' not allowed"), "{said}");
    }
    Ok(())
}

fn environment() -> TestResult {
    let (mut workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    daemon.repository("a.git")?;
    let home = Folder::new()?;
    let trap = home.join("ran");
    let hook = home.write("hooks/post-checkout", format!("#!/bin/sh\ntouch {}\n", trap.display()))?;
    std::fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let hooks = home.join("hooks");
    home.write(
        ".gitconfig",
        format!("[core]\n\thooksPath = {}\n[url \"file:///\"]\n\tinsteadOf = git://\n", hooks.display()),
    )?;
    workshop.environment = Environment::inherited()
        .with("HOME", home.path())
        .with("XDG_CONFIG_HOME", home.path())
        .with("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
        .with("GIT_CONFIG_COUNT", "1")
        .with("GIT_CONFIG_KEY_0", "core.hooksPath")
        .with("GIT_CONFIG_VALUE_0", &hooks)
        .with("GIT_DIR", "/nonexistent")
        .with("GIT_TEMPLATE_DIR", home.path());
    let built = workshop.add(&format!("ADD --keep-git-dir {} /d", daemon.url("a.git")))?;
    assert!(built.holds("d/file", b"one\n"));
    assert!(!trap.exists(), "a hook of the user's ran");
    Ok(())
}

fn no_git() -> TestResult {
    let mut workshop = Workshop::new()?;
    workshop.environment = Environment::empty().with("PATH", "/nonexistent");
    let (messages, hint) = workshop.refused("ADD https://user:hunter2@example.com/a.git /d")?;
    assert_eq!(
        messages,
        [
            "line 2: ADD https://example.com/a.git /d failed",
            "cannot fetch https://example.com/a.git",
            "cannot run git ls-remote",
            "the program was not found"
        ]
    );
    assert_eq!(hint.as_deref(), Some("install git: ADD fetches repositories by it"));
    Ok(())
}

fn absent() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    daemon.repository("a.git")?;
    let url = daemon.url("a.git");
    for (suffix, expected) in [
        ("#nope", "the repository has no branch, tag or commit `nope`"),
        ("#trunk:nope", "nope is no folder of the repository"),
        ("#:file", "file is no folder of the repository"),
        ("#:link", "link is no folder of the repository"),
        ("?depth=1", "its query has `depth`, which means nothing for a git repository"),
    ] {
        let (messages, _) = workshop.refused(&format!("ADD {url}{suffix} /d"))?;
        assert_eq!(messages.last().map(String::as_str), Some(expected), "{suffix}");
    }
    let (messages, _) = workshop.refused(&format!("ADD {} /d", daemon.url("none.git")))?;
    let said = messages.last().cloned().unwrap_or_default();
    assert!(said.starts_with("it ended with exit code 128:\n") && said.contains("none.git"), "{said}");
    let (messages, _) = workshop.refused(&format!("COPY {url} /d"))?;
    let expected = format!("the source is `{url}`, and must be a path: COPY takes no addresses, ADD does");
    assert_eq!(messages[1..], [expected]);
    Ok(())
}

fn plain_server() -> TestResult {
    let (mut workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    let first = repository.run(&["rev-parse", "HEAD"])?;
    repository.write("file", "two\n")?;
    repository.commit()?;
    repository.run(&["update-server-info"])?;
    let files = repository.0.join(".git");
    let server = FaultServer::start(move |request| {
        let Some(authorization) = request.header("authorization") else {
            return Reply::Answer(Answer::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""));
        };
        // user:hunter2, and x-access-token:hunter2
        if !["Basic dXNlcjpodW50ZXIy", "basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg=="].contains(&authorization) {
            return Reply::Answer(Answer::new(403, ""));
        }
        let path = request.target.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("/a.git/").unwrap_or("nothing");
        Reply::Answer(match std::fs::read(files.join(path)) {
            Ok(bytes) => Answer::new(200, bytes),
            Err(_) => Answer::new(404, ""),
        })
    })?;
    let address = |user: &str| format!("http://{user}{}/a.git", server.address());
    let built = workshop.add(&format!("ADD --keep-git-dir {}#trunk /d", address("user:hunter2@")))?;
    assert!(built.holds("d/file", b"two\n"));
    assert_eq!(built.history, [format!("ADD {}#trunk /d # buildkit", address(""))]);
    let config = built.text("d/.git/config")?;
    assert!(config.contains(&address("")) && !config.contains("hunter2"), "{config}");
    for wrong in ["user:wrong-password@", ""] {
        let (messages, _) = workshop.refused(&format!("ADD {} /d", address(wrong)))?;
        assert_eq!(
            messages[1..3],
            [format!("cannot fetch {}", address("")), "cannot run git ls-remote".to_owned()]
        );
        assert!(!messages.concat().contains("wrong-password"), "{messages:?}");
    }
    workshop.secrets.insert("GIT_AUTH_TOKEN".to_owned(), Secret::new(b"hunter2\n".to_vec()));
    let built = workshop.add(&format!("ADD {}#{first} /d", address("")))?;
    assert!(built.holds("d/file", b"one\n"));
    Ok(())
}

fn commit_time() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    daemon.repository("a.git")?;
    let built = workshop.add(&format!("ADD {}?mtime=commit /d", daemon.url("a.git")))?;
    let times: Vec<i64> = ["d/file", "d/sub", "d/link", "d/sub/inner"]
        .iter()
        .filter_map(|path| built.tree.get(path).map(|file| file.mtime))
        .collect();
    assert_eq!(times, [1_500_000_000; 4]);
    Ok(())
}
