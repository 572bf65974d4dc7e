use super::*;

fn linux() -> BuildContext {
    BuildContext::new("linux", "amd64", 26)
}

#[test]
fn names_choose_platforms_as_go_build_does() {
    let table = [
        ("main.go", true),
        ("linux.go", true),
        ("windows.go", true),
        ("x_linux.go", true),
        ("x_windows.go", false),
        ("x_amd64.go", true),
        ("x_arm64.go", false),
        ("x_linux_amd64.go", true),
        ("x_linux_arm64.go", false),
        ("x_windows_amd64.go", false),
        ("x_linux_test.go", true),
        ("x_windows_test.go", false),
        ("x_unix.go", true),
        ("x_amd64_linux.go", true),
        ("x_arm64_linux.go", true),
        ("_linux.go", true),
        ("_windows.go", false),
        ("x_windows.pb.go", false),
        ("x_test.go", true),
        ("x_.go", true),
        ("", true),
    ];
    for (name, expected) in table {
        assert_eq!(linux().matches_name(name), expected, "{name}");
    }
}

#[test]
fn expressions_are_read_and_held_against_a_build() {
    let table = [
        ("linux", Ok(true)),
        ("!linux", Ok(false)),
        ("unix && !cgo", Ok(true)),
        ("windows || (linux && amd64)", Ok(true)),
        ("linux && windows || amd64", Ok(true)),
        ("go1.26", Ok(true)),
        ("go1.27", Ok(false)),
        ("go1.01", Ok(false)),
        ("gc", Ok(true)),
        ("ignore", Ok(false)),
        ("", Err("unexpected end of expression")),
        ("!!linux", Err("double negation not allowed")),
        ("(linux", Err("missing close paren")),
        ("linux)", Err("unexpected word behind the expression")),
        ("linux windows", Err("unexpected word behind the expression")),
        ("linux & windows", Err("unexpected character")),
        ("linux &&", Err("unexpected end of expression")),
        ("&& linux", Err("unexpected operator")),
        ("linux,amd64", Err("unexpected character")),
    ];
    for (text, expected) in table {
        assert_eq!(Constraint::parse(text).map(|found| found.holds(&linux())), expected, "{text}");
    }
}

#[test]
fn implied_tags_hold() {
    let table = [
        ("android", "linux", true),
        ("android", "android", true),
        ("illumos", "solaris", true),
        ("ios", "darwin", true),
        ("plan9", "unix", false),
        ("freebsd", "unix", true),
        ("linux", "android", false),
    ];
    for (os, tag, expected) in table {
        assert_eq!(BuildContext::new(os, "arm64", 26).has_tag(tag), expected, "{tag} on {os}");
    }
    let mut context = linux();
    context.cgo = true;
    context.tags.insert("integration".into());
    assert!(context.has_tag("cgo") && context.has_tag("integration"));
}

#[test]
fn constraints_are_found_at_the_top_of_a_file_only() {
    let table = [
        ("//go:build windows\n\npackage p\n", false),
        ("// Copyright.\n\n//go:build windows\n\npackage p\n", false),
        ("/* x\n*/\n//go:build windows\npackage p\n", false),
        ("/* x\n//go:build windows\n*/\npackage p\n", true),
        ("package p\n//go:build windows\n", true),
        ("//go:buildwindows\n\npackage p\n", true),
        ("// go:build windows\n\npackage p\n", true),
        ("\u{feff}//go:build windows\n\npackage p\n", false),
        ("// +build windows\n\npackage p\n", false),
        ("// +build windows\npackage p\n", true),
        ("// +build windows linux,!amd64\n\npackage p\n", false),
        ("// +build windows linux,amd64\n\npackage p\n", true),
        ("// +build linux\n// +build !amd64\n\npackage p\n", false),
        ("//+build !!linux\n\npackage p\n", false),
        ("//go:build linux\n// +build windows\n\npackage p\n", true),
        ("//go:build windows\r\n\r\npackage p\r\n", false),
        ("", true),
    ];
    for (source, expected) in table {
        assert_eq!(linux().matches_file("x.go", source.as_bytes()), Ok(expected), "{source:?}");
    }
}

#[test]
fn broken_constraints_are_named_with_their_line() {
    let twice = FileConstraint::of_source(b"//go:build linux\n//go:build amd64\n\npackage p\n").unwrap_err();
    assert_eq!(twice.to_string(), "line 2: a second //go:build line; the first is in line 1");
    let broken = FileConstraint::of_source(b"// x\n\n//go:build linux ||\n\npackage p\n").unwrap_err();
    assert_eq!(broken.to_string(), "line 3: malformed //go:build line: unexpected end of expression");
}

#[test]
fn huge_expressions_are_refused() {
    assert_eq!(Constraint::parse(&vec!["a"; 1001].join("||")), Err("build expression too large"));
    assert!(Constraint::parse(&"(".repeat(100_000)).is_err());
}
