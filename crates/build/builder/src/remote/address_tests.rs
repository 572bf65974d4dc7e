use super::*;

fn git(text: &str) -> Option<Result<GitAddress, AddressError>> {
    Address::read(text).and_then(|read| match read {
        Ok(Address::Git(git)) => Some(Ok(git)),
        Ok(Address::Web(_)) => None,
        Err(error) => Some(Err(error)),
    })
}

fn parts(text: &str) -> Option<(String, String, String)> {
    let git = git(text)?.unwrap();
    Some((git.remote, git.reference.unwrap_or_default(), git.folder))
}

#[test]
fn what_is_a_repository_and_what_of_it_is_meant() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    for (text, expected) in [
        ("https://host/a/b.git", ("https://host/a/b.git", "", "")),
        ("https://host/a/b.git#main", ("https://host/a/b.git", "main", "")),
        ("https://host/a/b.git#main:sub/folder", ("https://host/a/b.git", "main", "sub/folder")),
        ("https://host/a/b.git#:sub", ("https://host/a/b.git", "", "sub")),
        ("https://host/b.git#:../../sub/./x/", ("https://host/b.git", "", "sub/x")),
        ("http://host:8080/b.git#a%20b", ("http://host:8080/b.git", "a b", "")),
        ("https://host/b.git?ref=main&subdir=/x", ("https://host/b.git", "main", "x")),
        ("https://host/b.git?tag=v1", ("https://host/b.git", "refs/tags/v1", "")),
        ("https://host/b.git?tag=refs/tags/v1", ("https://host/b.git", "refs/tags/v1", "")),
        ("https://host/b.git?branch=a%2Fb", ("https://host/b.git", "refs/heads/a/b", "")),
        ("https://host/b.git?ref=main#main", ("https://host/b.git", "main", "")),
        ("https://user:pass@host/b.git#x", ("https://user:pass@host/b.git", "x", "")),
        ("git://host/b", ("git://host/b", "", "")),
        ("GIT://host/b#x", ("GIT://host/b", "x", "")),
        ("ssh://git@host:22/b#x:y", ("ssh://git@host:22/b", "x", "y")),
        ("git@host:a/b.git", ("git@host:a/b.git", "", "")),
        ("git@host:a/b.git#x:y", ("git@host:a/b.git", "x", "y")),
        ("git@host:b?branch=x&subdir=y", ("git@host:b", "refs/heads/x", "y")),
        (&format!("https://host/b.git#{COMMIT}"), ("https://host/b.git", COMMIT, "")),
    ] {
        let (remote, reference, folder) = expected;
        assert_eq!(parts(text), Some((remote.into(), reference.into(), folder.into())), "{text}");
    }
}

#[test]
fn what_is_a_file_or_a_path() {
    for (text, name) in [
        ("http://host/a/b.tar.gz", Some("b.tar.gz")),
        ("https://host/a/b.git/c", Some("c")),
        ("https://host/b?x=y.git", Some("b")),
        ("https://host/a%20b?c#d", Some("a b")),
        ("https://host/folder/", Some("folder")),
        ("https://host/a%2Fb", Some("b")),
        ("https://host/", Some("__unnamed__")),
        ("https://host", Some("__unnamed__")),
        ("https://host/%2e%2e", Some("__unnamed__")),
        ("ftp://host/b.git", None),
        ("file:///srv/b.git", None),
        ("github.com/a/b", None),
        ("./git@host:b", None),
        ("../b.git", None),
        ("b.git", None),
        ("HTTP://host/file", None),
        ("a b@host:c", None),
        ("git@:c", None),
        ("://", None),
        ("", None),
    ] {
        match Address::read(text) {
            Some(Ok(Address::Web(web))) => assert_eq!(Some(web.name.as_str()), name, "{text}"),
            None => assert_eq!(name, None, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(Address::read("http://[::1"), Some(Err(AddressError::Url(_)))));
}

#[test]
fn what_a_query_says() {
    let read = |query: &str| git(&format!("https://host/b.git?{query}")).unwrap();
    let good = |query: &str| read(query).unwrap();
    assert_eq!(good("keep-git-dir").keep_git_folder, Some(true));
    assert_eq!(good("keep-git-dir=0").keep_git_folder, Some(false));
    assert_eq!(good("ref=x").keep_git_folder, None);
    assert!(good("submodules=false").skip_submodules);
    assert!(!good("submodules").skip_submodules);
    assert!(good("mtime=commit").commit_time);
    assert!(!good("mtime=checkout").commit_time);
    assert!(good("fetch-by-commit=true").by_commit);
    assert_eq!(good("commit=abc123").checksum.as_deref(), Some("abc123"));
    assert_eq!(good("checksum=ABC").checksum.as_deref(), Some("ABC"));
    for (query, expected) in [
        ("ref=a&ref=b", "its query has `ref` more than once"),
        ("ref=", "its query gives `ref` no value"),
        ("depth=1", "its query has `depth`, which means nothing for a git repository"),
        ("tag=a&branch=b", "it names both `refs/tags/a` and `refs/heads/b`"),
        ("ref=a&tag=b", "it names both `a` and `refs/tags/b`"),
        ("ref=a#b", "it names both `b` and `a`"),
        ("subdir=a#:b", "it names both `b` and `a`"),
        ("keep-git-dir=maybe", "its `keep-git-dir` is `maybe`, and must be `true` or `false`"),
        ("mtime=now", "its `mtime` is `now`, and must be `checkout` or `commit`"),
        ("checksum=xyz", "its `checksum` is `xyz`, and must be the hexadecimal digits of a commit"),
        ("ref=--upload-pack", "its `ref` is `--upload-pack`, and must be a branch, a tag or a commit"),
    ] {
        assert_eq!(read(query).unwrap_err().to_string(), expected, "{query}");
    }
}

#[test]
fn no_message_shows_a_password() {
    for (text, shown) in [
        ("https://user:hunter2@host/b.git#main", "https://host/b.git"),
        ("https://user:hunter2@host/file?token=hunter2", "https://host/file?token=…"),
        ("git@host:b.git", "git@host:b.git"),
    ] {
        assert_eq!(Address::read(text).unwrap().unwrap().shown(), shown);
    }
}
