//! .dockerignore and wildcards, by hand; `upstream` compares many more.

use longshore_dockerfile::{FolderMatches, IgnoreRules, wildcard};

#[test]
fn rules_decide_as_they_are_written() {
    let cases: [(&str, &[(&str, bool)]); 9] = [
        (
            "\u{feff}# note\n\n a/b \r\n/c/../d/\n",
            &[("a/b", true), ("a/b/x", true), ("a", false), ("d", true), ("x/d", false)],
        ),
        ("*.log\n!keep.log", &[("a.log", true), ("keep.log", false), ("x/a.log", false)]),
        ("**/*.log", &[("a.log", true), ("x/y/a.log", true), ("a.logs", false)]),
        ("**\n!src\n", &[("src", false), ("src/a", false), ("x", true)]),
        (
            "vendor\n!vendor/keep/*.go",
            &[("vendor", true), ("vendor/keep/a.go", false), ("vendor/keep/a.c", true)],
        ),
        ("!keep\nkeep", &[("keep", true)]),
        (
            "a?c\n[x-z]1\n[^x]2",
            &[("abc", true), ("a/c", false), ("y1", true), ("w1", false), ("w2", true), ("x2", false)],
        ),
        ("a\\*b", &[("a*b", true), ("axb", false)]),
        (".", &[("a", false)]),
    ];
    for (source, expected) in cases {
        let rules = IgnoreRules::parse(source.as_bytes()).unwrap();
        for (path, ignored) in expected {
            assert_eq!(rules.matches(path), *ignored, "{source:?} {path}");
        }
    }
}

#[test]
fn a_walk_knows_where_it_need_not_go() {
    let rules = IgnoreRules::parse(b"**\n!cmd/*/main.go\n!docs\n!pkg/**\n").unwrap();
    assert!(rules.has_exceptions());
    let wanted = ["cmd", "cmd/x", "pkg", "pkg/a/b"];
    let lost = ["vendor", "cmdx", "cmd/x/y", "docsx"];
    for folder in wanted {
        assert!(rules.may_reinclude_below(folder), "{folder}");
    }
    for folder in lost {
        assert!(!rules.may_reinclude_below(folder), "{folder}");
    }
    let (is_out, inside) = rules.enter(&FolderMatches::default(), "docs");
    assert!(!is_out);
    assert!(!rules.matches_in(&inside, "docs/a"));
}

#[test]
fn patterns_that_are_none_are_named() {
    let source = b"ok\n a[b \n!\nx\\\n";
    let problems = IgnoreRules::parse(source).unwrap_err();
    let found: Vec<_> =
        problems.iter().map(|problem| (problem.code, &source[problem.span.clone()])).collect();
    assert_eq!(
        found,
        [("invalid-pattern", &b"a[b"[..]), ("invalid-pattern", b"!"), ("invalid-pattern", b"x\\")]
    );
    assert!(IgnoreRules::from_patterns(["a", "[b"]).is_err());
    assert!(IgnoreRules::from_patterns(["*.md", "!README.md"]).unwrap().matches("x.md"));
}

#[test]
fn wildcards_stay_in_one_part_of_a_path() {
    let cases = [
        ("*.go", "main.go", Some(true)),
        ("*.go", "a/main.go", Some(false)),
        ("a/*", "a/b", Some(true)),
        ("?", "é", Some(true)),
        ("[", "x", None),
        ("a[", "x", None),
        ("\\", "x", None),
        ("[a-]", "x", None),
        ("", "", Some(true)),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(wildcard::matches(pattern, name).ok(), expected, "{pattern} {name}");
    }
    assert!(wildcard::is_pattern("a[b]") && !wildcard::is_pattern("a/b.c"));
}
