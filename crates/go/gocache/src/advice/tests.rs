use super::*;

const GUIDE: &str = "CGO_ENABLED=0 GOOS=linux go build -a -installsuffix cgo -o main ./cmd/server";

fn step(words: &str) -> Step<'_> {
    Step {
        words: Words::Shell(words),
        is_exported: false,
        used_paths: &[],
        later: &[],
        mounts: &[],
        environment: &[],
        user: "",
        home: "/root",
    }
}

fn answer(step: &Step<'_>) -> Result<Advice, String> {
    let files: Files<'_> = &|path| path == "/usr/local/go/bin/go" || path == "/usr/bin/go";
    let cache = CacheRoot::at("/caches/shop");
    advise(step, files, Path::new("/helpers/1"), &cache).map_err(|refusal| refusal.to_string())
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_step_that_builds_gets_the_cache_and_the_program_in_front() {
    let environment = [("PATH".to_owned(), "/go/bin:/usr/local/go/bin:/bin".to_owned())];
    let advice = answer(&Step { environment: &environment, ..step(GUIDE) }).unwrap();
    let path = "/run/longshore/go/bin:/go/bin:/usr/local/go/bin:/bin";
    assert_eq!(advice.environment, [("PATH".to_owned(), path.to_owned())]);
    let mount = |source: &str, target, read_only| CacheMount { source: source.into(), target, read_only };
    let expected = [
        mount("/helpers/1", "/run/longshore/go/bin", true),
        mount("/caches/shop", "/run/longshore/go/cache", false),
    ];
    assert_eq!(advice.mounts, expected);
}

#[test]
fn words_that_start_go_are_enough() {
    for words in [
        GUIDE,
        "cd /src && go install ./... ; ls",
        "make build",
        "./build.sh",
        "sh /src/scripts/build.sh",
        "if true; then\n  go vet ./... || exit 1\nfi",
        "out=$(go build -o x .)",
        "export GOPATH=/go GOFLAGS=-mod=vendor; go build .",
    ] {
        assert!(answer(&step(words)).is_ok(), "{words}: {:?}", answer(&step(words)));
    }
    let program = strings(&["sh", "-c", "go build ."]);
    assert!(answer(&Step { words: Words::Program(&program), ..step("") }).is_ok());
}

#[test]
fn words_that_might_notice_are_too_much() {
    let rows = [
        ("apk add --no-cache git", "it does not start Go"),
        ("echo going", "it does not start Go"),
        ("go build . && cp -r /root/.cache/go-build /out", r#"it says "/root/.cache/go-build""#),
        ("GOCACHE=/tmp/c go build .", r#"it says "GOCACHE=/tmp/c""#),
        ("GOFLAGS=-toolexec=x go build .", r#"it says "GOFLAGS=-toolexec=x""#),
        ("export PATH=$PATH:/x; go build .", r#"it says "PATH=$PATH:/x""#),
        ("cp $(which go) /out; go build .", r#"it says "which""#),
        ("ln -s \"$(command -v go)\" /go; go build", r#"it says "command -v""#),
        ("env > /out/env; go build .", r#"it says "env >""#),
        ("go build . && env", r#"it says "env ;""#),
    ];
    for (words, expected) in rows {
        assert_eq!(answer(&step(words)), Err(expected.to_owned()), "{words}");
    }
    assert!(answer(&step("env CGO_ENABLED=0 go build .")).is_ok());
}

#[test]
fn a_stage_whose_cache_is_missed_gets_none() {
    let exported = Step { is_exported: true, ..step(GUIDE) };
    assert_eq!(answer(&exported).unwrap_err(), "the stage is exported, and Go's build cache with it");

    for path in [
        "/",
        "/root",
        "/root/.cache/go-build",
        "/root/.cache/go-build/00",
        "/r*",
        "/root/.*",
        "/app/../root",
        "root",
        "$HOME",
    ] {
        let used = [path.to_owned()];
        let expected = format!("{path} is used outside the stage, and Go's build cache may be in it");
        assert_eq!(answer(&Step { used_paths: &used, ..step(GUIDE) }), Err(expected));
    }
    let used =
        strings(&["/app/main", "/etc/ssl/certs/", "/usr/share/zoneinfo", "/root/bin", "/app/*", "app/$NAME"]);
    assert!(answer(&Step { used_paths: &used, ..step(GUIDE) }).is_ok());

    let later = [Words::Shell("tar c /root/.cache > /cache.tar")];
    assert_eq!(
        answer(&Step { later: &later, ..step(GUIDE) }).unwrap_err(),
        r#"a later step says "/root/.cache""#
    );
}

#[test]
fn a_cache_of_the_dockerfile_stays_the_only_one() {
    let mounts = strings(&["/go/pkg/mod", "/root/.cache/go-build"]);
    let expected = "the Dockerfile has a mount or a variable for Go's build cache: ";
    assert_eq!(
        answer(&Step { mounts: &mounts, ..step(GUIDE) }),
        Err(format!("{expected}/root/.cache/go-build"))
    );
    let mounts = strings(&["/go/pkg/mod"]);
    assert!(answer(&Step { mounts: &mounts, ..step(GUIDE) }).is_ok());
    let environment = [("GOCACHE".to_owned(), "/x".to_owned())];
    assert_eq!(answer(&Step { environment: &environment, ..step(GUIDE) }), Err(format!("{expected}GOCACHE")));
    let environment = [("XDG_CACHE_HOME".to_owned(), "/c".to_owned())];
    let mounts = strings(&["/c"]);
    let own = Step { environment: &environment, mounts: &mounts, ..step(GUIDE) };
    assert_eq!(answer(&own), Err(format!("{expected}/c")));
}

#[test]
fn without_go_there_is_nothing_to_speed_up() {
    let environment = [("PATH".to_owned(), "/bin:relative".to_owned())];
    let refusal = answer(&Step { environment: &environment, ..step("make") }).unwrap_err();
    assert_eq!(refusal, "there is no go on the PATH");
}
