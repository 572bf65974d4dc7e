use super::*;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const THREE: &str = "3333333333333333333333333333333333333333";

#[test]
fn branches_go_before_tags_and_tags_tell_their_commit() {
    let all = format!(
        "{ONE}\trefs/heads/main\n{TWO}\trefs/tags/main\n{TWO}\trefs/tags/v1\n{THREE}\trefs/tags/v1^{{}}\n{ONE}\trefs/heads/x/v1\n\
         {ONE}\trefs/pull/1/head\nnonsense\trefs/heads/bad\n"
    );
    for (reference, expected) in [
        ("main", Some(("refs/heads/main", ONE, None))),
        ("refs/tags/main", Some(("refs/tags/main", TWO, None))),
        ("tags/main", Some(("refs/tags/main", TWO, None))),
        ("v1", Some(("refs/tags/v1", TWO, Some(THREE)))),
        ("refs/tags/v1", Some(("refs/tags/v1", TWO, Some(THREE)))),
        ("pull/1/head", Some(("refs/pull/1/head", ONE, None))),
        ("bad", None),
        ("absent", None),
    ] {
        let expected = expected.map(|(name, object, commit): (&str, &str, Option<&str>)| Resolved {
            reference: Some(name.to_owned()),
            object: object.to_owned(),
            commit: commit.map(str::to_owned),
        });
        assert_eq!(choose(&all, reference), expected, "{reference}");
    }
}

#[test]
fn the_default_branch_is_what_head_is() {
    let listed = format!("ref: refs/heads/trunk\tHEAD\n{ONE}\tHEAD\n");
    let expected = Resolved { reference: Some("refs/heads/trunk".into()), object: ONE.into(), commit: None };
    assert_eq!(default_branch(&listed), Some(expected));
    assert_eq!(default_branch(&format!("{ONE}\tHEAD\n")), Some(Resolved::commit(ONE)));
    assert_eq!(default_branch(""), None);
}

#[test]
fn a_checksum_is_the_beginning_of_the_tag_or_its_commit() {
    let tag =
        Resolved { reference: Some("refs/tags/v1".into()), object: TWO.into(), commit: Some(THREE.into()) };
    for (checksum, fits) in [(None, true), (Some("22"), true), (Some(THREE), true), (Some("1"), false)] {
        assert_eq!(tag.check(checksum).is_ok(), fits, "{checksum:?}");
    }
    let error = tag.check(Some("1a")).unwrap_err().to_string();
    assert_eq!(error, format!("it has the checksum {THREE}, and 1a is asked for"));
}

#[test]
fn identities_follow_what_lands_in_the_image() {
    let address = |remote: &str| GitAddress { remote: remote.into(), ..GitAddress::default() };
    let (one, other) = (address("https://one/a.git"), address("https://two/a.git"));
    let at = |reference: Option<&str>| Resolved {
        reference: reference.map(str::to_owned),
        ..Resolved::commit(ONE)
    };
    let tag = Resolved { reference: None, object: TWO.into(), commit: Some(ONE.into()) };
    assert_eq!(identity(&one, &at(None), false), identity(&other, &at(Some("refs/heads/x")), false));
    assert_eq!(identity(&one, &tag, false), identity(&one, &at(None), false));
    assert_ne!(identity(&one, &tag, true), identity(&one, &at(None), true));
    assert_ne!(identity(&one, &at(None), true), identity(&other, &at(None), true));
    assert_ne!(identity(&one, &at(None), true), identity(&one, &at(None), false));
    let folder = GitAddress { folder: "x".into(), ..one.clone() };
    assert_ne!(identity(&one, &at(None), false), identity(&folder, &at(None), false));
}

#[test]
fn the_configuration_takes_any_remote_and_sends_a_token_to_its_server_alone() {
    let address = GitAddress { remote: "https://host:8443/a\"b\\c.git".into(), ..GitAddress::default() };
    let access = Access { agent: None, authorization: Some("basic abc".into()) };
    let text = configuration(&address, &access);
    assert!(text.contains("\turl = \"https://host:8443/a\\\"b\\\\c.git\"\n"), "{text}");
    assert!(
        text.contains("[http \"https://host:8443/\"]\n\textraHeader = \"Authorization: basic abc\"\n"),
        "{text}"
    );
    let ssh = GitAddress { remote: "git@host:a.git".into(), ..GitAddress::default() };
    assert!(!configuration(&ssh, &access).contains("Authorization"));
}

#[test]
fn keys_are_used_by_wish_only() {
    let environment =
        |agent: Option<&Path>| format!("{:?}", clean(&Environment::inherited(), Path::new("/h"), agent));
    assert!(environment(None).contains("IdentityFile=/dev/null"));
    let given = environment(Some(Path::new("/agent")));
    assert!(given.contains("/agent") && !given.contains("IdentityFile"), "{given}");
}

#[test]
fn a_commit_needs_no_server() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let reference = |text: &str| GitAddress { reference: Some(text.to_owned()), ..GitAddress::default() };
    assert_eq!(pinned(&reference(commit)).unwrap(), Some(Resolved::commit(commit)));
    assert_eq!(pinned(&reference(&commit[..39])).unwrap(), None);
    assert_eq!(pinned(&reference("main")).unwrap(), None);
    let by_commit = |checksum: &str| GitAddress {
        by_commit: true,
        checksum: Some(checksum.to_owned()),
        ..reference("main")
    };
    assert_eq!(pinned(&by_commit(commit)).unwrap(), Some(Resolved::commit(commit)));
    assert!(pinned(&by_commit("0123")).is_err());
}
