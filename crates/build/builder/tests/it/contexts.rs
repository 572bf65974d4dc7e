//! Build contexts that come from elsewhere, and named ones.

use std::io::Write;

use longshore_builder::{Context, ContextAddress, ContextSource};
use longshore_testkit::{Answer, FaultServer, Reply, Requirement, Stop, Suite, TestResult};

use crate::archives::Tar;
use crate::git::Daemon;
use crate::workshop::{Workshop, told};

const ROOT: &[Requirement] = &[Requirement::Root];
const GIT: &[Requirement] = &[Requirement::Root, Requirement::Program("git")];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("contexts::a_repository_is_one_with_its_own_rules", GIT, repository)
        .test("contexts::links_do_not_leave_the_folder_of_a_repository", GIT, scoped_links)
        .test("contexts::an_archive_is_unpacked_with_its_owners", ROOT, archives)
        .test("contexts::a_text_at_an_address_is_the_dockerfile", ROOT, plain_text)
        .test("contexts::what_cannot_be_opened_is_said", ROOT, refusals)
        .test("contexts::named_ones_may_be_at_addresses", GIT, named)
        .test("contexts::an_address_is_asked_once_for_all_platforms", ROOT, asked_once)
        .test("contexts::a_rule_may_take_back_what_another_left_out", ROOT, reincluded)
}

fn address(text: &str) -> Result<ContextAddress, Stop> {
    let read = ContextAddress::read(text).ok_or_else(|| Stop::failed(format!("{text} is no address")))?;
    Ok(read?)
}

/// Answers each path with a body, and all others with 404.
fn server(files: Vec<(&'static str, Vec<u8>)>) -> Result<FaultServer, Stop> {
    Ok(FaultServer::start(move |request| {
        let found = files.iter().find(|(path, _)| request.target == *path);
        Reply::Answer(found.map_or_else(|| Answer::new(404, ""), |(_, body)| Answer::new(200, body.clone())))
    })?)
}

fn repository() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    repository.write("sub/Dockerfile", "FROM scratch\nCOPY . /\n")?;
    repository.write("sub/secret", "secret\n")?;
    repository.write("sub/.dockerignore", "secret\n.dockerignore\n")?;
    repository.write("sub/other/App.Dockerfile", "FROM scratch\nCOPY . /\n")?;
    repository.write("sub/other/App.Dockerfile.dockerignore", "**\n!inner\n")?;
    repository.commit()?;
    let source = address(&format!("{}#trunk:sub", daemon.url("a.git")))?;
    let first = workshop.build_fetched(ContextSource::Address(&source), "Dockerfile")?;
    let expected = [
        "Dockerfile 644 22",
        "inner 644 6",
        "other/ 755",
        "other/App.Dockerfile 644 22",
        "other/App.Dockerfile.dockerignore 644 10",
    ];
    assert_eq!(first.listing(), expected);
    // The rules beside the Dockerfile go before those of the context.
    let beside = workshop.build_fetched(ContextSource::Address(&source), "other/App.Dockerfile")?;
    assert_eq!(beside.listing(), ["inner 644 6"]);
    assert!(workshop.build_fetched(ContextSource::Address(&source), "Dockerfile")?.is_cached());

    repository.write("sub/inner", "changed\n")?;
    repository.commit()?;
    let changed = workshop.build_fetched(ContextSource::Address(&source), "Dockerfile")?;
    assert!(changed.holds("inner", b"changed\n") && !changed.is_cached());
    Ok(())
}

fn scoped_links() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    let repository = daemon.repository("a.git")?;
    repository.write("sub/Dockerfile", "FROM scratch\nCOPY up absolute /\n")?;
    repository.write("sub/file", "in the context\n")?;
    for (link, target) in [("up", "../file"), ("absolute", "/file")] {
        std::os::unix::fs::symlink(target, repository.path().join("sub").join(link))?;
    }
    repository.commit()?;
    let source = address(&format!("{}#trunk:sub", daemon.url("a.git")))?;
    let built = workshop.build_fetched(ContextSource::Address(&source), "Dockerfile")?;
    // The file of the same name above the folder says something else.
    assert!(built.holds("up", b"in the context\n") && built.holds("absolute", b"in the context\n"));
    Ok(())
}

