use super::*;

const FULL: &str = "// Deprecated: use\n// example.com/new instead.\nmodule \"example.com/old\" // trailing\n\ngo 1.26.1\n\ntoolchain go1.26.8\n\
\nrequire (\n\ta.b/c v1.2.3 // indirect\n\t\"a.b/d/v2\" v2.0.0 // indirect; why\n\ta.b/e v0.1.0 // not indirect\n)\n\
require gopkg.in/yaml.v3 v3.0.1\n\n// Broken.\nretract (\n\tv1.0.0\n\t[v1.1.0, v1.1.9] // worse\n)\n\
exclude a.b/c v1.2.2\nreplace (\n\ta.b/c => ../c\n\ta.b/c v1.2.3 => x.y/c v1.2.4\n)\n\
godebug default=go1.21\ntool a.b/c/cmd/tool\nignore ./node_modules\nignore (\n\tstatic\n)\n";

#[test]
fn every_directive_is_read_with_its_line() {
    let file = GoMod::parse(FULL.as_bytes()).unwrap();
    assert_eq!(file.module.path, "example.com/old");
    assert_eq!(file.module.line, 3);
    assert_eq!(file.module.deprecated.as_deref(), Some("use\nexample.com/new instead.\ntrailing"));
    assert_eq!(file.go.as_ref().map(|go| (go.value.as_str(), go.line)), Some(("1.26.1", 5)));
    assert_eq!(
        file.toolchain.as_ref().map(|line| (line.value.to_string(), line.line)),
        Some(("go1.26.8".into(), 7))
    );
    let requires: Vec<_> = file
        .require
        .iter()
        .map(|require| (require.path.as_str(), require.version.as_str(), require.indirect, require.line))
        .collect();
    assert_eq!(
        requires,
        [
            ("a.b/c", "v1.2.3", true, 10),
            ("a.b/d/v2", "v2.0.0", true, 11),
            ("a.b/e", "v0.1.0", false, 12),
            ("gopkg.in/yaml.v3", "v3.0.1", false, 14),
        ]
    );
    let retracts: Vec<_> = file
        .retract
        .iter()
        .map(|retract| (retract.low.as_str(), retract.high.as_str(), retract.rationale.as_str()))
        .collect();
    assert_eq!(retracts, [("v1.0.0", "v1.0.0", "Broken."), ("v1.1.0", "v1.1.9", "worse")]);
    assert_eq!(file.exclude[0].version, "v1.2.2");
    assert_eq!(file.replacement("a.b/c", "v1.2.3").unwrap().line, 24);
    assert_eq!(file.replacement("a.b/c", "v1.9.9").unwrap().with, Replacement::Folder("../c".into()));
    assert_eq!((file.godebug[0].key.as_str(), file.godebug[0].value.as_str()), ("default", "go1.21"));
    assert_eq!(file.tool[0].value, "a.b/c/cmd/tool");
    let ignored: Vec<_> = file.ignore.iter().map(|ignore| ignore.value.as_str()).collect();
    assert_eq!(ignored, ["./node_modules", "static"]);
}

#[test]
fn mistakes_are_named_with_line_and_column() {
    let table = [
        ("", "1:1: no module directive"),
        ("module a.b\nrequires c.d v1.0.0\n", "2:1: unknown directive: requires"),
        ("module a.b\nmodule c.d\n", "2:1: repeated module directive: the first is in line 1"),
        ("module a.b\ngo 1.x\n", "2:1: invalid go version '1.x': must match format 1.23.0"),
        ("module a.b\ngo 1\n", "2:1: invalid go version '1': must match format 1.23.0"),
        ("module a.b\ngo\n", "2:1: usage: go 1.23.0"),
        (
            "module a.b\ntoolchain 1.21\n",
            "2:1: invalid toolchain '1.21': must match format go1.23.0 or default",
        ),
        ("module a.b\nrequire c.d\n", "2:1: usage: require module/path v1.2.3"),
        ("module a.b\nrequire (\n\tc.d v2.0.0\n)\n", "3:2: version v2.0.0 of c.d should be v0 or v1, not v2"),
        (
            "module a.b\nrequire (\n\tc.d v1.0.0\n",
            "4:1: block is not closed: the one opened in line 2 has no )",
        ),
        ("module a.b\nrequire (\n) x\n", "3:3: expected the end of the line after )"),
        ("module a.b /* x */\n", "1:12: comments must be written as //, not /* */"),
        ("module \"a.b\n", "1:12: unexpected end of line in a string"),
        ("module \"a.b", "1:8: unexpected end of file in a string"),
        ("module 'a.b'\n", "1:1: badly quoted string 'a.b'"),
        (
            "module a.b\nreplace c.d => e.f\n",
            "2:1: replacement module e.f has no version and is no folder (which starts with ./, ../ or /)",
        ),
        ("module a.b\nreplace c.d => ../x v1.0.0\n", "2:1: replacement folder ../x cannot have a version"),
        ("module a.b\ngo (\n\t1.21\n)\n", "2:1: unknown directive: go ("),
        ("module a.b\nrequire x (\n\tc.d v1.0.0\n)\n", "3:2: unknown directive: require x"),
        ("module a.b\nretract [v1.0.0\n", "2:1: expected a version or an interval such as [v1.0.0, v1.2.0]"),
        ("module a.b\x07\n", "1:11: unexpected character '\\u{7}'"),
        ("module a.b\n<<<<<<< HEAD\n", "2:1: unknown directive: <<<<<<<"),
        (
            "module a.b\ngo 1.x\nuse .\n",
            "2:1: invalid go version '1.x': must match format 1.23.0; 3:1: unknown directive: use",
        ),
    ];
    for (text, message) in table {
        let error = GoMod::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message, "{text:?}");
    }
}

#[test]
fn hints_name_what_was_perhaps_meant() {
    let table = [
        ("module a.b\nrequires c.d v1.0.0\n", Some("did you mean require?")),
        ("module a.b\nrepalce c.d => ./x\n", Some("did you mean replace?")),
        ("module a.b\nfrobnicate\n", None),
        ("module a.b\n>>>>>>> main\n", Some("the file holds an unresolved merge conflict")),
    ];
    for (text, hint) in table {
        assert_eq!(GoMod::parse(text.as_bytes()).unwrap_err().hint().as_deref(), hint, "{text:?}");
    }
}

#[test]
fn dependencies_are_read_with_patience() {
    let file =
        GoMod::parse_dependency(b"module a.b\ngo v1.13beta\nfuture directive\nretract (nonsense)\n").unwrap();
    assert_eq!(file.go.unwrap().value.as_str(), "1.13");
    assert!(file.retract.is_empty());
}

#[test]
fn parentheses_within_a_line_open_no_block() {
    let error = GoMod::parse(b"module a.b\nrequire ( c.d v1.0.0 )\n").unwrap_err();
    assert_eq!(error.to_string(), "2:1: usage: require module/path v1.2.3");
    assert!(GoMod::parse(b"module a.b\r\nrequire ()\r\n").unwrap().require.is_empty());
}