fn tar() -> Vec<u8> {
    let tar = Tar::default().file("Dockerfile", "FROM scratch\nCOPY file folder /\n");
    tar.file("file", "text").file("folder/inner", "inner").file("../outside", "x").bytes()
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Stop> {
    let mut writer = longshore_image::layer::GzipWriter::new(Vec::new());
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

fn archives() -> TestResult {
    let workshop = Workshop::new()?;
    let server = server(vec![("/c.tar", tar()), ("/context", gzip(&tar())?)])?;
    let expected = ["file 640 4", "inner 640 5"];
    let piped = workshop.build_fetched(ContextSource::Archive(Box::new(&tar()[..])), "Dockerfile")?;
    assert_eq!(piped.listing(), expected);
    let file = piped.tree.get("file").ok_or_else(|| Stop::failed("there is no /file"))?;
    assert_eq!((file.uid, file.gid, file.mtime), (7, 8, 1_500_000_000));
    for (name, cached) in [("c.tar", true), ("context", true)] {
        let source = address(&format!("{}/{name}", server.url()))?;
        let built = workshop.build_fetched(ContextSource::Address(&source), "./Dockerfile")?;
        assert_eq!((built.listing(), built.is_cached()), (piped.listing(), cached), "{name}");
        assert_eq!(built.outcome.root, piped.outcome.root);
    }
    // What would have been unpacked beside the context stands in it, as with ADD.
    let context = workshop.fetch(ContextSource::Archive(Box::new(&tar()[..])))?;
    let outside = workshop
        .build("FROM scratch\nCOPY outside /\n", |request| request.context = Context::Fetched(context))?;
    assert_eq!(outside.listing(), ["outside 640 1"]);
    Ok(())
}

fn plain_text() -> TestResult {
    let workshop = Workshop::new()?;
    let text = b"FROM scratch\nCOPY . /\n".to_vec();
    let server = server(vec![("/some/file", text.clone())])?;
    let source = address(&format!("{}/some/file", server.url()))?;
    let built = workshop.build_fetched(ContextSource::Address(&source), "whatever.Dockerfile")?;
    assert_eq!(built.listing(), ["context 600 22"]);
    assert!(built.holds("context", &text));
    Ok(())
}

fn refusals() -> TestResult {
    let mut workshop = Workshop::new()?;
    let server = server(vec![("/c.tar", tar())])?;
    let missing = address(&format!("{}/missing.tar", server.url()))?;
    let said = |result: Result<_, _>| match result {
        Ok(_) => Err(Stop::failed("it was not refused")),
        Err(error) => Ok(told(&error).0.join(": ")),
    };
    let url = server.url();
    assert_eq!(
        said(workshop.fetch(ContextSource::Address(&missing)).map(drop))?,
        format!(
            "cannot open the build context: cannot fetch {url}/missing.tar: the server answered 404 (not found)"
        )
    );
    let text = &b"FROM scratch\n"[..];
    let error = workshop.fetch(ContextSource::Archive(Box::new(text))).map(drop);
    assert_eq!(said(error)?, "cannot open the build context: it is no tar, compressed or not");
    let cut = gzip(&tar())?;
    let error = workshop.fetch(ContextSource::Archive(Box::new(&cut[..cut.len() / 2]))).map(drop);
    let message = said(error)?;
    assert!(message.starts_with("cannot open the build context: cannot unpack context: "), "{message}");
    let context = workshop.fetch(ContextSource::Archive(Box::new(&tar()[..])))?;
    let error = context.dockerfile("../no/Dockerfile".as_ref()).map(drop);
    assert_eq!(said(error)?, "cannot open the build context: there is no Dockerfile no/Dockerfile in it");
    let error = context.dockerfile("folder".as_ref()).map(drop);
    assert_eq!(said(error)?, "cannot open the build context: folder is no regular file");
    for (name, expected) in [
        ("missing", "cannot open the build context `docs`"),
        ("file", "cannot open the build context `docs`"),
    ] {
        let place = workshop.folder.join(name);
        if name == "file" {
            workshop.folder.write(name, "")?;
        }
        let error = workshop.build("FROM scratch\nCOPY --from=docs . /\n", |request| {
            request.named_contexts.insert("docs".to_owned(), Context::Folder(place));
        });
        let message = said(error.map(drop))?;
        assert!(message.starts_with(expected), "{message}");
    }
    workshop.http = None;
    let source = address(&format!("{}/c.tar", server.url()))?;
    assert_eq!(
        said(workshop.fetch(ContextSource::Address(&source)).map(drop))?,
        format!(
            "cannot open the build context: cannot fetch {url}/c.tar: it is not in the store, and the network is not to be used"
        )
    );
    Ok(())
}

fn named() -> TestResult {
    let (workshop, daemon) = (Workshop::new()?, Daemon::start()?);
    daemon.repository("a.git")?;
    let server = server(vec![("/some.tar", tar())])?;
    let (git, web) = (
        address(&format!("{}#trunk:sub", daemon.url("a.git")))?,
        address(&format!("{}/some.tar", server.url()))?,
    );
    let build = |dockerfile: &str| {
        workshop.build(dockerfile, |request| {
            request.named_contexts.insert("git".to_owned(), Context::Address(git.clone()));
            request.named_contexts.insert("web".to_owned(), Context::Address(web.clone()));
        })
    };
    let built = build("FROM scratch\nCOPY --from=git . /git/\nCOPY --from=web . /web/\n")?;
    // As with BuildKit: a file stays one.
    assert_eq!(
        built.listing(),
        ["git/ 755", "git/inner 644 6", "web/ 755", format!("web/context 600 {}", tar().len()).as_str()]
    );
    assert!(build("FROM scratch\nCOPY --from=git . /git/\nCOPY --from=web . /web/\n")?.is_cached());
    assert_eq!(build("FROM git\n")?.listing(), ["inner 644 6"]);
    Ok(())
}

fn asked_once() -> TestResult {
    let workshop = Workshop::new()?;
    let server = server(vec![("/file", b"content".to_vec()), ("/other", b"other".to_vec())])?;
    let url = server.url();
    let lines = format!("FROM scratch\nADD {url}/file /a\nADD {url}/file /b\nADD {url}/other /\n");
    let platforms = vec!["linux/amd64".parse()?, "linux/arm64".parse()?];
    let built = workshop.build(&lines, |request| {
        request.platforms = platforms;
        request.platforms_named = true;
    })?;
    assert_eq!(built.outcome.images.len(), 2);
    let mut asked: Vec<_> = server.requests().iter().map(|request| request.target.clone()).collect();
    asked.sort();
    assert_eq!(asked, ["/file", "/other"]);
    Ok(())
}

fn reincluded() -> TestResult {
    let workshop = Workshop::new()?;
    let tar = Tar::default()
        .file("Dockerfile", "FROM scratch\nCOPY . /\n")
        .file(".dockerignore", "*\n!a/b/keep\n")
        .file("a/b/keep", "")
        .file("a/b/leave", "")
        .file("a/c/leave", "");
    let built = workshop.build_fetched(ContextSource::Archive(Box::new(&tar.bytes()[..])), "Dockerfile")?;
    assert_eq!(built.listing(), ["a/ 755", "a/b/ 755", "a/b/keep 640 0"]);
    let hidden = Tar::default()
        .file("Dockerfile", "FROM scratch\nCOPY secret /\n")
        .file(".dockerignore", "secret")
        .file("secret", "");
    let Err(error) =
        workshop.build_fetched(ContextSource::Archive(Box::new(&hidden.bytes()[..])), "Dockerfile")
    else {
        return Err(Stop::failed("it was copied"));
    };
    assert_eq!(told(&error).1.as_deref(), Some("a pattern of .dockerignore leaves it out"));
    Ok(())
}
